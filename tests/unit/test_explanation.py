"""An explanation is of the decision as it was made, and proposes only what can be sent now."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from credit_core.domain.application_records import SUPERSEDED
from credit_core.domain.product import Column, Defaults
from credit_core.domain.terms import Terms
from credit_core.errors import (
    ApplicationUnknownError,
    DamagedReceiptError,
    ModelUnavailableError,
)
from credit_core.use_cases.explain import ExplainDecision
from tests.builders import (
    NOW,
    PRODUCT,
    TOLERANT_PRODUCT,
    LinearModel,
    a_body,
    a_model,
    a_scorer,
    fresh_rows,
    key_of,
    stored,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import LoadedModel
    from tests.builders import AScorer

BUREAU, REGION = PRODUCT.feature_views
AMOUNT, TERM, *OTHERS = PRODUCT.request_features
DECLINING = a_model(loan_amount=1 / 4_000, annual_income=-1 / 100_000, verification_status=0.1)


def a_declining_scorer(**arguments: Any) -> AScorer:
    """Return a scorer of a model for which lower amounts are approved."""
    return a_scorer(model=arguments.pop("model", DECLINING), **arguments)


def explained(
    scorer: AScorer,
    *,
    model: LoadedModel = DECLINING,
    product: CreditProduct = PRODUCT,
    **changes: Any,
) -> dict[str, Any]:
    """Return the explanation of AN_APPLICATION's receipt, with changes to what that keeps."""
    receipt = replace(scorer.store.receipts["application-1"], **changes)

    def records(application_id: str) -> Iterator[Mapping[str, Any]]:
        if application_id == "application-1":
            yield receipt.as_record(f"{SUPERSEDED}0001") | {"response": "{"}
            yield receipt.as_record("review/1")
            yield receipt.as_record()

    explain = ExplainDecision(product, records=records, load_model=lambda _, **__: model)
    document: dict[str, Any] = json.loads(
        json.dumps(explain("application-1").as_response(), allow_nan=False)
    )
    return document


def contribution_of(document: dict[str, Any], feature: str) -> dict[str, Any]:
    (found,) = (it for it in document["contributions"] if it["feature"] == feature)
    return dict(found)


# --- Contributions -------------------------------------------------------------------------------


def test_all_contributions_sum_to_what_lies_between_applicant_and_reference() -> None:
    scorer = a_declining_scorer()
    scorer()

    document = explained(scorer)

    sizes = [abs(it["contribution_log_odds"]) for it in document["contributions"]]
    assert len(sizes) == len(PRODUCT.model_features)
    assert sizes == sorted(sizes, reverse=True)
    assert document["reference_log_odds"] == -3.0
    assert sum(it["contribution_log_odds"] for it in document["contributions"]) == pytest.approx(
        document["log_odds"] - document["reference_log_odds"], abs=1e-12
    )


def test_contributions_are_those_of_the_decision_to_the_last_bit() -> None:
    scorer = a_declining_scorer()
    decision: dict[str, Any] = scorer()

    document = explained(scorer)

    assert decision["reasons"]
    for reason in decision["reasons"]:
        found = contribution_of(document, reason["feature"])
        for name in ("contribution_log_odds", "contribution_points"):
            assert found[name] == reason[name]


def test_values_are_stated_as_they_are_meant() -> None:
    scorer = a_declining_scorer(
        rows=fresh_rows() | {key_of(BUREAU): stored(BUREAU, revol_util=None)}
    )
    scorer(a_body(employment_years=None))

    document = explained(scorer)

    status = contribution_of(document, "verification_status")
    assert (status["value"], status["reference"]) == ("verified", "not_verified")
    assert contribution_of(document, "revol_util")["value"] is None
    assert contribution_of(document, "employment_years")["value"] is None
    assert contribution_of(document, "annual_income") == {
        "feature": "annual_income",
        "description": "Gross income a year, as stated by the applicant",
        "value": 60_000.0,
        "reference": 0.0,
        "contribution_log_odds": pytest.approx(-0.6),
        "contribution_points": pytest.approx(34.62),
    }


def test_rules_that_applied_are_listed_beside_what_the_model_said() -> None:
    scorer = a_declining_scorer()
    scorer(a_body(annual_income=5_000))

    document = explained(scorer)

    assert document["outcome"] == "decline"
    assert document["decided_by"] == {"kind": "rule", "code": "MINIMUM_INCOME"}
    assert [(rule["code"], rule["state"]) for rule in document["rules"]] == [
        ("MINIMUM_INCOME", "applies"),
        ("PAYMENT_BURDEN", "applies"),
    ]
    assert len(document["contributions"]) == len(PRODUCT.model_features)


def test_a_rule_that_could_not_be_checked_is_listed_as_such() -> None:
    defaults = Defaults({feature.name: 0 for feature in BUREAU.features if not feature.nullable})
    views = tuple(
        replace(view, when_missing=defaults) if view.name == BUREAU.name else view
        for view in TOLERANT_PRODUCT.feature_views
    )
    product = replace(TOLERANT_PRODUCT, feature_views=views)
    scorer = a_scorer(product=product, rows={key_of(REGION): stored(REGION)})
    scorer()

    document = explained(scorer, model=a_model(), product=product)

    assert document["cause"]["code"] == "rule_unchecked"
    assert [(rule["code"], rule["state"]) for rule in document["rules"]] == [
        ("PAST_DUE_NOW", "unchecked")
    ]
    assert document["no_counterfactual"]["code"] == "none_exists"


# --- Where no model judged -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"rows": {key_of(REGION): stored(REGION)}}, "features_missing"),
        (
            {"rows": fresh_rows() | {key_of(BUREAU): stored(BUREAU, age=BUREAU.ttl * 1.5)}},
            "features_stale",
        ),
        ({"with_model": False}, "model_unavailable"),
        ({"model": LinearModel(np.full(len(DECLINING.weights), np.nan))}, "model_output_invalid"),
    ],
)
def test_a_referral_by_a_fault_is_explained_by_its_cause(
    arguments: dict[str, Any], code: str
) -> None:
    scorer = a_scorer(**arguments)
    scorer()

    document = explained(scorer)

    assert (document["outcome"], document["cause"]["code"]) == ("refer", code)
    assert (document["log_odds"], document["reference_log_odds"]) == (None, None)
    assert document["contributions"] == []
    assert document["counterfactual"] is None
    assert document["no_counterfactual"]["code"] == "model_not_asked"


def test_a_fault_before_there_was_any_input_is_explained_too() -> None:
    def broken(*_: Column) -> Column:
        raise ZeroDivisionError

    derived = replace(PRODUCT.derived_features[0], function=broken)
    product = replace(PRODUCT, derived_features=(derived, *PRODUCT.derived_features[1:]))
    scorer = a_scorer(product=product)
    scorer()

    document = explained(scorer)

    assert document["cause"]["code"] == "internal_fault"
    assert (document["rules"], document["contributions"]) == ([], [])


def test_a_rules_decline_without_a_model_is_explained_by_the_rule() -> None:
    scorer = a_scorer(with_model=False)
    scorer(a_body(annual_income=5_000))

    document = explained(scorer)

    assert (document["outcome"], document["cause"], document["model"]) == ("decline", None, None)
    assert document["rules"][0]["code"] == "MINIMUM_INCOME"
    assert document["no_counterfactual"]["code"] == "model_not_asked"


# --- The counterfactual --------------------------------------------------------------------------


def test_the_counterfactual_is_approved_when_it_is_sent() -> None:
    scorer = a_declining_scorer()
    declined = scorer()

    document = explained(scorer)

    changes = {change["feature"]: change["to"] for change in document["counterfactual"]["changes"]}
    approved = scorer(a_body(application_id="application-2", **changes))
    assert (declined["outcome"], approved["outcome"]) == ("decline", "approve")
    assert document["counterfactual"]["smallest"]
    for name in ("outcome", "probability_of_default", "points"):
        assert document["counterfactual"][name] == approved[name]


def test_where_no_change_is_approved_one_that_a_person_would_decide_is_told() -> None:
    model = a_model(loan_amount=1 / 10_000, delinq_2yrs=0.5)
    scorer = a_scorer(model=model)
    declined = scorer()

    document = explained(scorer, model=model)

    changes = {change["feature"]: change["to"] for change in document["counterfactual"]["changes"]}
    referred = scorer(a_body(application_id="application-2", **changes))
    assert (declined["outcome"], referred["outcome"]) == ("decline", "refer")
    for name in ("outcome", "probability_of_default", "points"):
        assert document["counterfactual"][name] == referred[name]


def test_of_a_referral_only_an_approval_is_told() -> None:
    model = a_model(delinq_2yrs=0.6)
    scorer = a_scorer(model=model)
    scorer()

    document = explained(scorer, model=model)

    assert document["outcome"] == "refer"
    assert document["no_counterfactual"] == {
        "code": "none_exists",
        "detail": "no change of loan_amount, term_months would be approved",
    }


def test_an_approval_needs_no_counterfactual() -> None:
    scorer = a_scorer()
    scorer()

    document = explained(scorer, model=a_model())

    assert document["counterfactual"] is None
    assert document["no_counterfactual"] == {"code": "approved", "detail": "it was approved"}


def with_features(*features: Any) -> CreditProduct:
    return replace(PRODUCT, request_features=features)


DERIVED = PRODUCT.derived_features


@pytest.mark.parametrize(
    ("product", "detail"),
    [
        (with_features(AMOUNT, *OTHERS, TERM), "the model has other inputs now"),
        (
            with_features(replace(AMOUNT, maximum=10_000), TERM, *OTHERS),
            "what was sent would not be accepted now: loan_amount",
        ),
        (
            replace(
                PRODUCT,
                derived_features=(
                    replace(DERIVED[0], function=lambda amount, *_: amount),
                    *DERIVED[1:],
                ),
            ),
            "features are derived in another way now",
        ),
        (
            replace(
                PRODUCT,
                request_features=PRODUCT.request_features[:-1],
                feature_views=(
                    replace(BUREAU, features=(PRODUCT.request_features[-1], *BUREAU.features)),
                    REGION,
                ),
            ),
            "an application has other fields now",
        ),
    ],
)
def test_of_a_product_that_changed_since_nothing_is_proposed(
    product: CreditProduct, detail: str
) -> None:
    """Contributions are of the decision, and stay."""
    scorer = a_declining_scorer()
    scorer()

    document = explained(scorer, product=product)

    assert len(document["contributions"]) == len(PRODUCT.model_features)
    assert document["counterfactual"] is None
    assert document["no_counterfactual"] == {"code": "product_changed", "detail": detail}


def test_what_would_have_come_out_is_by_the_policy_of_the_decision() -> None:
    """Today's cut-off would approve anybody."""
    scorer = a_declining_scorer()
    scorer()
    lenient = replace(PRODUCT, policy=replace(PRODUCT.policy, approve_up_to=0.8, decline_from=0.9))

    assert explained(scorer, product=lenient) == explained(scorer)


def test_a_product_may_leave_nothing_to_change() -> None:
    product = with_features(replace(AMOUNT, influence=None), replace(TERM, influence=None), *OTHERS)
    scorer = a_declining_scorer()
    scorer()

    document = explained(scorer, product=product)

    assert document["no_counterfactual"]["code"] == "nothing_to_change"


def test_where_no_change_helps_the_explanation_says_so() -> None:
    model = a_model(delinq_2yrs=9)
    scorer = a_scorer(model=model)
    scorer()

    document = explained(scorer, model=model)

    assert document["no_counterfactual"] == {
        "code": "none_exists",
        "detail": "no change of loan_amount, term_months would be approved or referred to a person",
    }


# --- What cannot be explained --------------------------------------------------------------------


def test_an_id_without_a_decision_is_unknown() -> None:
    explain = ExplainDecision(PRODUCT, records=lambda _: [], load_model=lambda _, **__: DECLINING)

    with pytest.raises(ApplicationUnknownError, match="application-9"):
        explain("application-9")


@pytest.mark.parametrize(
    "damage",
    [
        {"response": "{"},
        {"response": "{}"},
        {"served": "[]"},
        {"model_input": "{}"},
        {"terms": b"zlib"},
    ],
)
def test_a_damaged_receipt_is_not_explained(damage: dict[str, Any]) -> None:
    scorer = a_declining_scorer()
    scorer()

    with pytest.raises(DamagedReceiptError):
        explained(scorer, **damage)


def test_a_decision_that_does_not_follow_from_its_receipt_is_not_explained() -> None:
    """Another model than the one that decided would give reasons that nobody had."""
    scorer = a_declining_scorer()
    scorer()

    with pytest.raises(DamagedReceiptError, match="does not follow"):
        explained(scorer, model=a_model(loan_amount=1 / 5_000))


def test_the_model_is_asked_for_by_what_the_receipt_names() -> None:
    scorer = a_declining_scorer()
    scorer()
    receipt = scorer.store.receipts["application-1"]
    asked: list[tuple[str, ...]] = []

    def load_model(product: str, /, *, version: str, manifest_sha256: str) -> LoadedModel:
        asked.append((product, version, manifest_sha256))
        if len(asked) == 1:
            raise ModelUnavailableError("it cannot be read")
        return DECLINING

    explain = ExplainDecision(PRODUCT, records=lambda _: [], load_model=load_model)
    with pytest.raises(ModelUnavailableError):
        explain.of_receipt(receipt)
    for _ in range(3):
        explain.of_receipt(receipt)

    assert asked == [("personal_loan", "v1", "1" * 64)] * 2
    assert Terms.unpack(receipt.terms).product == "personal_loan"
    assert NOW.isoformat()[:19] in receipt.decided_at
