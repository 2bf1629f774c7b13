"""What decisions were served, compared with what training would take for that moment.

For a sample of decisions each view's row is looked up in the lake by the rule of the training set:
of the valid rows whose event and whose arrival lie at or before the decision, the newest. It should
be the row that the online store gave. Where it is not, a model learns from other features than it
is served, and the report says which and, where that can be told, why.

A row that came into the lake while the decision was made is no skew: it was on its way.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from credit_core.domain.decision import FeatureStatus
from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.online_store import entity_key, hash_in, timestamp_text
from credit_core.domain.product import RETENTION_TTLS
from credit_core.domain.receipt import READ_ERRORS
from credit_core.errors import InvalidFeatureFileError
from credit_core.use_cases.materialize import RowInspection, is_hidden
from credit_core.use_cases.plan_materialization import Footers, LakeListing, parts_of
from credit_core.use_cases.score import serve_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import CreditProduct, FeatureView
    from credit_core.ports import ErasedApplicants, FilePart, LakeRow, Metrics
    from credit_core.use_cases.plan_materialization import PartBounds
    from credit_core.use_cases.served_decisions import ServedDecisions

LONGEST_UPLOAD = timedelta(days=3)
"""A file bears the time when its upload began; no row in it is much younger than its end."""
TOLD = 20
"""Decisions that a report names per view; the counts are of all."""


class Finding(StrEnum):
    """How what a view gave to a decision compares with the lake."""

    EQUAL = "equal"

    LATE = "late"
    """What the lake has beyond was delivered too short before the decision, or after it."""

    OTHER_VALUES = "other_values"
    """The lake has the row that was served, with other values."""

    OLDER_ROW = "older_row"
    """The lake had a newer row for long; it did not get into the online store."""

    MISSING_ONLINE = "missing_online"
    """The lake had a row for long, and none was served."""

    MISSING_OFFLINE = "missing_offline"
    """The row that was served is not in the lake."""

    OTHER_RULE = "other_rule"
    """The same row counted otherwise: as fresh, stale or missing, or by another default."""


SKEWED = tuple(finding for finding in Finding if finding not in {Finding.EQUAL, Finding.LATE})


class NotCompared(StrEnum):
    """Why a view's part in a decision was not compared."""

    UNKNOWN_ENTITY = "unknown_entity"
    """Nothing was served, and the receipt does not say of whom."""

    NOT_READ = "not_read"
    """The online store did not answer, or what lay there could not be read."""

    OTHER_DEFINITION = "other_definition"
    """The view had other features than it has today."""

    ERASED = "erased"
    """The applicant was erased since: store and lake differ on purpose."""


class SearchableFile(Protocol):
    """A part of a feature file that is asked for a few entities."""

    def rows_of(
        self,
        is_wanted: Callable[[tuple[str | int, ...]], bool],
        *,
        first_event: datetime,
        last_event: datetime,
    ) -> Iterator[LakeRow]:
        """Yield the rows of the entities whose keys are wanted, with events in a span.

        Raises:
            InvalidFeatureFileError: The body cannot be read.
        """


class SearchableLake(LakeListing, Footers, Protocol):
    """The feature files."""

    def open(self, part: FilePart, view: FeatureView) -> AbstractContextManager[SearchableFile]:
        """Open a part of a file and check its columns against the view.

        Raises:
            InvalidFeatureFileError: It is no Parquet file with the view's columns.
            StoreUnavailableError: The lake did not answer.
        """


@dataclass(frozen=True, slots=True)
class ServedMoment:
    """What a view gave to one decision, as its receipt has it."""

    application_id: str
    entity_key: str
    decided_at: datetime
    served: Mapping[str, Any]


class DeliveredRow(NamedTuple):
    """A row of the lake, and when its file came there."""

    row: FeatureRow
    delivered_at: datetime


@dataclass
class ViewSkew:
    """What was found of one view. ``differing`` counts the served values that the lake has not."""

    view: str
    findings: Counter[Finding] = field(default_factory=Counter)
    not_compared: Counter[NotCompared] = field(default_factory=Counter)
    compared_values: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)
    files: int = 0
    refused_files: int = 0

    @property
    def compared(self) -> int:
        """How many decisions were compared."""
        return sum(self.findings.values())

    @property
    def skewed(self) -> int:
        """In how many of them something else was served than the lake has."""
        return sum(self.findings[finding] for finding in SKEWED)

    def note(self, moment: ServedMoment, finding: Finding) -> None:
        """Count a finding, and keep the first ones that are skew."""
        self.findings[finding] += 1
        if finding in SKEWED and len(self.examples) < TOLD:
            self.examples.append({"application_id": moment.application_id, "finding": str(finding)})

    def document(self, feature_names: Iterable[str]) -> dict[str, Any]:
        """Return the JSON object that a report has of the view."""
        return {
            "compared": self.compared,
            "skewed": self.skewed,
            "findings": {str(finding): self.findings[finding] for finding in Finding},
            "not_compared": {str(why): self.not_compared[why] for why in NotCompared},
            "features": {
                name: {
                    "equal": self.compared_values - self.differing[name],
                    "differing": self.differing[name],
                }
                for name in feature_names
            },
            "files": self.files,
            "refused_files": self.refused_files,
            "examples": self.examples,
        }


def measure_skew(
    product: CreditProduct,
    decisions: ServedDecisions,
    *,
    lake: SearchableLake,
    erased: ErasedApplicants,
    bounds: PartBounds,
    secret: bytes,
    settling: timedelta,
    as_of: datetime,
) -> dict[str, Any]:
    """Compare what the decisions of some days were served with the lake; return the report.

    Args:
        product: As it is defined today.
        decisions: Where they are read from.
        lake: The feature files; those of two ttls before the decisions are read.
        erased: Who was erased; nothing of theirs is compared.
        bounds: Files beyond these are read in parts.
        secret: The HMAC key of entity keys: receipts hold hashes, the lake holds keys.
        settling: How long a delivered row may take to be in the online store.
        as_of: Now.

    Raises:
        StoreUnavailableError: The archive, the lake or the list of the erased did not answer.
    """
    found = {view.name: ViewSkew(view.name) for view in product.feature_views}
    moments: dict[str, list[ServedMoment]] = {name: [] for name in found}
    read = damaged = 0
    for decision in decisions:
        if not decision.sampled:
            continue
        read += 1
        try:
            served = json.loads(str(decision.receipt["served"]))
            decided_at = datetime.fromisoformat(str(decision.receipt["decided_at"]))
            for view in product.feature_views:
                part = _comparable(view, served.get(view.name))
                if isinstance(part, NotCompared):
                    found[view.name].not_compared[part] += 1
                else:
                    moment = ServedMoment(
                        decision.application_id, part["entity_key"], decided_at, part
                    )
                    moments[view.name].append(moment)
        except READ_ERRORS:
            damaged += 1
    _leave_out_erased(product, moments, found, erased)
    for view in product.feature_views:
        if moments[view.name]:
            history = _history(
                product,
                view,
                moments[view.name],
                found[view.name],
                lake=lake,
                bounds=bounds,
                secret=secret,
                as_of=as_of,
            )
            for moment in moments[view.name]:
                _compare(view, moment, history[moment.entity_key], found[view.name], settling)
    return {
        "product": product.name,
        "from": str(decisions.days.first),
        "to": str(decisions.days.last),
        "made_at": as_of.isoformat(timespec="seconds"),
        "decisions": decisions.made,
        "read": read,
        "damaged": damaged + decisions.damaged,
        "settling_seconds": settling.total_seconds(),
        "views": {
            view.name: found[view.name].document(feature.name for feature in view.features)
            for view in product.feature_views
        },
    }


def publish_skew(
    document: Mapping[str, Any], *, stage: str, metrics: Metrics, as_of: datetime
) -> None:
    """Publish the share of skewed rows of each view of which something was compared.

    Raises:
        StoreUnavailableError: They are not known to have arrived.
    """
    measurements = [
        Measurement(
            Metric.FEATURE_SKEW,
            view["skewed"] / view["compared"],
            Unit.NONE,
            dimensions(stage=stage, product=document["product"], view=name),
        )
        for name, view in document["views"].items()
        if view["compared"]
    ]
    if measurements:
        metrics.publish(measurements, at=as_of)


def skew_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a report as lines of text."""
    yield (
        f"{document['product']}: {document['decisions']:,} decisions from {document['from']}"
        f" to {document['to']}, {document['read']:,} of them compared with the lake"
    )
    if document["damaged"]:
        yield f"{document['damaged']:,} could not be read"
    for name, view in document["views"].items():
        findings = {word: count for word, count in view["findings"].items() if count}
        told = ", ".join(f"{word.replace('_', ' ')} {count:,}" for word, count in findings.items())
        yield f"{name}: {view['skewed']:,} of {view['compared']:,} skewed ({told or 'nothing'})"
        for feature, counts in view["features"].items():
            if counts["differing"]:
                yield f"  {feature} differs in {counts['differing']:,}"
        for example in view["examples"]:
            finding = example["finding"].replace("_", " ")
            yield f"  application {example['application_id']}: {finding}"
        for why, count in view["not_compared"].items():
            if count:
                yield f"  not compared, {why.replace('_', ' ')}: {count:,}"
        if view["refused_files"]:
            yield f"  {view['refused_files']:,} of {view['files']:,} files are no feature files"


def _comparable(
    view: FeatureView, served: Mapping[str, Any] | None
) -> Mapping[str, Any] | NotCompared:
    """Return what a view gave to a decision, or why that can't be compared.

    Raises:
        KeyError: And others: it is not what a receipt has.
    """
    if served is None:
        return NotCompared.OTHER_DEFINITION
    status = FeatureStatus(served["status"])
    if status in {FeatureStatus.UNAVAILABLE, FeatureStatus.UNREADABLE}:
        return NotCompared.NOT_READ
    features = served["features"]
    if features is not None and set(features) != {feature.name for feature in view.features}:
        return NotCompared.OTHER_DEFINITION
    if served["entity_key"] is None:
        return NotCompared.UNKNOWN_ENTITY
    return served


def _leave_out_erased(
    product: CreditProduct,
    moments: dict[str, list[ServedMoment]],
    found: Mapping[str, ViewSkew],
    erased: ErasedApplicants,
) -> None:
    names = [view.name for view in product.views_of_applicant]
    asked = {hash_in(moment.entity_key) for name in names for moment in moments[name]}
    gone = erased.among(asked) if asked else frozenset()
    for name in names:
        kept = [moment for moment in moments[name] if hash_in(moment.entity_key) not in gone]
        found[name].not_compared[NotCompared.ERASED] += len(moments[name]) - len(kept)
        moments[name] = kept


def _history(
    product: CreditProduct,
    view: FeatureView,
    moments: Sequence[ServedMoment],
    skew: ViewSkew,
    *,
    lake: SearchableLake,
    bounds: PartBounds,
    secret: bytes,
    as_of: datetime,
) -> Mapping[str, Sequence[DeliveredRow]]:
    """Return the valid rows of these entities that some decision may have been served."""
    wanted = {moment.entity_key for moment in moments}
    first_event = min(moment.decided_at for moment in moments) - RETENTION_TTLS * view.ttl
    last_event = max(moment.decided_at for moment in moments)
    known: dict[tuple[str | int, ...], bool] = {}

    def is_wanted(keys: tuple[str | int, ...]) -> bool:
        if keys not in known:
            named = dict(zip(view.entity.key_names, keys, strict=True))
            known[keys] = entity_key(product, view, named, secret=secret) in wanted
        return known[keys]

    history: dict[str, list[DeliveredRow]] = defaultdict(list)
    for file in lake.objects(product.view_prefix(view)):
        if is_hidden(file.key) or file.last_modified + LONGEST_UPLOAD < first_event:
            continue
        skew.files += 1
        inspection = RowInspection(product, view, secret=secret, as_of=as_of, reject=lambda _: None)
        try:
            for part in parts_of(file, footers=lake, bounds=bounds):
                with lake.open(part, view) as opened:
                    rows = opened.rows_of(is_wanted, first_event=first_event, last_event=last_event)
                    for row in inspection.valid_rows(rows):
                        delivered = DeliveredRow(row, file.last_modified.astimezone(UTC))
                        history[row.entity_key].append(delivered)
        except InvalidFeatureFileError:
            # Materialization refuses it too, and says so.
            skew.refused_files += 1
    return history


def _compare(
    view: FeatureView,
    moment: ServedMoment,
    rows: Sequence[DeliveredRow],
    skew: ViewSkew,
    settling: timedelta,
) -> None:
    """Note how what was served compares with the rows of the entity."""
    known = sorted(
        (
            each
            for each in rows
            if max(each.row.event_timestamp, each.row.created_timestamp) <= moment.decided_at
            and each.row.event_timestamp >= moment.decided_at - RETENTION_TTLS * view.ttl
        ),
        key=lambda each: each.row.recency,
        reverse=True,
    )
    served = moment.served
    times = served["event_timestamp"], served["created_timestamp"]
    is_fresh = served["status"] == FeatureStatus.FRESH
    same_times = [each for each in known if _times(each.row) == times]
    same = [each for each in same_times if not is_fresh or each.row.features == served["features"]]
    newer = [each for each in known if each.row.recency > (same[0].row.recency if same else "")]
    arrived = moment.decided_at - settling
    if times[0] is None:
        if not known:
            finding = Finding.EQUAL
        elif all(each.delivered_at > arrived for each in known):
            finding = Finding.LATE
        else:
            finding = Finding.MISSING_ONLINE
    elif same_times and not same:
        finding = Finding.OTHER_VALUES
    elif not same:
        finding = Finding.MISSING_OFFLINE
    elif newer:
        is_late = all(each.delivered_at > arrived for each in newer)
        finding = Finding.LATE if is_late else Finding.OLDER_ROW
    else:
        again = serve_row(view, same[0].row, as_of=moment.decided_at)
        as_served = again.status == served["status"] and again.features == served["features"]
        finding = Finding.EQUAL if as_served else Finding.OTHER_RULE
    skew.note(moment, finding)
    if is_fresh and known and finding is not Finding.LATE:
        skew.compared_values += 1
        expected = (same_times or known)[0].row.features
        for feature in view.features:
            if served["features"][feature.name] != expected[feature.name]:
                skew.differing[feature.name] += 1


def _times(row: FeatureRow) -> tuple[str, str]:
    return timestamp_text(row.event_timestamp), timestamp_text(row.created_timestamp)
