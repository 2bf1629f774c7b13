"""From a table of labelled applications to the loans that could have been scored."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.point_in_time import training_set_columns, view_event_column
from credit_core.domain.product import DType, Refer
from credit_core.errors import TrainingDataError, fault_location
from model_build.loans import LoanSet, TrainingSet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Defaults, Feature, FeatureView

type Texts = NDArray[np.object_]
"""Text of shape (n,), None for null."""

NOT_LABELLED = -1
"""Stands for the outcome that an application does not have yet."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers, shape (n,); where ``null``, the value is NaN. Another NaN is a value."""

    values: NDArray[np.float64]
    null: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ApplicationTable:
    """Applications as they lie in a table, n rows, each column read but none judged.

    ``numbers`` and ``categories`` have all of the product's base features between them.
    ``outcomes`` is 1, 0 or ``NOT_LABELLED``. ``event_timestamps`` is datetime64[us], UTC, None
    where the table has no time; ``view_events`` has the time of what was found of a view, NaT where
    nothing was, for those views of which the table tells it. ``applicants`` has a number per
    applicant, None where the table does not tell them apart: each row is one then.
    """

    numbers: Mapping[str, Numbers]
    categories: Mapping[str, Texts]
    outcomes: NDArray[np.int64]
    event_timestamps: NDArray[np.datetime64] | None
    view_events: Mapping[str, NDArray[np.datetime64]]
    applicants: NDArray[np.int64] | None = None
    groups: Mapping[str, Texts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """What scoring would have made of the rows.

    ``matrix`` is the model input, float32 of shape (n, G); ``referred`` and, by feature, ``faulty``
    are masks of shape (n,); ``newer`` counts, by view, labelled rows with features of the future.
    """

    matrix: NDArray[np.float32]
    referred: NDArray[np.bool_]
    faulty: dict[str, NDArray[np.bool_]]
    newer: dict[str, int]

    @property
    def unservable(self) -> NDArray[np.bool_]:
        """Which rows hold a value that a request could not have, shape (n,)."""
        return _any_of(list(self.faulty.values()))


def read_training_set(product: CreditProduct, body: bytes) -> TrainingSet:
    """Read the CSV that the product's training-set query returned.

    Args:
        product: Whose training set it is.
        body: CSV with a header, UTF-8. An empty field is null.

    Raises:
        TrainingDataError: A column is missing, or a number, label or timestamp cannot be read.
    """
    columns = _columns(product, body)
    features = product.base_features
    table = ApplicationTable(
        numbers={
            feature.name: _numbers(feature.name, columns[feature.name])
            for feature in features
            if feature.dtype is not DType.CATEGORY
        },
        categories={
            feature.name: _texts(columns[feature.name])
            for feature in features
            if feature.dtype is DType.CATEGORY
        },
        outcomes=_outcomes(product.label.name, columns[product.label.name]),
        event_timestamps=_timestamps("event_timestamp", columns["event_timestamp"]),
        view_events={
            view.name: _timestamps(name, columns[name])
            for view in product.feature_views
            for name in [view_event_column(view)]
        },
        groups={group.name: _texts(columns[group.name]) for group in product.monitored_groups},
    )
    return training_set_of(product, table, sha256=hashlib.sha256(body).hexdigest())


def training_set_of(product: CreditProduct, table: ApplicationTable, *, sha256: str) -> TrainingSet:
    """Keep the applications that have an outcome and could have been scored.

    What a decision would have found is applied: a view that is missing or stale refers the
    application or leaves its declared defaults. Of a view whose times the table does not tell,
    everything counts as fresh, but for rows in which it is wholly null: there it is missing.

    Args:
        product: Whose applications these are.
        table: The applications.
        sha256: Fingerprint of what they were read from.

    Raises:
        TrainingDataError: An application has no time, though the table has times.
    """
    labelled = table.outcomes != NOT_LABELLED
    if table.event_timestamps is not None:
        untimed = labelled & np.isnat(table.event_timestamps)
        if untimed.any():
            raise TrainingDataError(
                f"column event_timestamp is empty in {untimed.sum()} labelled row(s), the first of "
                f"them row {int(np.argmax(untimed)) + 1}: fill them in, or leave the column out"
            )
    served = served_of(product, table)
    scored = labelled & ~served.referred
    kept = np.flatnonzero(scored & ~served.unservable)
    if table.event_timestamps is not None:
        kept = kept[np.argsort(table.event_timestamps[kept], kind="stable")]
    applicants = np.arange(len(labelled)) if table.applicants is None else table.applicants
    loans = LoanSet(
        served.matrix[kept],
        table.outcomes[kept],
        None if table.event_timestamps is None else table.event_timestamps[kept],
        applicants[kept],
        {
            group.name: _stated(table.groups.get(group.name), group.values, kept)
            for group in product.monitored_groups
        },
    )
    counts = {name: int((faulty & scored).sum()) for name, faulty in served.faulty.items()}
    return TrainingSet(
        loans=loans,
        sha256=sha256,
        rows=len(labelled),
        referred=int((served.referred & labelled).sum()),
        unservable={name: count for name, count in counts.items() if count},
        unservable_rows=int((served.unservable & scored).sum()),
        features_newer={name: count for name, count in served.newer.items() if count},
        not_labelled=int((~labelled).sum()),
    )


def served_of(product: CreditProduct, table: ApplicationTable) -> Served:
    """Return what scoring would have made of the rows of a table.

    Raises:
        TrainingDataError: A derived feature cannot be computed.
    """
    rows = len(table.outcomes)
    values: dict[str, NDArray[np.float64] | Texts] = {}
    faulty: dict[str, NDArray[np.bool_]] = {}
    newer: dict[str, int] = {}
    referred = np.zeros(rows, dtype=bool)
    for feature in product.request_features:
        values[feature.name] = _values(table, feature)
        faulty[feature.name] = _faulty(feature, table)
    for view in product.feature_views:
        missing, stale = _age(view, table, newer)
        rules = ((view.when_missing, missing), (view.when_stale, stale))
        for rule, chosen in rules:
            if isinstance(rule, Refer):
                referred |= chosen
        for feature in view.features:
            found = _values(table, feature)
            if feature.unknown_category is not None:
                found = np.array([feature.known(value) for value in found], dtype=object)
                faulty[feature.name] = np.zeros(rows, dtype=bool)
            else:
                faulty[feature.name] = _faulty(feature, table) & ~missing & ~stale
            for rule, chosen in rules:
                if not isinstance(rule, Refer):
                    found[chosen] = _default(feature, rule)
            values[feature.name] = found
    matrix = _matrix(product, values)
    sound = ~_any_of(list(faulty.values()))
    for place, feature in enumerate(product.model_features):
        # A decision refers what is beyond the numbers that a model takes.
        infinite = np.isinf(matrix[:, place]) & sound
        faulty[feature.name] = faulty.get(feature.name, False) | infinite
    return Served(matrix, referred, faulty, newer)


def _any_of(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    return np.any(np.stack(masks), axis=0)


def _matrix(
    product: CreditProduct, values: Mapping[str, NDArray[np.float64] | Texts]
) -> NDArray[np.float32]:
    try:
        # Of rows that are left out anything may be derived; what comes out is looked at.
        with np.errstate(all="ignore"):
            return feature_matrix(product, {name: list(its) for name, its in values.items()})
    except Exception as error:  # noqa: BLE001 (a lender's own function may raise anything)
        # Where, and not what it says: that may be an applicant's value, and this becomes a log line
        # and a part of an execution's history.
        raise TrainingDataError(
            f"a derived feature of {product.name} cannot be computed: {fault_location(error)}"
        ) from None


def _values(table: ApplicationTable, feature: Feature) -> NDArray[np.float64] | Texts:
    if feature.dtype is DType.CATEGORY:
        return table.categories[feature.name].copy()
    return table.numbers[feature.name].values.copy()


def _default(feature: Feature, rule: Defaults) -> Any:
    value = rule.values.get(feature.name)
    return np.nan if value is None and feature.dtype is not DType.CATEGORY else value


def _faulty(feature: Feature, table: ApplicationTable) -> NDArray[np.bool_]:
    """Return what ``Feature.value_fault`` finds, for a whole column: bool, shape (n,)."""
    if feature.dtype is DType.CATEGORY:
        allowed = {*feature.categories, *((None,) if feature.nullable else ())}
        return np.array([text not in allowed for text in table.categories[feature.name]], bool)
    column = table.numbers[feature.name]
    fine = np.isfinite(column.values)
    if feature.minimum is not None and feature.maximum is not None:
        fine &= (column.values >= feature.minimum) & (column.values <= feature.maximum)
    if feature.dtype is DType.INTEGER:
        fine &= column.values == np.floor(column.values)
    if feature.nullable:
        fine |= column.null
    return ~fine


def _age(
    view: FeatureView, table: ApplicationTable, newer: dict[str, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return in which rows a view is missing, and in which stale; count those of the future."""
    if view.name not in table.view_events or table.event_timestamps is None:
        nulls = [_null(table, feature) for feature in view.features]
        return np.logical_and.reduce(nulls), np.zeros(len(table.outcomes), dtype=bool)
    events, applied = table.view_events[view.name], table.event_timestamps
    # Comparisons are false for NaT.
    newer[view.name] = int(((events > applied) & (table.outcomes != NOT_LABELLED)).sum())
    stale = applied - events > np.timedelta64(int(view.ttl_seconds), "s")
    return np.isnat(events), stale


def _null(table: ApplicationTable, feature: Feature) -> NDArray[np.bool_]:
    if feature.dtype is DType.CATEGORY:
        return np.array([text is None for text in table.categories[feature.name]], dtype=bool)
    return table.numbers[feature.name].null


def _stated(
    texts: Texts | None, values: Sequence[str], kept: NDArray[np.int64]
) -> NDArray[np.str_]:
    if texts is None:
        return np.full(len(kept), "", dtype=np.str_)
    return np.array([text if text in values else "" for text in texts[kept]], dtype=np.str_)


def _columns(product: CreditProduct, body: bytes) -> dict[str, tuple[str, ...]]:
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TrainingDataError(f"the training set is no CSV: {error}") from None
    header = lines[0] if lines else []
    missing = [name for name in training_set_columns(product) if name not in header]
    if missing:
        raise TrainingDataError(f"the training set lacks column(s) {', '.join(missing)}")
    if len(lines) == 1:
        raise TrainingDataError("the training set has no rows: no application has a label yet")
    ragged = next((line for line in lines if len(line) != len(header)), None)
    if ragged is not None:
        message = f"a row has {len(ragged)} fields; the header has {len(header)}"
        raise TrainingDataError(message)
    return dict(zip(header, zip(*lines[1:], strict=True), strict=True))


def _texts(texts: Sequence[str]) -> Texts:
    return np.array([text or None for text in texts], dtype=object)


def _numbers(name: str, texts: Sequence[str]) -> Numbers:
    values = _read(name, "number", float, texts, missing=np.nan)
    return Numbers(
        np.array(values, dtype=np.float64), np.array([not text for text in texts], dtype=bool)
    )


def _outcomes(name: str, texts: Sequence[str]) -> NDArray[np.int64]:
    strange = set(texts) - {"0", "1", ""}
    if strange:
        raise TrainingDataError(f"label {name} must be 0 or 1; {len(strange)} other values found")
    return np.array([int(text) if text else NOT_LABELLED for text in texts], dtype=np.int64)


def _timestamps(name: str, texts: Sequence[str]) -> NDArray[np.datetime64]:
    """Return UTC times, NaT for null. Athena and DuckDB write them without a zone."""
    moments = _read(name, "timestamp", datetime.fromisoformat, texts, missing=None)
    if any(moment is not None and moment.tzinfo is not None for moment in moments):
        raise TrainingDataError(f"column {name} has a time zone; expected UTC without one")
    return np.array(moments, dtype="datetime64[us]")


def _read[Read](
    name: str,
    kind: str,
    parse: Callable[[str], Read],
    texts: Sequence[str],
    *,
    missing: Read | None,
) -> list[Read | None]:
    values: list[Read | None] = []
    for row, text in enumerate(texts, start=1):
        try:
            values.append(parse(text) if text else missing)
        except ValueError:
            raise TrainingDataError(
                f"column {name} holds text that is no {kind}, the first in row {row}"
            ) from None
    return values
