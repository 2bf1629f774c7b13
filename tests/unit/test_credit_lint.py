"""The credit lint: each test puts one unwise thing into a sound product, and it is found."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from credit_core.domain.credit_lint import credit_lint
from credit_core.domain.findings import Severity
from credit_core.domain.product import (
    Defaults,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    RiskDirection,
    safe_ratio,
)
from tests.builders import TOLERANT_PRODUCT as PRODUCT
from tests.builders import WITHOUT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.findings import Finding
    from credit_core.domain.product import Column, CreditProduct, Value

AMOUNT, TERM = PRODUCT.request_features[:2]
VERIFICATION = PRODUCT.request_features[-1]
BUREAU, REGION = PRODUCT.feature_views
DELINQUENCIES = BUREAU.features[0]
ERROR, WARNING, NOTE = Severity
KNOWN = credit_lint(PRODUCT)


def new_findings(product: CreditProduct) -> list[Finding]:
    """Return what the lint finds in a product that it does not find in PRODUCT."""
    return [finding for finding in credit_lint(product) if finding not in KNOWN]


def only(product: CreditProduct) -> Finding:
    (finding,) = new_findings(product)
    return finding


def with_request_feature(name: str, description: str = "For this test", **changes: Any) -> Any:
    feature = replace(DELINQUENCIES, name=name, description=description, **changes)
    return replace(PRODUCT, request_features=(*PRODUCT.request_features, feature))


def with_bureau(**changes: Any) -> CreditProduct:
    return replace(PRODUCT, feature_views=(replace(BUREAU, **changes), REGION))


def test_the_sample_product_has_no_error_and_one_warning_that_is_fair() -> None:
    """Where an applicant lives is a proxy; the sample keeps it, and says so."""
    serious = [finding for finding in KNOWN if finding.severity is not NOTE]
    assert [finding.place for finding in serious] == ["feature_views.region_market.entity"]
    assert all(finding.what and finding.why and finding.remedy for finding in KNOWN)


# Prohibited bases, proxies, identifiers, outcomes.


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("race", ERROR),
        ("ethnicity_code", ERROR),
        ("religion", ERROR),
        ("country_of_birth", ERROR),
        ("applicant_sex", ERROR),
        ("marital_status", ERROR),
        ("on_public_assistance", ERROR),
        ("applicant_age", WARNING),
        ("children", WARNING),
        ("alimony_paid", WARNING),
        ("zip_digits", WARNING),
        ("surname_length", WARNING),
        ("browser_language", WARNING),
        ("device_price", WARNING),
        ("customer_id", ERROR),
        ("ssn_last_four", ERROR),
        ("email_length", WARNING),
        ("phone_changes", WARNING),
        ("default", ERROR),
        ("charged_off_amount", ERROR),
        ("total_pymnt", ERROR),
        ("loan_status", ERROR),
        ("recoveries", ERROR),
        ("was_defaulted", ERROR),
        ("collections", WARNING),
    ],
)
def test_a_name_that_hints_at_what_must_not_be_seen_is_found(name: str, severity: Severity) -> None:
    findings = new_findings(with_request_feature(name))

    assert {finding.place for finding in findings} == {f"request_features.{name}"}
    assert findings[0].severity is severity


@pytest.mark.parametrize(
    "name",
    [
        "age_of_oldest_account",
        "vehicle_age",
        "collections_12m",
        "prior_defaults",
        "charged_off_within_24m",
        "trace_count",
        "wage",
        "stated_income",
        "middle_third",
        "paid_share",
        "raceway_visits",
    ],
)
def test_a_harmless_name_is_left_alone(name: str) -> None:
    assert new_findings(with_request_feature(name)) == []


def test_a_description_can_give_a_prohibited_basis_away() -> None:
    finding = only(with_request_feature("segment_score", "Score by gender and region"))

    assert finding.severity is WARNING
    assert "its description (gender) looks like sex" in finding.what


def test_every_feature_keyed_by_a_place_is_a_proxy_named_once() -> None:
    place = Entity(name="area", description="A postal code", keys=(EntityKey("zipcode"),))
    view = replace(REGION, name="area_market", entity=place)

    product = replace(PRODUCT, entities=(PRODUCT.entities[0], place), feature_views=(BUREAU, view))

    (finding,) = (it for it in new_findings(product) if it.severity is WARNING)

    assert finding.place == "feature_views.area_market.entity"
    assert "area (zipcode) looks like where somebody lives" in finding.what


def test_a_feature_that_carries_the_labels_name_is_an_error() -> None:
    label = replace(PRODUCT.label, name="late_90")
    product = replace(with_request_feature("ever_late_90"), label=label)

    assert "carries the name of the label, late_90" in only(product).what


# Features.


def test_numbers_without_a_direction_are_noted_together() -> None:
    product = with_bureau(features=tuple(replace(it, risk=None) for it in BUREAU.features))

    (note,) = (it for it in new_findings(product) if it.place == "feature_views.bureau")

    assert note.severity is NOTE
    assert "delinq_2yrs, inq_last_6mths" in note.what


def test_a_constant_and_an_integer_beyond_float32_are_found() -> None:
    constant = replace(AMOUNT, minimum=500, maximum=500)
    large = replace(TERM, maximum=2**24 + 1)
    product = replace(PRODUCT, request_features=(constant, large, *PRODUCT.request_features[2:]))

    found = {it.place: it.what for it in new_findings(product)}

    assert found["request_features.loan_amount"] == "can only be 500"
    assert found["request_features.term_months"] == "has integers up to 16,777,217"


def test_many_categories_and_a_stored_one_without_unknown_are_found() -> None:
    many = replace(
        VERIFICATION, name="industry", categories=tuple(f"c{number}" for number in range(51))
    )

    found = {it.severity: it for it in new_findings(with_bureau(features=(*BUREAU.features, many)))}

    assert found[WARNING].what == "has 51 categories"
    assert found[NOTE].what == "has no unknown_category"
    known = replace(many, categories=("a", "b"), unknown_category="a")
    assert new_findings(with_bureau(features=(*BUREAU.features, known))) == []


def test_what_has_no_description_is_named() -> None:
    product = replace(with_request_feature("one", " "), description="")

    finding = only(product)

    assert finding.place == "description"
    assert finding.what == "no description, nor have 1 others: request_features.one"


# Reasons.


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("You did not meet our internal standards", "says 'internal'"),
        ("Too short", "says only 'Too short'"),
    ],
)
def test_a_reason_that_says_nothing_specific_is_found(text: str, what: str) -> None:
    vague = replace(AMOUNT.adverse_action, text=text)
    changed = replace(AMOUNT, adverse_action=vague)

    finding = only(replace(PRODUCT, request_features=(changed, *PRODUCT.request_features[1:])))

    assert finding.severity is WARNING
    assert what in finding.what


def test_a_reason_shared_by_what_does_not_belong_together_is_found() -> None:
    shared = replace(DELINQUENCIES.adverse_action, code="SHARED", text="Number of things is high")
    features = [replace(it, adverse_action=shared) for it in BUREAU.features[:6]]
    opposite = replace(features[0], risk=RiskDirection.DECREASING)
    region = replace(
        REGION, features=(replace(REGION.features[0], adverse_action=shared), *REGION.features[1:])
    )
    product = replace(
        PRODUCT,
        feature_views=(
            replace(
                BUREAU,
                features=(
                    opposite,
                    *(replace(it, nullable=False) for it in features[1:]),
                    *BUREAU.features[6:],
                ),
            ),
            region,
        ),
    )

    whats = [it.what for it in new_findings(product)]

    assert any(what.startswith("SHARED stands for 7 features") for what in whats)
    assert any("shared across entities (applicant, region)" in what for what in whats)
    assert any("shared by features of opposite risk" in what for what in whats)


# Times and defaults.


@pytest.mark.parametrize(
    ("ttl", "what"),
    [
        (timedelta(days=401), "is 401 days"),
        (timedelta(hours=23), "is 23:00:00, less than a day"),
    ],
)
def test_an_unusual_time_to_live_is_found(ttl: timedelta, what: str) -> None:
    finding = only(with_bureau(ttl=ttl))

    assert (finding.place, finding.what) == ("feature_views.bureau.ttl", what)


@pytest.mark.parametrize("days", [0, 2_000])
def test_an_unusual_horizon_is_found(days: int) -> None:
    label = replace(PRODUCT.label, horizon=timedelta(days=days))

    assert only(replace(PRODUCT, label=label)).place == "label.horizon"


def defaults(*, value: float) -> Defaults:
    values: dict[str, Value] = {
        it.name: int(value) if it.dtype is DType.INTEGER else value for it in BUREAU.features
    }
    return Defaults(values)


@pytest.mark.parametrize("rule", ["when_missing", "when_stale"])
def test_a_view_that_counts_as_a_perfect_one_when_it_is_not_there_is_an_error(rule: str) -> None:
    """No delinquency, no inquiry, no debt: of somebody of whom nothing is known."""
    finding = only(with_bureau(**{rule: defaults(value=0)}))

    assert finding.severity is ERROR
    assert finding.place == f"feature_views.bureau.{rule}"


def test_one_favourable_default_is_a_warning_and_a_middling_one_is_none() -> None:
    some = Defaults({**defaults(value=3).values, "delinq_2yrs": 0})

    finding = only(with_bureau(when_missing=some))

    assert finding.severity is WARNING
    assert finding.what.endswith(": delinq_2yrs")
    assert new_findings(with_bureau(when_missing=defaults(value=3))) == []


# Policy and the whole.


@pytest.mark.parametrize(
    ("approve", "decline", "what"),
    [
        (0.01, 0.5, "refers from 1.00% to 50.00%: the odds differ by a factor of 99"),
        (0.06, 0.061, "refers from 6.00% to 6.10% only"),
        (0.6, 0.7, "approves up to a probability of default of 60%"),
    ],
)
def test_cut_offs_that_make_no_sense_are_found(approve: float, decline: float, what: str) -> None:
    policy = replace(PRODUCT.policy, approve_up_to=approve, decline_from=decline, bands=())

    assert only(replace(PRODUCT, policy=policy)).what == what


def test_a_cut_off_within_a_band_is_noted() -> None:
    finding = only(replace(PRODUCT, policy=replace(PRODUCT.policy, decline_from=0.12)))

    assert (finding.severity, finding.place) == (NOTE, "policy.bands")
    assert finding.what == "decline_from, 12.00%, lies within band E"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Against our lending policy", "the text of MINIMUM_INCOME says 'policy'"),
        ("Too low", "the text of MINIMUM_INCOME says only 'Too low'"),
        ("You are not married and earn little", "its text (married) looks like marital status"),
    ],
)
def test_a_rule_whose_text_is_no_lawful_reason_is_found(text: str, what: str) -> None:
    first, *others = PRODUCT.policy.rules
    rules = (replace(first, text=text), *others)

    finding = only(replace(PRODUCT, policy=replace(PRODUCT.policy, rules=rules)))

    assert (finding.severity, finding.place) == (WARNING, "policy.rules.MINIMUM_INCOME.text")
    assert what in finding.what


def test_an_entity_that_nothing_describes_is_found() -> None:
    idle = Entity(name="broker", description="Who sent the client", keys=(EntityKey("broker_no"),))

    finding = only(replace(PRODUCT, entities=(*PRODUCT.entities, idle)))

    assert finding.why == "A request has to name broker_no for nothing."


def test_a_schema_that_cant_be_made_is_an_error() -> None:
    """Python's regular expressions allow more than those of the schema."""
    odd = replace(PRODUCT.entities[0], keys=(EntityKey("applicant_id", pattern="(?i:a)(?#x)b"),))
    views = (replace(BUREAU, entity=odd), REGION)

    finding = only(replace(PRODUCT, entities=(odd, PRODUCT.entities[1]), feature_views=views))

    assert finding.severity is ERROR
    assert finding.what.startswith("no schema follows from them: ")


def test_a_request_that_no_body_can_hold_is_an_error() -> None:
    many = tuple(replace(AMOUNT, name=f"amount_{number:03}") for number in range(500))

    findings = new_findings(
        replace(PRODUCT, request_features=many, derived_features=(), policy=WITHOUT_RULES)
    )

    assert any("16,384 are accepted" in it.what and it.severity is ERROR for it in findings)


def test_a_training_query_that_athena_does_not_take_is_an_error() -> None:
    views = tuple(
        replace(
            BUREAU,
            name=f"{'v' * 50}{number}",
            features=tuple(
                replace(DELINQUENCIES, name=f"{'f' * 50}{number}_{i}") for i in range(9)
            ),
        )
        for number in range(98)
    )

    findings = new_findings(
        replace(PRODUCT, feature_views=views, derived_features=(), policy=WITHOUT_RULES)
    )

    assert any("Athena takes 262,144" in it.what and it.severity is ERROR for it in findings)


# Derived features.

CALLS = itertools.count()


def derived(function: Callable[..., Any], *inputs: str, **changes: Any) -> CreditProduct:
    feature = DerivedFeature(
        name="tried",
        description="For this test",
        dtype=DType.FLOAT,
        unit="ratio",
        minimum=-1e9,
        maximum=1e9,
        risk=RiskDirection.INCREASING,
        adverse_action=PRODUCT.derived_features[0].adverse_action,
        inputs=inputs or ("loan_amount",),
        function=function,
    )
    changed = replace(feature, **changes)
    return replace(PRODUCT, derived_features=(*PRODUCT.derived_features, changed))


def _add_one(x: Column) -> Column:
    x += 1
    return x


def _raise(x: Column) -> Column:
    raise KeyError(f"no\nkey of {len(x)}")


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (_raise, "its function raises KeyError: 'no\\nkey of 9'"),
        (lambda: 1, "its function raises TypeError"),
        (list, "its function returns list, not an array of floats"),
        (lambda x: x > 1, "its function returns bool, not an array of floats"),
        (lambda x: x[:1], "its function returns shape (1,) for 9 rows"),
        (lambda x: np.column_stack([x, x]), "its function returns shape (9, 2) for 9 rows"),
        (_add_one, "its function changes the arrays it is given"),
        (lambda x: x / x.max(), "gives a row another value alone than among others"),
        (lambda x: x - x[0], "gives a row another value alone than among others"),
        (np.cumsum, "gives a row another value alone than among others"),
        (lambda x: x + next(CALLS), "gives other values for the same inputs when called again"),
        (lambda x: np.where(x > 500, x, np.nan), "is unknown at loan_amount 500, and is not"),
        (lambda x: np.where(x > 500, x, np.inf), "is infinite at loan_amount 500"),
        (lambda x: -x, "moves down as loan_amount rises on its own, against their declared risk"),
        (lambda x: x % 30_000, "moves down as loan_amount rises"),
    ],
)
def test_a_function_that_breaks_its_promise_is_an_error(
    function: Callable[..., Any], what: str
) -> None:
    errors = [it for it in new_findings(derived(function)) if it.severity is ERROR]

    assert {it.place for it in errors} == {"derived_features.tried"}
    assert any(it.what.startswith(what) for it in errors)


def test_a_sound_function_passes() -> None:
    assert new_findings(derived(lambda x: x * 2)) == []
    ratio = derived(safe_ratio, "total_bal_il", "annual_income", risk=RiskDirection.INCREASING)
    assert [it.what for it in new_findings(ratio)] == [
        "is unknown at total_bal_il 0, annual_income 0, and is not nullable"
    ]


def test_four_inputs_are_tried_on_a_sample_of_the_same_rows_each_time() -> None:
    names = ("loan_amount", "term_months", "employment_years", "total_bal_il")
    product = derived(lambda a, b, c, d: a + b + c + d, *names, risk=None)

    found = new_findings(product)

    assert found == new_findings(product)
    assert any(
        it.what.startswith("is unknown at") and "employment_years unknown" in it.what
        for it in found
    )


def test_a_value_outside_the_declared_range_and_a_constant_are_warnings() -> None:
    outside = only(derived(lambda x: x, maximum=30_000))

    assert outside.severity is WARNING
    assert outside.what == ("lies outside its range, -1e+09 to 30000: 32100 at loan_amount 32100")
    assert only(derived(np.ones_like)).what == "is 1 for every input tried"


def test_a_numpy_warning_is_a_warning_and_stays_within_the_lint() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        product = derived(
            lambda a, b: np.where(b > 0, a / b, a), "loan_amount", "annual_income", risk=None
        )
        found = new_findings(product)

    assert any(
        it.what == "its function warns: divide by zero encountered in divide" for it in found
    )


def test_an_input_with_a_direction_whose_derivate_has_none_is_noted() -> None:
    findings = new_findings(derived(lambda x: x, risk=None))

    (note,) = (it for it in findings if it.place == "derived_features.tried")
    assert note.severity is NOTE
    assert note.what.startswith("has no direction of risk, though its input loan_amount has one")


def test_the_other_direction_is_checked_too() -> None:
    """Income speaks for an applicant, so what rises with it must not count as riskier."""
    against = derived(lambda x: x, "annual_income")
    along = derived(lambda x: x, "annual_income", risk=RiskDirection.DECREASING)

    assert only(against).what.startswith("moves up as annual_income rises")
    assert not any(it.place == "derived_features.tried" for it in new_findings(along))
