"""What speaks for caution: stability, fairness, gates, limits, and where it all comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.measures import (
    MOVED,
    STABLE,
    area_under_curve,
    population_stability_index,
    shares_in,
)
from credit_core.domain.model_manifest import Split
from credit_core.domain.pages import words
from credit_core.domain.pages.charts import bars
from credit_core.domain.pages.html import (
    Markup,
    Section,
    Table,
    element,
    figure,
    items,
    joined,
    pairs,
    paragraph,
    side_by_side,
    status,
)
from model_build.report import charts
from model_build.report.curves import bin_of

if TYPE_CHECKING:
    from credit_core.domain.fairness import AdverseImpact
    from credit_core.domain.product import MonitoredGroup
    from model_build.report.facts import Facts

PERIODS = 6
LEAST_DAYS = 2
DAYS_OF_A_YEAR = 365
MOST_DRIFTS = 15
FEWEST_TO_RANK = 5
"""Of fewer defaults in a period an AUC is not shown."""
FOUR_FIFTHS = 0.8


def stability(facts: Facts) -> Section:
    """Return how much the tested loans differ from those fitted on, and how it did over time."""
    body = _over_time(facts) if facts.split.out_of_time else _over_folds(facts)
    return Section("stability", "Stability", body)


def _judged(index: float) -> str:
    if index < STABLE:
        return "stable"
    return "moved" if index <= MOVED else "moved far"


def _moved(how: str, limit: float, names: list[str]) -> str:
    if not names:
        return f"No input {how} (above {limit:.2f})."
    return f"{words.plural(len(names), 'input')} {how} (above {limit:.2f}): {words.listed(names)}."


def _over_time(facts: Facts) -> Markup:
    score = facts.manifest.evaluation.stability
    drifts = facts.stability
    far = [name for name, index in drifts if index > MOVED]
    some = [name for name, index in drifts if STABLE <= index <= MOVED]
    said = (
        f"From the loans fitted on to those tested with, the score's stability index (PSI) is "
        f"{words.estimate(score)}: {_judged(score.value)}. "
        f"{_moved('moved far', MOVED, far)} {_moved('moved', STABLE, some)}"
    )
    drawn = bars(
        "Population stability index of each input",
        [(name, index, words.decimal(index)) for name, index in drifts[:MOST_DRIFTS]],
        width=420,
        limits=(STABLE, MOVED),
    )
    more = (
        f" The {MOST_DRIFTS} that moved most, of {len(drifts)}."
        if len(drifts) > MOST_DRIFTS
        else ""
    )
    inputs_figure = figure(
        drawn, f"PSI of each input, fitted on to tested with; dashed: 0.10 and 0.25.{more}"
    )
    periods = _periods(facts)
    if periods is None:
        return joined((paragraph(said), inputs_figure))
    plotted, table = periods
    return joined((paragraph(said), side_by_side(inputs_figure, plotted), table))


def _periods(facts: Facts) -> tuple[Markup, Markup] | None:
    """Return how the model did in parts of the tested time of equal length."""
    instants = facts.split.tested.event_timestamps
    if instants is None:
        return None
    days = instants.astype("datetime64[D]").astype(np.int64)
    first, last = int(days[0]), int(days[-1])
    span = last - first + 1
    count = min(PERIODS, span // LEAST_DAYS)
    if count < LEAST_DAYS:
        return None
    places = np.minimum((days - first) * count // span, count - 1)
    starts = [first + -(-place * span // count) for place in range(count)]
    names = [str(np.datetime64(start, "D")) for start in starts]
    bins, rows = [], []
    baseline = facts.manifest.baseline_probability
    for place in range(count):
        chosen = places == place
        defaulted, probability = facts.defaulted[chosen], facts.probability[chosen]
        found = bin_of(defaulted, probability)
        bins.append(found)
        if not found.loans:
            rows.append([names[place], "0", *[words.UNKNOWN] * 6])
            continue
        can_rank = FEWEST_TO_RANK <= found.defaults <= found.loans - FEWEST_TO_RANK
        moved = population_stability_index(baseline.shares, shares_in(baseline, probability))
        rows.append(
            [
                names[place],
                words.count(found.loans),
                words.count(found.defaults),
                words.percent(found.expected),
                words.percent(found.observed),
                words.percent_interval(found.low, found.high),
                words.decimal(area_under_curve(defaulted, probability))
                if can_rank
                else words.UNKNOWN,
                words.decimal(moved),
            ]
        )
    # Month and day say enough, unless they come again.
    short = [name[:7] if span > DAYS_OF_A_YEAR else name[5:] for name in names]
    plotted = figure(
        charts.by_period(short, bins),
        "Default rate of the tested loans by the first day of each period, with 95 % intervals.",
    )
    table = Table(
        caption="The tested loans by period",
        headings=(
            "From",
            "Loans",
            "Defaults",
            "Expected",
            "Observed",
            f"95{words.SPACE}% interval",
            "AUC",
            "PSI of the score",
        ),
        rows=rows,
        kind="dense dates",
    ).html()
    return plotted, table


def _over_folds(facts: Facts) -> Markup:
    rows = []
    for place, (_, held_out) in enumerate(facts.split.folds):
        loans = facts.split.fitted.where(held_out)
        probability = facts.probability[held_out]
        found = bin_of(loans.defaulted, probability)
        losses = facts.chosen.fold_losses
        rows.append(
            [
                str(place + 1),
                words.count(found.loans),
                words.count(found.defaults),
                words.percent(found.expected),
                words.percent(found.observed),
                words.decimal(area_under_curve(loans.defaulted, probability)),
                words.decimal(float(losses[place]), 4) if place < len(losses) else words.UNKNOWN,
            ]
        )
    return joined(
        (
            paragraph(
                "The data has no time, so nothing can be said of how inputs and score move. The "
                "folds tell how much the quality depends on which loans are held out."
            ),
            Table(
                caption="Each fold, by a model fitted on the others",
                headings=(
                    "Fold",
                    "Loans",
                    "Defaults",
                    "Expected",
                    "Observed",
                    "AUC",
                    "Log loss",
                ),
                rows=rows,
            ).html(),
        )
    )


def fairness(facts: Facts) -> Section:
    """Return approval rates by group."""
    title = "Fairness"
    declared = {group.name: group for group in facts.product.monitored_groups}
    if not declared:
        body = paragraph(
            "Not measured: the product declares no groups to compare (monitored_groups). Nothing "
            "in this report says whether the model treats groups of applicants alike.",
            kind="warn",
        )
        return Section("fairness", title, body)
    cutoff = words.percent(facts.policy.approve_up_to)
    parts = [
        paragraph(
            f"Which of the tested loans would be approved at the live cut-off (up to {cutoff}), by "
            "group. The adverse impact ratio is a group's approval rate over that of the "
            "reference. By the four-fifths rule (29 CFR 1607.4) less than 0.80 calls for an "
            "explanation. No model sees these columns."
        ),
        paragraph(
            "All of these were granted once. Whoever was turned down is in no rate, so the rates "
            "are not those of all applicants: a group of which only the best were granted looks "
            "better here than it fares. Rules of the policy are left aside.",
            kind="note",
        ),
    ]
    parts += [_group(facts, impact, declared[impact.name]) for impact in facts.impacts]
    missing = [name for name in declared if name not in {impact.name for impact in facts.impacts}]
    if missing:
        parts.append(
            paragraph(f"Declared, but not in the data: {words.listed(missing)}.", kind="warn")
        )
    return Section("fairness", title, joined(parts))


def _group(facts: Facts, impact: AdverseImpact, declared: MonitoredGroup) -> Markup:
    stated = facts.split.tested.groups[impact.name]
    rows = []
    for group in impact.groups:
        chosen = stated == group.group
        found = bin_of(facts.defaulted[chosen], facts.probability[chosen])
        can_rank = FEWEST_TO_RANK <= found.defaults <= found.loans - FEWEST_TO_RANK
        rows.append(
            [
                f"{group.group}{' (reference)' if group.group == impact.reference else ''}",
                words.count(group.loans),
                words.percent(group.approval_rate),
                words.estimate(group.ratio, 2) if group.ratio else "not compared",
                words.percent(found.expected),
                words.percent(found.observed),
                words.percent_interval(found.low, found.high),
                words.decimal(area_under_curve(facts.defaulted[chosen], facts.probability[chosen]))
                if can_rank
                else words.UNKNOWN,
            ]
        )
    table = Table(
        caption=f"{words.plain(impact.name).capitalize()}: {declared.description}",
        headings=(
            "Group",
            "Loans",
            "Approved",
            "Adverse impact ratio",
            "Expected",
            "Observed",
            f"95{words.SPACE}%",
            "AUC",
        ),
        rows=rows,
        kind="dense",
    ).html()
    compared = [
        (group.group, group.ratio)
        for group in impact.groups
        if group.ratio is not None and group.group != impact.reference
    ]
    limit = declared.least_ratio if declared.least_ratio is not None else FOUR_FIFTHS
    parts: list[str] = [element("h3", words.plain(impact.name).capitalize())]
    if compared:
        drawn = charts.forest(
            f"Adverse impact ratio by {impact.name}",
            compared,
            chosen="",
            label=f"Ratio to {impact.reference}",
            digits=2,
            limit=limit,
        )
        gate = (
            f"A ratio surely below {words.decimal(limit, 2)} keeps the model out."
            if declared.least_ratio is not None
            else "It is reported; no limit is declared that would keep the model out."
        )
        parts.append(
            side_by_side(
                figure(
                    drawn,
                    f"Adverse impact ratio with 95 % interval; dashed: {words.decimal(limit, 2)}.",
                ),
                element("div", paragraph(_worst(impact, limit)), paragraph(gate)),
            )
        )
    else:
        parts.append(paragraph("No two groups can be compared: too few loans, or none approved."))
    parts.append(table)
    if impact.not_stated:
        parts.append(
            paragraph(
                f"{words.plural(impact.not_stated, 'loan')} of none of these groups or not stated.",
                kind="note",
            )
        )
    return joined(parts)


def _worst(impact: AdverseImpact, limit: float) -> str:
    worst = impact.worst
    if worst is None or worst.ratio is None:
        return ""
    against = (
        "is surely below it"
        if worst.highest is not None and worst.highest < limit
        else "may be below it"
        if worst.ratio.low < limit
        else "is above it"
    )
    return (
        f"The lowest ratio is that of {worst.group}: {words.estimate(worst.ratio, 2)}. Against "
        f"{words.decimal(limit, 2)} it {against}. Of that group "
        f"{words.percent(worst.expected_rate)} were expected to default and "
        f"{words.percent(worst.default_rate)} did."
    )


def gates(facts: Facts) -> Section:
    """Return each gate with its evidence, failed ones first."""
    found = facts.manifest.gates
    rows = []
    for gate in sorted(found, key=lambda each: each.passed):
        said = gate.evidence
        if gate.look_at and not gate.passed:
            said = joined((gate.evidence, element("span", f"Look at: {gate.look_at}", kind="look")))
        rows.append([words.plain(gate.name), status(passed=gate.passed), said])
    passed = len(found) - len(facts.failed)
    body = joined(
        (
            paragraph(
                f"{passed} of {words.plural(len(found), 'gate')} passed. A model that fails one is "
                "registered, and never answers an application."
            ),
            Table(
                caption="Gates and their evidence",
                headings=("Gate", "Result", "Evidence"),
                rows=rows,
                words=3,
                marked=frozenset(range(len(facts.failed))),
                kind="prose gates",
            ).html(),
        )
    )
    return Section("gates", "Gates", body)


def limits(facts: Facts) -> Section:
    """Return what this report cannot tell."""
    evaluation, overall = facts.manifest.evaluation, facts.overall
    found = [
        (
            "Outcomes are known only of loans that were granted. How those turned down would have "
            "done is not known, and looser cut-offs than those of the time are not tested."
        ),
        (
            f"{words.plural(overall.defaults, 'default')} measure the model. The AUC's interval is "
            f"{words.decimal(evaluation.auc.high - evaluation.auc.low)} wide; a smaller difference "
            "between two reports may be chance."
        ),
    ]
    if evaluation.split is Split.OUT_OF_TIME:
        found.append(
            f"It was tested on loans from {words.day(evaluation.first_event)} to "
            f"{words.day(evaluation.last_event)}. A recession, a new channel or a new kind of "
            "applicant within or after that time is not covered."
        )
    else:
        found.append(
            "The data has no time. Cross-validation tells how it does on loans of the same days as "
            "those it learned from; later ones are usually harder."
        )
    lost = facts.inputs.training_set
    used = max(lost.rows - lost.not_labelled, 1)
    left_out = lost.referred + lost.unservable_rows
    if left_out:
        found.append(
            f"{words.percent(left_out / used)} of the rows with an outcome were left out because a "
            "decision would have refused them; nothing is known of the model on such applicants."
        )
    moved = [name for name, index in facts.stability if index > MOVED]
    if facts.split.out_of_time and moved:
        found.append(
            f"{words.listed(moved)} moved far between the loans fitted on and those tested with; "
            "further movement is likely."
        )
    if not facts.product.monitored_groups:
        found.append("No groups are declared, so fairness is not measured.")
    else:
        found.append(
            "Fairness compares approval rates and default rates of declared groups of the tested "
            "loans. It does not tell why they differ, nor anything of groups that are not recorded."
        )
    found += [
        (
            f"Intervals are 95{words.SPACE}%: each misses the truth in one case of twenty, and the "
            "report has many."
        ),
        (
            "Shapes and pairs describe the model, not the world: they show what it uses, not what "
            "causes default."
        ),
    ]
    return Section("limits", "Limits of this report", items(found))


def lineage(facts: Facts) -> Section:
    """Return what is needed to make or to check the very same model."""
    manifest = facts.manifest
    about = [
        ("Version", manifest.version),
        ("Product", manifest.product),
        ("Trained", f"{manifest.created_at:%Y-%m-%d %H:%M:%S} {manifest.created_at.tzname()}"),
        ("Algorithm", manifest.algorithm),
        ("Model file", f"{words.count(manifest.onnx_bytes)} bytes, SHA-256 {manifest.onnx_sha256}"),
        ("Code", f"SHA-256 {manifest.code_sha256}"),
        ("Inputs", f"{len(manifest.inputs)}, in this order: {', '.join(manifest.inputs)}"),
        ("Libraries", ", ".join(f"{name} {of}" for name, of in manifest.libraries.items())),
    ]
    about += [
        (f"Training set: {words.plain(name)}", words.UNKNOWN if said is None else str(said))
        for name, said in manifest.training_set.items()
    ]
    terms = (
        ("AUC", "Chance that a defaulted loan is ranked riskier than a repaid one. 0.5 is a coin."),
        ("Gini", "Twice the AUC less one: 0 is a coin, 1 is perfect."),
        ("KS", "The widest gap between the two outcomes' cumulative shares."),
        ("Brier score", "Mean squared error of the probability. Less is better."),
        ("Log loss", "Mean surprise at the outcomes, in nats. Less is better."),
        (
            "Calibration error",
            "Mean distance of expected and observed default rate over ten bins.",
        ),
        (
            "PSI",
            "How far a distribution has moved: below 0.10 is stable, above 0.25 needs action.",
        ),
        ("Weight of evidence", "ln(share of the goods / share of the bads) in a bin."),
        (
            "Points",
            (
                f"{facts.policy.base_points:g} at odds of {facts.policy.base_odds:g} to 1; "
                f"{facts.policy.points_to_double_odds:g} more double them."
            ),
        ),
    )
    body = joined(
        (
            element("div", pairs(about), kind="lineage"),
            element("h3", "Words of this report"),
            pairs(terms),
        )
    )
    return Section("lineage", "Lineage and terms", body)
