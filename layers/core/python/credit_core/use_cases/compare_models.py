"""Champion and challenger on the same applicants, as the receipts of a trial have them.

Both models answered for each of these applicants, one of them unheard. What they agree on is known
at once; who was right, when outcomes arrive. These exist for approved applications alone, so both
models are measured on loans that were granted, not on all that was asked for, and of these on the
ones that both would have approved. Whoever chose the loans has sorted out the worst by its own
ranking already: on all of them an equally good challenger in the shadow looks surely better in one
case of six, where a third is declined.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.loan_outcome import LoanOutcome, default_within
from credit_core.domain.measures import (
    NAMES,
    NORMAL_95,
    SMALLEST_PROBABILITY,
    delong_p_value,
    differences,
    distribution_of,
    estimates,
    population_stability_index,
    share_interval,
    shares_in,
)
from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.model_manifest import Role
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.receipt import READ_ERRORS
from credit_core.domain.rollout import Shadow
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import Metrics
    from credit_core.use_cases.served_decisions import ServedDecision, ServedDecisions

FEWEST_OF_A_CLASS = 10
"""Defaults, and loans that did not default, below which no measure is worth its interval."""
CALIBRATION_BINS = 10
SEED = 0
SIGNIFICANT = 0.05

OTHER = {Role.CHAMPION: Role.CHALLENGER, Role.CHALLENGER: Role.CHAMPION}


@dataclass(frozen=True, slots=True)
class _Answers:
    """What both models said about one applicant; ``heard`` is whose word counted.

    ``outcomes`` are the champion's and the challenger's. ``defaulted`` is None until it was
    reported; ``is_loan`` is whether a report is to be expected, and ``is_mature`` whether the
    label's horizon has passed.
    """

    champion: float
    challenger: float
    outcomes: tuple[str, str]
    heard: Role
    is_loan: bool
    is_mature: bool
    defaulted: bool | None
    sampled: bool


@dataclass
class _Tally:
    """The decisions of a pair of models; ``silent`` counts those in which one had no answer."""

    answers: list[_Answers] = field(default_factory=list)
    silent: Counter[Role] = field(default_factory=Counter)
    last: str = ""


def compare_models(
    product: CreditProduct, decisions: ServedDecisions, *, as_of: datetime
) -> dict[str, Any]:
    """Return how each pair of champion and challenger compares over the decisions of some days.

    The document has a member of ``pairs`` for each two models that were on trial together, newest
    challenger last; ``comparison_lines`` says the same in words. ``alone`` counts decisions without
    a second model.

    Args:
        product: Whose decisions they are.
        decisions: Where they are read from.
        as_of: Now.

    Raises:
        StoreUnavailableError: The archive did not answer.
    """
    tallies: dict[tuple[str, str], _Tally] = {}
    alone = read = damaged = 0
    for decision in decisions:
        read += 1
        if not decision.receipt.get("shadow"):
            alone += 1
            continue
        try:
            _add(tallies, product, decision, as_of=as_of)
        except (DamagedReceiptError, *READ_ERRORS):
            damaged += 1
    return {
        "product": product.name,
        "from": str(decisions.days.first),
        "to": str(decisions.days.last),
        "made_at": as_of.isoformat(timespec="seconds"),
        "decisions": decisions.made,
        "read": read,
        "sampled": decisions.sampled,
        "alone": alone,
        "damaged": damaged + decisions.damaged,
        "horizon_days": product.label.horizon.days,
        "pairs": [
            {"champion": champion, "challenger": challenger, **_compared(tally)}
            for (champion, challenger), tally in sorted(tallies.items())
        ],
    }


def publish_comparison(
    document: Mapping[str, Any], *, stage: str, metrics: Metrics, as_of: datetime
) -> None:
    """Publish agreement and score shift of the pair on trial last, if there is one.

    Raises:
        StoreUnavailableError: They are not known to have arrived.
    """
    if not document["pairs"]:
        return
    newest = max(document["pairs"], key=lambda pair: pair["last_decision"])
    named = dimensions(stage=stage, product=document["product"])
    figures = {
        Metric.MODEL_AGREEMENT: newest["agreement"]["share"]["value"],
        Metric.SCORE_SHIFT: newest["scores"]["stability"],
    }
    metrics.publish(
        [
            Measurement(metric, value, Unit.NONE, named)
            for metric, value in figures.items()
            if value is not None
        ],
        at=as_of,
    )


def comparison_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a comparison as lines of text, for whoever decides on a promotion."""
    yield (
        f"{document['product']}: {document['decisions']:,} decisions from {document['from']}"
        f" to {document['to']}, {document['read']:,} of them read"
    )
    if document["damaged"]:
        yield f"{document['damaged']:,} could not be read"
    if not document["pairs"]:
        yield "In none of them two models answered: nobody was on trial."
        return
    yield f"{document['alone']:,} decisions had one model only"
    for pair in document["pairs"]:
        yield ""
        yield from _pair_lines(pair, horizon_days=document["horizon_days"])
    yield ""
    yield (
        "Outcomes exist for loans that were granted, by the policy and the models of the time."
        " Of applicants who were declined nobody knows; both models are measured on the same loans,"
        " those that both would have approved."
    )


def _add(
    tallies: dict[tuple[str, str], _Tally],
    product: CreditProduct,
    decision: ServedDecision,
    *,
    as_of: datetime,
) -> None:
    """Add a decision to the tally of its two models.

    Raises:
        DamagedReceiptError: The shadow cannot be read; ``READ_ERRORS`` tell other damage.
    """
    receipt = decision.receipt
    response = json.loads(str(receipt["response"]))
    shadow = Shadow.from_receipt(str(receipt["shadow"]))
    heard = OTHER[shadow.role]
    versions = {shadow.role: shadow.version, heard: response["model"]["version"]}
    tally = tallies.setdefault((versions[Role.CHAMPION], versions[Role.CHALLENGER]), _Tally())
    decided_at = datetime.fromisoformat(str(receipt["decided_at"]))
    tally.last = max(tally.last, str(receipt["decided_at"]))
    answers = {
        heard: (response["probability_of_default"], response["outcome"]),
        shadow.role: (shadow.probability_of_default, shadow.outcome),
    }
    silent = [role for role, (probability, _) in answers.items() if probability is None]
    if silent:
        tally.silent.update(silent)
        return
    horizon = product.label.horizon
    tally.answers.append(
        _Answers(
            champion=float(answers[Role.CHAMPION][0]),
            challenger=float(answers[Role.CHALLENGER][0]),
            outcomes=(str(answers[Role.CHAMPION][1]), str(answers[Role.CHALLENGER][1])),
            heard=heard,
            is_loan=decision.standing == Outcome.APPROVE
            and LoanOutcome.WITHDRAWN not in decision.reported,
            is_mature=decided_at + horizon <= as_of,
            defaulted=default_within(
                decision.reported, decided_on=decided_at.date(), horizon=horizon
            ),
            sampled=decision.sampled,
        )
    )


def _compared(tally: _Tally) -> dict[str, Any]:
    answers = tally.answers
    sample = [each for each in answers if each.sampled]
    known = [each for each in answers if each.defaulted is not None]
    alike = [each for each in known if set(each.outcomes) == {Outcome.APPROVE}]
    return {
        "last_decision": tally.last,
        "decisions": len(answers),
        "answered_by": {str(role): sum(each.heard is role for each in sample) for role in Role},
        "silent": {str(role): tally.silent[role] for role in Role},
        "agreement": _agreement(sample),
        "scores": _scores(sample),
        "loans": {
            "granted": sum(each.is_loan for each in answers),
            "reported": len(known),
            "defaulted": sum(bool(each.defaulted) for each in known),
            "horizon_passed": sum(each.is_mature for each in known),
            "missing": sum(each.is_loan and each.defaulted is None for each in answers),
        },
        "quality": _quality(alike) | {"left_out": len(known) - len(alike)},
    }


def _agreement(sample: Sequence[_Answers]) -> dict[str, Any]:
    """Return how often both models come to the same outcome; rows are the champion's."""
    counts = Counter(each.outcomes for each in sample)
    names = [str(outcome) for outcome in Outcome]
    same = sum(count for (one, other), count in counts.items() if one == other)
    low, high = share_interval(same, len(sample)) if sample else (None, None)
    return {
        "same": same,
        "of": len(sample),
        "share": {"value": same / len(sample) if sample else None, "low": low, "high": high},
        "matrix": {one: {other: counts[one, other] for other in names} for one in names},
    }


def _scores(sample: Sequence[_Answers]) -> dict[str, Any]:
    """Return how far the challenger's probabilities lie from the champion's."""
    if not sample:
        return {"stability": None}
    champion, challenger = _probabilities(sample)
    shift = _log_odds(challenger) - _log_odds(champion)
    error = float(shift.std(ddof=1)) / math.sqrt(len(shift)) if len(shift) > 1 else math.nan
    mean = float(shift.mean())
    then = distribution_of(champion)
    return {
        "mean_probability": {
            Role.CHAMPION: float(champion.mean()),
            Role.CHALLENGER: float(challenger.mean()),
        },
        "log_odds_shift": {
            "value": mean,
            "low": _or_none(mean - NORMAL_95 * error),
            "high": _or_none(mean + NORMAL_95 * error),
        },
        "log_odds_apart": float(np.abs(shift).mean()),
        "stability": population_stability_index(then.shares, shares_in(then, challenger)),
    }


def _quality(known: Sequence[_Answers]) -> dict[str, Any]:
    """Return the measures of both models on loans whose outcome is known, and a test."""
    defaulted = np.array([each.defaulted for each in known], dtype=np.int64)
    bads = int(defaulted.sum())
    if min(bads, len(known) - bads) < FEWEST_OF_A_CLASS:
        return {
            "measured": False,
            "why": f"{bads} defaults and {len(known) - bads} other loans that both would approve "
            f"were reported; {FEWEST_OF_A_CLASS} of each are needed",
        }
    champion, challenger = _probabilities(known)
    of_each = {Role.CHAMPION: champion, Role.CHALLENGER: challenger}
    found = {role: estimates(defaulted, of_each[role], seed=SEED) for role in Role}
    apart = differences(defaulted, challenger, champion, seed=SEED)
    return {
        "measured": True,
        "loans": len(known),
        "defaults": bads,
        **{
            str(role): {
                **{name: found[role][name].model_dump() for name in NAMES},
                "calibration": _calibration(defaulted, of_each[role]),
            }
            for role in Role
        },
        "difference": {name: apart[name].model_dump() for name in NAMES},
        "delong_p_value": delong_p_value(defaulted, challenger, champion),
    }


def _calibration(defaulted: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, Any]:
    """Return the default rate beside what was expected, over all and in bins of equal size."""
    bins = np.array_split(np.argsort(probability, kind="stable"), CALIBRATION_BINS)
    return {
        "expected": float(probability.mean()),
        "observed": float(defaulted.mean()),
        "bins": [
            {
                "loans": len(chosen),
                "expected": float(probability[chosen].mean()),
                "observed": float(defaulted[chosen].mean()),
            }
            for chosen in bins
            if len(chosen)
        ],
    }


def _probabilities(
    answers: Sequence[_Answers],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the champion's and the challenger's probabilities of default, each of shape (n,)."""
    return (
        np.array([each.champion for each in answers]),
        np.array([each.challenger for each in answers]),
    )


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    sure = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.log(sure) - np.log1p(-sure)


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number


def _pair_lines(pair: Mapping[str, Any], *, horizon_days: int) -> Iterator[str]:
    agreement, scores, loans = pair["agreement"], pair["scores"], pair["loans"]
    yield f"Champion {pair['champion']}, challenger {pair['challenger']}"
    by = pair["answered_by"]
    yield (
        f"  both answered  {pair['decisions']:,} applications;"
        f" the champion was heard in {by['champion']:,}, the challenger in {by['challenger']:,}"
    )
    for role, count in pair["silent"].items():
        if count:
            yield f"  the {role} had no answer in {count:,}"
    if agreement["of"]:
        yield (
            f"  same outcome   {agreement['same']:,} of {agreement['of']:,},"
            f" {_interval(agreement['share'], '.1%')}"
        )
        for one, row in agreement["matrix"].items():
            told = ", ".join(f"{other} {count:,}" for other, count in row.items() if count)
            if told:
                yield f"    champion {one:<8} challenger: {told}"
        mean = scores["mean_probability"]
        yield (
            f"  mean PD        champion {mean['champion']:.2%}, challenger"
            f" {mean['challenger']:.2%}; shift in log-odds {_interval(scores['log_odds_shift'])},"
            f" PSI {scores['stability']:.3f}"
        )
    yield (
        f"  loans          {loans['granted']:,} granted, {loans['reported']:,} with an outcome"
        f" ({loans['defaulted']:,} defaulted), {loans['missing']:,} without one yet"
    )
    young = loans["reported"] - loans["horizon_passed"]
    if young:
        yield (
            f"    of {young:,} the horizon of {horizon_days} days has not passed: defaults come"
            " early, so these show more of them than all loans will"
        )
    yield from _quality_lines(pair["quality"])


def _quality_lines(quality: Mapping[str, Any]) -> Iterator[str]:
    if not quality["measured"]:
        yield f"  quality        not measured: {quality['why']}"
        return
    yield (
        f"  quality        on the same {quality['loans']:,} loans, which both would approve, with"
        " 95 % intervals"
    )
    if quality["left_out"]:
        yield (
            f"    {quality['left_out']:,} more are left out: one of them would not have granted"
            " them, and on loans that one model chose it looks worse than the other"
        )
    yield f"    {'':<18}{'champion':<28}{'challenger':<28}difference"
    for name in NAMES:
        values = (quality[part][name] for part in (*map(str, Role), "difference"))
        one, other, apart = map(_interval, values)
        yield f"    {name:<18}{one:<28}{other:<28}{apart}"
    for role in map(str, Role):
        found = quality[role]["calibration"]
        yield (
            f"    {role} expected {found['expected']:.2%} to default, {found['observed']:.2%} did"
        )
    p_value, apart = quality["delong_p_value"], quality["difference"]["auc"]["value"]
    if p_value >= SIGNIFICANT:
        verdict = "no significant difference"
    else:
        verdict = f"the {'challenger' if apart > 0 else 'champion'} ranks better"
    yield f"    DeLong p = {p_value:.3f}: {verdict}"


def _interval(estimate: Mapping[str, float | None], form: str = ".4f") -> str:
    """Return an estimate in words.

    >>> _interval({"value": 0.5, "low": 0.4, "high": None}, ".1f")
    '0.5 (0.4 to ?)'
    """
    value, low, high = (
        "?" if estimate[part] is None else format(estimate[part], form)
        for part in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
