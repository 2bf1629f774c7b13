"""The verdict on one applicant: hard rules first, then the model and the policy's cut-offs.

It is a function of the terms, the model's input and the model alone, so that a replay comes to the
same bits as the decision did. Whatever is wrong with the model or its answer refers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from credit_core.domain.policy import (
    RuleBook,
    band_of,
    outcome_of,
    points,
    points_per_log_odds,
    probability,
)
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.reasons import (
    Reason,
    adverse_action_reasons,
    efficiency_error,
    is_assumed,
    pairwise_shapley,
    perturbations,
)
from credit_core.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.policy_definition import Rule
    from credit_core.domain.terms import Terms

LARGEST_EFFICIENCY_ERROR = 1e-2
"""In log-odds. Above it the contributions are no account of this decision."""


class ReferralCause(StrEnum):
    """Why a person decides instead of the model."""

    CUTOFF = "between_cutoffs"
    RULE = "rule"
    RULE_UNCHECKED = "rule_unchecked"
    FEATURES_MISSING = "features_missing"
    FEATURES_STALE = "features_stale"
    FEATURES_UNREADABLE = "features_unreadable"
    FEATURES_UNAVAILABLE = "features_unavailable"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_OUTPUT = "model_output_invalid"
    REASONS = "reasons_not_exact"
    INTERNAL = "internal_fault"


PASSING = frozenset({ReferralCause.FEATURES_UNAVAILABLE, ReferralCause.MODEL_UNAVAILABLE})
"""Causes that may be gone when the same application is sent again."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an application was referred. ``detail`` carries names and measures, never values."""

    code: ReferralCause
    detail: str

    @property
    def retryable(self) -> bool:
        """Whether the same application may be sent again for another decision."""
        return self.code in PASSING


class DeciderKind(StrEnum):
    """What settled an outcome."""

    RULE = "rule"
    CUTOFF = "cutoff"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Decider:
    """The rule, cut-off or fault that settled the outcome, by its code."""

    kind: DeciderKind
    code: str


CUTOFF_OF_OUTCOME = {
    Outcome.APPROVE: "approve_up_to",
    Outcome.DECLINE: "decline_from",
    Outcome.REFER: ReferralCause.CUTOFF.value,
}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the model said. ``contributions`` are log-odds of default per input, shape (G,)."""

    probability_of_default: float
    log_odds: float
    points: float
    risk_band: str | None
    contributions: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, what settled it, and its reasons; ``assessment`` is None without a model."""

    outcome: Outcome
    decided_by: Decider
    cause: Cause | None
    assessment: Assessment | None
    reasons: tuple[Reason, ...]


class Opinion(NamedTuple):
    """What a model would have made of an applicant. It gives no reasons, and is no answer."""

    probability_of_default: float
    points: float
    outcome: Outcome


class Estimator(Protocol):
    """A model that can be asked."""

    @property
    def reference(self) -> NDArray[np.float32]:
        """The reference applicant's model input, shape (G,)."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds of default for each row; (n, G) to (n,).

        Raises:
            ModelOutputError: An answer is not a probability.
        """


class Judge:
    """Judges applicants under one set of terms."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._policy = terms.policy
        self._rules = RuleBook(terms.policy.rules, terms.inputs)
        self._points_per_log_odds = points_per_log_odds(terms.policy)
        self._all_known = [True] * len(terms.inputs)

    def __call__(
        self,
        row: NDArray[np.float64],
        model: Estimator | None,
        *,
        assumed: Collection[str] = (),
        fault: Cause | None = None,
        lap: Callable[[str], None] = lambda _: None,
    ) -> Judgement:
        """Return the judgement on one applicant.

        Args:
            row: Model input before its cast to float32, shape (G,); NaN and -1 are unknown.
            model: Who is asked; None where there is none to ask, and ``fault`` says why.
            assumed: Names of the features whose declared default was served.
            fault: What forbids to ask the model, if anything does.
            lap: Takes the names of stages as they end.
        """
        applying, unchecked = self.check_rules(row, assumed)
        assessment: Assessment | None = None
        reasons: tuple[Reason, ...] = ()
        if model is not None and fault is None:
            try:
                assessment, reasons = self._assess(row, model, assumed, lap)
            except ModelOutputError as error:
                fault = Cause(ReferralCause.MODEL_OUTPUT, str(error))
        declining = [rule for rule in applying if rule.outcome is Outcome.DECLINE]
        if declining:
            return Judgement(
                Outcome.DECLINE,
                Decider(DeciderKind.RULE, declining[0].code),
                None,
                assessment,
                self._rule_reasons(declining),
            )
        if fault is not None or assessment is None:
            fault = fault or Cause(ReferralCause.MODEL_UNAVAILABLE, "there is no model to ask")
            return referred_by(fault)
        return self._settle(assessment, reasons, applying, unchecked)

    def opinion(
        self, row: NDArray[np.float64], model: Estimator, *, assumed: Collection[str] = ()
    ) -> Opinion:
        """Return what a model makes of one applicant, for a small part of a judgement's cost.

        It is one row where a judgement takes 2G + 2. Without contributions it can't be known that
        none accounts for a decline, which a judgement refers.

        Args:
            row: Model input before its cast to float32, shape (G,); NaN and -1 are unknown.
            model: Who is asked; its answers need not be accounted for by pairs of inputs.
            assumed: Names of the features whose declared default was served.

        Raises:
            ModelOutputError: It answers no probability, or doesn't take these numbers.
        """
        log_odds = float(model.log_odds(_as_model_input(row)[np.newaxis])[0])
        estimate = probability(log_odds)
        applying, unchecked = self.check_rules(row, assumed)
        if any(rule.outcome is Outcome.DECLINE for rule in applying):
            outcome = Outcome.DECLINE
        elif applying or unchecked:
            outcome = Outcome.REFER
        else:
            outcome = outcome_of(self._policy, estimate)
        return Opinion(estimate, points(self._policy, log_odds), outcome)

    def settled_by_rules(
        self, rows: NDArray[np.float64], *, assumed: Collection[str] = ()
    ) -> tuple[NDArray[np.bool], NDArray[np.bool]]:
        """Return which applicants rules decline, and which others they refer, (n, G) to (n,)."""
        known = self._known(assumed)
        declined, referred = np.zeros((2, len(rows)), dtype=bool)
        for rule in self._rules.rules:
            applies, unchecked = self._rules.applies(rule, list(rows.T), known)
            if rule.outcome is Outcome.DECLINE:
                declined |= applies
            else:
                referred |= applies
            if not rule.unknown_passes:
                referred |= unchecked
        return declined, referred & ~declined

    def _settle(
        self,
        assessment: Assessment,
        reasons: tuple[Reason, ...],
        applying: Sequence[Rule],
        unchecked: Sequence[Rule],
    ) -> Judgement:
        """Return the judgement where the model was asked and no rule declines."""
        for rule, code, words in (
            *((rule, ReferralCause.RULE, "applies") for rule in applying),
            *((rule, ReferralCause.RULE_UNCHECKED, "cannot be checked") for rule in unchecked),
        ):
            cause = Cause(code, f"rule {rule.code} {words}")
            decider = Decider(DeciderKind.RULE, rule.code)
            return Judgement(Outcome.REFER, decider, cause, assessment, reasons)
        outcome = outcome_of(self._policy, assessment.probability_of_default)
        if outcome is Outcome.DECLINE and not reasons:
            cause = Cause(ReferralCause.REASONS, "no feature accounts for the decline")
            return referred_by(cause, assessment)
        between = Cause(ReferralCause.CUTOFF, "the probability lies between the cut-offs")
        return Judgement(
            outcome,
            Decider(DeciderKind.CUTOFF, CUTOFF_OF_OUTCOME[outcome]),
            between if outcome is Outcome.REFER else None,
            assessment,
            reasons,
        )

    def check_rules(
        self, row: NDArray[np.float64], assumed: Collection[str]
    ) -> tuple[list[Rule], list[Rule]]:
        """Return the rules that apply, and those that can't be checked and don't let it pass."""
        applying, unchecked = [], []
        if self._rules.rules:
            known, columns = self._known(assumed), row.tolist()
            for rule in self._rules.rules:
                applies, unknown = self._rules.applies(rule, columns, known)
                if applies:
                    applying.append(rule)
                elif unknown and not rule.unknown_passes:
                    unchecked.append(rule)
        return applying, unchecked

    def _known(self, assumed: Collection[str]) -> list[bool]:
        if not assumed:
            return self._all_known
        return [not is_assumed(given, assumed) for given in self._terms.inputs]

    def _assess(
        self,
        row: NDArray[np.float64],
        model: Estimator,
        assumed: Collection[str],
        lap: Callable[[str], None],
    ) -> tuple[Assessment, tuple[Reason, ...]]:
        applicant = _as_model_input(row)
        log_odds = model.log_odds(perturbations(applicant, model.reference))
        lap("infer")
        contributions = pairwise_shapley(log_odds)
        if not efficiency_error(log_odds, contributions) <= LARGEST_EFFICIENCY_ERROR:
            raise ModelOutputError("the contributions do not sum to the model's answer")
        answer = float(log_odds[0])
        estimate = probability(answer)
        assessment = Assessment(
            estimate,
            answer,
            points(self._policy, answer),
            band_of(self._policy, estimate),
            contributions,
        )
        reasons = adverse_action_reasons(
            self._terms.inputs,
            applicant,
            contributions,
            points_per_log_odds=self._points_per_log_odds,
            most=self._policy.maximum_reasons,
            assumed=assumed,
        )
        lap("explain")
        return assessment, reasons

    def _rule_reasons(self, rules: Sequence[Rule]) -> tuple[Reason, ...]:
        return tuple(
            Reason(rule.code, rule.text, rule.when[0].feature)
            for rule in rules[: self._policy.maximum_reasons]
        )


def _as_model_input(row: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the row as models take it, (G,) to (G,).

    Raises:
        ModelOutputError: A number is greater than any float32.
    """
    with np.errstate(over="ignore"):
        applicant = row.astype(np.float32)
    if np.isinf(applicant).any():
        raise ModelOutputError("an input is beyond the numbers that the model takes")
    return applicant


def referred_by(
    fault: Cause, assessment: Assessment | None = None, reasons: tuple[Reason, ...] = ()
) -> Judgement:
    """Return the judgement where a fault leaves it to a person."""
    decider = Decider(DeciderKind.FAULT, fault.code)
    return Judgement(Outcome.REFER, decider, fault, assessment, reasons)
