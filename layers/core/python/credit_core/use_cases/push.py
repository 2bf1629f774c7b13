"""Bring single rows that arrive as events into the lake and the online store.

A row is appended to the lake first, so that training never misses what scoring saw, and then
written through the same guard as rows of files. It passes the same checks as those, after the ones
that a file's columns stand for. A row of an erased applicant goes nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from credit_core.domain.feature_event import FIELDS
from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.online_store import hash_in, keyed_hash
from credit_core.domain.places import pushed_prefix
from credit_core.domain.product import DType
from credit_core.errors import StoreUnavailableError
from credit_core.ports import LakeRow, RejectedRow
from credit_core.use_cases.materialize import RowInspection, write_newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import CreditProduct, EntityKey, Feature, FeatureView, Value
    from credit_core.ports import (
        ErasedApplicants,
        LakeAppender,
        Metrics,
        OnlineStoreWriter,
        RejectedRows,
    )

TIMESTAMP = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
"""Source: RFC 3339, section 5.6."""
HALF_A_MILLISECOND = timedelta(microseconds=500)


@dataclass(frozen=True, slots=True)
class FeatureEvent:
    """A row as it was pushed, not yet checked.

    ``message_id`` is what its carrier calls it, ``event_id`` what its sender was told.
    """

    message_id: str
    event_id: str
    detail: object


@dataclass(frozen=True, slots=True)
class ValidEvent:
    """A row that can be written, as the lake holds it and as the online store does."""

    view: FeatureView
    lake_row: LakeRow
    row: FeatureRow

    @property
    def known_from(self) -> datetime:
        """From when on decisions may know the row."""
        return max(self.row.event_timestamp, self.row.created_timestamp)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of pushed rows; each is counted once.

    ``rejected`` are the event ids of noted rows with their faults. ``unsettled`` are the message
    ids of rows, valid or not, that a store did not take, with the reason: push them again.
    ``erased`` counts rows of erased applicants, which were dropped.
    """

    written: int
    stale: int
    rejected: tuple[tuple[str, tuple[str, ...]], ...]
    unsettled: tuple[tuple[str, str], ...]
    erased: int = 0


def push(
    product: CreditProduct,
    events: Sequence[FeatureEvent],
    *,
    stage: str,
    lake: LakeAppender,
    store: OnlineStoreWriter,
    rejected_rows: RejectedRows,
    erased: ErasedApplicants,
    metrics: Metrics,
    secret: bytes,
    as_of: datetime,
    wait: Callable[[float], None],
) -> Pushed:
    """Append each valid row to the lake and write it, unless the store holds a newer one.

    What a store did not take is returned, not raised: the others are settled all the same.

    Args:
        product: Whose features these are.
        events: The rows as they were pushed.
        stage: The deployment, a dimension of the metric.
        lake: Where rows are appended.
        store: Where they are written.
        rejected_rows: Where rows that cannot be written are noted.
        erased: Who was erased: not even the lake receives their rows.
        metrics: Where these are counted.
        secret: The HMAC key of entity keys.
        as_of: Now; a row from much later than that is rejected.
        wait: Returns after that many seconds; rows from a little later than now are waited for.
    """
    inspected = [
        (event, inspect_event(product, event.detail, secret=secret, as_of=as_of))
        for event in events
    ]
    rejected = [(event, found) for event, found in inspected if isinstance(found, RejectedRow)]
    noted, unsettled = _note(rejected, rejected_rows=rejected_rows, as_of=as_of)
    if noted:
        named = dimensions(stage=stage, product=product.name)
        count = Measurement(Metric.REJECTED_PUSHES, len(noted), Unit.COUNT, named)
        try:
            metrics.publish([count], at=as_of)
        except StoreUnavailableError as error:
            # Nobody would hear of them, so they have to come again.
            unsettled += [(event.message_id, str(error)) for event, _ in noted]
            noted = []
    valid = [(event, found) for event, found in inspected if isinstance(found, ValidEvent)]
    living, unknown = _of_the_living(product, valid, erased=erased)
    unsettled += unknown
    appended: list[tuple[FeatureEvent, ValidEvent]] = []
    for event, found in living:
        try:
            lake.append(pushed_key(product, found, secret=secret), found.lake_row, found.view)
        except StoreUnavailableError as error:
            unsettled.append((event.message_id, str(error)))
        else:
            appended.append((event, found))
    written = stale = 0
    now = as_of
    for view, pairs in _written_together(appended, as_of=as_of):
        rows = [found.row for _, found in pairs]
        try:
            sent, counts = write_newest(product, view, rows, store=store, as_of=now, wait=wait)
        except StoreUnavailableError as error:
            unsettled += [(event.message_id, str(error)) for event, _ in pairs]
        else:
            written += counts.written
            stale += counts.stale + len(rows) - sent
        now = max(now, *(found.known_from for _, found in pairs))
    told = tuple((event.event_id, found.faults) for event, found in noted)
    dropped = len(valid) - len(living) - len(unknown)
    return Pushed(written, stale, told, tuple(unsettled), dropped)


def _of_the_living(
    product: CreditProduct,
    valid: Sequence[tuple[FeatureEvent, ValidEvent]],
    *,
    erased: ErasedApplicants,
) -> tuple[Sequence[tuple[FeatureEvent, ValidEvent]], Sequence[tuple[str, str]]]:
    """Return the rows of nobody who was erased; message id and reason of those not known to be."""
    of_applicants = {view.name for view in product.views_of_applicant}
    asked = [pair for pair in valid if pair[1].view.name in of_applicants]
    try:
        gone = erased.among({hash_in(found.row.entity_key) for _, found in asked}) if asked else ()
    except StoreUnavailableError as error:
        unknown = [(event.message_id, str(error)) for event, _ in asked]
        return [pair for pair in valid if pair not in asked], unknown
    return [
        pair
        for pair in valid
        if pair[1].view.name not in of_applicants or hash_in(pair[1].row.entity_key) not in gone
    ], ()


def _written_together(
    appended: Iterable[tuple[FeatureEvent, ValidEvent]], *, as_of: datetime
) -> Iterator[tuple[FeatureView, Sequence[tuple[FeatureEvent, ValidEvent]]]]:
    """Yield the rows of each view that may be known by now, then those of the future, one by one.

    Rows of an entity are next to each other; who has to wait keeps nobody else waiting.
    """
    known: list[tuple[FeatureEvent, ValidEvent]] = []
    future: list[tuple[FeatureEvent, ValidEvent]] = []
    for pair in appended:
        (future if pair[1].known_from > as_of else known).append(pair)
    known.sort(key=lambda pair: (pair[1].view.name, pair[1].row.entity_key))
    for _, of_view in groupby(known, key=lambda pair: pair[1].view.name):
        pairs = tuple(of_view)
        yield pairs[0][1].view, pairs
    for pair in sorted(future, key=lambda pair: pair[1].known_from):
        yield pair[1].view, (pair,)


def _note(
    rejected: Sequence[tuple[FeatureEvent, RejectedRow]],
    *,
    rejected_rows: RejectedRows,
    as_of: datetime,
) -> tuple[list[tuple[FeatureEvent, RejectedRow]], list[tuple[str, str]]]:
    """Note rejected rows; return those that were, and message id and reason of the others."""
    noted, unsettled = [], []
    for event, row in rejected:
        try:
            with rejected_rows.open(f"{as_of.date().isoformat()}/{event.event_id}") as reject:
                reject(row)
        except StoreUnavailableError as error:
            unsettled.append((event.message_id, str(error)))
        else:
            noted.append((event, row))
    return noted, unsettled


def pushed_key(product: CreditProduct, event: ValidEvent, *, secret: bytes) -> str:
    """Return where a row lies in the lake: one place, whoever repeats it and however often.

    Senders, the bus and queues all deliver twice at times; the row itself is what they repeat.
    """
    day = event.row.created_timestamp.date().isoformat()
    name = keyed_hash(secret, event.row.entity_key, event.row.recency)
    return f"{pushed_prefix(product, event.view)}{day}/{name}.parquet"


def inspect_event(
    product: CreditProduct, detail: object, *, secret: bytes, as_of: datetime
) -> ValidEvent | RejectedRow:
    """Check a pushed row against the product's definition and find all its faults at once.

    Args:
        product: Whose row it should be.
        detail: What was sent: an object of ``FIELDS``, all required, and nothing else.
        secret: The HMAC key of entity keys.
        as_of: Now; a row from much later than that is rejected.

    Returns:
        The row; or its faults, none of which repeats a value.
    """
    if not isinstance(detail, Mapping):
        return RejectedRow(0, None, ("detail is not a JSON object",))
    faults = list(_name_faults("detail", detail, FIELDS))
    event_timestamp = _timestamp(detail, "event_timestamp", faults)
    created_timestamp = _timestamp(detail, "created_timestamp", faults)
    view = next((view for view in product.feature_views if view.name == detail.get("view")), None)
    if view is None:
        if "view" in detail:
            faults.append(f"view is none of {', '.join(v.name for v in product.feature_views)}")
        return RejectedRow(0, None, tuple(faults))
    keys = _object(detail, "keys", view.entity.key_names, faults)
    features = _object(detail, "features", [feature.name for feature in view.features], faults)
    row = LakeRow(
        0,
        tuple(_key(key, keys, faults) for key in view.entity.keys),
        event_timestamp,
        created_timestamp,
        tuple(_value(feature, features, faults) for feature in view.features),
    )
    rejected: list[RejectedRow] = []
    inspection = RowInspection(product, view, secret=secret, as_of=as_of, reject=rejected.append)
    valid = next(inspection.valid_rows([row]), None)
    if valid and not faults:
        return ValidEvent(view, row, valid)
    # What was found faulty here went on as null, and was found to be null there.
    told = {_subject(fault) for fault in faults}
    for found in rejected:
        faults += [fault for fault in found.faults if _subject(fault) not in told]
    hashed = valid.entity_key if valid else rejected[0].entity_key
    return RejectedRow(0, hashed, tuple(faults))


def _subject(fault: str) -> str:
    """Return the name that a fault begins with."""
    return fault.partition(" ")[0]


def _name_faults(where: str, found: Mapping[str, object], expected: Sequence[str]) -> Iterator[str]:
    yield from (f"{name} is missing" for name in expected if name not in found)
    # They are counted, not repeated: a name that nobody defined may hold a value.
    unknown = len(found.keys() - set(expected))
    if unknown:
        yield f"{where} has {unknown} {'name' if unknown == 1 else 'names'} beyond those defined"


def _object(
    detail: Mapping[str, object], name: str, expected: Sequence[str], faults: list[str]
) -> Mapping[str, object]:
    """Return the object of that name with all expected names, null for each that is missing."""
    found = detail.get(name)
    if not isinstance(found, Mapping):
        if name in detail:
            faults.append(f"{name} is not a JSON object")
        found = {}
    faults += _name_faults(name, found, expected)
    return {each: found.get(each) for each in expected}


def _key(key: EntityKey, keys: Mapping[str, object], faults: list[str]) -> str | int | None:
    """Return a key as the lake may hold it, else None with its fault."""
    value = keys[key.name]
    fault = key.value_fault(value) if value is not None else None
    if fault is None and isinstance(value, str) and not _is_unicode(value):
        fault = "is not text"
    if fault:
        faults.append(f"{key.name} {fault}")
        return None
    return value if isinstance(value, str | int) else None


def _value(feature: Feature, features: Mapping[str, object], faults: list[str]) -> Value:
    """Return a feature's value as the lake may hold it, else None with its fault.

    Whether it is one that the feature allows is seen to by the inspection of rows.
    """
    value = features[feature.name]
    if value is None:
        return None
    if feature.dtype is DType.CATEGORY:
        if isinstance(value, str) and _is_unicode(value):
            return value
        faults.append(f"{feature.name} is not text")
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        faults.append(f"{feature.name} is not a number")
        return None
    if feature.dtype is DType.FLOAT and not feature.value_fault(value):
        # As a column of doubles gives it back, so that both write the same.
        return float(value)
    return value


def _is_unicode(text: str) -> bool:
    """Tell whether text can be stored: JSON may escape halves of characters."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _timestamp(detail: Mapping[str, object], name: str, faults: list[str]) -> datetime | None:
    """Return the instant in whole milliseconds, half up as Athena rounds, else None with its fault.

    >>> _timestamp({"at": "2026-11-22T10:00:00.0005+01:00"}, "at", []).isoformat()
    '2026-11-22T09:00:00.001000+00:00'
    """
    value = detail.get(name)
    if isinstance(value, str) and TIMESTAMP.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value.upper()).astimezone(UTC) + HALF_A_MILLISECOND
        except (ValueError, OverflowError):
            pass  # a month or a minute that does not exist, or a date beyond the calendar
        else:
            return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
    if name in detail:
        faults.append(f"{name} is not an ISO 8601 date and time with a time zone")
    return None
