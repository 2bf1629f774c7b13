"""German credit, 1,000 loans of a bank, 1973 to 1975: a definition as short as one can be.

credit train --product examples/german_credit.py --data tests/data/german_credit.csv --out model
"""

from datetime import timedelta

from credit_core.domain import product as p

GOODS = "car_new car_used furniture radio_tv appliances repairs"
UP = p.RiskDirection.INCREASING
STATUS = ("female_not_single", "male_single", "male_separated", "male_married")


def number(
    name: str, text: str, unit: str, maximum: int, *, risk: p.RiskDirection | None = None
) -> p.Feature:
    """Return a whole number from 1 up; its text is also the reason to state for it."""
    return p.Feature(
        name=name,
        description=text,
        dtype=p.DType.INTEGER,
        unit=unit,
        minimum=1,
        maximum=maximum,
        risk=risk,
        adverse_action=p.AdverseActionReason(code=name.upper(), text=text),
    )


def choice(name: str, text: str, categories: str) -> p.Feature:
    """Return one of some categories; its text is also the reason to state for it."""
    return p.Feature(
        name=name,
        description=text,
        dtype=p.DType.CATEGORY,
        categories=tuple(categories.split()),
        adverse_action=p.AdverseActionReason(code=name.upper(), text=text),
    )


PRODUCT = p.CreditProduct(
    name="german_credit",
    title="German credit",
    description="Consumer loans of a German bank",
    entities=(),
    feature_views=(),
    derived_features=(),
    request_features=(
        choice("checking_account", "Checking account", "overdrawn below_200 200_or_salary none"),
        number("duration_months", "The loan runs for long", "months", 120, risk=UP),
        choice("credit_history", "Earlier loans", "critical delayed on_time all_here none_or_all"),
        choice("purpose", "Purpose of the loan", f"{GOODS} education retraining business others"),
        number("credit_amount", "The amount of the loan", "DM", 100_000),
        choice("savings", "Low savings", "none_known below_100 below_500 below_1000 1000_or_more"),
        choice("employed_years", "Time employed", "unemployed below_1 1_to_3 4_to_6 7_or_more"),
        number("installment_rate", "Instalments are high for your income", "class", 4, risk=UP),
        choice("guarantors", "No suitable guarantor", "none co_applicant guarantor"),
        number("resident_years", "Time at your present address", "class", 4),
        choice("property", "Lack of security", "real_estate insurance car_or_other none_known"),
        choice("other_plans", "Instalment plans with others", "none bank stores"),
        choice("housing", "How you are housed", "own rent free"),
        number("existing_credits", "Loans you have with us", "count", 4),
        choice("job", "Kind of job", "non_resident unskilled skilled highly_skilled"),
    ),
    label=p.Label(name="defaulted", description="A bad credit", horizon=timedelta(days=365)),
    prohibited=(
        p.ProhibitedInput(name="personal_status", reason="sex and marital status"),
        p.ProhibitedInput(name="age_years", reason="age"),
        p.ProhibitedInput(name="foreign_worker", reason="national origin"),
    ),
    monitored_groups=(
        p.MonitoredGroup(name="personal_status", description="Sex, marital status", values=STATUS),
    ),
    policy=p.Policy(
        version="1",
        approve_up_to=0.25,
        decline_from=0.6,
        base_points=600,
        base_odds=20,
        points_to_double_odds=40,
    ),
)
