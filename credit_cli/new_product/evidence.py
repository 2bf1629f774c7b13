"""What the rows say of a column: how well it tells the outcome by itself, and which way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_cli.new_product.profile import CLEANED
from credit_cli.new_product.values import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from credit_cli.new_product.lender_file import LenderFile
    from credit_cli.new_product.outcome import Outcome
    from credit_cli.new_product.profile import Profile

MOST_ROWS = 100_000
"""Rows, drawn once, that evidence is taken from."""
BINS = 20
FEWEST_DEFAULTS = 30
"""Fewer defaults, or others, say nothing of a single column."""
UNKNOWN_BIN = -1
PURE_RATE, PURE_SHARE = 0.98, 0.10
"""As the leakage gate: bins of which 98 % defaulted and that cover a tenth of all defaults."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one column, measured on rows that its bins were not made with.

    ``rows`` were measured. ``auc`` is at least 0.5, ``auc_of_unknown`` that of being unknown.
    ``trend`` is the correlation of ranks with defaulting, None where there are no numbers.
    ``is_pure`` says that some of its values nearly always default.
    """

    rows: int
    auc: float
    auc_of_unknown: float
    trend: float | None
    is_pure: bool


def evidence_of(
    file: LenderFile, profiles: Sequence[Profile], outcome: Outcome
) -> dict[str, Evidence]:
    """Return the evidence of each column by its name, none where too few rows have an outcome."""
    chosen = [it for it in profiles if it is not outcome.profile and it.known]
    values = [it.sql if it.form.kind is not Kind.DATE else f"epoch({it.sql})" for it in chosen]
    listed = ", ".join(f"{sql} AS v{place}" for place, sql in enumerate(values))
    listed = f", {listed}" if listed else ""
    file.query(
        f"CREATE OR REPLACE TABLE drawn AS SELECT {outcome.sql} AS label{listed}"  # noqa: S608 (our own)
        f" FROM {CLEANED} WHERE ({outcome.sql}) IS NOT NULL ORDER BY hash(rowid) LIMIT {MOST_ROWS}"
    )
    label = _column(file, "label").astype(np.float64)
    defaults = int(label.sum())
    if min(defaults, len(label) - defaults) < FEWEST_DEFAULTS:
        return {}
    return {
        it.name: _measured(_column(file, f"v{place}"), label, numeric=it.form.kind is not Kind.TEXT)
        for place, it in enumerate(chosen)
    }


def _column(file: LenderFile, name: str) -> NDArray[np.generic]:
    found = file.connection.execute(f"SELECT {name} FROM drawn").fetchnumpy()[name]  # noqa: S608 (our own)
    values = np.ma.getdata(found)
    mask = np.ma.getmaskarray(found)
    if values.dtype == object:
        return np.array(
            [None if gone else it for it, gone in zip(values, mask, strict=True)], dtype=object
        )
    return np.where(mask, np.nan, values.astype(np.float64))


def _measured(
    values: NDArray[np.generic], label: NDArray[np.float64], *, numeric: bool
) -> Evidence:
    if numeric:
        numbers = values.astype(np.float64)
        unknown = np.isnan(numbers)
        bins = np.full(len(numbers), UNKNOWN_BIN)
        known = numbers[~unknown]
        edges: NDArray[np.float64] = np.empty(0)
        if known.size:
            edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        # A value of its own, such as 0, gets a bin of its own.
        bins[~unknown] = np.searchsorted(edges, known, "left") + np.searchsorted(
            edges, known, "right"
        )
        trend = _trend(numbers[~unknown], label[~unknown])
    else:
        codes: dict[object, int] = {None: UNKNOWN_BIN}
        for it in values:
            codes.setdefault(it, len(codes))
        bins = np.array([codes[it] for it in values])
        unknown, trend = bins == UNKNOWN_BIN, None
    tuned = np.arange(len(label)) % 2 == 0
    rates = _rates(bins[tuned], label[tuned])
    base = float(label[tuned].mean())
    scores = np.array([rates.get(int(it), base) for it in bins[~tuned]])
    auc = _auc(scores, label[~tuned])
    of_unknown = _auc(unknown.astype(np.float64), label)
    return Evidence(
        len(label), max(auc, 0.5), max(of_unknown, 1 - of_unknown), trend, _is_pure(bins, label)
    )


def _rates(bins: NDArray[np.int64], label: NDArray[np.float64]) -> dict[int, float]:
    base = float(label.mean())
    found = {}
    for it in np.unique(bins):
        inside = label[bins == it]
        found[int(it)] = float((inside.sum() + 10 * base) / (len(inside) + 10))
    return found


def _is_pure(bins: NDArray[np.int64], label: NDArray[np.float64]) -> bool:
    covered = 0.0
    for it in np.unique(bins):
        inside = label[bins == it]
        if len(inside) >= FEWEST_DEFAULTS and inside.mean() >= PURE_RATE:
            covered += inside.sum()
    return bool(covered >= PURE_SHARE * label.sum())


def _auc(scores: NDArray[np.float64], label: NDArray[np.float64]) -> float:
    """Return how often a default has the higher score, ties counting half."""
    bad = label == 1
    if not bad.any() or bad.all():
        return 0.5
    ranks = _ranks(scores)
    count = int(bad.sum())
    below = float(ranks[bad].sum()) - count * (count + 1) / 2
    return below / (count * (len(label) - count))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: NDArray[np.float64] = last - (counts - 1) / 2
    return mean[inverse]


def _trend(numbers: NDArray[np.float64], label: NDArray[np.float64]) -> float | None:
    if numbers.size < FEWEST_DEFAULTS or np.ptp(numbers) == 0 or np.ptp(label) == 0:
        return None
    return float(np.corrcoef(_ranks(numbers), label)[0, 1])
