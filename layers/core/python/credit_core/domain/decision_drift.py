"""What a day's tally says beside the training baselines, and beside the days before it.

A stability index of few decisions is mostly chance: of n applicants who are like those trained on,
n times the index lies about where a chi-square of bins - 1 degrees does. So nothing is judged below
a least number of decisions. Where a day has fewer, the days before it are taken in, the latest
first, until there are enough; and what chance alone reaches is told beside each index. Bins in
which hardly anybody is expected count as one: of a hundred rare categories most are empty among 500
applicants, and the index of empty bins is large whatever happens.

Source: Yurdakul and Naranjo, Statistical properties of the population stability index, Journal of
Risk Model Validation 14 (2020), for the distribution of the index.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from credit_core.domain.decision import FeatureStatus
from credit_core.domain.decision_monitoring import DecisionTally, ModelTally
from credit_core.domain.measures import population_stability_index, share_interval
from credit_core.domain.policy_definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from credit_core.domain.decision_monitoring import ModelKey
    from credit_core.domain.model_manifest import Distribution, ModelManifest

NORMAL_ONE_IN_TWENTY = 1.644854
"""Standard errors above the middle that one of twenty values of a normal distribution passes."""
LEAST_EXPECTED = 5
"""Applicants in a bin where nothing has moved; bins with fewer are judged together.

Source: Cochran, Some methods for strengthening the common chi-square tests, Biometrics 10 (1954).
"""
MOST_TOLD = 3
"""Of the inputs that moved most."""
DIGITS = 6
"""Of shares and indices in a document: more say nothing, and could differ by processor."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a figure is worth a person's time.

    Nothing is judged of fewer than ``least_decisions``. ``most_drift`` is of the stability index of
    an input or of the score, ``most_outcome_shift`` and ``most_reason_shift`` of the outcomes and
    of the first reasons against the days before.
    """

    least_decisions: int
    most_drift: float
    most_outcome_shift: float
    most_reason_shift: float


def index_by_chance(bins: int, decisions: float) -> float:
    """Return the stability index that one of twenty samples passes where nothing has moved.

    Args:
        bins: In how many bins the population lay.
        decisions: How many are in the sample; with another sample to compare with, half the
            harmonic mean of both.

    Source: Wilson and Hilferty, PNAS 17 (1931), for the quantile of the chi-square.

    >>> round(index_by_chance(11, 500), 4)
    0.0366
    """
    degrees = max(bins - 1, 1)
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + NORMAL_ONE_IN_TWENTY * math.sqrt(spread)) ** 3
    return quantile / decisions


def figures_of(
    day: date,
    tally: DecisionTally,
    before: Mapping[date, DecisionTally],
    *,
    manifests: Mapping[ModelKey, ModelManifest],
    limits: Limits,
) -> dict[str, Any]:
    """Return a day's figures as a JSON object; ``findings`` in it are sentences.

    Args:
        day: Which.
        tally: Its decisions.
        before: Those of the days before it, as far as they are known.
        manifests: Of the models that answered; one that is not there is not judged.
        limits: What makes a finding.
    """
    days = [(day, tally), *((each, before[each]) for each in sorted(before, reverse=True))]
    past = _merged([found for _, found in days[1:]])
    models = [
        _model(key, days, manifests.get(key), limits.least_decisions)
        for key in sorted(tally.models)
    ]
    found = {
        "decisions": tally.decisions,
        "superseded": tally.superseded,
        "rehearsals": tally.rehearsals,
        "damaged": {"count": tally.damaged, "examples": tally.damaged_examples},
        "before": {
            "days": len(before),
            "first": str(min(before)) if before else None,
            "decisions": past.decisions,
        },
        "outcomes": _mix([str(outcome) for outcome in Outcome], tally.outcomes, past.outcomes),
        "outcome_shift": _shift(days, lambda each: each.outcomes, limits.least_decisions),
        "first_reasons": _mix(None, tally.first_reasons, past.first_reasons),
        "reason_shift": _shift(days, lambda each: each.first_reasons, limits.least_decisions),
        "reasons": {code: tally.reasons[code] for code in sorted(tally.reasons)},
        "decided_by": _mix(None, tally.decided_by, past.decided_by),
        "causes": _mix(None, tally.causes, past.causes, of=(tally.decisions, past.decisions)),
        "policies": _mix(None, tally.policies, past.policies),
        "hours": [tally.hours[f"{hour:02}"] for hour in range(24)],
        "views": {name: _view(name, tally, past) for name in sorted(tally.views)},
        "stages_ms": {name: _stage(name, tally, past) for name in tally.stages},
        "days": _by_day(dict(days)),
        "models": models,
    }
    return {**found, "findings": _findings(found, limits)}


def _by_day(tallies: Mapping[date, DecisionTally]) -> list[dict[str, Any]]:
    """Return the outcomes of each day from the first to the last; of one not known, no shares."""
    first, none = min(tallies), DecisionTally()
    found = []
    for number in range((max(tallies) - first).days + 1):
        day = first + timedelta(days=number)
        tally = tallies.get(day, none)
        shares = {
            str(outcome): _share(tally.outcomes[outcome], tally.decisions) for outcome in Outcome
        }
        found.append({"day": str(day), "decisions": tally.decisions, **shares})
    return found


def _model(
    key: ModelKey,
    days: Sequence[tuple[date, DecisionTally]],
    manifest: ModelManifest | None,
    least: int,
) -> dict[str, Any]:
    today = days[0][1].models[key]
    found: dict[str, Any] = {
        **key._asdict(),
        "answered": {role: today.answered[role] for role in sorted(today.answered)},
        "scored": today.scored,
        "drift": None,
        "not_judged": "",
    }
    if manifest is None:
        return found | {"not_judged": today.no_baseline or "its manifest could not be had"}
    asked = [(day, found.models[key]) for day, found in days if key in found.models]
    taken = _enough(asked, lambda each: each.scored, least)
    if taken is None:
        scored = sum(each.scored for _, each in asked)
        return found | {"not_judged": f"{scored:,} decisions with a score; {least:,} are needed"}
    window, past = ModelTally(), ModelTally()
    for place, (_, each) in enumerate(asked):
        (window if place < taken else past).merge(each)
    recent = past if past.scored >= least else None
    # A manifest of another origin may not say how many loans its shares are of: then as of all.
    rows = manifest.training_set.get("rows_trained")
    trained = rows if isinstance(rows, int) and rows > 0 else None
    inputs = [
        _drift(
            name,
            manifest.baseline[name],
            window.inputs[name],
            recent.inputs.get(name) if recent else None,
            trained=trained,
            labels=manifest.categories.get(name),
        )
        for name in manifest.inputs
        if name in manifest.baseline and name in window.inputs
    ]
    score = _drift(
        "probability_of_default",
        manifest.baseline_probability,
        window.score,
        recent.score if recent else None,
        trained=trained,
        labels=None,
    )
    found["drift"] = {
        "from": str(asked[taken - 1][0]),
        "decisions": window.scored,
        "recent_decisions": past.scored if recent else 0,
        "score": score,
        "inputs": sorted(inputs, key=lambda each: (-each["index"], each["name"])),
    }
    return found


def _drift(
    name: str,
    baseline: Distribution,
    counts: Sequence[int],
    recent: Sequence[int] | None,
    *,
    trained: int | None,
    labels: Sequence[str] | None,
) -> dict[str, Any]:
    """Return how far an input, or the score, has moved: from training, and from the days before."""
    decisions = sum(counts)
    compared = decisions if trained is None else 1 / (1 / decisions + 1 / trained)
    now = [count / decisions for count in counts]
    expected = [share * min(decisions, trained or decisions) for share in baseline.shares]
    # The unknown are no category: what begins to be missing shows by itself.
    judged = _gathered(baseline.shares, now, expected=[*expected[:-1], LEAST_EXPECTED])
    used = sum(share > 0 for share in judged[0])
    between = None if recent is None else _between(recent, counts, last_alone=True)
    return {
        "name": name,
        "index": _rounded(population_stability_index(*judged)),
        "by_chance": _rounded(index_by_chance(used, compared)),
        "recent_index": between and between[0],
        "recent_by_chance": between and between[1],
        "edges": None if labels else list(baseline.edges),
        "categories": list(labels) if labels else None,
        "then": [_rounded(share) for share in baseline.shares],
        "now": [_rounded(share) for share in now],
        "recent": None if recent is None else [_share(count, sum(recent)) for count in recent],
    }


def _shift(
    days: Sequence[tuple[date, DecisionTally]],
    counted: Callable[[DecisionTally], Counter[str]],
    least: int,
) -> dict[str, Any]:
    """Return how far a mix has moved from the days before; ``index`` is None where too few are."""
    counts = [(day, counted(tally)) for day, tally in days]
    taken = _enough(counts, Counter.total, least)
    window: Counter[str] = Counter()
    past: Counter[str] = Counter()
    for place, (_, each) in enumerate(counts):
        (window if place < (taken or len(counts)) else past).update(each)
    found = {
        "decisions": window.total(),
        "before": past.total(),
        "from": str(counts[(taken or len(counts)) - 1][0]),
        "index": None,
        "by_chance": None,
    }
    if taken is None or past.total() < least:
        return found
    names = sorted({*window, *past})
    now, then = [window[name] for name in names], [past[name] for name in names]
    index, by_chance = _between(then, now)
    return found | {"index": index, "by_chance": by_chance}


def _enough[T](days: Sequence[tuple[date, T]], size: Callable[[T], int], least: int) -> int | None:
    """Return how many of the latest days hold at least so many decisions; None if all do not."""
    seen = 0
    for place, (_, found) in enumerate(days, 1):
        seen += size(found)
        if seen >= least:
            return place
    return None


def _between(
    then: Sequence[int], now: Sequence[int], *, last_alone: bool = False
) -> tuple[float, float]:
    """Return the index between two samples, and what it is by chance."""
    before, after = sum(then), sum(now)
    part = min(before, after) / (before + after)
    expected = [part * (one + other) for one, other in zip(then, now, strict=True)]
    if last_alone:
        expected[-1] = LEAST_EXPECTED
    judged = _gathered(
        [count / before for count in then], [count / after for count in now], expected=expected
    )
    used = sum(one + other > 0 for one, other in zip(*judged, strict=True))
    return (
        _rounded(population_stability_index(*judged)),
        _rounded(index_by_chance(used, 1 / (1 / before + 1 / after))),
    )


def _gathered(
    then: Sequence[float], now: Sequence[float], *, expected: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Return two distributions in which all bins with few expected are one, the last.

    Args:
        then: Share per bin.
        now: Share per bin, the same bins.
        expected: Applicants per bin of the smaller sample where nothing has moved.
    """
    rare = [count < LEAST_EXPECTED for count in expected]
    found = []
    for shares in (then, now):
        kept = [share for share, few in zip(shares, rare, strict=True) if not few]
        found.append([*kept, sum(share for share, few in zip(shares, rare, strict=True) if few)])
    return found[0], found[1]


def _mix(
    names: Sequence[str] | None,
    now: Counter[str],
    before: Counter[str],
    *,
    of: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return for each name its count and share, with an interval, and its share before."""
    total, total_before = of or (now.total(), before.total())
    return {
        name: {
            "count": now[name],
            "share": _share(now[name], total),
            "interval": [_rounded(end) for end in share_interval(now[name], total)],
            "share_before": _share(before[name], total_before),
        }
        for name in names or sorted({*now, *before}, key=lambda name: (-now[name], name))
    }


def _view(name: str, tally: DecisionTally, past: DecisionTally) -> dict[str, Any]:
    now, before = tally.views[name], past.views.get(name)
    total = now.statuses.total()
    return {
        "decisions": total,
        "shares": {str(status): _share(now.statuses[status], total) for status in FeatureStatus},
        "shares_before": {
            str(status): _share(before.statuses[status], before.statuses.total())
            for status in FeatureStatus
        }
        if before
        else None,
        "defaulted": _share(now.defaulted, total),
        "age_seconds": {
            part: _significant(now.age_seconds.quantile(share))
            for part, share in (("p50", 0.5), ("p99", 0.99))
        },
    }


def _stage(name: str, tally: DecisionTally, past: DecisionTally) -> dict[str, Any]:
    now, before = tally.stages[name], past.stages.get(name)
    return {
        "decisions": now.count,
        "p50": _significant(now.quantile(0.5)),
        "p99": _significant(now.quantile(0.99)),
        "p50_before": _significant(before.quantile(0.5)) if before else None,
        "p99_before": _significant(before.quantile(0.99)) if before else None,
    }


def _merged(tallies: Sequence[DecisionTally]) -> DecisionTally:
    found = DecisionTally()
    for tally in tallies:
        found.merge(tally)
    return found


def _findings(figures: Mapping[str, Any], limits: Limits) -> list[str]:
    """Return a sentence for each figure beyond its limit, the most urgent first."""
    found = []
    damaged = figures["damaged"]["count"]
    if damaged:
        found.append(f"{_receipts(damaged)} could not be read")
    shift = figures["outcome_shift"]
    if shift["index"] is not None and shift["index"] > limits.most_outcome_shift:
        changed = ", ".join(
            f"{name} {mix['share']:.1%} after {mix['share_before']:.1%}"
            for name, mix in figures["outcomes"].items()
        )
        found.append(
            f"the outcomes have shifted: {changed} (index {shift['index']:.3f}, limit"
            f" {limits.most_outcome_shift:g})"
        )
    shift = figures["reason_shift"]
    if shift["index"] is not None and shift["index"] > limits.most_reason_shift:
        found.append(
            f"the reasons of declines have shifted (index {shift['index']:.3f}, limit"
            f" {limits.most_reason_shift:g})"
        )
    for model in figures["models"]:
        named = f"of model {model['version']}"
        if model["drift"] is None:
            continue
        score = model["drift"]["score"]
        if score["index"] > limits.most_drift:
            found.append(
                f"the score {named} has moved far from training (index {score['index']:.3f}, limit"
                f" {limits.most_drift:g})"
            )
        far = [each for each in model["drift"]["inputs"] if each["index"] > limits.most_drift]
        if far:
            inputs = "1 input" if len(far) == 1 else f"{len(far)} inputs"
            told = ", ".join(f"{each['name']} {each['index']:.3f}" for each in far[:MOST_TOLD])
            more = f" and {len(far) - MOST_TOLD} more" if len(far) > MOST_TOLD else ""
            found.append(
                f"{inputs} {named} moved far from training (limit {limits.most_drift:g}):"
                f" {told}{more}"
            )
    return found


def _receipts(count: int) -> str:
    return "1 receipt" if count == 1 else f"{count:,} receipts"


def _share(count: int, total: int) -> float | None:
    return _rounded(count / total) if total else None


def _rounded(value: float) -> float:
    return round(value, DIGITS)


def _significant(value: float | None) -> float | None:
    """Return a value to three digits: a histogram knows no more.

    >>> _significant(12.3456), _significant(None)
    (12.3, None)
    """
    return None if value is None else float(f"{value:.3g}")
