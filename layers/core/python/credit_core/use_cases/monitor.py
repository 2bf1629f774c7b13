"""What a day's decisions were like: tallied in parts, added up, and set beside training.

A day is that of the archive, UTC. Of an application that was decided again on the same day, after a
passing fault, the last decision counts; decided again on another day it counts on both, as it stood
at the end of each. So a day is told by its own receipts alone, and told again the same.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import batched, groupby
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from credit_core.domain.application_records import DECISION
from credit_core.domain.decision_drift import figures_of
from credit_core.domain.decision_monitoring import (
    DecisionTally,
    check_fits,
    count_in_bins,
    in_order,
    monitored,
)
from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.receipt_archive import APPLICATION, Days, archived_name
from credit_core.domain.rehearsal import is_rehearsal
from credit_core.errors import DamagedReceiptError, ModelUnavailableError
from credit_core.ports import ArchivedRecords

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import date, datetime

    from credit_core.domain.decision_drift import Limits
    from credit_core.domain.decision_monitoring import ModelKey, MonitoredDecision
    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.ports import Metrics

DAYS_BEFORE = 28
"""Four weeks, so that each day of the week is in what a day is compared with as often."""

MOST_PARTS = 1_000
"""Of a run: each leaves some events in its history, which ends at 25,000. Parts grow instead."""

BINNED_AT_ONCE = 2_000
"""Bounds memory: so many model inputs are held together."""

MOST_TOLD = 5
"""Of the inputs that moved most, and of the reasons stated most."""


class DayArchive(ArchivedRecords, Protocol):
    """The archive, of which parts of a day can be read."""

    def keys_between(self, after: str, last: str) -> Iterator[str]:
        """Yield the keys that come after one, up to and including another.

        Raises:
            StoreUnavailableError: Not all are known.
        """


class Part(NamedTuple):
    """Some of a day's records: those after one key of the archive, up to another."""

    after: str
    last: str


type Manifests = Callable[[ModelKey], ModelManifest]
"""Returns the manifest that a receipt names, or raises ModelUnavailableError."""


def plan_day(archive: DayArchive, day: date, *, decisions_a_part: int) -> list[Part]:
    """Return the parts in which a day is tallied; the records of an application share one.

    Args:
        archive: Where the records are listed.
        day: Which.
        decisions_a_part: About how many decisions are in each; more where there would be more than
            ``MOST_PARTS``.

    Raises:
        StoreUnavailableError: The archive did not answer.
    """
    found: list[Part] = []
    after = last = ""
    decisions = 0
    for _, keys in _by_application(archive.keys(Days(day, day))):
        if decisions >= decisions_a_part:
            found.append(Part(after, last))
            after, decisions = last, 0
        # All records of the day come after this.
        after = after or keys[0].partition(APPLICATION)[0]
        last = keys[-1]
        decisions += any(map(_is_decision, keys))
    if last:
        found.append(Part(after, last))
    joined = -(-len(found) // MOST_PARTS) or 1
    return [Part(some[0].after, some[-1].last) for some in batched(found, joined, strict=False)]


def tally_part(archive: DayArchive, part: Part, *, manifest_of: Manifests) -> DecisionTally:
    """Return the tally of a part of a day.

    Args:
        archive: Where the records lie.
        part: Which.
        manifest_of: What tells the bins of a model's baseline.

    Raises:
        StoreUnavailableError: Archive or registry did not answer; doing it again is safe.
    """
    tally = DecisionTally()
    names: list[str] = []

    def chosen() -> Iterator[str]:
        for application_id, keys in _by_application(archive.keys_between(part.after, part.last)):
            decisions = sorted(key for key in keys if _is_decision(key))
            if not decisions:
                continue
            if is_rehearsal({"application_id": application_id}):
                tally.rehearsals += len(decisions)
                continue
            # Revisions have four digits, so that they sort as text.
            tally.superseded += len(decisions) - 1
            names.append(f"{application_id} {archived_name(decisions[-1]).record}")
            yield decisions[-1]

    binned = _Binned(tally, manifest_of)
    for place, record in enumerate(archive.records(chosen())):
        try:
            binned.add(monitored(record))
        except DamagedReceiptError:
            tally.note_damage(names[place])
    binned.flush()
    return tally


class _Binned:
    """Adds decisions to a tally, many at once to the bins of their models."""

    def __init__(self, tally: DecisionTally, manifest_of: Manifests) -> None:
        self._tally = tally
        self._manifest_of = manifest_of
        self._manifests: dict[ModelKey, ModelManifest | str] = {}
        self._waiting: dict[ModelKey, list[MonitoredDecision]] = defaultdict(list)

    def add(self, decision: MonitoredDecision) -> None:
        """Add a decision.

        Raises:
            DamagedReceiptError: Its model input is not of its model; nothing was added.
        """
        model = decision.model
        if model is None or decision.probability is None:
            self._tally.add(decision)
            return
        manifest = self._manifest(model)
        if isinstance(manifest, str):
            self._tally.add(decision)
            self._tally.models[model].no_baseline = manifest
            return
        check_fits(decision, manifest)
        self._tally.add(decision)
        waiting = self._waiting[model]
        waiting.append(decision)
        if len(waiting) >= BINNED_AT_ONCE:
            self._count(model)

    def flush(self) -> None:
        """Bin what waits."""
        for model in list(self._waiting):
            self._count(model)

    def _count(self, model: ModelKey) -> None:
        manifest, waiting = self._manifest(model), self._waiting.pop(model)
        assert not isinstance(manifest, str)  # noqa: S101 (only those that have one wait)
        count_in_bins(self._tally.models[model], waiting, manifest)

    def _manifest(self, model: ModelKey) -> ModelManifest | str:
        """Return the manifest, or why there is none."""
        if model not in self._manifests:
            try:
                self._manifests[model] = self._manifest_of(model)
            except ModelUnavailableError as error:
                self._manifests[model] = str(error)
        return self._manifests[model]


def summarize_day(
    product: str,
    day: date,
    tallies: Iterable[DecisionTally],
    *,
    before: Mapping[date, DecisionTally],
    manifest_of: Manifests,
    limits: Limits,
) -> dict[str, Any]:
    """Return the summary of a day, a JSON object: its ``figures``, and the ``tally`` they are of.

    Args:
        product: Whose decisions they are.
        day: Which.
        tallies: Of all of its parts.
        before: Tallies of the ``DAYS_BEFORE`` days before it, as far as they are known.
        manifest_of: What tells the baseline of a model.
        limits: What makes a finding.

    Raises:
        StoreUnavailableError: The registry did not answer; doing it again is safe.
    """
    total = DecisionTally()
    for tally in tallies:
        total.merge(tally)
    manifests: dict[ModelKey, ModelManifest] = {}
    for model, tally_of_model in total.models.items():
        try:
            manifests[model] = manifest_of(model)
        except ModelUnavailableError as error:
            tally_of_model.no_baseline = str(error)
    figures = figures_of(day, total, before, manifests=manifests, limits=limits)
    return {
        "product": product,
        "day": str(day),
        "figures": figures,
        "tally": total.as_document(),
    }


def first_day_before(day: date) -> date:
    """Return the first of the days that a day is compared with."""
    return day - timedelta(days=DAYS_BEFORE)


def in_short(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures without what only a picture needs: a state machine's answer is small."""
    drawn = ("edges", "categories", "then", "now", "recent")

    def short(drift: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in drift.items() if name not in drawn}

    models = [
        {
            **model,
            "drift": model["drift"]
            and {
                **model["drift"],
                "score": short(model["drift"]["score"]),
                "inputs": [short(each) for each in model["drift"]["inputs"]],
            },
        }
        for model in figures["models"]
    ]
    return {**figures, "models": models}


def publish_day(
    summary: Mapping[str, Any],
    *,
    stage: str,
    each_feature: bool,
    metrics: Metrics,
    as_of: datetime,
) -> None:
    """Publish the figures of a day; of what was not judged, none.

    Args:
        summary: The day's.
        stage: A dimension of the metrics.
        each_feature: Whether the drift of each input is published beside the largest.
        metrics: Where they go.
        as_of: When they are said to be measured.

    Raises:
        StoreUnavailableError: They are not known to have arrived.
    """
    metrics.publish(measurements(summary, stage=stage, each_feature=each_feature), at=as_of)


def measurements(
    summary: Mapping[str, Any], *, stage: str, each_feature: bool
) -> list[Measurement]:
    """Return what is published of a day; the arguments are those of ``publish_day``."""
    product, figures = summary["product"], summary["figures"]
    named = dimensions(stage=stage, product=product)
    found = [
        Measurement(Metric.MONITORED_DECISIONS, figures["decisions"], Unit.COUNT, named),
        Measurement(Metric.DAMAGED_RECEIPTS, figures["damaged"]["count"], Unit.COUNT, named),
    ]
    outcomes = figures["outcomes"]
    shares: dict[Metric, float | None] = {
        Metric.APPROVAL_RATE: outcomes["approve"]["share"],
        Metric.DECLINE_RATE: outcomes["decline"]["share"],
        Metric.REFERRAL_RATE: outcomes["refer"]["share"],
        Metric.OUTCOME_SHIFT: figures["outcome_shift"]["index"],
        Metric.REASON_SHIFT: figures["reason_shift"]["index"],
    }
    drifts = [model["drift"] for model in figures["models"] if model["drift"]]
    by_input: dict[str, float] = {}
    for drift in drifts:
        for each in drift["inputs"]:
            by_input[each["name"]] = max(by_input.get(each["name"], 0.0), each["index"])
    shares[Metric.SCORE_DRIFT] = max((drift["score"]["index"] for drift in drifts), default=None)
    shares[Metric.FEATURE_DRIFT] = max(by_input.values(), default=None)
    found += [
        Measurement(metric, value, Unit.NONE, named)
        for metric, value in shares.items()
        if value is not None
    ]
    for name, view in figures["views"].items():
        of_view = dimensions(stage=stage, product=product, view=name)
        found += [
            Measurement(metric, view["shares"][status], Unit.NONE, of_view)
            for metric, status in (
                (Metric.MISSING_FEATURES, "missing"),
                (Metric.STALE_FEATURES, "stale"),
            )
        ]
    if each_feature:
        found += [
            Measurement(
                Metric.FEATURE_DRIFT,
                index,
                Unit.NONE,
                dimensions(stage=stage, product=product, feature=name),
            )
            for name, index in by_input.items()
        ]
    return found


def monitoring_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures of a day as lines of text, for whoever wants to know before the page."""
    figures = summary["figures"]
    yield f"{summary['product']}, {summary['day']} (UTC): {decided(figures)}"
    yield from (f"  ! {finding}" for finding in figures["findings"])
    if not figures["decisions"]:
        return
    before = figures["before"]
    yield (
        f"  {'outcome':<24}{'count':>9}{'share':>9}   "
        + (
            f"{before['days']} day{'' if before['days'] == 1 else 's'} before"
            if before["decisions"]
            else "nothing before"
        )
    )
    for name, mix in figures["outcomes"].items():
        line = f"  {name:<24}{mix['count']:>9,}{_percent(mix['share']):>9}"
        yield f"{line}   {_percent(mix['share_before'])}".rstrip()
    yield from _cause_lines(figures)
    for name, view in figures["views"].items():
        shares = ", ".join(
            f"{status} {_percent(share)}" for status, share in view["shares"].items() if share
        )
        yield f"  {name:<24}{shares}"
    for name, stage in in_order(figures["stages_ms"]):
        yield f"  {name:<24}p50 {stage['p50']:g} ms, p99 {stage['p99']:g} ms"
    for model in figures["models"]:
        yield from _model_lines(model)


def decided(figures: Mapping[str, Any]) -> str:
    """Return how many decisions there were.

    >>> decided({"decisions": 1}), decided({"decisions": 1_200})
    ('1 decision', '1,200 decisions')
    """
    count = figures["decisions"]
    return f"{count:,} decision{'' if count == 1 else 's'}"


def _cause_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    causes = figures["causes"].items()
    told = ", ".join(f"{name} {mix['count']:,}" for name, mix in causes if mix["count"])
    if told:
        yield f"  {'referred for':<24}{told}"
    reasons = [(code, mix) for code, mix in figures["first_reasons"].items() if mix["count"]]
    told = ", ".join(f"{code} {mix['count']:,}" for code, mix in reasons[:MOST_TOLD])
    if told:
        yield f"  {'declined first for':<24}{told}"


def _model_lines(model: Mapping[str, Any]) -> Iterator[str]:
    roles = ", ".join(f"{count:,} as {role}" for role, count in model["answered"].items())
    yield f"  model {model['version']}: {roles}"
    drift = model["drift"]
    if drift is None:
        yield f"    drift not judged: {model['not_judged']}"
        return
    told = (drift["score"], *drift["inputs"][:MOST_TOLD])
    heading = "drift from training"
    width = max(len(heading), *(len(each["name"]) for each in told))
    yield (
        f"    {heading:<{width}}{'index':>8}{'by chance':>11}{'lately':>8}"
        f"   of {drift['decisions']:,} decisions since {drift['from']}"
    )
    for each in told:
        lately = "" if each["recent_index"] is None else f"{each['recent_index']:>8.3f}"
        yield f"    {each['name']:<{width}}{each['index']:>8.3f}{each['by_chance']:>11.3f}{lately}"
    more = len(drift["inputs"]) - MOST_TOLD
    if more > 0:
        yield f"    and {more} more inputs that moved less"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _by_application(keys: Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield each application with the keys of its records, which lie beside each other."""
    for application_id, its in groupby(keys, lambda key: archived_name(key).application_id):
        yield application_id, list(its)


def _is_decision(key: str) -> bool:
    return archived_name(key).record.startswith(f"{DECISION}/")
