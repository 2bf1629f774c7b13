"""The credit-scoring tutorial of Feast, on its own tables.

A second product shows that one file is all that a product takes, and whoever knows that tutorial
finds its columns here under their own names. Its keys and times are invented, so no figure of a
model trained on it says anything about quality.

Source: feast-dev/real-time-credit-scoring-on-aws-tutorial (Apache-2.0). Its two feature tables are
read as they are; its csv of histories has to become Parquet. Its loans need a column
``application_id`` (text) in place of ``loan_id``.
"""

from datetime import timedelta

from credit_core.domain.product import (
    REFER,
    AdverseActionReason,
    Change,
    CreditProduct,
    Defaults,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    Influence,
    KeyType,
    Label,
    Policy,
    ProhibitedInput,
    RiskDirection,
    safe_ratio,
)

FLOAT, INTEGER, CATEGORY = DType.FLOAT, DType.INTEGER, DType.CATEGORY

AMOUNT = AdverseActionReason(code="AMOUNT", text="The amount requested is high")
INCOME = AdverseActionReason(
    code="INCOME",
    text="Income is insufficient for the amount requested",
    text_if_unknown="You stated no income",
)
EMPLOYMENT = AdverseActionReason(
    code="EMPLOYMENT",
    text="Length of employment",
    text_if_unknown="Length of employment could not be established",
)
RESIDENCE = AdverseActionReason(code="RESIDENCE", text="The way in which you live: rented or owned")
PURPOSE = AdverseActionReason(code="PURPOSE", text="The purpose of the loan")
REGION = AdverseActionReason(code="REGION", text="Economic conditions where you live")
NO_HISTORY = "There is no record of your credit history"
DEBT = AdverseActionReason(
    code="DEBT", text="Amounts due on other credit obligations", text_if_unknown=NO_HISTORY
)
INQUIRIES = AdverseActionReason(
    code="INQUIRIES",
    text="Number of recent inquiries on your credit report",
    text_if_unknown=NO_HISTORY,
)
PAYMENTS = AdverseActionReason(
    code="PAYMENTS",
    text="Missed payments on one or more credit obligations",
    text_if_unknown="There is no record of how you repaid earlier credit",
)
BANKRUPTCY = AdverseActionReason(
    code="BANKRUPTCY", text="Bankruptcies on your record", text_if_unknown=NO_HISTORY
)

ZIPCODE = Entity(
    name="zipcode",
    description="The postal area of residence, as a number: 01001 is 1001",
    keys=(EntityKey("zipcode", dtype=KeyType.INTEGER),),
)
PERSON = Entity(
    name="person",
    description="The person who applies: date of birth and the last digits of the SSN",
    keys=(EntityKey("dob_ssn", pattern=r"[0-9]{8}_[0-9]{4}"),),
)

# fmt: off
STATES = (
    "AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL",
    "IN", "KS", "KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE",
    "NH", "NJ", "NM", "NV", "NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT",
    "VA", "VT", "WA", "WI", "WV", "WY",
)
# fmt: on
ELSEWHERE = "OTHER"


def _dollars(
    name: str,
    description: str,
    reason: AdverseActionReason,
    *,
    maximum: float = 10_000_000,
    risk: RiskDirection | None = None,
    influence: Influence | None = None,
) -> Feature:
    return Feature(
        name=name,
        description=description,
        dtype=INTEGER,
        unit="USD",
        minimum=0,
        maximum=maximum,
        adverse_action=reason,
        risk=risk,
        influence=influence,
    )


def _count(
    name: str,
    description: str,
    reason: AdverseActionReason,
    *,
    maximum: float = 1_000,
    nullable: bool = False,
    risk: RiskDirection | None = None,
) -> Feature:
    return Feature(
        name=name,
        description=description,
        dtype=INTEGER,
        unit="count",
        minimum=0,
        maximum=maximum,
        nullable=nullable,
        adverse_action=reason,
        risk=risk,
    )


def _category(
    name: str,
    description: str,
    reason: AdverseActionReason,
    categories: tuple[str, ...],
    *,
    unknown: str | None = None,
) -> Feature:
    return Feature(
        name=name,
        description=description,
        dtype=CATEGORY,
        categories=categories,
        unknown_category=unknown,
        adverse_action=reason,
    )


REQUEST_FEATURES = (
    _dollars(
        "person_income",
        "Gross income a year, as stated",
        INCOME,
        risk=RiskDirection.DECREASING,
    ),
    _category(
        "person_home_ownership",
        "How the applicant lives",
        RESIDENCE,
        ("MORTGAGE", "OTHER", "OWN", "RENT"),
    ),
    # The tutorial's table says 123 years of two people: nobody's employment, so they stay out.
    Feature(
        name="person_emp_length",
        description="Years with the present employer, null if unknown",
        dtype=FLOAT,
        unit="years",
        minimum=0,
        maximum=60,
        nullable=True,
        adverse_action=EMPLOYMENT,
        risk=RiskDirection.DECREASING,
    ),
    _category(
        "loan_intent",
        "What the loan is for",
        PURPOSE,
        (
            "DEBTCONSOLIDATION",
            "EDUCATION",
            "HOMEIMPROVEMENT",
            "MEDICAL",
            "PERSONAL",
            "VENTURE",
        ),
    ),
    _dollars(
        "loan_amnt",
        "Amount asked for",
        AMOUNT,
        maximum=100_000,
        risk=RiskDirection.INCREASING,
        influence=Influence(change=Change.LOWER, step=100),
    ),
)

# The table has one event of each zipcode, of 2017, and the tutorial's ttl is ten years. Its
# location_type is PRIMARY everywhere: it tells no two areas apart, so it is no input.
ZIPCODE_FEATURES = FeatureView(
    name="zipcode_features",
    description="Tax statistics of a postal area",
    entity=ZIPCODE,
    ttl=timedelta(days=3_650),
    when_missing=REFER,
    when_stale=REFER,
    features=(
        _category("state", "State", REGION, (*STATES, ELSEWHERE), unknown=ELSEWHERE),
        _count("tax_returns_filed", "Tax returns a year", REGION, maximum=10_000_000),
        _count("population", "Inhabitants", REGION, maximum=10_000_000),
        _dollars("total_wages", "Wages a year, all together", REGION, maximum=10**12),
    ),
)

# The tutorial's ttl is 90 days, but its sample has one event of each person, four months before
# the first loan: nothing would ever be fresh. After a year a report says too little, and a new one
# can be had: such an application is referred. Most people have no report at all. Of them no debt
# and no bankruptcy is on record; they count as having had as many inquiries as the median of the
# others, and how they pay stays unknown, so that no report is not taken for the best one.
CREDIT_HISTORY = FeatureView(
    name="credit_history",
    description="The person's credit report",
    entity=PERSON,
    ttl=timedelta(days=365),
    when_missing=Defaults(
        {
            "credit_card_due": 0,
            "mortgage_due": 0,
            "student_loan_due": 0,
            "vehicle_loan_due": 0,
            "hard_pulls": 4,
            "bankruptcies": 0,
        }
    ),
    when_stale=REFER,
    features=(
        _dollars("credit_card_due", "Due on credit cards", DEBT, risk=RiskDirection.INCREASING),
        _dollars("mortgage_due", "Due on mortgages", DEBT, risk=RiskDirection.INCREASING),
        _dollars("student_loan_due", "Due on student loans", DEBT, risk=RiskDirection.INCREASING),
        _dollars("vehicle_loan_due", "Due on vehicle loans", DEBT, risk=RiskDirection.INCREASING),
        _count("hard_pulls", "Inquiries by lenders", INQUIRIES, risk=RiskDirection.INCREASING),
        _count(
            "missed_payments_2y",
            "Payments missed in two years",
            PAYMENTS,
            nullable=True,
            risk=RiskDirection.INCREASING,
        ),
        _count(
            "missed_payments_1y",
            "Payments missed in a year",
            PAYMENTS,
            nullable=True,
            risk=RiskDirection.INCREASING,
        ),
        _count(
            "missed_payments_6m",
            "Payments missed in six months",
            PAYMENTS,
            nullable=True,
            risk=RiskDirection.INCREASING,
        ),
        _count("bankruptcies", "Bankruptcies", BANKRUPTCY, risk=RiskDirection.INCREASING),
    ),
)

DERIVED_FEATURES = (
    DerivedFeature(
        name="loan_to_income",
        description="Amount asked for as a share of annual income, null without income",
        dtype=FLOAT,
        unit="ratio",
        minimum=0,
        maximum=100_000,
        nullable=True,
        adverse_action=INCOME,
        risk=RiskDirection.INCREASING,
        inputs=("loan_amnt", "person_income"),
        function=safe_ratio,
    ),
)

# Loan, row and label share one instant in the tutorial's table, so nobody can know how long the
# label was waited for. Any horizon but none would leave the latest loans out.
LABEL = Label(name="loan_status", description="1 for a loan that defaulted", horizon=timedelta(0))

PRODUCT = CreditProduct(
    name="feast_tutorial",
    title="Feast's tutorial loan",
    description="Loans of Feast's credit-scoring tutorial; for learning and tests only.",
    entities=(PERSON, ZIPCODE),
    feature_views=(ZIPCODE_FEATURES, CREDIT_HISTORY),
    request_features=REQUEST_FEATURES,
    derived_features=DERIVED_FEATURES,
    label=LABEL,
    prohibited=(
        ProhibitedInput(name="person_age", reason="age is a prohibited basis"),
        ProhibitedInput(name="loan_int_rate", reason="the earlier lender's own verdict"),
    ),
    policy=Policy(
        version="2026-11-1",
        approve_up_to=0.15,
        decline_from=0.35,
        base_points=600,
        base_odds=20,
        points_to_double_odds=40,
    ),
)
