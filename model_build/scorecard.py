"""A scorecard: a logistic regression on the weight of evidence of each feature's bins.

A number's bins are joined from fine ones until each stands for a difference that the loans bear
out, in the declared direction of risk where there is one. Unknown is a bin of its own, and so is
each category. Coefficients are at least zero, so no declared direction is contradicted: correlated
features can push one to the wrong side, and a reason drawn from it would be absurd ("too few
inquiries").

Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006); Kerber, ChiMerge (AAAI 1992).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, xlogy
from sklearn.model_selection import StratifiedKFold

from credit_core.domain.product import DType, RiskDirection
from model_build.fitted import ScorecardBin
from model_build.learning import CreditModel
from model_build.onnx_export import AT_MOST, EQUAL, LEAF, Node, add_trees

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope

    from credit_core.domain.product import Feature
    from model_build.learning import Parameters
    from model_build.loans import LoanSet

FINE_BINS = 50
PENALTIES = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4)
"""Stages of learning: on half the squared standardized coefficients, against the mean loss."""

LARGEST_NUMBER = float(np.finfo(np.float32).max)

WORTH = 0.5
"""Two bins are kept apart where it raises the log-likelihood by more than this."""

EVIDENCE_FOLDS = 5
IN_SAMPLE, CROSS_FITTED = "in_sample", "cross_fitted"
"""Where coefficients meet the evidence: on the loans it was counted on, or on others.

In sample a feature without any effect seems to have some, and all are held down for it. On others
it shows none, at the cost of counting it on fewer loans: better with few defaults and many inputs.
"""

SEARCHED: tuple[Parameters, ...] = (
    {"most_bins": 4, "least_share": 0.05, "prior_defaults": 2, "evidence": CROSS_FITTED},
    {"most_bins": 8, "least_share": 0.03, "prior_defaults": 2, "evidence": CROSS_FITTED},
    {"most_bins": 8, "least_share": 0.03, "prior_defaults": 25, "evidence": CROSS_FITTED},
    {"most_bins": 8, "least_share": 0.03, "prior_defaults": 25, "evidence": IN_SAMPLE},
)


@dataclass(frozen=True, slots=True)
class Bins:
    """The bins of one feature.

    A number's are up to and including each of ``cuts``, and above the last; a category's are its
    codes, and ``cuts`` is None. The last of all is unknown. ``weights_of_evidence`` has one for
    each bin.
    """

    position: int
    cuts: NDArray[np.float32] | None
    weights_of_evidence: NDArray[np.float64]

    def places(self, column: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the bin of each value, shape as given."""
        last = len(self.weights_of_evidence) - 1
        if self.cuts is None:
            declared = np.isin(column, np.arange(last))
            return np.where(declared, column, last).astype(np.int64)
        return np.where(np.isnan(column), last, np.searchsorted(self.cuts, column, side="left"))

    def tree(self, values: NDArray[np.float64]) -> list[Node]:
        """Return a tree that adds the value of the bin, ``values`` having one for each."""
        last = len(values) - 1
        if self.cuts is None:
            questions = [(EQUAL, float(code), code) for code in range(last)]
        else:
            questions = [(AT_MOST, float(cut), place) for place, cut in enumerate(self.cuts)]
            # Only what is unknown is not at most the largest number.
            questions.append((AT_MOST, LARGEST_NUMBER, last - 1))
        tree: list[Node] = []
        for mode, threshold, place in questions:
            here = len(tree)
            tree.append(Node(mode, 0.0, self.position, threshold, here + 1, here + 2))
            tree.append(Node(LEAF, value=float(values[place])))
        tree.append(Node(LEAF, value=float(values[last])))
        return tree

    def labels(self, feature: Feature) -> list[str]:
        """Return in words which values each bin has."""
        if self.cuts is None:
            return [*feature.categories, "unknown"]
        if not len(self.cuts):
            return ["known", "unknown"]
        if feature.dtype is DType.INTEGER:
            return [*_ranges_of_integers(feature, self.cuts.tolist()), "unknown"]
        texts = [_shown(cut) for cut in self.cuts]
        between = [f"above {low} to {high}" for low, high in pairwise(texts)]
        return [f"up to {texts[0]}", *between, f"above {texts[-1]}", "unknown"]


@dataclass(kw_only=True, eq=False, repr=False)
class Scorecard(CreditModel):
    """A scorecard: the base and, for each bin, its weight of evidence times a coefficient.

    At each stage the coefficients are less held down than at the one before. Arguments beside those
    of every model:

    Args:
        most_bins: Of a number.
        least_share: Of the loans, in each of a number's bins.
        prior_defaults: A bin's default rate is taken as if so many defaults at the average rate
            were in it as well.
        evidence: ``IN_SAMPLE`` or ``CROSS_FITTED``.
    """

    most_bins: int
    least_share: float
    prior_defaults: float
    evidence: str
    stages: int = len(PENALTIES)

    def learn(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> None:
        """Bin each feature and weigh the bins' evidence."""
        bins = self._binned(matrix, defaulted)
        evidence = _evidence(bins, matrix)
        # What has one value in all loans tells nothing.
        spread = evidence.std(axis=0)
        told = spread > 0
        if self.evidence == CROSS_FITTED:
            folds = StratifiedKFold(EVIDENCE_FOLDS, shuffle=True, random_state=self.random_state)
            for counted, others in folds.split(matrix, defaulted):
                elsewhere = self._binned(matrix[counted], defaulted[counted])
                evidence[others] = _evidence(elsewhere, matrix[others])
        rate = float(defaulted.mean())
        self.base_ = float(np.log(rate / (1 - rate)))
        self.bins_ = tuple(it for it, tells in zip(bins, told, strict=True) if tells)
        standardized = evidence[:, told] / spread[told]
        penalties = PENALTIES[: self.stages]
        self.path_ = _path(standardized, defaulted, self.base_, penalties) / spread[told]

    def staged_scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the scores at each penalty, (n, G) to (n,)."""
        evidence = _evidence(self.bins_, matrix)
        for coefficients in self.path_:
            yield self.base_ + evidence @ coefficients

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum over the bins, (n, G) to (n,)."""
        score: NDArray[np.float64] = self.base_ + _evidence(self.bins_, matrix) @ self.path_[-1]
        return score

    @property
    def found(self) -> Parameters:
        """How strongly coefficients were held down, and how many features remain."""
        return {"penalty": PENALTIES[self.stages - 1], "features": len(self._used())}

    def add_log_odds(
        self, scope: Scope, operator: Operator, container: ModelComponentContainer
    ) -> str:
        """Add a tree for each feature."""
        trees = [
            bins.tree(-coefficient * bins.weights_of_evidence) for bins, coefficient in self._used()
        ]
        return add_trees(scope, operator, container, self.base_, trees)

    def points_table(self, loans: LoanSet) -> tuple[ScorecardBin, ...]:
        """Return a line for each bin that any of the loans fell in."""
        lines = []
        for bins, coefficient in self._used():
            feature = self.features[bins.position]
            places = bins.places(loans.matrix[:, bins.position])
            for place, label in enumerate(bins.labels(feature)):
                inside = places == place
                if inside.any():
                    evidence = float(bins.weights_of_evidence[place])
                    lines.append(
                        ScorecardBin(
                            feature=feature.name,
                            label=label,
                            share=float(inside.mean()),
                            default_rate=float(loans.defaulted[inside].mean()),
                            weight_of_evidence=evidence,
                            log_odds=-self.slope * coefficient * evidence,
                        )
                    )
        return tuple(lines)

    def _used(self) -> list[tuple[Bins, float]]:
        pairs = zip(self.bins_, self.path_[-1].tolist(), strict=True)
        return [(bins, coefficient) for bins, coefficient in pairs if coefficient > 0]

    def _binned(
        self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]
    ) -> tuple[Bins, ...]:
        return tuple(
            self._bins(feature, position, matrix, defaulted)
            for position, feature in enumerate(self.features)
        )

    def _bins(
        self,
        feature: Feature,
        position: int,
        matrix: NDArray[np.float32],
        defaulted: NDArray[np.int64],
    ) -> Bins:
        column, rate = matrix[:, position], float(defaulted.mean())
        if feature.categories:
            cuts, count = None, len(feature.categories)
        else:
            cuts = self._cuts(column, defaulted, feature.risk)
            count = len(cuts) + 1
        empty = Bins(position, cuts, np.zeros(count + 1))
        places = empty.places(column)
        loans = np.bincount(places, minlength=count + 1)
        bads = np.bincount(places, weights=defaulted, minlength=count + 1)
        rates = (bads + self.prior_defaults) / (loans + self.prior_defaults / rate)
        evidence = np.log((1 - rates) / rates) - np.log((1 - rate) / rate)
        return Bins(position, cuts, evidence)

    def _cuts(
        self,
        column: NDArray[np.float32],
        defaulted: NDArray[np.int64],
        risk: RiskDirection | None,
    ) -> NDArray[np.float32]:
        known = ~np.isnan(column)
        values, bad = column[known], defaulted[known]
        if not len(values):
            return np.array([], dtype=np.float32)
        quantiles = np.arange(1, FINE_BINS) / FINE_BINS
        cuts = np.unique(np.quantile(values, quantiles, method="inverted_cdf")).astype(np.float32)
        cuts = cuts[cuts < values.max()]
        places = np.searchsorted(cuts, values, side="left")
        loans = np.bincount(places, minlength=len(cuts) + 1).astype(np.float64)
        bads = np.bincount(places, weights=bad, minlength=len(cuts) + 1)
        most, least = self.most_bins, self.least_share * len(values)
        signs = {RiskDirection.INCREASING: (1,), RiskDirection.DECREASING: (-1,), None: (1, -1)}[
            risk
        ]
        found = [_joined(loans, bads, sign, most=most, least=least) for sign in signs]
        _, ends = max(found, key=lambda pair: pair[0])
        return cuts[ends]


def _path(
    evidence: NDArray[np.float64],
    defaulted: NDArray[np.int64],
    base: float,
    penalties: Sequence[float],
) -> NDArray[np.float64]:
    """Return coefficients, each at least 0, for each penalty; (n, F) to (penalties, F)."""
    found = np.zeros(evidence.shape[1])
    if not len(found):
        # Nothing tells anything: the base alone remains.
        return np.zeros((len(penalties), 0))
    path = []
    for penalty in penalties:

        def loss(
            coefficients: NDArray[np.float64], penalty: float = penalty
        ) -> tuple[float, NDArray[np.float64]]:
            log_odds = base + evidence @ coefficients
            value = np.mean(np.logaddexp(0, log_odds) - defaulted * log_odds)
            slope = evidence.T @ (expit(log_odds) - defaulted) / len(defaulted)
            return (
                float(value + penalty / 2 * coefficients @ coefficients),
                slope + penalty * coefficients,
            )

        found = minimize(
            loss, found, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(found)
        ).x
        path.append(found)
    return np.array(path)


def _evidence(bins: Sequence[Bins], matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return minus the weight of evidence of each feature's bin, (n, G) to (n, F)."""
    evidence = np.empty((len(matrix), len(bins)))
    for place, it in enumerate(bins):
        evidence[:, place] = -it.weights_of_evidence[it.places(matrix[:, it.position])]
    return evidence


def _joined(
    loans: NDArray[np.float64], bads: NDArray[np.float64], sign: int, *, most: int, least: float
) -> tuple[float, list[int]]:
    """Join neighbouring bins until their default rates rise (or fall) and none is too small.

    Returns the log-likelihood, and the places of the cuts that remain.
    """
    # Each block: loans, bads, place of its last fine bin.
    blocks: list[tuple[float, float, int]] = []
    for place, (count, bad) in enumerate(zip(loans.tolist(), bads.tolist(), strict=True)):
        block = (count, bad, place)
        # Pool adjacent violators: the isotonic fit.
        while blocks and sign * (block[1] / block[0] - blocks[-1][1] / blocks[-1][0]) <= 0:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], block[2])
        blocks.append(block)
    while len(blocks) > 1:
        sizes = np.array([block[0] for block in blocks])
        wrong = np.array([block[1] for block in blocks])
        apart = (
            _likelihood(sizes, wrong)[:-1]
            + _likelihood(sizes, wrong)[1:]
            - _likelihood(sizes[:-1] + sizes[1:], wrong[:-1] + wrong[1:])
        )
        small = sizes < least
        candidates = np.where(small[:-1] | small[1:], apart, np.inf) if small.any() else apart
        if not small.any() and len(blocks) <= most and apart.min() > WORTH:
            break
        at = int(np.argmin(candidates))
        one, other = blocks[at], blocks[at + 1]
        blocks[at : at + 2] = [(one[0] + other[0], one[1] + other[1], other[2])]
    sizes = np.array([block[0] for block in blocks])
    wrong = np.array([block[1] for block in blocks])
    return float(_likelihood(sizes, wrong).sum()), [block[2] for block in blocks[:-1]]


def _likelihood(loans: NDArray[np.float64], bads: NDArray[np.float64]) -> NDArray[np.float64]:
    rates = bads / loans
    found: NDArray[np.float64] = xlogy(bads, rates) + xlogy(loans - bads, 1 - rates)
    return found


def _shown(number: np.float32) -> str:
    """Return a float32 as short as it can be told from its neighbours, without an exponent."""
    return np.format_float_positional(number, trim="-")


def _ranges_of_integers(feature: Feature, cuts: Sequence[float]) -> list[str]:
    """Return "0", "1 to 3", "4 or more" for cuts at 0 and 3 of what cannot be negative."""
    ends = [int(cut) for cut in cuts]
    first = str(ends[0]) if ends[0] == feature.minimum else f"up to {ends[0]}"
    between = [
        str(high) if low + 1 == high else f"{low + 1} to {high}" for low, high in pairwise(ends)
    ]
    return [first, *between, f"{ends[-1] + 1} or more"]
