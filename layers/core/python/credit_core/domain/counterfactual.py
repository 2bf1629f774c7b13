"""The counterfactual of a decision: the smallest change of an application that betters its outcome.

What was referred is to be approved. What was declined is to be approved too, and where nothing gets
it there, to be referred, so that a person decides.

Changed is only what the product declares an applicant can influence, in the declared direction, by
whole steps and within the range of a request; what is derived from it follows. Fewer changed
features are the smaller change; of equally many, those whose changes, each as a share of the
feature's range, have the smaller sum, where another category counts as the whole range. Of equal
ones the first in order of definition is taken, then the one of fewer steps, then the lower value.

The smallest is found for certain where all combinations of steps can be tried. Where they are too
many, each second step is left out until they are few enough, and what is found so is looked at
again with finer steps around it. Whatever is found was judged in full, on the values to be sent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.definitions import Change, DType
from credit_core.domain.feature_matrix import encode, with_derived
from credit_core.domain.judgement import DeciderKind, Judge
from credit_core.domain.policy_definition import Outcome
from credit_core.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.definitions import Feature, Value
    from credit_core.domain.judgement import Assessment, Estimator
    from credit_core.domain.product import CreditProduct
    from credit_core.domain.terms import Terms

    type Moves = Mapping[int, range]
    """What each lever, by its place, may move by: from, and up to but without."""

BETTER = {
    Outcome.APPROVE: (),
    Outcome.REFER: (Outcome.APPROVE,),
    Outcome.DECLINE: (Outcome.APPROVE, Outcome.REFER),
}
"""What may become of each outcome, in the order in which it is searched for."""
MAXIMUM_ROWS = 200_000
"""Combinations that one decision's search looks at, whatever for; as many take about a second."""
REFINEMENTS = 3
FIRST_CHUNK, LARGEST_CHUNK = 512, 16_384
"""Rows of one run: few at first, because the smallest change is often a small one."""
SLACK_LOG_ODDS = 1e-4
"""A run of many rows may differ from one of a few in its last bits; the judgement settles it."""
DIGITS_OF_SIZE = 12
"""Sums of the same shares in another order are the same size."""


@dataclass(frozen=True, slots=True)
class ChangedValue:
    """A feature of the application, the value it had, and the one it would take."""

    feature: str
    before: Value
    after: Value


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Changes with which the outcome would have been a better one, and what the model says then.

    ``smallest`` unless only some of the combinations were tried that would be preferred to it: of
    as many features or of fewer, and for a better outcome, of any.
    """

    changes: tuple[ChangedValue, ...]
    outcome: Outcome
    assessment: Assessment
    smallest: bool


@dataclass(frozen=True, slots=True)
class Lever:
    """A feature that the applicant can change, its value, and what it may move by.

    A move is a number of steps; of a category, of places in the list of its categories. 0, which
    ``moves`` may contain, is none.
    """

    feature: Feature
    value: Value
    moves: range

    @classmethod
    def of(cls, feature: Feature, value: Value) -> Lever | None:
        """Return the lever that a feature is at a value of its range, or None.

        What is unknown can't be moved, and no value stands still more than one at its end.
        """
        influence = feature.influence
        if influence is None or value is None:
            return None
        if feature.dtype is DType.CATEGORY:
            return cls(feature, value, range(1, len(feature.categories)))
        at, step = _decimal(value), _decimal(influence.step)
        fewest = -int((at - _decimal(feature.minimum)) // step)
        most = int((_decimal(feature.maximum) - at) // step)
        if influence.change is Change.LOWER:
            most = 0
        if influence.change is Change.HIGHER:
            fewest = 0
        return cls(feature, value, range(fewest, most + 1)) if fewest < most else None

    def after(self, move: int) -> Value:
        """Return the value after a move, as an application would state it."""
        if isinstance(self.value, str):
            categories = self.feature.categories
            return categories[(categories.index(self.value) + move) % len(categories)]
        moved = _decimal(self.value) + move * _decimal(self._step)
        return int(moved) if self.feature.dtype is DType.INTEGER else float(moved)

    def numbers(self, moves: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the model's input after each move, shape (n,)."""
        different, places = np.unique(moves, return_inverse=True)
        values = [self.after(move) for move in different.tolist()]
        numbers = np.array(encode(self.feature, values), np.float64)
        after: NDArray[np.float64] = numbers[places]
        return after

    def sizes(self, moves: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return each move as a share of the feature's range, shape (n,)."""
        if self.feature.dtype is DType.CATEGORY:
            changed: NDArray[np.float64] = (moves != 0).astype(np.float64)
            return changed
        width = _decimal(self.feature.maximum) - _decimal(self.feature.minimum)
        shares: NDArray[np.float64] = np.abs(moves) * float(_decimal(self._step) / width)
        return shares

    @property
    def _step(self) -> float | None:
        return self.feature.influence.step if self.feature.influence else None


def levers_of(product: CreditProduct, request: Mapping[str, Value]) -> tuple[Lever, ...]:
    """Return what an applicant can change of an application, in order of definition."""
    levers = (Lever.of(feature, request[feature.name]) for feature in product.request_features)
    return tuple(lever for lever in levers if lever is not None)


def row_of_request(
    product: CreditProduct, request: Mapping[str, Value], row: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the model input of an application where everything else is as in ``row``; (G,)."""
    sent = [encode(feature, (request[feature.name],))[0] for feature in product.request_features]
    base = row[: len(product.base_features)].copy()
    base[: len(sent)] = np.array(sent, np.float64)
    whole: NDArray[np.float64] = with_derived(product, base[np.newaxis])[0]
    return whole


class CounterfactualSearch:
    """Looks for the counterfactual of one application.

    Args:
        product: Says what can be sent and what is derived from it; has the inputs of ``terms``.
        terms: Those of the decision.
        model: The one that was asked.
        row: The model's input before its cast, shape (G,).
        request: The features that were sent.
        decided: The outcome, which is to become a better one.
        assumed: Names of the features whose declared default was served.
    """

    def __init__(
        self,
        product: CreditProduct,
        terms: Terms,
        model: Estimator,
        row: NDArray[np.float64],
        request: Mapping[str, Value],
        *,
        decided: Outcome,
        assumed: Collection[str] = (),
    ) -> None:
        self._product = product
        self._judge = Judge(terms)
        self._model = model
        self._row = row
        self._request = request
        self._assumed = assumed
        self._better = BETTER[decided]
        cutoffs = {
            Outcome.APPROVE: terms.policy.approve_up_to,
            Outcome.REFER: terms.policy.decline_from,
        }
        self._most_log_odds = {
            outcome: math.log(cutoff / (1 - cutoff)) + SLACK_LOG_ODDS
            for outcome, cutoff in cutoffs.items()
        }
        self.levers = levers_of(product, request)
        self.tried_all = True

    def __call__(self) -> Counterfactual | None:
        """Return the smallest change that was found; ``tried_all`` tells whether all were tried."""
        everything = {place: lever.moves for place, lever in enumerate(self.levers)}
        for wanted in self._better:
            for size in range(1, len(everything) + 1):
                found = self._found(everything, size, wanted)
                if found is not None:
                    return found
        return None

    def _found(self, everything: Moves, size: int, wanted: Outcome) -> Counterfactual | None:
        """Return the smallest change of so many features to an outcome as good as the wanted."""
        allowance = MAXIMUM_ROWS // (len(self._better) * (len(everything) + REFINEMENTS))
        moves, best = everything, None
        for _ in range(1 + REFINEMENTS):
            strides = self._strides(moves, size, allowance)
            self.tried_all &= strides is not None and set(strides.values()) == {1}
            if strides is None:
                break
            thinned = {place: thin(moves[place], stride) for place, stride in strides.items()}
            found = self._first(self._by_size(thinned, size), wanted)
            if found is None:
                break
            best = found
            moves = {
                place: _around(move, strides[place], everything[place])
                for place, move in enumerate(found[0].tolist())
                if move
            }
            if all(strides[place] == 1 for place in moves):
                break
        return None if best is None else self._counterfactual(*best)

    def _strides(self, moves: Moves, size: int, allowance: int) -> Mapping[int, int] | None:
        """Return of each lever which moves to try, each first, second, fourth ...; None is none."""
        strides = dict.fromkeys(moves, 1)
        while True:
            counts = {place: _count(moves[place], stride) for place, stride in strides.items()}
            if number_of_combinations(counts.values(), size) <= allowance:
                return strides
            numbers = [
                place for place in moves if self.levers[place].feature.dtype is not DType.CATEGORY
            ]
            widest = max(numbers, key=counts.__getitem__, default=None)
            if widest is None or strides[widest] > len(moves[widest]):
                return None
            strides[widest] *= 2

    def _by_size(self, moves: Mapping[int, Sequence[int]], size: int) -> NDArray[np.int64]:
        """Return all combinations of moves of so many levers, smallest first, shape (n, levers)."""
        blocks = []
        for places in combinations(moves, size):
            grid = np.meshgrid(*(moves[place] for place in places), indexing="ij")
            block = np.zeros((grid[0].size, len(self.levers)), dtype=np.int64)
            for place, moved in zip(places, grid, strict=True):
                block[:, place] = moved.ravel()
            blocks.append(block)
        rows = np.concatenate(blocks)
        shares = [lever.sizes(rows[:, place]) for place, lever in enumerate(self.levers)]
        return rows[np.argsort(np.sum(shares, axis=0).round(DIGITS_OF_SIZE), kind="stable")]

    def _first(
        self, moves: NDArray[np.int64], wanted: Outcome
    ) -> tuple[NDArray[np.int64], Outcome, Assessment] | None:
        """Return the first combination that comes to what is wanted or better, and its judgement.

        A referral by a fault is none that a change brings about.
        """
        as_good = self._better[: self._better.index(wanted) + 1]
        start, count = 0, FIRST_CHUNK
        while start < len(moves):
            chunk = moves[start : start + count]
            for place in np.flatnonzero(self._promising(chunk, wanted)).tolist():
                sent = {**self._request, **self._sent(chunk[place])}
                row = row_of_request(self._product, sent, self._row)
                judgement = self._judge(row, self._model, assumed=self._assumed)
                outcome, assessment = judgement.outcome, judgement.assessment
                by_fault = judgement.decided_by.kind is DeciderKind.FAULT
                if outcome in as_good and assessment is not None and not by_fault:
                    return chunk[place], outcome, assessment
            start, count = start + count, min(4 * count, LARGEST_CHUNK)
        return None

    def _promising(self, moves: NDArray[np.int64], wanted: Outcome) -> NDArray[np.bool]:
        """Return which combinations rules and the model, run on all, let come to it; (n,)."""
        base = np.tile(self._row[: len(self._product.base_features)], (len(moves), 1))
        names = [feature.name for feature in self._product.request_features]
        for place, lever in enumerate(self.levers):
            base[:, names.index(lever.feature.name)] = lever.numbers(moves[:, place])
        rows = with_derived(self._product, base)
        with np.errstate(over="ignore"):
            single = rows.astype(np.float32)
        declined, referred = self._judge.settled_by_rules(rows, assumed=self._assumed)
        most = np.full(len(rows), self._most_log_odds[wanted])
        most[referred] = np.inf if wanted is Outcome.REFER else -np.inf
        most[declined | np.isinf(single).any(axis=1)] = -np.inf
        promising = most > -np.inf
        promising[promising] = log_odds_or_nan(self._model, single[promising]) <= most[promising]
        return promising

    def _sent(self, moves: NDArray[np.int64]) -> dict[str, Value]:
        return {
            lever.feature.name: lever.after(move)
            for lever, move in zip(self.levers, moves.tolist(), strict=True)
            if move
        }

    def _counterfactual(
        self, moves: NDArray[np.int64], outcome: Outcome, assessment: Assessment
    ) -> Counterfactual:
        changes = (
            ChangedValue(name, self._request[name], after)
            for name, after in self._sent(moves).items()
        )
        return Counterfactual(tuple(changes), outcome, assessment, self.tried_all)


def thin(moves: range, stride: int) -> list[int]:
    """Return the moves that are multiples of a stride, and both ends; the nearest first, not 0.

    >>> thin(range(-7, 4), 2)
    [-2, 2, 3, -4, -6, -7]
    """
    low, high = moves.start, moves.stop - 1
    multiples = range(-(-low // stride) * stride, moves.stop, stride)
    return sorted({low, *multiples, high} - {0}, key=lambda move: (abs(move), move))


def number_of_combinations(counts: Iterable[int], size: int) -> int:
    """Return in how many ways so many levers can be moved, of which each has that many moves.

    >>> number_of_combinations([2, 3, 5], 2)
    31
    """
    ways = [1] + [0] * size
    for count in counts:
        for used in range(size, 0, -1):
            ways[used] += count * ways[used - 1]
    return ways[size]


def log_odds_or_nan(model: Estimator, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-odds of default for each row, (n, G) to (n,); NaN where there are none."""
    if len(rows) == 0:
        return np.empty(0)
    try:
        return model.log_odds(rows)
    except ModelOutputError:
        if len(rows) == 1:
            return np.array([np.nan])
        half = len(rows) // 2
        return np.concatenate(
            [log_odds_or_nan(model, rows[:half]), log_odds_or_nan(model, rows[half:])]
        )


def _count(moves: range, stride: int) -> int:
    """Return how many moves ``thin`` leaves, or a few more."""
    return len(moves) if stride == 1 else len(moves) // stride + 2


def _around(move: int, stride: int, moves: range) -> range:
    """Return the moves nearer to one than the next that was tried."""
    return range(max(moves.start, move - stride + 1), min(moves.stop, move + stride))


def _decimal(number: Value) -> Decimal:
    """Return the number that was written; steps of 0.1 don't add up in binary."""
    return Decimal(str(number))
