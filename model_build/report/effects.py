"""What the model makes of each input: shapes, pairs, contributions and reasons.

Everything here asks the ONNX file itself, as it would be served, never the classifier it was made
from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.pages.words import compact
from credit_core.domain.policy import points_per_log_odds
from credit_core.domain.reasons import (
    adverse_action_reasons,
    efficiency_error,
    pairwise_shapley,
    perturbations,
)
from credit_core.domain.terms import Terms
from model_build.report.curves import log_odds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Feature
    from model_build.loans import LoanSet
    from model_build.report.inputs import Classifier

SHAPE_LOANS = 120
SHAPE_GRID = 48
CENTRAL_SHARE = 0.01
"""Cut from each end of an input's range before it is drawn: there lie too few loans to show."""
HISTOGRAM_BINS = 24
FEW_VALUES = 12
PAIR_LOANS = 60
PAIR_ROWS = 60_000
"""At most about so many rows are asked to find the strongest pairs."""
PAIR_CELLS = 6
EXPLAINED_LOANS, EXPLAINED_ROWS = 1_000, 600_000
"""So many loans are explained, fewer where each takes many rows."""
ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Effect:
    """What an input does over its range, the others as they are.

    ``values`` has the k values asked, codes for a category; ``mean`` the change of log-odds of
    default, shape (k,), 0 on average over the loans fitted on; ``low`` and ``high`` where the
    middle 80 % of applicants lie, which is wider than the mean only where inputs interact.
    ``unknown`` is the same for a value that is not known, None where none is. ``edges`` and
    ``shares`` tell how the loans fitted on lie; ``unknown_share`` those not known.
    """

    position: int
    values: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    unknown: float | None
    edges: NDArray[np.float64]
    shares: NDArray[np.float64]
    unknown_share: float

    @property
    def spread(self) -> float:
        """From the lowest to the highest effect, in log-odds."""
        known = self.mean if self.unknown is None else np.append(self.mean, self.unknown)
        return float(np.ptp(known))


@dataclass(frozen=True, slots=True)
class Pair:
    """What two inputs do together beyond what each does alone, in log-odds of default.

    ``together`` has shape (rows, columns): a row per value of the first, a column per value of the
    second. ``strength`` is the mean size over loans.
    """

    first: int
    second: int
    first_labels: tuple[str, ...]
    second_labels: tuple[str, ...]
    together: NDArray[np.float64]
    strength: float


@dataclass(frozen=True, slots=True)
class Explained:
    """Contributions of loans and the reasons that declined ones would be given.

    ``mean_size`` is the mean size of each input's contribution in log-odds, shape (G,). ``given``
    counts loans by code, ``first`` those of which it is the strongest; ``texts`` has each code's
    text; ``least_exact`` the largest error of a sum of contributions, in log-odds.
    """

    mean_size: NDArray[np.float64]
    loans: int
    declined: int
    explained: int
    given: Counter[str]
    first: Counter[str]
    texts: dict[str, str]
    without: int
    mean_reasons: float
    least_exact: float


def answers(model: Classifier, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-odds of default of each row, (n, G) to (n,).

    Unlike the scorer's way it never refuses: a report of a broken model has to show what is broken.
    """
    parts = [
        model.probabilities(matrix[start : start + ROWS_AT_ONCE])[:, 1].astype(np.float64)
        for start in range(0, len(matrix), ROWS_AT_ONCE)
    ]
    return log_odds_of(np.nan_to_num(np.concatenate(parts), nan=0.5))


def spread_out(loans: LoanSet, most: int) -> NDArray[np.float32]:
    """Return at most so many rows, evenly over the loans."""
    places = np.unique(np.linspace(0, len(loans) - 1, min(most, len(loans))).astype(int))
    rows: NDArray[np.float32] = loans.matrix[places]
    return rows


def effect(
    model: Classifier, feature: Feature, position: int, fitted: LoanSet, tested: LoanSet
) -> Effect:
    """Return the effect of one input, moved alone over its range for some of the tested loans.

    Source: Friedman, Annals of Statistics 29 (2001), partial dependence; Goldstein et al., Journal
    of Computational and Graphical Statistics 24 (2015), its spread over applicants.
    """
    column = fitted.matrix[:, position].astype(np.float64)
    known = column[column != UNKNOWN_CATEGORY] if feature.categories else column[~np.isnan(column)]
    values, edges = _grid(feature, known)
    asked = np.append(values, UNKNOWN_CATEGORY if feature.categories else np.nan)
    rows = spread_out(tested, SHAPE_LOANS)
    moved = np.repeat(rows, len(asked), axis=0)
    moved[:, position] = np.tile(asked.astype(np.float32), len(rows))
    found = answers(model, moved).reshape(len(rows), len(asked))
    shares, weights = _shares(feature, known, values, edges)
    # Each applicant's curve around its own mean, so that only the shape is compared.
    curves = found - (found[:, :-1] @ weights)[:, np.newaxis]
    low, high = np.quantile(curves, [0.1, 0.9], axis=0)
    mean = curves.mean(axis=0)
    missing = 1 - len(known) / len(column)
    return Effect(
        position,
        values,
        mean[:-1],
        low[:-1],
        high[:-1],
        float(mean[-1]) if missing > 0 else None,
        edges,
        shares,
        missing,
    )


def _grid(
    feature: Feature, known: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values to ask and the edges of bins that show where loans lie."""
    if feature.categories:
        codes = np.arange(len(feature.categories), dtype=np.float64)
        return codes, np.append(codes - 0.5, len(codes) - 0.5)
    if not known.size:
        return np.zeros(1), np.array([-0.5, 0.5])
    low, high = np.quantile(known, [CENTRAL_SHARE, 1 - CENTRAL_SHARE], method="nearest")
    if low == high:
        low, high = known.min(), known.max()
    inside = np.unique(known[(known >= low) & (known <= high)])
    if len(inside) > SHAPE_GRID:
        even = np.linspace(low, high, SHAPE_GRID // 2)
        dense = np.quantile(inside, np.linspace(0, 1, SHAPE_GRID // 2), method="nearest")
        inside = np.unique(np.concatenate([even, dense]))
    if len(inside) <= FEW_VALUES:
        # A bar around each value.
        borders = (inside[1:] + inside[:-1]) / 2
        half = float(np.diff(inside).min()) / 2 if len(inside) > 1 else 0.5
        return inside, np.concatenate([[low - half], borders, [high + half]])
    return inside, np.linspace(low, high, HISTOGRAM_BINS + 1)


def _shares(
    feature: Feature,
    known: NDArray[np.float64],
    values: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the share of loans per bin, and the weight of each value asked, which sum to 1."""
    counted, _ = np.histogram(known, bins=edges)
    total = max(len(known), 1)
    if feature.categories:
        return counted / total, counted / max(int(counted.sum()), 1)
    borders = (values[1:] + values[:-1]) / 2
    near = np.bincount(np.searchsorted(borders, known), minlength=len(values))
    return counted / total, near / max(int(near.sum()), 1)


def strongest_pairs(
    model: Classifier,
    product: CreditProduct,
    reference: NDArray[np.float32],
    fitted: LoanSet,
    tested: LoanSet,
    *,
    among: Sequence[int],
    most: int,
) -> tuple[list[Pair], float, int]:
    """Return the strongest pairs, the largest strength of all, and how many pairs were tried.

    ``among`` are the inputs to pair.

    An interaction is what is left of a pair's effect, from the reference applicant, after each
    one's own. Strength is its mean size over tested loans.
    """
    features = product.model_features
    places = list(combinations(sorted(among), 2))
    if not places:
        return [], 0.0, 0
    size = max(8, min(PAIR_LOANS, PAIR_ROWS // len(places)))
    rows = spread_out(tested, size)
    at_reference = float(answers(model, reference[np.newaxis])[0])
    alone = np.empty((len(features), len(rows)))
    for position in among:
        moved = np.repeat(reference[np.newaxis], len(rows), axis=0)
        moved[:, position] = rows[:, position]
        alone[position] = answers(model, moved)
    strengths = np.empty(len(places))
    for place, (first, second) in enumerate(places):
        moved = np.repeat(reference[np.newaxis], len(rows), axis=0)
        moved[:, first], moved[:, second] = rows[:, first], rows[:, second]
        left = answers(model, moved) - alone[first] - alone[second] + at_reference
        strengths[place] = np.mean(np.abs(left))
    ranked = np.argsort(-strengths, kind="stable")[:most].tolist()
    pairs = [
        _pair(model, features, places[place], reference, fitted, strength=float(strengths[place]))
        for place in ranked
        # Below it is rounding.
        if strengths[place] > 1e-4  # noqa: PLR2004
    ]
    return pairs, float(strengths.max()), len(places)


def _pair(
    model: Classifier,
    features: Sequence[Feature],
    places: tuple[int, int],
    reference: NDArray[np.float32],
    fitted: LoanSet,
    *,
    strength: float,
) -> Pair:
    first, second = places
    rows, row_labels, row_weights = _cells(features[first], fitted.matrix[:, first])
    columns, column_labels, column_weights = _cells(features[second], fitted.matrix[:, second])
    moved = np.repeat(reference[np.newaxis], len(rows) * len(columns), axis=0)
    moved[:, first] = np.repeat(rows, len(columns))
    moved[:, second] = np.tile(columns, len(rows))
    found = answers(model, moved).reshape(len(rows), len(columns))
    # Without what each does on its own: no row and no column has a mean.
    found -= (found @ column_weights)[:, np.newaxis]
    found -= (row_weights @ found)[np.newaxis, :]
    return Pair(first, second, row_labels, column_labels, found, strength)


def _cells(
    feature: Feature, column: NDArray[np.float32]
) -> tuple[NDArray[np.float32], tuple[str, ...], NDArray[np.float64]]:
    """Return a value for each cell, what it stands for, and the share of loans in it."""
    if feature.categories:
        known = column[column >= 0].astype(int)
        counted = np.bincount(known, minlength=len(feature.categories))
        codes = np.sort(np.argsort(-counted, kind="stable")[:PAIR_CELLS])
        return (
            codes.astype(np.float32),
            tuple(feature.categories[code] for code in codes),
            _normed(counted[codes]),
        )
    known = column[~np.isnan(column)]
    if not known.size:
        return np.array([np.nan], np.float32), ("unknown",), np.ones(1)
    distinct = np.unique(known)
    if len(distinct) <= PAIR_CELLS:
        counted = np.array([(known == value).sum() for value in distinct])
        return distinct, tuple(compact(float(value)) for value in distinct), _normed(counted)
    middles = (np.arange(PAIR_CELLS) + 0.5) / PAIR_CELLS
    values = np.unique(np.quantile(known, middles, method="nearest"))
    near = np.bincount(
        np.searchsorted((values[1:] + values[:-1]) / 2, known), minlength=len(values)
    )
    return (
        values.astype(np.float32),
        tuple(compact(float(value)) for value in values),
        _normed(near),
    )


def _normed(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    return (counted + 1e-9) / (counted + 1e-9).sum()


def explained(
    model: Classifier,
    product: CreditProduct,
    reference: NDArray[np.float32],
    tested: LoanSet,
    probability: NDArray[np.float64],
) -> Explained:
    """Return contributions over some tested loans, and the reasons of those a model declines.

    Args:
        model: As it is served.
        product: Its policy has the cut-off, its features the texts.
        reference: The applicant that contributions are measured against, shape (G,).
        tested: The tested loans.
        probability: The served model's probability for each of them, shape (n,).
    """
    policy, terms = product.policy, Terms.of(product)
    declined = np.flatnonzero(probability >= policy.decline_from)
    most = min(EXPLAINED_LOANS, EXPLAINED_ROWS // (2 * len(reference) + 2))
    chosen = _evenly(declined, most)
    given: Counter[str] = Counter()
    first: Counter[str] = Counter()
    texts: dict[str, str] = {}
    without, reasons_given, worst = 0, 0, 0.0
    for place in chosen:
        row = tested.matrix[place]
        found = answers(model, perturbations(row, reference))
        contributions = pairwise_shapley(found)
        worst = max(worst, efficiency_error(found, contributions))
        reasons = adverse_action_reasons(
            terms.inputs,
            row,
            contributions,
            points_per_log_odds=points_per_log_odds(policy),
            most=policy.maximum_reasons,
        )
        without += not reasons
        reasons_given += len(reasons)
        for rank, reason in enumerate(reasons):
            given[reason.code] += 1
            first[reason.code] += rank == 0
            texts[reason.code] = reason.text
    sample = _evenly(np.arange(len(tested)), most)
    sizes = np.zeros(len(product.model_features))
    for place in sample:
        found = answers(model, perturbations(tested.matrix[place], reference))
        sizes += np.abs(pairwise_shapley(found))
    return Explained(
        sizes / max(len(sample), 1),
        len(sample),
        len(declined),
        len(chosen),
        given,
        first,
        texts,
        without,
        reasons_given / max(len(chosen), 1),
        worst,
    )


def _evenly(places: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(places) <= most:
        return places
    chosen: NDArray[np.int64] = places[np.linspace(0, len(places) - 1, most).astype(int)]
    return chosen
