"""A replay: what it finds again, and what it calls what it does not."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application_records import compact_json
from credit_core.errors import ModelOutputError, ModelUnavailableError
from credit_core.use_cases.replay import Difference, Replay, Replayer, Verdict
from credit_core.use_cases.score import ScoreApplication
from tests.builders import (
    NOW,
    PRODUCT,
    SECRET,
    WITHOUT_RULES,
    FakeDecisionStore,
    FixedModels,
    LinearModel,
    a_body,
    a_manifest,
    a_model,
    a_timer,
    fresh_rows,
    key_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.application_records import Attribute
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import LoadedModel

type Record = dict[str, Attribute]

MODEL = a_model(loan_amount=3 / 12_000, delinq_2yrs=0.5)


class NudgedModel(LinearModel):
    """A model whose answers are off by a little, each by another, as on another processor."""

    nudge = 0.0

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return super().log_odds(matrix) + np.linspace(self.nudge, 0.0, len(matrix))


class FailingModel(LinearModel):
    """A model whose answers are no probabilities."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        raise ModelOutputError(f"{len(matrix)} answers lie outside 0 to 1")


class BrokenModel(LinearModel):
    """A model that fails in a way that nobody thought of."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        raise RuntimeError(str(len(matrix)))


def a_record(
    *, model: LoadedModel | None = MODEL, product: CreditProduct = PRODUCT, **changes: object
) -> Record:
    """Return the receipt of a decision, by default of a decline with two reasons."""
    store = FakeDecisionStore(fresh_rows(product))
    score = ScoreApplication(product, secret=SECRET, store=store, models=FixedModels(model))
    score(a_body(**changes), as_of=NOW, timer=a_timer())
    (receipt,) = store.receipts.values()
    return receipt.as_record()


def replayed(
    record: Record, *, model: LoadedModel = MODEL, product: CreditProduct | None = PRODUCT
) -> Replay:
    return Replayer(lambda *_, **__: model, lambda _: product)(record)


def with_json(record: Record, attribute: str, **changes: Any) -> Record:
    document = json.loads(str(record[attribute]))
    return record | {attribute: compact_json(document | changes)}


def fields(replay: Replay) -> set[str]:
    return {difference.field for difference in replay.differences}


RECORD = a_record()
REPLAYER = Replayer(lambda *_, **__: MODEL, lambda _: PRODUCT)
SAID_ONCE = r'"(entity_key|created_timestamp)":"[^"]*"'
"""What a receipt says of a row once, and no decision depends on."""


def digits_of(attribute: str) -> list[int]:
    """Return the places of the digits in a text of the receipt, but in what is said once."""
    text = str(RECORD[attribute])
    spans = [found.span() for found in re.finditer(SAID_ONCE, text)]
    return [
        place
        for place, character in enumerate(text)
        if character.isdigit() and not any(start <= place < end for start, end in spans)
    ]


PLACES = {name: digits_of(name) for name in ("response", "model_input", "served", "request")}


@given(st.data())
def test_one_digit_changed_anywhere_shows(data: st.DataObject) -> None:
    attribute = data.draw(st.sampled_from(sorted(PLACES)))
    place = data.draw(st.sampled_from(PLACES[attribute]))
    text = str(RECORD[attribute])
    digit = data.draw(st.sampled_from(sorted(set("0123456789") - {text[place]})))

    found = REPLAYER(RECORD | {attribute: f"{text[:place]}{digit}{text[place + 1 :]}"})

    assert not found.is_identical
    assert found.differences or found.note


def test_every_digit_of_a_receipt_is_covered_by_that_claim() -> None:
    """The property samples; here is each digit, one higher."""
    for attribute, places in PLACES.items():
        text = str(RECORD[attribute])
        for place in places:
            digit = str((int(text[place]) + 1) % 10)
            found = REPLAYER(RECORD | {attribute: f"{text[:place]}{digit}{text[place + 1 :]}"})
            assert not found.is_identical, (attribute, place, text[place - 20 : place + 20])


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("outcome", "approve"),
        ("retryable", True),
        ("revision", 2),
        ("decided_at", "2026-11-20T12:00:00.001Z"),
        ("product", "other"),
        ("application_id", "application-2"),
        ("manifest_sha256", ""),
    ],
)
def test_an_attribute_that_contradicts_the_rest_shows(attribute: str, value: Attribute) -> None:
    assert replayed(RECORD | {attribute: value}).verdict is Verdict.DIFFERENT


def test_an_identical_replay_has_no_difference_and_checked_the_derived_features() -> None:
    assert replayed(RECORD) == Replay("application-1", 1, Verdict.IDENTICAL, derived_checked=True)


@pytest.mark.parametrize(
    "product", [None, replace(PRODUCT, derived_features=(), policy=WITHOUT_RULES)]
)
def test_derived_features_are_taken_as_recorded_where_the_product_is_another_now(
    product: CreditProduct | None,
) -> None:
    assert replayed(RECORD, product=product) == Replay("application-1", 1, Verdict.IDENTICAL)


def test_a_function_that_was_changed_behind_its_definition_shows() -> None:
    first, *others = PRODUCT.derived_features
    changed = replace(first, function=lambda amount, months, income: amount / months + 0 * income)

    found = replayed(RECORD, product=replace(PRODUCT, derived_features=(changed, *others)))

    assert fields(found) == {f"model_input.{first.name}"}


# Faults.


def test_a_model_that_was_not_there_is_a_fault_and_the_rules_are_checked_again() -> None:
    record = a_record(model=None)

    found = replayed(record)

    assert found.verdict is Verdict.FAULT
    assert found.is_identical
    assert "the rules alone were checked again" in found.note
    pretended = with_json(record, "request", annual_income=1.0) | {
        "model_input": str(record["model_input"]).replace("60000.0", "1.0", 1)
    }
    assert "outcome" in fields(replayed(pretended))


def test_a_rule_that_declined_without_a_model_is_recomputed() -> None:
    found = replayed(a_record(model=None, annual_income=1_000))

    assert (found.verdict, found.note) == (Verdict.IDENTICAL, "")


def test_an_internal_fault_is_taken_as_recorded() -> None:
    found = replayed(a_record(model=BrokenModel(MODEL.weights)), model=MODEL)

    assert found.verdict is Verdict.FAULT
    assert found.note == "nothing to recompute"


def test_a_fault_before_there_was_a_model_input_is_taken_as_recorded() -> None:
    first, *others = PRODUCT.derived_features
    broken = replace(first, function=lambda amount, *_: amount / 0 * 1j)
    product = replace(PRODUCT, derived_features=(broken, *others))
    with np.errstate(all="ignore"):
        record = a_record(product=product)

    assert record["model_input"] == "[]"
    assert replayed(record).verdict is Verdict.FAULT


def test_a_model_that_answered_no_probability_is_asked_again() -> None:
    failing = FailingModel(MODEL.weights)

    record = a_record(model=failing)

    assert replayed(record, model=failing).verdict is Verdict.IDENTICAL
    assert "cause.code" in fields(replayed(record)) | {"cause.code"}
    assert replayed(record).verdict is Verdict.DIFFERENT


def test_a_view_that_was_not_read_is_recomputed_from_its_status() -> None:
    store = FakeDecisionStore(fresh_rows())
    store.throttled.add(key_of(PRODUCT.feature_views[0]))
    champion = FixedModels(MODEL)
    score = ScoreApplication(PRODUCT, secret=SECRET, store=store, models=champion)
    score(a_body(), as_of=NOW, timer=a_timer())

    found = replayed(store.receipts["application-1"].as_record())

    assert (found.verdict, found.note) == (Verdict.IDENTICAL, "")


# Champion and challenger.


CHALLENGER = LinearModel(
    MODEL.weights,
    intercept=-2.0,
    manifest=a_manifest(version="v2", onnx_sha256="4" * 64),
    manifest_sha256="5" * 64,
)
"""It refers whom the champion declines."""


def a_record_of_two(
    share: float, *, challenger: LinearModel = CHALLENGER, champion: LinearModel = MODEL
) -> Record:
    store = FakeDecisionStore(fresh_rows())
    models = FixedModels(champion, challenger, share=share)
    score = ScoreApplication(PRODUCT, secret=SECRET, store=store, models=models)
    score(a_body(), as_of=NOW, timer=a_timer())
    (receipt,) = store.receipts.values()
    return receipt.as_record()


def replayed_of_two(
    record: Record, *, champion: LinearModel = MODEL, challenger: LinearModel = CHALLENGER
) -> Replay:
    def load(_: str, *, version: str, manifest_sha256: str) -> LoadedModel:
        model = {"v1": champion, "v2": challenger}.get(version)
        if model is None or model.manifest_sha256 != manifest_sha256:
            raise ModelUnavailableError(f"{version} is not registered")
        return model

    return Replayer(load, lambda _: PRODUCT)(record)


@pytest.mark.parametrize(
    ("share", "role", "other"), [(0.0, "champion", "challenger"), (1.0, "challenger", "champion")]
)
def test_whoever_answered_both_are_asked_again(share: float, role: str, other: str) -> None:
    record = a_record_of_two(share)

    assert json.loads(str(record["response"]))["model"]["role"] == role
    assert json.loads(str(record["shadow"]))["role"] == other
    assert replayed_of_two(record).verdict is Verdict.IDENTICAL


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_one_digit_changed_in_a_shadow_shows(share: float) -> None:
    record = a_record_of_two(share)
    text = str(record["shadow"])
    for place in [place for place, character in enumerate(text) if character.isdigit()]:
        digit = str((int(text[place]) + 1) % 10)
        changed = f"{text[:place]}{digit}{text[place + 1 :]}"
        assert not replayed_of_two(record | {"shadow": changed}).is_identical, changed


@pytest.mark.parametrize(
    ("share", "changes", "field"),
    [
        (0.0, {"outcome": "approve"}, "shadow.outcome"),
        (0.0, {"role": "champion"}, "shadow.role"),
        (1.0, {"role": "challenger"}, "shadow.role"),
        (0.0, {"points": 1.5}, "shadow.points"),
        (
            0.0,
            {"outcome": None, "points": None, "probability_of_default": None, "fault": "it failed"},
            "shadow.fault",
        ),
    ],
)
def test_a_shadow_that_says_something_else_is_named(
    share: float, changes: dict[str, Any], field: str
) -> None:
    found = replayed_of_two(with_json(a_record_of_two(share), "shadow", **changes))

    assert found.verdict is Verdict.DIFFERENT
    assert field in fields(found)


def test_a_role_that_nobody_had_shows() -> None:
    """Whether a challenger answered decides who was tried on: it isn't taken on trust."""
    record = a_record_of_two(0.0)
    model = json.loads(str(record["response"]))["model"]

    swapped = with_json(record, "response", model=model | {"role": "challenger"})
    alone = {name: value for name, value in swapped.items() if name != "shadow"}
    third = with_json(record, "response", model=model | {"role": "third"})

    assert fields(replayed_of_two(swapped)) == {"shadow.role"}
    assert fields(replayed_of_two(alone)) == {"shadow"}
    assert replayed_of_two(third).verdict is Verdict.NOT_REPLAYABLE


def test_a_shadow_beside_no_model_shows() -> None:
    record = a_record(model=None) | {"shadow": a_record_of_two(0.0)["shadow"]}

    assert fields(replayed_of_two(record)) == {"shadow"}


@pytest.mark.parametrize("kind", [FailingModel, BrokenModel])
def test_a_shadow_that_failed_fails_again_or_is_taken_as_recorded(kind: type[LinearModel]) -> None:
    broken = kind(
        MODEL.weights, manifest=CHALLENGER.manifest, manifest_sha256=CHALLENGER.manifest_sha256
    )
    record = a_record_of_two(0.0, challenger=broken)

    again = replayed_of_two(record, challenger=broken)
    mended = replayed_of_two(record)

    assert again.verdict is Verdict.IDENTICAL
    passing = kind is BrokenModel
    assert mended.verdict is (Verdict.IDENTICAL if passing else Verdict.DIFFERENT)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_shadow_that_cannot_be_read_is_told(text: str) -> None:
    found = replayed_of_two(a_record_of_two(0.0) | {"shadow": text})

    assert found.verdict is Verdict.NOT_REPLAYABLE
    assert found.note.startswith("its shadow cannot be read")


def test_a_shadows_model_that_cannot_be_had_is_told() -> None:
    record = with_json(a_record_of_two(0.0), "shadow", version="v9")

    assert replayed_of_two(record).note == "v9 is not registered"


def test_the_last_bits_of_a_shadow_are_called_rounding() -> None:
    near = nudged(1e-9)
    near.manifest, near.manifest_sha256 = CHALLENGER.manifest, CHALLENGER.manifest_sha256
    near.intercept = CHALLENGER.intercept

    found = replayed_of_two(a_record_of_two(0.0), challenger=near)

    assert found.verdict is Verdict.ROUNDING
    assert fields(found) >= {"shadow.probability_of_default"}


# Rounding.


def nudged(log_odds: float) -> NudgedModel:
    model = NudgedModel(MODEL.weights)
    model.nudge = log_odds
    return model


@pytest.mark.parametrize("log_odds", [1e-9, 9e-7])
def test_the_last_bits_of_a_model_are_called_rounding(log_odds: float) -> None:
    found = replayed(RECORD, model=nudged(log_odds))

    assert found.verdict is Verdict.ROUNDING
    assert not found.is_identical
    assert fields(found) >= {"probability_of_default", "reasons.0.contribution_log_odds"}


@pytest.mark.parametrize("log_odds", [2e-6, -1e-3])
def test_more_than_the_last_bits_is_different(log_odds: float) -> None:
    assert replayed(RECORD, model=nudged(log_odds)).verdict is Verdict.DIFFERENT


def test_points_that_moved_alone_are_no_rounding() -> None:
    points = json.loads(str(RECORD["response"]))["points"]

    found = replayed(with_json(RECORD, "response", points=round(points + 0.01, 2)))

    assert found == Replay(
        "application-1",
        1,
        Verdict.DIFFERENT,
        (Difference("points", round(points + 0.01, 2), points),),
        derived_checked=True,
    )


def test_an_outcome_that_tips_is_no_rounding() -> None:
    """A probability exactly at the cut-off declines; one bit less refers."""
    log_odds = math.log(PRODUCT.policy.decline_from / (1 - PRODUCT.policy.decline_from))
    model = LinearModel(MODEL.weights, intercept=log_odds - 3.5 + 1e-9)
    other = NudgedModel(MODEL.weights, intercept=log_odds - 3.5 + 1e-9)
    other.nudge = -1e-8

    found = replayed(a_record(model=model), model=other)

    assert found.verdict is Verdict.DIFFERENT
    assert {"outcome", "probability_of_default"} <= fields(found)


# What can't be replayed.


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"terms": b""}, "its terms cannot be read"),
        ({"terms": "text"}, "its terms is missing or of another type"),
        ({"response": 3}, "its response is missing or of another type"),
        ({"response": "{"}, "it cannot be read (JSONDecodeError)"),
        ({"response": "[]"}, "it cannot be read (TypeError)"),
        ({"served": '{"bureau":{}}'}, "it cannot be read (KeyError)"),
        ({"model_input": "[1]"}, "its model_input has 1 numbers, its terms have 25 inputs"),
        ({"model_input": '["x"]'}, "it cannot be read (ValueError)"),
        ({"decided_at": "yesterday"}, "it cannot be read (ValueError)"),
    ],
)
def test_a_receipt_that_cannot_be_read_says_why(changes: Record, note: str) -> None:
    found = replayed(RECORD | changes)

    assert found.verdict is Verdict.NOT_REPLAYABLE
    assert note in found.note


def test_a_receipt_from_before_terms_were_kept_says_so() -> None:
    record = {name: value for name, value in RECORD.items() if name != "terms"}

    found = replayed(record)

    assert found.verdict is Verdict.NOT_REPLAYABLE
    assert found.note == "no terms: it was written before receipts kept them"


def test_a_model_that_cannot_be_had_is_asked_for_once() -> None:
    asked: list[tuple[str, str, str]] = []

    def load(product: str, /, *, version: str, manifest_sha256: str) -> LoadedModel:
        asked.append((product, version, manifest_sha256))
        raise ModelUnavailableError("personal_loan/v1/manifest.json cannot be read: NoSuchKey")

    replayer = Replayer(load, lambda _: PRODUCT)

    assert {replayer(RECORD).verdict for _ in range(3)} == {Verdict.NOT_REPLAYABLE}
    assert asked == [("personal_loan", "v1", "1" * 64)]


def test_a_model_of_other_inputs_is_not_asked() -> None:
    manifest = MODEL.manifest.model_copy(update={"inputs": ("loan_amount",)})

    found = replayed(RECORD, model=replace(MODEL, manifest=manifest))

    assert found.note == "model v1 takes other inputs than the receipt's terms have"
