"""What the sections of a report share, found once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.fairness import AdverseImpact, adverse_impact
from credit_core.domain.judgement import Judge
from credit_core.domain.measures import population_stability_index, shares_in
from credit_core.domain.policy import points_per_log_odds
from credit_core.domain.terms import Terms
from model_build.report.curves import Approved, approved_at, bin_of, log_odds_of, points_of
from model_build.report.effects import (
    Effect,
    Explained,
    Pair,
    effect,
    explained,
    strongest_pairs,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Gate, ModelManifest
    from credit_core.domain.policy_definition import Policy
    from credit_core.domain.product import CreditProduct, Feature
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSplit
    from model_build.report.curves import Bin
    from model_build.report.inputs import ReportInputs

SEED = 0
"""Of the report's own resamples: it says the same each time."""
MOST_PAIRS = 6
MOST_SHAPES = 36
MOST_PAIRED = 40
"""Inputs that are paired, the strongest ones: all pairs of hundreds would take minutes."""


@dataclass(frozen=True)
class Facts:
    """The inputs of a report, and what several sections say of them.

    ``defaulted`` and ``probability`` are of the tested loans, shape (n,) both; the probability is
    by a model that had not seen them.
    """

    inputs: ReportInputs

    @property
    def product(self) -> CreditProduct:
        """The product."""
        return self.inputs.product

    @property
    def policy(self) -> Policy:
        """Its policy, whose cut-offs are the live ones."""
        return self.inputs.product.policy

    @property
    def manifest(self) -> ModelManifest:
        """What is registered with the model."""
        return self.inputs.manifest

    @property
    def split(self) -> LoanSplit:
        """The loans fitted on and those tested with."""
        return self.inputs.split

    @property
    def features(self) -> tuple[Feature, ...]:
        """The model's inputs."""
        return self.product.model_features

    @property
    def chosen(self) -> FittedCandidate:
        """The candidate that the report is about."""
        return self.inputs.fitted[self.manifest.algorithm]

    @property
    def failed(self) -> list[Gate]:
        """The gates that it did not pass."""
        return [gate for gate in self.manifest.gates if not gate.passed]

    @property
    def defaulted(self) -> NDArray[np.int64]:
        """Outcomes of the tested loans."""
        return self.split.tested.defaulted

    @property
    def probability(self) -> NDArray[np.float64]:
        """The probability of default of each tested loan, before its outcome was known."""
        return self.chosen.tested_probability

    @cached_property
    def log_odds(self) -> NDArray[np.float64]:
        """The same as log-odds."""
        return log_odds_of(self.probability)

    @cached_property
    def points(self) -> NDArray[np.float64]:
        """The same as points."""
        return points_of(self.policy, self.log_odds)

    @property
    def factor(self) -> float:
        """Points lost per unit of log-odds of default."""
        return points_per_log_odds(self.policy)

    @cached_property
    def overall(self) -> Bin:
        """All tested loans in one bin."""
        return bin_of(self.defaulted, self.probability)

    @cached_property
    def approved(self) -> Approved:
        """What the live cut-off approves of them."""
        return approved_at(self.defaulted, self.probability, self.policy.approve_up_to)

    @cached_property
    def settled_by_rules(self) -> tuple[NDArray[np.bool], NDArray[np.bool]]:
        """Which tested loans a hard rule declines, and which others it refers."""
        judge = Judge(Terms.of(self.product))
        return judge.settled_by_rules(self.split.tested.matrix.astype(np.float64))

    @property
    def kind_of_test(self) -> str:
        """How the tested loans relate to the model, in a few words."""
        if self.split.out_of_time:
            return "later loans that no step of training saw"
        return "loans, each by a model that had not seen it (cross-validation)"

    @cached_property
    def reference(self) -> NDArray[np.float32]:
        """The reference applicant's model input."""
        return np.array(self.manifest.reference, dtype=np.float32)

    @cached_property
    def strongest(self) -> list[int]:
        """Positions of the inputs, that with the largest contributions first."""
        if self.explained is None:
            return []
        strongest: list[int] = np.argsort(-self.explained.mean_size, kind="stable").tolist()
        return strongest

    @cached_property
    def effects(self) -> list[Effect]:
        """The effects of the strongest inputs, the strongest first; none without a model."""
        model = self.inputs.model
        if model is None:
            return []
        return [
            effect(model, self.features[position], position, self.split.fitted, self.split.tested)
            for position in self.strongest[:MOST_SHAPES]
        ]

    @cached_property
    def pairs(self) -> tuple[list[Pair], float, int]:
        """The strongest pairs, the largest strength of all, and how many were tried."""
        model = self.inputs.model
        if model is None:
            return [], 0.0, 0
        return strongest_pairs(
            model,
            self.product,
            self.reference,
            self.split.fitted,
            self.split.tested,
            among=self.strongest[:MOST_PAIRED],
            most=MOST_PAIRS,
        )

    @cached_property
    def explained(self) -> Explained | None:
        """Contributions and reasons over the tested loans; None without a model."""
        model = self.inputs.model
        if model is None:
            return None
        return explained(
            model,
            self.product,
            self.reference,
            self.split.tested,
            self.chosen.served_probability,
        )

    @cached_property
    def stability(self) -> list[tuple[str, float]]:
        """PSI of each input from the loans fitted on to those tested with, the largest first."""
        found = []
        for position, feature in enumerate(self.features):
            baseline = self.manifest.baseline.get(feature.name)
            if baseline is None:
                continue
            codes = len(feature.categories)
            now = shares_in(baseline, self.split.tested.matrix[:, position], categories=codes)
            found.append((feature.name, population_stability_index(baseline.shares, now)))
        return sorted(found, key=lambda each: -each[1])

    @cached_property
    def impacts(self) -> list[AdverseImpact]:
        """Approval rates by each monitored group of which the loans say anything."""
        groups = self.split.tested.groups
        return [
            adverse_impact(
                monitored,
                groups[monitored.name],
                self.defaulted,
                self.probability,
                cutoff=self.policy.approve_up_to,
                seed=SEED,
            )
            for monitored in self.product.monitored_groups
            if monitored.name in groups
        ]
