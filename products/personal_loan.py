"""Personal loans, on the columns of LendingClub's first quarter of 2016.

The interest rate and the grade that LendingClub gave are its own verdict on the same applicant;
a model that sees them repeats that verdict instead of judging, so they are prohibited.
"""

from datetime import timedelta

import numpy as np

from credit_core.domain.product import (
    REFER,
    AdverseActionReason,
    Band,
    Change,
    Column,
    Comparison,
    Condition,
    CreditProduct,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    Influence,
    Label,
    Outcome,
    Policy,
    ProhibitedInput,
    RiskDirection,
    Rule,
    RuleKind,
    safe_ratio,
)

FLOAT, INTEGER, CATEGORY = DType.FLOAT, DType.INTEGER, DType.CATEGORY

AMOUNT = AdverseActionReason(
    code="AMOUNT", text="The amount requested is high for the term you asked for"
)
TERM = AdverseActionReason(code="TERM", text="The repayment term requested")
INCOME = AdverseActionReason(code="INCOME", text="Income is insufficient for the amount requested")
EMPLOYMENT = AdverseActionReason(
    code="EMPLOYMENT",
    text="Length of employment",
    text_if_unknown="Length of employment could not be established",
)
VERIFICATION = AdverseActionReason(
    code="VERIFICATION", text="The way in which your income was verified"
)
DELINQUENCY = AdverseActionReason(
    code="DELINQUENCY", text="Past due payments on one or more credit obligations"
)
INQUIRIES = AdverseActionReason(
    code="INQUIRIES", text="Number of recent inquiries on your credit report"
)
UTILIZATION = AdverseActionReason(
    code="UTILIZATION",
    text="Proportion of balances to credit limits on your accounts is high",
    text_if_unknown="Your credit report states no limits to compare your balances with",
)
NEW_ACCOUNTS = AdverseActionReason(
    code="NEW_ACCOUNTS", text="Number of installment accounts opened recently"
)
INSTALLMENT_DEBT = AdverseActionReason(
    code="INSTALLMENT_DEBT", text="Level of debt on installment accounts"
)
CREDIT_HISTORY = AdverseActionReason(
    code="CREDIT_HISTORY", text="Number and size of installment accounts in your credit history"
)
REGION = AdverseActionReason(
    code="REGION", text="Conditions of the loan market in your state of residence"
)
DEBT_BURDEN = AdverseActionReason(
    code="DEBT_BURDEN", text="Payments and debts are high in relation to your income"
)

APPLICANT = Entity(
    name="applicant", description="The person who applies", keys=(EntityKey("applicant_id"),)
)
REGION_OF_RESIDENCE = Entity(
    name="region",
    description="The state of residence, two letters (USPS)",
    keys=(EntityKey("addr_state", pattern=r"[A-Z]{2}"),),
)


def _count(
    name: str, description: str, reason: AdverseActionReason, *, risk: RiskDirection | None = None
) -> Feature:
    return Feature(
        name=name,
        description=description,
        dtype=INTEGER,
        unit="count",
        minimum=0,
        maximum=1_000,
        adverse_action=reason,
        risk=risk,
    )


def _dollars(
    name: str, description: str, reason: AdverseActionReason, *, risk: RiskDirection | None = None
) -> Feature:
    return Feature(
        name=name,
        description=description,
        dtype=FLOAT,
        unit="USD",
        minimum=0,
        maximum=10_000_000,
        adverse_action=reason,
        risk=risk,
    )


REQUEST_FEATURES = (
    Feature(
        name="loan_amount",
        description="Amount asked for",
        dtype=FLOAT,
        unit="USD",
        minimum=500,
        maximum=40_000,
        adverse_action=AMOUNT,
        risk=RiskDirection.INCREASING,
        influence=Influence(change=Change.LOWER, step=100),
    ),
    Feature(
        name="term_months",
        description="Repayment term",
        dtype=INTEGER,
        unit="months",
        minimum=36,
        maximum=60,
        adverse_action=TERM,
        influence=Influence(step=24),
    ),
    Feature(
        name="annual_income",
        description="Gross income a year, as stated by the applicant",
        dtype=FLOAT,
        unit="USD/year",
        minimum=0,
        maximum=10_000_000,
        adverse_action=INCOME,
        risk=RiskDirection.DECREASING,
    ),
    Feature(
        name="employment_years",
        description="Full years with the present employer, 10 for ten or more, null if unknown",
        dtype=INTEGER,
        unit="years",
        minimum=0,
        maximum=10,
        nullable=True,
        adverse_action=EMPLOYMENT,
        risk=RiskDirection.DECREASING,
    ),
    Feature(
        name="verification_status",
        description="Whether and how the income was verified",
        dtype=CATEGORY,
        categories=("not_verified", "source_verified", "verified"),
        adverse_action=VERIFICATION,
    ),
)

BUREAU = FeatureView(
    name="bureau",
    description="The applicant's credit report",
    entity=APPLICANT,
    ttl=timedelta(days=30),
    when_missing=REFER,
    when_stale=REFER,
    features=(
        _count(
            "delinq_2yrs",
            "Payments 30 or more days late in two years",
            DELINQUENCY,
            risk=RiskDirection.INCREASING,
        ),
        _count(
            "inq_last_6mths", "Inquiries in six months", INQUIRIES, risk=RiskDirection.INCREASING
        ),
        Feature(
            name="revol_util",
            description="Revolving balance as a share of revolving limits",
            dtype=FLOAT,
            unit="percent",
            minimum=0,
            maximum=1_000,
            nullable=True,
            adverse_action=UTILIZATION,
            risk=RiskDirection.INCREASING,
        ),
        _count(
            "acc_now_delinq", "Accounts past due now", DELINQUENCY, risk=RiskDirection.INCREASING
        ),
        _count("open_il_6m", "Open installment accounts", CREDIT_HISTORY),
        _count(
            "open_il_12m",
            "Installment accounts opened in 12 months",
            NEW_ACCOUNTS,
            risk=RiskDirection.INCREASING,
        ),
        _count(
            "open_il_24m",
            "Installment accounts opened in 24 months",
            NEW_ACCOUNTS,
            risk=RiskDirection.INCREASING,
        ),
        _dollars(
            "total_bal_il",
            "Balance of all installment accounts",
            INSTALLMENT_DEBT,
            risk=RiskDirection.INCREASING,
        ),
        Feature(
            name="all_util",
            description="Balances of all accounts as a share of their limits",
            dtype=FLOAT,
            unit="percent",
            minimum=0,
            maximum=1_000,
            nullable=True,
            adverse_action=UTILIZATION,
            risk=RiskDirection.INCREASING,
        ),
        _count(
            "inq_fi",
            "Inquiries by personal-finance lenders",
            INQUIRIES,
            risk=RiskDirection.INCREASING,
        ),
        _count("inq_last_12m", "Inquiries in 12 months", INQUIRIES, risk=RiskDirection.INCREASING),
        _dollars("delinq_amnt", "Amount past due now", DELINQUENCY, risk=RiskDirection.INCREASING),
        _count("num_il_tl", "Installment accounts, open and closed", CREDIT_HISTORY),
        _dollars(
            "total_il_high_credit_limit", "Limits of all installment accounts", CREDIT_HISTORY
        ),
    ),
)

REGION_MARKET = FeatureView(
    name="region_market",
    description="The loan market of a state over 28 days",
    entity=REGION_OF_RESIDENCE,
    ttl=timedelta(days=35),
    when_missing=REFER,
    when_stale=REFER,
    features=(
        Feature(
            name="region_applications",
            description="Applications from the state in 28 days",
            dtype=INTEGER,
            unit="count",
            minimum=0,
            maximum=1_000_000,
            adverse_action=REGION,
        ),
        Feature(
            name="region_median_income",
            description="Median stated income of those applicants",
            dtype=FLOAT,
            unit="USD/year",
            minimum=0,
            maximum=10_000_000,
            adverse_action=REGION,
        ),
        Feature(
            name="region_mean_loan_amount",
            description="Mean amount of those applications",
            dtype=FLOAT,
            unit="USD",
            minimum=0,
            maximum=1_000_000,
            adverse_action=REGION,
        ),
    ),
)


def _to_income(amount: Column, annual_income: Column) -> Column:
    """Return an amount as a share of income; no income counts as one dollar a year.

    Left unknown instead, an applicant without income would be judged as one of average burden.
    """
    return amount / np.maximum(annual_income, 1.0)


DERIVED_FEATURES = (
    DerivedFeature(
        name="payment_to_income",
        description="Principal to repay in a year as a share of annual income",
        dtype=FLOAT,
        unit="ratio",
        minimum=0,
        maximum=10_000_000,
        adverse_action=DEBT_BURDEN,
        risk=RiskDirection.INCREASING,
        inputs=("loan_amount", "term_months", "annual_income"),
        function=lambda amount, months, income: _to_income(amount / months * 12, income),
    ),
    DerivedFeature(
        name="installment_debt_to_income",
        description="Installment balances as a share of annual income",
        dtype=FLOAT,
        unit="ratio",
        minimum=0,
        maximum=10_000_000,
        adverse_action=DEBT_BURDEN,
        risk=RiskDirection.INCREASING,
        inputs=("total_bal_il", "annual_income"),
        function=_to_income,
    ),
    DerivedFeature(
        name="installment_utilization",
        description="Installment balances as a share of their limits, null without a limit",
        dtype=FLOAT,
        unit="ratio",
        minimum=0,
        maximum=10_000_000,
        nullable=True,
        adverse_action=UTILIZATION,
        risk=RiskDirection.INCREASING,
        inputs=("total_bal_il", "total_il_high_credit_limit"),
        function=safe_ratio,
    ),
)

PRODUCT = CreditProduct(
    name="personal_loan",
    title="Personal loan",
    description="Unsecured installment loans to consumers, 36 or 60 months.",
    entities=(APPLICANT, REGION_OF_RESIDENCE),
    feature_views=(BUREAU, REGION_MARKET),
    request_features=REQUEST_FEATURES,
    derived_features=DERIVED_FEATURES,
    label=Label(
        name="defaulted",
        description="Charged off, defaulted, or more than 20 days late when observed",
        horizon=timedelta(days=365),
    ),
    prohibited=(
        ProhibitedInput(name="int_rate", reason="the earlier lender's own verdict"),
        ProhibitedInput(name="sub_grade", reason="the earlier lender's own verdict"),
    ),
    policy=Policy(
        version="2026-11-2",
        rules=(
            Rule(
                code="MINIMUM_INCOME",
                kind=RuleKind.ELIGIBILITY,
                when=(Condition("annual_income", Comparison.BELOW, 6_000),),
                outcome=Outcome.DECLINE,
                text="Income is below the minimum for this loan",
            ),
            Rule(
                code="PAYMENT_BURDEN",
                kind=RuleKind.AFFORDABILITY,
                when=(Condition("payment_to_income", Comparison.ABOVE, 0.5),),
                outcome=Outcome.DECLINE,
                text="The repayments would take more than half of your income",
            ),
            Rule(
                code="PAST_DUE_NOW",
                kind=RuleKind.LIMIT,
                when=(Condition("acc_now_delinq", Comparison.AT_LEAST, 3),),
                outcome=Outcome.REFER,
                text="Several accounts are past due now",
            ),
        ),
        bands=(Band("A", 0.02), Band("B", 0.04), Band("C", 0.06), Band("D", 0.10), Band("E", 1)),
        approve_up_to=0.06,
        decline_from=0.10,
        base_points=600,
        base_odds=20,
        points_to_double_odds=40,
    ),
)
