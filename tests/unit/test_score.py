"""What the scorer promises, on fakes: the right outcome, and a referral for every fault."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from credit_core.domain.online_store import hash_in, timestamp_text
from credit_core.domain.product import Defaults, DType
from credit_core.domain.terms import Terms
from credit_core.errors import (
    ApplicationConflictError,
    DamagedReceiptError,
    InvalidRequestError,
    ModelOutputError,
    StoreUnavailableError,
)
from credit_core.ports import StoredFeatures
from credit_core.use_cases.score import MOST_REVISIONS
from tests.builders import (
    AN_APPLICATION,
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

BUREAU, REGION = PRODUCT.feature_views
GOOD_FEATURES = stored(BUREAU).features_json


def decision_of(**arguments: Any) -> dict[str, Any]:
    return a_scorer(**arguments)()


def test_a_safe_applicant_with_fresh_features_is_approved() -> None:
    decision = decision_of()

    assert decision["outcome"] == "approve"
    assert decision["cause"] is None
    assert decision["probability_of_default"] == pytest.approx(1 / (1 + np.exp(3)))
    assert decision["model"] == {"version": "v1", "sha256": "0" * 64, "role": "champion"}


def test_a_risky_applicant_is_declined_with_the_feature_that_did_it() -> None:
    decision = decision_of(model=a_model(loan_amount=3 / 12_000, delinq_2yrs=0.5))

    assert decision["outcome"] == "decline"
    assert [reason["feature"] for reason in decision["reasons"]] == ["loan_amount", "delinq_2yrs"]
    assert decision["reasons"][0]["contribution_log_odds"] == pytest.approx(3.0)
    assert decision["reasons"][0]["contribution_points"] == pytest.approx(-173.12, abs=0.01)


def test_between_the_cutoffs_a_person_decides() -> None:
    decision = decision_of(model=LinearModel(a_model().weights, intercept=-2.5))

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", "between_cutoffs")


def test_an_unknown_applicant_is_referred_and_the_model_is_not_asked() -> None:
    decision = decision_of(rows={key_of(REGION): stored(REGION)})

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", "features_missing")
    assert decision["feature_status"]["bureau"]["status"] == "missing"
    assert decision["probability_of_default"] is None


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(days=30), "fresh"),
        (timedelta(days=30, microseconds=1), "stale"),
        (timedelta(days=60), "stale"),
        (timedelta(days=60, microseconds=1), "missing"),
        (timedelta(seconds=-60), "fresh"),
        (timedelta(seconds=-61), "unreadable"),
    ],
)
def test_a_view_is_fresh_up_to_its_time_to_live_and_no_longer(age: timedelta, status: str) -> None:
    decision = decision_of(rows=fresh_rows() | {key_of(BUREAU): stored(BUREAU, age=age)})

    assert decision["feature_status"]["bureau"]["status"] == status
    assert (decision["outcome"] == "approve") == (status == "fresh")


@pytest.mark.parametrize(
    "row",
    [
        StoredFeatures("", "{}"),
        StoredFeatures("2026-11-20/2026-11-20", json.dumps({})),
        StoredFeatures(stored(BUREAU).recency, "{"),
        StoredFeatures(stored(BUREAU).recency, "[]"),
        StoredFeatures(stored(BUREAU).recency, "{}"),
        stored(BUREAU, revol_util="high"),
        stored(BUREAU, revol_util=float("nan")),
        stored(BUREAU, delinq_2yrs=-1),
        stored(BUREAU, delinq_2yrs=1.5),
        stored(BUREAU, delinq_2yrs=None),
        stored(BUREAU, delinq_2yrs=True),
        stored(BUREAU, delinq_amnt=1e12),
        stored(BUREAU, surplus=1),
        stored(BUREAU, delinq_2yrs=10**400),
        stored(BUREAU, delinq_2yrs=[]),
        StoredFeatures(stored(BUREAU).recency, "[" * 100_000),
        StoredFeatures("2026-11-20T09:00:00Z/9999-12-31T23:59:59-23:59", GOOD_FEATURES),
        StoredFeatures("9999-12-31T23:59:59-23:59/2026-11-20T09:00:00Z", GOOD_FEATURES),
        StoredFeatures("2026-11-20T09:00:00Z/0001-01-01T00:00:00+23:59", GOOD_FEATURES),
    ],
)
def test_a_row_that_is_not_what_its_view_defines_is_referred(row: StoredFeatures) -> None:
    decision = decision_of(rows=fresh_rows() | {key_of(BUREAU): row})

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", "features_unreadable")


def test_a_key_that_dynamodb_left_unprocessed_is_unavailable_and_not_absent() -> None:
    scorer = a_scorer()
    scorer.store.throttled.add(key_of(BUREAU))

    decision: dict[str, Any] = scorer()

    assert decision["outcome"] == "refer"
    assert decision["feature_status"]["bureau"]["status"] == "unavailable"
    assert decision["cause"]["code"] == "features_unavailable"


DEFAULTS = Defaults(
    {
        feature.name: 7
        for feature in BUREAU.features
        if feature.dtype is DType.INTEGER and not feature.nullable
    }
    | {"total_bal_il": 7.0, "delinq_amnt": 7.0, "total_il_high_credit_limit": 7.0}
)
STALE = stored(BUREAU, age=BUREAU.ttl + timedelta(seconds=1))
NEARLY_FORGOTTEN = stored(BUREAU, age=2 * BUREAU.ttl + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("row", "rules", "status"),
    [
        (None, {"when_missing": DEFAULTS}, "missing"),
        (NEARLY_FORGOTTEN, {"when_missing": DEFAULTS}, "missing"),
        (STALE, {"when_stale": DEFAULTS}, "stale"),
    ],
)
def test_declared_defaults_stand_for_a_view_and_the_receipt_says_so(
    row: StoredFeatures | None, rules: dict[str, Any], status: str
) -> None:
    bureau, region = TOLERANT_PRODUCT.feature_views
    tolerant = dataclasses.replace(bureau, **rules)
    product = dataclasses.replace(TOLERANT_PRODUCT, feature_views=(tolerant, region))
    rows = {key_of(REGION): stored(REGION)} | ({key_of(BUREAU): row} if row else {})
    scorer = a_scorer(product=product, rows=rows)

    decision: dict[str, Any] = scorer()

    assert decision["probability_of_default"] is not None
    assert decision["feature_status"]["bureau"]["status"] == status
    served = json.loads(scorer.store.receipts["application-1"].served)["bureau"]["features"]
    assert (served["delinq_2yrs"], served["revol_util"]) == (7, None)


def test_defaults_for_a_missing_view_do_not_excuse_a_stale_one() -> None:
    bureau, region = TOLERANT_PRODUCT.feature_views
    tolerant = dataclasses.replace(bureau, when_missing=DEFAULTS)
    product = dataclasses.replace(TOLERANT_PRODUCT, feature_views=(tolerant, region))

    decision = decision_of(product=product, rows=fresh_rows() | {key_of(BUREAU): STALE})

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", "features_stale")


def test_without_a_champion_everybody_is_referred() -> None:
    decision = decision_of(with_model=False)

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", "model_unavailable")
    assert decision["model"] is None


class BrokenModel(LinearModel):
    """A model that fails in the given way."""

    def log_odds(self, matrix: Any) -> Any:
        if self.intercept == 1:
            raise ModelOutputError("the model answered nan")
        if self.intercept == 2:
            raise ZeroDivisionError("12000")
        return super().log_odds(matrix) + np.arange(len(matrix)) * 0.1


@pytest.mark.parametrize(
    ("kind", "code"),
    [(1, "model_output_invalid"), (2, "internal_fault"), (3, "model_output_invalid")],
)
def test_whatever_the_model_does_wrong_is_a_referral(kind: int, code: str) -> None:
    model = BrokenModel(a_model().weights, intercept=kind)

    decision = decision_of(model=model)

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", code)
    assert decision["probability_of_default"] is None
    assert "12000" not in json.dumps(decision["cause"])


def test_a_decline_that_no_feature_accounts_for_is_referred() -> None:
    decision = decision_of(model=LinearModel(a_model().weights, intercept=0.0))

    assert (decision["outcome"], decision["cause"]["code"]) == ("refer", "reasons_not_exact")


def test_the_same_application_again_is_answered_byte_for_byte() -> None:
    scorer = a_scorer()

    first, again = scorer.answer(), scorer.answer(json.dumps(AN_APPLICATION, indent=2))

    assert first == again
    assert len(scorer.store.receipts) == 1


def test_the_same_id_with_another_body_is_a_conflict() -> None:
    scorer = a_scorer()
    scorer()

    with pytest.raises(ApplicationConflictError, match="application-1"):
        scorer(a_body(loan_amount=13_000))


def test_two_calls_at_once_make_one_decision() -> None:
    scorer = a_scorer()
    answers: list[str] = []

    def another_call_wins() -> None:
        scorer.store.before_write = lambda: None
        answers.append(scorer.answer())

    scorer.store.before_write = another_call_wins
    answers.append(scorer.answer())

    assert answers[0] == answers[1]
    assert len(scorer.store.receipts) == 1


def test_a_decision_that_cannot_be_recorded_is_not_made() -> None:
    scorer = a_scorer()
    scorer.store.writable = False

    with pytest.raises(StoreUnavailableError):
        scorer()
    assert scorer.store.receipts == {}


def test_the_receipt_holds_what_was_served_and_no_identifier() -> None:
    scorer = a_scorer()
    scorer()

    receipt = scorer.store.receipts["application-1"]

    served = json.loads(receipt.served)
    assert served["bureau"]["features"]["delinq_2yrs"] == 1
    assert served["bureau"]["entity_key"] == key_of(BUREAU)
    # By which an erasure finds it: the applicant's, and not the region's.
    assert receipt.applicant == hash_in(key_of(BUREAU))
    assert json.loads(receipt.request)["annual_income"] == 60_000
    assert json.loads(receipt.model_input)[0] == 12_000
    assert Terms.unpack(receipt.terms) == Terms.of(PRODUCT)
    assert list(json.loads(receipt.stage_ms)) == ["parse", "read", "infer", "explain"]
    assert receipt.decided_at == "2026-11-20T12:00:00.000Z" == timestamp_text(NOW)
    assert "applicant-1" not in str(receipt)
    assert '"CA"' not in str(receipt)


def test_a_referral_by_a_passing_fault_is_superseded_by_the_same_application() -> None:
    scorer = a_scorer()
    scorer.store.throttled.add(key_of(BUREAU))
    first: dict[str, Any] = scorer()
    scorer.store.throttled.clear()

    second: dict[str, Any] = scorer()

    assert (first["outcome"], first["cause"]["retryable"], first["revision"]) == ("refer", True, 1)
    assert (second["outcome"], second["cause"], second["revision"]) == ("approve", None, 2)
    assert [json.loads(receipt.response) for receipt in scorer.store.superseded] == [first]
    assert scorer() == second


def test_a_referral_with_a_review_or_an_outcome_is_not_superseded() -> None:
    scorer = a_scorer(with_model=False)
    first = scorer()
    added = dataclasses.replace(scorer.store.receipts["application-1"], added=1)
    scorer.store.receipts["application-1"] = added

    assert scorer() == first
    assert scorer.store.superseded == []


def test_a_client_that_sends_a_referral_again_and_again_comes_to_an_end() -> None:
    scorer = a_scorer(with_model=False)

    answers = [scorer.answer() for _ in range(MOST_REVISIONS + 3)]

    assert json.loads(answers[-1])["revision"] == MOST_REVISIONS
    assert len(set(answers[MOST_REVISIONS - 1 :])) == 1
    assert len(scorer.store.superseded) == MOST_REVISIONS - 1


def test_a_stored_response_that_is_no_json_is_not_answered() -> None:
    scorer = a_scorer()
    scorer()
    cut = dataclasses.replace(scorer.store.receipts["application-1"], response="{")
    scorer.store.receipts["application-1"] = cut

    with pytest.raises(DamagedReceiptError):
        scorer()


def test_two_calls_at_once_supersede_once() -> None:
    scorer = a_scorer(with_model=False)
    scorer()
    answers: list[str] = []

    def another_call_wins() -> None:
        scorer.store.before_write = lambda: None
        answers.append(scorer.answer())

    scorer.store.before_write = another_call_wins
    answers.append(scorer.answer())

    assert answers[0] == answers[1]
    assert json.loads(answers[0])["revision"] == 2
    assert len(scorer.store.superseded) == 1


def test_a_retryable_referral_is_no_leave_to_change_the_body() -> None:
    scorer = a_scorer(with_model=False)
    scorer()

    with pytest.raises(ApplicationConflictError):
        scorer(a_body(loan_amount=13_000))
    assert scorer.store.superseded == []


def test_a_bad_body_reaches_no_store() -> None:
    scorer = a_scorer()

    with pytest.raises(InvalidRequestError):
        scorer(a_body(annual_income=-1))
    assert scorer.store.receipts == {}
