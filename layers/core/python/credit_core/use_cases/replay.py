"""Replay recorded decisions: from receipt and model alone, bit for bit the same answer again.

No store is asked. What is recorded more than once in a receipt has to agree with itself too, so
that a digit changed in what decided, or in what was answered, shows.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.application_records import compact_json
from credit_core.domain.decision import (
    Decision,
    ServingModel,
    assumed_in,
    fault_in,
)
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY, with_derived
from credit_core.domain.judgement import Cause, Judge, ReferralCause, referred_by
from credit_core.domain.model_manifest import Role
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.receipt import receipt_of, row_of, views_of
from credit_core.domain.rollout import Shadow
from credit_core.domain.terms import Terms
from credit_core.errors import DamagedReceiptError, ModelUnavailableError
from credit_core.use_cases.shadow import is_passing, shadow_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.decision import ServedView
    from credit_core.domain.judgement import Judgement
    from credit_core.domain.product import CreditProduct
    from credit_core.domain.receipt import Receipt
    from credit_core.domain.terms import ModelInput
    from credit_core.ports import LoadedModel, RegisteredModels

ROUNDING_LOG_ODDS = 1e-6
"""Below it a difference is what another processor or onnxruntime makes of the same float32 sums."""
NEXT_POINTS = 0.011
"""Points are recorded with two decimals; a rounding may tip the last one."""


class Verdict(StrEnum):
    """What a replay came to."""

    IDENTICAL = "identical"
    FAULT = "fault"
    ROUNDING = "rounding"
    DIFFERENT = "different"
    NOT_REPLAYABLE = "not_replayable"


@dataclass(frozen=True, slots=True)
class Difference:
    """A part of a receipt that its replay did not find again."""

    field: str
    recorded: object
    replayed: object


@dataclass(frozen=True, slots=True)
class Replay:
    """A receipt's replay.

    ``note`` says why nothing was recomputed, if so. ``derived_checked`` is whether the derived
    features were recomputed too, which takes today's definition of the product.
    """

    application_id: str
    revision: int
    verdict: Verdict
    differences: tuple[Difference, ...] = ()
    note: str = ""
    derived_checked: bool = False

    @property
    def is_identical(self) -> bool:
        """Whether nothing differs; a fault that can't happen again is taken as it is recorded."""
        return self.verdict in {Verdict.IDENTICAL, Verdict.FAULT}


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is needed for all receipts with the same terms."""

    terms: Terms
    judge: Judge
    product: CreditProduct | None


class Replayer:
    """Replays receipts one after the other; terms are read and models loaded once.

    Args:
        load_model: Loads the models that the receipts name.
        product_now: Returns a product as it is defined today, None where there is none any more.
    """

    def __init__(
        self,
        load_model: RegisteredModels,
        product_now: Callable[[str], CreditProduct | None],
    ) -> None:
        self._load_model = load_model
        self._product_now = product_now
        self._models: dict[tuple[str, str, str], LoadedModel | ModelUnavailableError] = {}
        self._benches: dict[bytes, _Bench] = {}

    def __call__(self, record: StoredRecord) -> Replay:
        """Replay the receipt in a record; one that can't be replayed says why."""
        name, revision = record.get("application_id"), record.get("revision")
        label = str(name), revision if isinstance(revision, int) else 1
        try:
            return self._replay(receipt_of(record))
        except (DamagedReceiptError, ModelUnavailableError) as error:
            return Replay(*label, Verdict.NOT_REPLAYABLE, note=str(error))
        # Whatever lies in a receipt, it must not end the replay of the others.
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            note = f"it cannot be read ({type(error).__name__})"
            return Replay(*label, Verdict.NOT_REPLAYABLE, note=note)

    def _replay(self, receipt: Receipt) -> Replay:
        bench = self._bench(receipt)
        terms, response = bench.terms, json.loads(receipt.response)
        views = views_of(json.loads(receipt.served))
        row = row_of(receipt.model_input)
        cause = _cause(response["cause"])
        came_before_input = _is_internal(cause) and not row.size
        if row.size != len(terms.inputs) and not came_before_input:
            raise DamagedReceiptError(
                f"its model_input has {row.size} numbers, its terms have {len(terms.inputs)} inputs"
            )
        model = self._answering_model(receipt, response, terms)
        judgement, note = _judge_again(bench.judge, row, views, model, cause)
        found = [
            *_response_differences(receipt, judgement, views, _serving(model, response), terms),
            *_attribute_differences(receipt, judgement, views, terms),
            *self._shadow_differences(receipt, response, bench, row, views),
        ]
        derived_checked = bench.product is not None and not came_before_input
        if not came_before_input:
            found += _input_differences(terms.inputs, row, json.loads(receipt.request), views)
        if bench.product is not None and derived_checked:
            found += _derived_differences(bench.product, row)
        return Replay(
            receipt.application_id,
            receipt.revision,
            _verdict(found, note),
            tuple(found),
            note,
            derived_checked,
        )

    def _bench(self, receipt: Receipt) -> _Bench:
        bench = self._benches.get(receipt.terms)
        if bench is None:
            terms = Terms.unpack(receipt.terms)
            product = self._product_now(terms.product)
            if product is not None and Terms.of(product).inputs != terms.inputs:
                product = None
            bench = self._benches[receipt.terms] = _Bench(terms, Judge(terms), product)
        return bench

    def _answering_model(
        self, receipt: Receipt, response: Mapping[str, Any], terms: Terms
    ) -> LoadedModel | None:
        """Return the model that answered, None where none was asked.

        Raises:
            ModelUnavailableError: It can't be had, or takes other inputs than the terms have.
        """
        if not receipt.manifest_sha256:
            return None
        version = str((response["model"] or {}).get("version"))
        return self._model((receipt.product, version, receipt.manifest_sha256), terms)

    def _model(self, key: tuple[str, str, str], terms: Terms) -> LoadedModel:
        """Return a model by product, version and its manifest's SHA-256.

        Raises:
            ModelUnavailableError: It can't be had, or takes other inputs than the terms have.
        """
        if key not in self._models:
            try:
                product, version, manifest_sha256 = key
                self._models[key] = self._load_model(
                    product, version=version, manifest_sha256=manifest_sha256
                )
            except ModelUnavailableError as error:
                self._models[key] = error
        model = self._models[key]
        if isinstance(model, ModelUnavailableError):
            raise model
        manifest = model.manifest
        categories = {given.name: given.categories for given in terms.inputs if given.categories}
        if (
            manifest.inputs != tuple(given.name for given in terms.inputs)
            or manifest.categories != categories
            or len(manifest.reference) != len(terms.inputs)
        ):
            raise ModelUnavailableError(
                f"model {manifest.version} takes other inputs than the receipt's terms have"
            )
        return model

    def _shadow_differences(
        self,
        receipt: Receipt,
        response: Mapping[str, Any],
        bench: _Bench,
        row: NDArray[np.float64],
        views: Mapping[str, ServedView],
    ) -> Iterator[Difference]:
        """Yield where the model that did not answer says something else, or should be another one.

        A challenger never answers alone: what the champion says is in the receipt.

        Raises:
            DamagedReceiptError: The shadow cannot be read.
            ModelUnavailableError: The model can't be had.
        """
        answered = response["model"]
        if receipt.shadow is None:
            if answered is not None and Role(answered["role"]) is Role.CHALLENGER:
                yield Difference("shadow", None, "what the champion says")
            return
        recorded = Shadow.from_receipt(receipt.shadow)
        if answered is None:
            yield Difference("shadow", receipt.shadow, None)
            return
        key = receipt.product, recorded.version, recorded.manifest_sha256
        is_champion = Role(answered["role"]) is Role.CHALLENGER
        again = shadow_of(
            bench.judge,
            row,
            self._model(key, bench.terms),
            role=Role.CHAMPION if is_champion else Role.CHALLENGER,
            assumed=assumed_in(views),
        )
        if is_passing(recorded.fault):
            # What need not happen again is taken as it is recorded.
            again = replace(
                again,
                probability_of_default=None,
                points=None,
                outcome=None,
                fault=recorded.fault,
            )
        if again.as_receipt() != receipt.shadow:
            pair = json.loads(receipt.shadow), again.as_document()
            found = list(_differences(*pair, "shadow"))
            yield from found or [Difference("shadow", receipt.shadow, again.as_receipt())]


def _cause(recorded: Mapping[str, str] | None) -> Cause | None:
    return Cause(ReferralCause(recorded["code"]), recorded["detail"]) if recorded else None


def _is_internal(cause: Cause | None) -> bool:
    return cause is not None and cause.code is ReferralCause.INTERNAL


def _judge_again(
    judge: Judge,
    row: NDArray[np.float64],
    views: Mapping[str, ServedView],
    model: LoadedModel | None,
    recorded: Cause | None,
) -> tuple[Judgement, str]:
    """Return the judgement, and why it is no recomputed one, if so.

    Args:
        judge: Judges under the receipt's terms.
        row: Model input, shape (G,); empty where an internal fault came before it.
        views: What was served.
        model: Who was asked.
        recorded: The cause in the response.
    """
    if recorded is not None and _is_internal(recorded):
        return referred_by(recorded), "nothing to recompute"
    fault, note = fault_in(views), ""
    was_unavailable = (
        recorded is not None and recorded.code is ReferralCause.MODEL_UNAVAILABLE and model is None
    )
    if fault is None and was_unavailable:
        fault, note = recorded, "the rules alone were checked again"
    return judge(row, model, assumed=assumed_in(views), fault=fault), note


def _response_differences(
    receipt: Receipt,
    judgement: Judgement,
    views: Mapping[str, ServedView],
    model: ServingModel | None,
    terms: Terms,
) -> Iterator[Difference]:
    """Yield where the response is not, byte for byte, what the scorer would answer."""
    decision = Decision(
        receipt.application_id,
        receipt.product,
        judgement,
        views,
        model,
        terms.policy.version,
        datetime.fromisoformat(receipt.decided_at),
        receipt.revision,
    )
    replayed = compact_json(decision.as_response())
    if replayed != receipt.response:
        found = list(_differences(json.loads(receipt.response), json.loads(replayed)))
        yield from found or [Difference("response", receipt.response, replayed)]


def _serving(model: LoadedModel | None, response: Mapping[str, Any]) -> ServingModel | None:
    """Return the model's identity, with the role that is recorded of it."""
    if model is None:
        return None
    role = str((response["model"] or {}).get("role"))
    return ServingModel(model.manifest.version, model.manifest.onnx_sha256, Role(role))


def _attribute_differences(
    receipt: Receipt, judgement: Judgement, views: Mapping[str, ServedView], terms: Terms
) -> Iterator[Difference]:
    cause = judgement.cause
    served = {name: view.as_receipt() for name, view in views.items()}
    expected = {
        "product": terms.product,
        "outcome": str(judgement.outcome),
        "retryable": cause is not None and cause.retryable,
        "decided_at": timestamp_text(datetime.fromisoformat(receipt.decided_at)),
        # Written again: two texts may mean one double, and only one of them is a receipt's.
        "request": compact_json(json.loads(receipt.request)),
        "served": compact_json(served),
        "model_input": compact_json(json.loads(receipt.model_input)),
    }
    for name, value in expected.items():
        recorded = getattr(receipt, name)
        if recorded != value:
            yield Difference(name, recorded, value)


def _input_differences(
    inputs: Sequence[ModelInput],
    row: NDArray[np.float64],
    request: Mapping[str, Any],
    views: Mapping[str, ServedView],
) -> Iterator[Difference]:
    """Yield where the model's input is not what was sent and served."""
    given = dict(request)
    for view in views.values():
        given |= view.features or {}
    for number, it in zip(row.tolist(), inputs, strict=True):
        if it.derived_from:
            continue
        value = given.pop(it.name, None)
        if it.categories:
            expected = it.codes.get(value, UNKNOWN_CATEGORY)
        else:
            expected = math.nan if value is None else float(value)
        if repr(number) != repr(expected):
            yield Difference(f"model_input.{it.name}", _number(number), _number(expected))
    for name, value in given.items():
        yield Difference(f"request or served.{name}", value, None)


def _derived_differences(product: CreditProduct, row: NDArray[np.float64]) -> Iterator[Difference]:
    """Yield where today's functions make another number of the same base features."""
    base = len(product.base_features)
    again = with_derived(product, row[np.newaxis, :base])[0, base:]
    for derived, number, expected in zip(
        product.derived_features, row[base:].tolist(), again.tolist(), strict=True
    ):
        if repr(number) != repr(expected):
            yield Difference(f"model_input.{derived.name}", _number(number), _number(expected))


def _number(number: float) -> float | None:
    return None if math.isnan(number) else number


def _differences(recorded: object, replayed: object, place: str = "") -> Iterator[Difference]:
    """Yield the parts in which two JSON documents differ."""
    pairs: list[tuple[object, object, object]]
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        names = dict.fromkeys([*recorded, *replayed])
        pairs = [(name, recorded.get(name), replayed.get(name)) for name in names]
    elif isinstance(recorded, list) and isinstance(replayed, list):
        pairs = [(at, *pair) for at, pair in enumerate(zip_longest(recorded, replayed))]
    else:
        if compact_json(recorded) != compact_json(replayed):
            yield Difference(place, recorded, replayed)
        return
    for name, one, other in pairs:
        yield from _differences(one, other, f"{place}.{name}" if place else str(name))


def _verdict(found: Sequence[Difference], note: str) -> Verdict:
    if found:
        return Verdict.ROUNDING if _only_rounding(found) else Verdict.DIFFERENT
    return Verdict.FAULT if note else Verdict.IDENTICAL


def _only_rounding(found: Sequence[Difference]) -> bool:
    """Whether all differences are those of a model's answer in its last bits.

    Points follow log-odds: they may differ only where these do.
    """
    names = {difference.field for difference in found}
    for difference in found:
        place, _, name = difference.field.rpartition(".")
        one, other = difference.recorded, difference.replayed
        if not isinstance(one, float) or not isinstance(other, float):
            return False
        match name:
            case "probability_of_default" if 0 < one < 1 and 0 < other < 1:
                apart = abs(_log_odds(one) - _log_odds(other))
                small = apart < ROUNDING_LOG_ODDS
            case "points" if _beside(place, "probability_of_default") in names:
                small = abs(one - other) < NEXT_POINTS
            case "contribution_log_odds":
                small = abs(one - other) < ROUNDING_LOG_ODDS
            case "contribution_points" if _beside(place, "contribution_log_odds") in names:
                small = abs(one - other) < NEXT_POINTS
            case _:
                small = False
        if not small:
            return False
    return True


def _beside(place: str, name: str) -> str:
    """Return the place of another part of the same object."""
    return f"{place}.{name}" if place else name


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))
