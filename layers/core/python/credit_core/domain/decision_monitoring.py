"""What a day's decisions were like, in counts that add up: of a part, a day, or many days.

A count is kept per bin, not per applicant: a tally holds no value of anybody's.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from credit_core.domain.application_records import DECISION, SUPERSEDED
from credit_core.domain.decision import FeatureStatus
from credit_core.domain.log_histogram import LogHistogram
from credit_core.domain.measures import counts_in
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.receipt import READ_ERRORS, receipt_of, row_of
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.model_manifest import Distribution, ModelManifest

TOLD = 20
"""Damaged receipts that are named; all are counted."""

BEFORE_THE_WRITE = "all before the write"
"""A stage that stands for all those that a receipt can know: it is made before it is written."""

STAGES = ("parse", "read", "infer", "explain", "shadow", BEFORE_THE_WRITE)
"""In the order in which a request takes them; one that is not known here comes after them."""


class ModelKey(NamedTuple):
    """A model as a receipt names it."""

    version: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class MonitoredDecision:
    """What of a receipt is counted. ``probability`` is None where no model was asked.

    ``row`` is the model's input, of shape (G,), empty where a fault came before it; ``views`` the
    part that each view had in the receipt; ``reasons`` the codes stated, the first one first.
    """

    outcome: Outcome
    decided_by: str
    cause: str | None
    reasons: tuple[str, ...]
    policy: str
    hour: int
    model: ModelKey | None
    role: str | None
    probability: float | None
    row: NDArray[np.float64]
    views: Mapping[str, Mapping[str, Any]]
    stages_ms: Mapping[str, float]


def monitored(record: StoredRecord | None) -> MonitoredDecision:
    """Return what is counted of an archived receipt.

    Raises:
        DamagedReceiptError: It is none, or something in it cannot be read.
    """
    if record is None or not str(record.get("record")).startswith((DECISION, SUPERSEDED)):
        raise DamagedReceiptError("it is no receipt")
    receipt = receipt_of(record)
    try:
        response = json.loads(receipt.response)
        model, cause = response["model"], response["cause"]
        probability = response["probability_of_default"]
        if probability is not None and not 0 <= probability <= 1:
            raise DamagedReceiptError("its probability is none")
        views: dict[str, dict[str, Any]] = json.loads(receipt.served)
        for view in views.values():
            FeatureStatus(view["status"])
        stages: dict[str, float] = json.loads(receipt.stage_ms)
        return MonitoredDecision(
            outcome=Outcome(receipt.outcome),
            decided_by=f"{response['decided_by']['kind']} {response['decided_by']['code']}",
            cause=None if cause is None else str(cause["code"]),
            reasons=tuple(str(reason["code"]) for reason in response["reasons"]),
            policy=str(response["policy_version"]),
            hour=datetime.fromisoformat(receipt.decided_at).hour,
            model=ModelKey(str(model["version"]), receipt.manifest_sha256) if model else None,
            role=str(model["role"]) if model else None,
            probability=None if probability is None else float(probability),
            row=row_of(receipt.model_input),
            views=views,
            stages_ms={str(name): float(taken) for name, taken in stages.items()},
        )
    except READ_ERRORS as error:
        message = f"it cannot be read ({type(error).__name__})"
        raise DamagedReceiptError(message) from None


@dataclass(slots=True)
class ViewTally:
    """One view's part in decisions: by status, with declared defaults, and how old its rows were.

    ``age_seconds`` is of the rows that were there, whatever they were worth.
    """

    statuses: Counter[str] = field(default_factory=Counter)
    defaulted: int = 0
    age_seconds: LogHistogram = field(default_factory=LogHistogram)

    def add(self, served: Mapping[str, Any]) -> None:
        """Count a view's part in one decision, as the receipt has it."""
        status = FeatureStatus(served["status"])
        self.statuses[status] += 1
        if status is not FeatureStatus.FRESH and served["features"] is not None:
            self.defaulted += 1
        if served["age_seconds"] is not None:
            # The clocks of two machines may differ a little.
            self.age_seconds.add(float(served["age_seconds"]))

    def merge(self, other: ViewTally) -> None:
        """Add what another tally has counted."""
        self.statuses.update(other.statuses)
        self.defaulted += other.defaulted
        self.age_seconds.merge(other.age_seconds)

    def as_document(self) -> dict[str, Any]:
        """Return the tally as JSON has it."""
        return {
            "statuses": _sorted(self.statuses),
            "defaulted": self.defaulted,
            "age_seconds": self.age_seconds.as_document(),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> ViewTally:
        """Read what ``as_document`` returned."""
        return cls(
            Counter(document["statuses"]),
            document["defaulted"],
            LogHistogram.of_document(document["age_seconds"]),
        )


@dataclass(slots=True)
class ModelTally:
    """What one model was asked: how often, and by whom, in the bins of its own baseline.

    ``answered`` counts by role; ``scored`` how many it gave a probability for. ``score`` and each
    of ``inputs`` count those in the bins of the manifest's distributions, unknown last. Where the
    manifest could not be had, ``no_baseline`` says why, and nothing is binned.
    """

    answered: Counter[str] = field(default_factory=Counter)
    scored: int = 0
    score: list[int] = field(default_factory=list)
    inputs: dict[str, list[int]] = field(default_factory=dict)
    no_baseline: str = ""

    def merge(self, other: ModelTally) -> None:
        """Add what another tally of the same model has counted.

        Raises:
            ValueError: It has other bins, so that it is of another model.
        """
        self.answered.update(other.answered)
        self.scored += other.scored
        self.no_baseline = self.no_baseline or other.no_baseline
        self.score = _added(self.score, other.score)
        for name, counts in other.inputs.items():
            self.inputs[name] = _added(self.inputs.get(name, []), counts)

    def as_document(self) -> dict[str, Any]:
        """Return the tally as JSON has it."""
        return {
            "answered": _sorted(self.answered),
            "scored": self.scored,
            "score": self.score,
            "inputs": self.inputs,
            "no_baseline": self.no_baseline,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> ModelTally:
        """Read what ``as_document`` returned."""
        return cls(
            Counter(document["answered"]),
            document["scored"],
            document["score"],
            document["inputs"],
            document["no_baseline"],
        )


@dataclass(slots=True)
class DecisionTally:
    """Decisions, counted. Adding tallies in any order gives the same.

    ``superseded`` counts those that the day itself replaced by another one on the same application,
    ``rehearsals`` what a deployment tried itself with; neither is among ``decisions``, nor is what
    is ``damaged``. ``first_reasons`` and ``reasons`` are of declines, ``stages`` in milliseconds.
    """

    decisions: int = 0
    superseded: int = 0
    rehearsals: int = 0
    damaged: int = 0
    damaged_examples: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    decided_by: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    first_reasons: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    hours: Counter[str] = field(default_factory=Counter)
    views: dict[str, ViewTally] = field(default_factory=dict)
    stages: dict[str, LogHistogram] = field(default_factory=dict)
    models: dict[ModelKey, ModelTally] = field(default_factory=dict)

    def add(self, decision: MonitoredDecision) -> None:
        """Count a decision, but for the bins of its model's baseline."""
        self.decisions += 1
        self.outcomes[decision.outcome] += 1
        self.decided_by[decision.decided_by] += 1
        self.policies[decision.policy] += 1
        self.hours[f"{decision.hour:02}"] += 1
        if decision.cause is not None:
            self.causes[decision.cause] += 1
        if decision.outcome is Outcome.DECLINE:
            self.first_reasons.update(decision.reasons[:1])
            self.reasons.update(set(decision.reasons))
        for name, served in decision.views.items():
            self.views.setdefault(name, ViewTally()).add(served)
        for stage, taken in decision.stages_ms.items():
            self.stages.setdefault(stage, LogHistogram()).add(taken)
        if decision.stages_ms:
            total = sum(decision.stages_ms.values())
            self.stages.setdefault(BEFORE_THE_WRITE, LogHistogram()).add(total)
        if decision.model is not None:
            model = self.models.setdefault(decision.model, ModelTally())
            model.answered[str(decision.role)] += 1
            model.scored += decision.probability is not None

    def note_damage(self, name: str) -> None:
        """Count a receipt that cannot be read, and name the first ones."""
        self.damaged += 1
        self.damaged_examples = sorted([*self.damaged_examples, name])[:TOLD]

    def merge(self, other: DecisionTally) -> None:
        """Add what another tally has counted.

        Raises:
            ValueError: The bins of a model differ.
        """
        for each in fields(self):
            mine, others = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(others)
            elif isinstance(mine, dict):
                for name, tally in others.items():
                    mine.setdefault(name, type(tally)()).merge(tally)
            elif isinstance(mine, list):
                self.damaged_examples = sorted([*mine, *others])[:TOLD]
            else:
                setattr(self, each.name, mine + others)

    def as_document(self) -> dict[str, Any]:
        """Return the tally as JSON has it; equal tallies give equal documents."""
        document: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Counter):
                document[each.name] = _sorted(value)
            elif each.name != "models" and isinstance(value, dict):
                document[each.name] = {name: value[name].as_document() for name in sorted(value)}
            else:
                document[each.name] = value
        document["models"] = [
            {**key._asdict(), **self.models[key].as_document()} for key in sorted(self.models)
        ]
        return document

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> DecisionTally:
        """Read what ``as_document`` returned.

        Raises:
            DamagedReceiptError: It is no tally, or one of another release.
        """
        try:
            values: dict[str, Any] = {}
            for each in fields(cls):
                found = document[each.name]
                values[each.name] = Counter(found) if "Counter" in str(each.type) else found
            values["views"] = {
                name: ViewTally.of_document(found) for name, found in document["views"].items()
            }
            values["stages"] = {
                name: LogHistogram.of_document(found) for name, found in document["stages"].items()
            }
            values["models"] = {
                ModelKey(found["version"], found["manifest_sha256"]): ModelTally.of_document(found)
                for found in document["models"]
            }
        except READ_ERRORS as error:
            message = f"a tally of decisions cannot be read ({type(error).__name__})"
            raise DamagedReceiptError(message) from None
        return cls(**values)


def in_order[T](stages: Mapping[str, T]) -> list[tuple[str, T]]:
    """Return stages as a request takes them.

    >>> in_order({"new": 1, "read": 2, "parse": 3})
    [('parse', 3), ('read', 2), ('new', 1)]
    """

    def place(stage: tuple[str, T]) -> tuple[int, str]:
        name = stage[0]
        return (STAGES.index(name) if name in STAGES else len(STAGES), name)

    return sorted(stages.items(), key=place)


def check_fits(decision: MonitoredDecision, manifest: ModelManifest) -> None:
    """Check that a scored decision's model input can be put into the bins of its model.

    Raises:
        DamagedReceiptError: It has other inputs, or a category that the model does not know.
    """
    if len(decision.row) != len(manifest.inputs):
        message = f"its model input has {len(decision.row)} values of {len(manifest.inputs)}"
        raise DamagedReceiptError(message)
    for position, name in enumerate(manifest.inputs):
        codes = manifest.categories.get(name)
        # Unknown is -1, or NaN where a view gave nothing.
        value = float(decision.row[position])
        if codes and not math.isnan(value) and value not in range(-1, len(codes)):
            raise DamagedReceiptError(f"its model input has a {name} that the model does not know")


def count_in_bins(
    tally: ModelTally, decisions: Sequence[MonitoredDecision], manifest: ModelManifest
) -> None:
    """Count scored decisions of one model in the bins of its baseline.

    Args:
        tally: The model's; its bins are added to.
        decisions: Those with a probability, each of which ``check_fits``.
        manifest: The model's.
    """
    probabilities = np.array([each.probability for each in decisions], dtype=np.float64)
    # The model sees float32, and so did the baseline.
    matrix = np.array([each.row for each in decisions], dtype=np.float64).astype(np.float32)
    tally.score = _added(tally.score, _counts(manifest.baseline_probability, probabilities))
    for position, name in enumerate(manifest.inputs):
        baseline, codes = manifest.baseline.get(name), len(manifest.categories.get(name, ()))
        if baseline is None:
            continue
        column = matrix[:, position]
        if codes:
            column = np.where(np.isnan(column), -1, column)
        counted = _counts(baseline, column, categories=codes)
        tally.inputs[name] = _added(tally.inputs.get(name, []), counted)


def _counts(
    baseline: Distribution, column: NDArray[np.floating], *, categories: int = 0
) -> list[int]:
    return [int(count) for count in counts_in(baseline, column, categories=categories)]


def _added(one: list[int], other: list[int]) -> list[int]:
    if not one or not other:
        return one or other
    return [first + second for first, second in zip(one, other, strict=True)]


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {str(name): counts[name] for name in sorted(counts)}
