"""Credit cards: whether a holder keeps the limit, from six months of statements.

The columns are those of the 30,000 card holders of a bank in Taiwan, April to September 2005, whose
months are real: a statement is an event, and each holds what the lender knew of the months before.

Source: Yeh and Lien, Expert Systems with Applications 36 (2009); UCI "default of credit card
clients".
"""

from datetime import timedelta

from credit_core.domain.product import (
    REFER,
    AdverseActionReason,
    Change,
    CreditProduct,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    Influence,
    KeyType,
    Label,
    MonitoredGroup,
    Policy,
    ProhibitedInput,
    RiskDirection,
    safe_ratio,
)

EARLIER_MONTHS = 5
"""A statement is kept with what was so many months before."""

TOO_YOUNG = "You have had the card for too short a time to see how you use it"

LIMIT = AdverseActionReason(
    code="LIMIT", text="The limit is high for what your record with us shows"
)
ARREARS = AdverseActionReason(code="ARREARS", text="Payments in arrears on your last statement")
EARLIER_ARREARS = AdverseActionReason(
    code="EARLIER_ARREARS",
    text="Payments in arrears on earlier statements",
    text_if_unknown=TOO_YOUNG,
)
BALANCE = AdverseActionReason(code="BALANCE", text="The balance of your last statement")
EARLIER_BALANCES = AdverseActionReason(
    code="EARLIER_BALANCES", text="The balances of earlier statements", text_if_unknown=TOO_YOUNG
)
UTILIZATION = AdverseActionReason(
    code="UTILIZATION", text="The balance of your last statement is high for your limit"
)
PAYMENT = AdverseActionReason(code="PAYMENT", text="The amount you paid last")
EARLIER_PAYMENTS = AdverseActionReason(
    code="EARLIER_PAYMENTS", text="The amounts you paid earlier", text_if_unknown=TOO_YOUNG
)
REPAYMENT = AdverseActionReason(
    code="REPAYMENT",
    text="The share of your balance that you paid last",
    text_if_unknown="There was no balance to compare your last payment with",
)

HOLDER = Entity(
    name="holder",
    description="The holder of a card",
    keys=(EntityKey("holder_id", dtype=KeyType.INTEGER),),
)


def _of_months(
    name: str,
    description: str,
    reasons: tuple[AdverseActionReason, AdverseActionReason],
    *,
    unit: str,
    minimum: float,
    maximum: float,
    risk: RiskDirection | None = None,
) -> tuple[Feature, ...]:
    """Return the feature of the statement's month and those of the months before it.

    The latter are unknown of an account that is younger, and have a reason of their own.
    """
    return tuple(
        Feature(
            name=f"{name}_{ago}m_ago" if ago else name,
            description=f"{description}, {ago} months before" if ago else description,
            dtype=DType.INTEGER,
            unit=unit,
            minimum=minimum,
            maximum=maximum,
            nullable=ago > 0,
            adverse_action=reasons[ago > 0],
            risk=risk,
        )
        for ago in range(EARLIER_MONTHS + 1)
    )


# A statement comes every month. A decision may rest on the last but one when the last has not
# arrived, never on an older one.
STATEMENT = FeatureView(
    name="statement",
    description="The card's monthly statement",
    entity=HOLDER,
    ttl=timedelta(days=66),
    when_missing=REFER,
    when_stale=REFER,
    features=(
        *_of_months(
            "repayment_status",
            "Months in arrears; 0 revolving, -1 paid in full, -2 nothing to pay",
            (ARREARS, EARLIER_ARREARS),
            unit="months",
            minimum=-2,
            maximum=9,
            risk=RiskDirection.INCREASING,
        ),
        *_of_months(
            "billed",
            "Amount of the statement, negative for a credit",
            (BALANCE, EARLIER_BALANCES),
            unit="TWD",
            minimum=-10_000_000,
            maximum=10_000_000,
        ),
        *_of_months(
            "paid",
            "Amount paid since the statement before",
            (PAYMENT, EARLIER_PAYMENTS),
            unit="TWD",
            minimum=0,
            maximum=10_000_000,
            risk=RiskDirection.DECREASING,
        ),
    ),
)

DERIVED_FEATURES = (
    DerivedFeature(
        name="billed_to_limit",
        description="The statement as a share of the limit",
        dtype=DType.FLOAT,
        unit="ratio",
        minimum=-10_000,
        maximum=10_000,
        adverse_action=UTILIZATION,
        inputs=("billed", "credit_limit"),
        function=lambda billed, limit: billed / limit,
    ),
    DerivedFeature(
        name="paid_to_billed",
        description="What was paid of the statement before, null when nothing was due",
        dtype=DType.FLOAT,
        unit="ratio",
        minimum=0,
        maximum=10_000_000,
        nullable=True,
        adverse_action=REPAYMENT,
        risk=RiskDirection.DECREASING,
        inputs=("paid", "billed_1m_ago"),
        function=safe_ratio,
    ),
)

PRODUCT = CreditProduct(
    name="credit_card",
    title="Credit card",
    description="Review of the limit of a credit card.",
    entities=(HOLDER,),
    feature_views=(STATEMENT,),
    request_features=(
        Feature(
            name="credit_limit",
            description="The limit under review, family members' cards included",
            dtype=DType.INTEGER,
            unit="TWD",
            minimum=1_000,
            maximum=10_000_000,
            adverse_action=LIMIT,
            influence=Influence(change=Change.LOWER, step=10_000),
        ),
    ),
    derived_features=DERIVED_FEATURES,
    label=Label(
        name="defaulted",
        description="The next month's payment was not made",
        horizon=timedelta(days=31),
    ),
    prohibited=(
        ProhibitedInput(name="sex", reason="a prohibited basis"),
        ProhibitedInput(name="marriage", reason="marital status is a prohibited basis"),
        ProhibitedInput(name="age", reason="age is a prohibited basis"),
        ProhibitedInput(name="education", reason="stands for prohibited bases"),
    ),
    monitored_groups=(
        MonitoredGroup(
            name="sex",
            description="As the bank recorded it",
            values=("male", "female"),
            least_ratio=0.8,
        ),
    ),
    policy=Policy(
        version="2026-11-1",
        approve_up_to=0.15,
        decline_from=0.40,
        base_points=600,
        base_odds=20,
        points_to_double_odds=40,
    ),
)
