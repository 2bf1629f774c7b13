"""Reads the result of the point-in-time query and keeps the rows that could have been scored."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.point_in_time import training_set_columns, view_event_column
from credit_core.domain.product import REFER, DType
from credit_core.errors import TrainingDataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Feature, FeatureView, Value

type Columns = dict[str, tuple[str, ...]]

HOLDOUT_SHARE = 0.25
"""Share of the loans, the last ones in time, that no training step sees."""

FEWEST_OF_A_CLASS = 20
"""Below this many goods or bads on a side of the split nothing can be fitted or measured."""


@dataclass(frozen=True, slots=True)
class LoanSet:
    """Loans in order of time.

    ``matrix`` is the model input, float32 of shape (n, G); ``defaulted`` is int of shape (n,),
    1 for a default; ``event_timestamps`` is datetime64[us] of shape (n,), UTC.
    """

    matrix: NDArray[np.float32]
    defaulted: NDArray[np.int64]
    event_timestamps: NDArray[np.datetime64]

    def __len__(self) -> int:
        """Return the number of loans."""
        return len(self.defaulted)

    @property
    def defaults(self) -> int:
        """Number of loans that defaulted."""
        return int(self.defaulted.sum())

    def where(self, chosen: NDArray[np.bool_]) -> LoanSet:
        """Return the loans for which ``chosen``, shape (n,), is true."""
        return LoanSet(self.matrix[chosen], self.defaulted[chosen], self.event_timestamps[chosen])


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The loans to train on and test with, and what was left out.

    ``referred`` rows lack a view that a decision cannot do without; ``unservable`` rows hold a
    value outside the product's definition. Scoring would have refused both, so the model must
    not learn from them.
    """

    loans: LoanSet
    sha256: str
    rows: int
    referred: int
    unservable: int


def read_training_set(product: CreditProduct, body: bytes) -> TrainingSet:
    """Read the CSV that the product's training-set query returned.

    Args:
        product: Whose training set it is.
        body: CSV with a header, UTF-8. An empty field is null.

    Raises:
        TrainingDataError: A column is missing, or a number, label or timestamp cannot be read.
    """
    columns = _columns(product, body)
    applied = _timestamps("event_timestamp", columns["event_timestamp"])
    rows = len(applied)
    defaulted = _labels(product.label.name, columns[product.label.name])
    values = {
        feature.name: _values(feature, columns[feature.name]) for feature in product.base_features
    }
    referred = np.zeros(rows, dtype=bool)
    unservable = np.zeros(rows, dtype=bool)
    for feature in product.request_features:
        unservable |= _faulty(feature, values[feature.name])
    for view in product.feature_views:
        name = view_event_column(view)
        fresh, refer = _freshness(view, applied, _timestamps(name, columns[name]))
        referred |= refer
        for feature in view.features:
            unservable |= _faulty(feature, values[feature.name]) & fresh
    kept = np.flatnonzero(~referred & ~unservable)
    kept = kept[np.argsort(applied[kept], kind="stable")]
    matrix = feature_matrix(
        product, {name: [column[row] for row in kept] for name, column in values.items()}
    )
    return TrainingSet(
        loans=LoanSet(matrix, defaulted[kept], applied[kept]),
        sha256=hashlib.sha256(body).hexdigest(),
        rows=rows,
        referred=int(referred.sum()),
        unservable=int((unservable & ~referred).sum()),
    )


def split_out_of_time(loans: LoanSet) -> tuple[LoanSet, LoanSet]:
    """Return the loans to train on and the later ones to test with.

    Loans of the instant at which the last quarter begins are all tested.

    Raises:
        TrainingDataError: A side has too few loans that defaulted, or too few that did not.
    """
    if len(loans) == 0:
        raise TrainingDataError("the training set has no loan that could have been scored")
    border = loans.event_timestamps[int(len(loans) * (1 - HOLDOUT_SHARE))]
    earlier = loans.event_timestamps < border
    train, test = loans.where(earlier), loans.where(~earlier)
    for name, part in (("to train on", train), ("to test with", test)):
        goods, bads = len(part) - part.defaults, part.defaults
        if min(goods, bads) < FEWEST_OF_A_CLASS:
            message = (
                f"the {len(part)} loans {name} have {bads} defaults and {goods} others; "
                f"each must be at least {FEWEST_OF_A_CLASS}"
            )
            raise TrainingDataError(message)
    return train, test


def _columns(product: CreditProduct, body: bytes) -> Columns:
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


def _values(feature: Feature, texts: Sequence[str]) -> list[Value]:
    if feature.dtype is DType.CATEGORY:
        return [text or None for text in texts]
    try:
        numbers = [float(text) if text else None for text in texts]
    except ValueError:
        raise TrainingDataError(f"column {feature.name} holds text that is no number") from None
    if feature.dtype is DType.FLOAT:
        return list(numbers)
    return [
        int(number) if number is not None and number.is_integer() else number for number in numbers
    ]


def _faulty(feature: Feature, values: Sequence[Value]) -> NDArray[np.bool_]:
    return np.array([feature.value_fault(value) is not None for value in values], dtype=bool)


def _labels(name: str, texts: Sequence[str]) -> NDArray[np.int64]:
    strange = set(texts) - {"0", "1"}
    if strange:
        raise TrainingDataError(f"label {name} must be 0 or 1; {len(strange)} other values found")
    return np.array([int(text) for text in texts], dtype=np.int64)


def _timestamps(name: str, texts: Sequence[str]) -> NDArray[np.datetime64]:
    """Return UTC times, NaT for null. Athena and DuckDB write them without a zone."""
    try:
        moments = [datetime.fromisoformat(text) if text else None for text in texts]
    except ValueError:
        raise TrainingDataError(f"column {name} holds text that is no timestamp") from None
    if any(moment is not None and moment.tzinfo is not None for moment in moments):
        raise TrainingDataError(f"column {name} has a time zone; expected UTC without one")
    return np.array(moments, dtype="datetime64[us]")


def _freshness(
    view: FeatureView, applied: NDArray[np.datetime64], event: NDArray[np.datetime64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows have fresh features of a view, and which a decision would refer."""
    missing = np.isnat(event)
    # The comparison is false for NaT.
    stale = applied - event > np.timedelta64(int(view.ttl_seconds), "s")
    refer = np.zeros(len(applied), dtype=bool)
    if view.when_missing == REFER:
        refer |= missing
    if view.when_stale == REFER:
        refer |= stale
    return ~missing & ~stale, refer
