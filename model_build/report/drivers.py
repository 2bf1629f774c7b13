"""What moves the model: its inputs, their shapes, pairs and points, and the reasons it gives."""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.pages import words
from credit_core.domain.pages.charts import bars
from credit_core.domain.pages.html import (
    Markup,
    Section,
    Table,
    element,
    figure,
    joined,
    paragraph,
    wide_and_narrow,
)
from credit_core.domain.policy import points
from credit_core.domain.product import DType, RiskDirection
from model_build.report import charts
from model_build.report.effects import answers
from model_build.report.facts import MOST_SHAPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.product import Feature
    from model_build.report.effects import Effect, Explained, Pair
    from model_build.report.facts import Facts

MOST_BARS = 40
LEAST_BAR_POINTS = 0.05
LEAST_EFFECT_POINTS = 2.0
"""The shape of an input that moves points by less is flat; it is named and not drawn."""
LEAST_PAIR_POINTS = 0.05
DIRECTIONS = {
    RiskDirection.INCREASING: "declared: more is riskier",
    RiskDirection.DECREASING: "declared: more is safer",
}
NO_MODEL = "The model file cannot be loaded, so there is nothing to draw. See the gates."


def drivers(facts: Facts) -> Section:
    """Return what each input does."""
    title = "What moves the score"
    found = facts.explained
    if found is None:
        return Section("drivers", title, paragraph(NO_MODEL, kind="warn"))
    body = joined(
        (
            _importance(facts, found),
            element("h3", "Shape of each input"),
            _shapes(facts),
            element("h3", "Pairs of inputs"),
            _pairs(facts),
            _points_table(facts),
            _inputs_table(facts, found),
        )
    )
    return Section("drivers", title, body)


def _importance(facts: Facts, found: Explained) -> Markup:
    sizes = found.mean_size * facts.factor
    order = np.argsort(-sizes, kind="stable")
    rows = [
        (facts.features[place].name, float(sizes[place]), words.decimal(sizes[place], 1))
        for place in order[:MOST_BARS].tolist()
        if sizes[place] >= LEAST_BAR_POINTS
    ]
    if not rows:
        return paragraph("No input moves the score.", kind="warn")
    total = float(sizes.sum())
    top = float(sizes[order[:5]].sum())
    said = f"The five strongest inputs bring {words.percent(top / total, 0)} of all movement."
    still = sorted(facts.features[place].name for place in np.flatnonzero(sizes < LEAST_BAR_POINTS))
    if still:
        said += f" Hardly anybody is moved by {words.listed(still)}."
    title = "Mean size of each input's contribution, in points"
    drawn = wide_and_narrow(lambda width: bars(title, rows, width=width))
    return joined(
        (
            paragraph(
                "By how many points each input moves an applicant's score away from the reference "
                f"applicant's, on average over {words.plural(found.loans, 'tested loan')}, up or "
                f"down. {said}"
            ),
            figure(drawn, f"{title}.", kind="full"),
        )
    )


def _shapes(facts: Facts) -> Markup:
    shown = [each for each in facts.effects if each.spread * facts.factor >= LEAST_EFFECT_POINTS]
    drawn = {each.position for each in shown}
    interacts = facts.pairs[1] * facts.factor >= LEAST_PAIR_POINTS
    limits = _limits(facts, shown)
    panels = [_panel(facts, each, limits, interacts=interacts) for each in shown]
    band = (
        " The shaded band holds the middle 80 % of applicants: it is wide where other inputs "
        "change the effect."
        if interacts
        else ""
    )
    others = [
        feature.name for position, feature in enumerate(facts.features) if position not in drawn
    ]
    weak = (
        f" or are not among the {MOST_SHAPES} strongest"
        if len(facts.features) > MOST_SHAPES
        else ""
    )
    left_out = (
        f" Not drawn, because they move points by less than {LEAST_EFFECT_POINTS:g}{weak}: "
        f"{words.listed(others)}."
        if others
        else ""
    )
    return joined(
        (
            paragraph(
                "Points gained (above 0) or lost (below) as one input moves and all others stay, "
                "around the average of the loans fitted on. All plots share one scale. Grey at the "
                f"foot: where the loans lie.{band} An input that is derived from others does not "
                f"follow them here.{left_out}"
            ),
            element("div", *panels, kind="panels"),
        )
    )


def _limits(facts: Facts, shown: list[Effect]) -> tuple[float, float]:
    """Return the range of points that all shapes share, widened for where loans are drawn."""
    ends = [-1.0, 1.0]
    for each in shown:
        ends += (-facts.factor * each.mean).tolist()
        if each.unknown is not None:
            ends.append(-facts.factor * each.unknown)
    low, high = min(ends), max(ends)
    margin = (high - low) * 0.08
    return low - margin, high + margin


def _panel(facts: Facts, each: Effect, limits: tuple[float, float], *, interacts: bool) -> Markup:
    feature = facts.features[each.position]
    effect = -facts.factor * each.mean
    drawn = charts.shape(
        f"Effect of {feature.name}, from {words.signed(effect.min())} to "
        f"{words.signed(effect.max())} points",
        each,
        feature.categories,
        limits,
        points_per_log_odds=facts.factor,
        interacts=interacts,
        whole=feature.dtype is DType.INTEGER,
    )
    notes = [_unit(feature)]
    if feature.risk is not None:
        notes.append(DIRECTIONS[feature.risk])
    if len(feature.categories) > charts.MOST_LEVELS:
        notes.append(f"the {charts.MOST_LEVELS} commonest of {len(feature.categories)}")
    if each.unknown is not None:
        notes.append(f"{words.percent(each.unknown_share)} not known (n/a)")
    return element(
        "figure",
        element(
            "figcaption",
            element("b", feature.name),
            element(
                "span", f"{words.signed(effect.min())} to {words.signed(effect.max())}", kind="span"
            ),
            element("small", feature.description),
            element("small", " · ".join(note for note in notes if note), kind="note"),
        ),
        Markup(drawn),
    )


def _unit(feature: Feature) -> str:
    return (
        f"in {feature.unit}" if feature.unit not in (None, "ratio", "count") else feature.unit or ""
    )


def _pairs(facts: Facts) -> Markup:
    found, strongest, tried = facts.pairs
    points_at_most = strongest * facts.factor
    if not tried:
        return paragraph("There are no pairs: the model has one input.")
    if points_at_most < LEAST_PAIR_POINTS:
        return paragraph(
            f"None: the inputs add up. Of {words.count(tried)} pairs, tried on tested loans, "
            f"the largest interaction is {words.decimal(points_at_most, 2)} points on average."
        )
    largest = max(float(np.max(np.abs(each.together))) for each in found) * facts.factor
    panels = [
        _pair_panel(facts, each, largest)
        for each in found
        if each.strength * facts.factor >= LEAST_PAIR_POINTS
    ]
    limit = (
        ""
        if facts.manifest.pairwise
        else " This model has interactions of more inputs too; pairs do not tell all of it."
    )
    return joined(
        (
            paragraph(
                f"The strongest of {words.count(tried)} pairs: points gained (blue) or lost "
                "(orange) together, beyond what each input does alone, from the reference "
                "applicant. Beside each name: its mean size over tested loans, in points."
                f"{limit}"
            ),
            element("div", *panels, kind="panels"),
        )
    )


def _pair_panel(facts: Facts, each: Pair, largest: float) -> Markup:
    first, second = facts.features[each.first].name, facts.features[each.second].name
    drawn = charts.heat(
        f"{first} with {second}: points beyond what each does alone",
        each,
        (first, second),
        -facts.factor,
        largest,
    )
    strength = words.decimal(each.strength * facts.factor, 1)
    return element(
        "figure",
        element(
            "figcaption",
            element("b", f"{first} \N{MULTIPLICATION SIGN} {second}"),
            element("span", strength, kind="span"),
        ),
        Markup(drawn),
    )


def _points_table(facts: Facts) -> Markup:
    """Return a scorecard's points; its base is what makes them add up to the model's answers."""
    lines = facts.chosen.points_table
    model = facts.inputs.model
    if not lines or model is None:
        return Markup("")
    average = float(answers(model, facts.split.fitted.matrix).mean())
    base = average - math.fsum(line.share * line.log_odds for line in lines)
    numbers = {feature.name for feature in facts.features if not feature.categories}
    rows = []
    for _, group in groupby(lines, key=lambda line: line.feature):
        for place, line in enumerate(group):
            rows.append(
                [
                    line.feature if place == 0 else "",
                    words.readable(line.label) if line.feature in numbers else line.label,
                    words.signed(-facts.factor * line.log_odds, 1),
                    words.percent(line.share),
                    words.percent(line.default_rate),
                    words.signed(line.weight_of_evidence, 2),
                ]
            )
    return joined(
        (
            element("h3", "Points table"),
            paragraph(
                f"Everybody starts with {words.decimal(points(facts.policy, base), 1)} points and "
                "gains or loses those of the bin that each value falls into. The table rounds "
                "limits and points; the service does not."
            ),
            Table(
                caption="Points by input and value, with shares and default rates when fitted",
                headings=(
                    "Input",
                    "Value",
                    "Points",
                    "Share",
                    "Default rate",
                    "Weight of evidence",
                ),
                rows=rows,
                words=2,
                kind="points",
                grouped=True,
            ).html(),
        )
    )


def _inputs_table(facts: Facts, found: Explained) -> Markup:
    moved = dict(facts.stability) if facts.split.out_of_time else {}
    rows = []
    for position in facts.strongest:
        feature = facts.features[position]
        column = facts.split.fitted.matrix[:, position].astype(np.float64)
        missing = column == UNKNOWN_CATEGORY if feature.categories else np.isnan(column)
        known = column[~missing]
        rows.append(
            [
                feature.name,
                feature.description,
                _typical(feature, known),
                words.percent(float(missing.mean())),
                words.decimal(found.mean_size[position] * facts.factor, 1),
                words.decimal(moved[feature.name]) if feature.name in moved else words.UNKNOWN,
            ]
        )
    return Table(
        caption="All inputs, the strongest first",
        headings=("Input", "What it is", "Typical", "Not known", "Moves points by", "PSI"),
        rows=rows,
        words=3,
        kind="dense inputs",
    ).html()


def _typical(feature: Feature, known: NDArray[np.float64]) -> str:
    """Return the median of a number with its unit, or the commonest category."""
    if not known.size:
        return words.UNKNOWN
    if feature.categories:
        return feature.categories[int(np.bincount(known.astype(int)).argmax())]
    unit = "" if feature.unit in (None, "ratio", "count") else f" {feature.unit}"
    return f"{words.compact(float(np.median(known)))}{unit}"


def reasons(facts: Facts) -> Section:
    """Return which reasons the model would give, and how often."""
    title = "Reasons it would give"
    found = facts.explained
    if found is None:
        return Section("reasons", title, paragraph(NO_MODEL, kind="warn"))
    most = facts.policy.maximum_reasons
    cutoff = words.percent(facts.policy.decline_from)
    if not found.explained:
        return Section(
            "reasons",
            title,
            paragraph(
                f"No tested loan reaches {cutoff}, from which the policy declines, so no reasons "
                "would have been given."
            ),
        )
    ordered = sorted(found.given, key=lambda code: (-found.given[code], code))
    table = Table(
        caption="Share of the declined who are given each reason; darker: as the strongest one",
        headings=("Code", "As the applicant reads it", "", "Given", "First"),
        rows=[_reason(found, code) for code in ordered],
        words=3,
        kind="prose reasons",
    )
    exact = (
        f"Contributions miss their sum by at most {found.least_exact:.1e} log-odds."
        if facts.manifest.pairwise
        else f"The contributions are not exact: they miss their sum by up to "
        f"{words.decimal(found.least_exact, 3)} log-odds."
    )
    sampled = (
        f" {words.count(found.explained)} of them, evenly chosen, were explained."
        if found.explained < found.declined
        else ""
    )
    known = (
        ""
        if facts.split.out_of_time
        else " These are answers of the final model, which has seen the loans."
    )
    without = (
        f" For {words.count(found.without)} no input accounts for the decline; the service refers "
        "those to a person."
        if found.without
        else ""
    )
    body = joined(
        (
            paragraph(
                f"{words.plural(found.declined, 'tested loan')} reach {cutoff}, from which the "
                f"policy declines.{sampled} An applicant is given at most {most} reasons, here "
                f"{words.decimal(found.mean_reasons, 1)} on average, the strongest first. "
                f"{exact}{known}{without}"
            ),
            table.html(),
        )
    )
    return Section("reasons", title, body)


def _reason(found: Explained, code: str) -> list[str]:
    given, first = found.given[code] / found.explained, found.first[code] / found.explained
    said = f"{words.percent(given, 0)} given, {words.percent(first, 0)} first"
    return [
        Markup(words.breakable(code)),
        found.texts[code],
        Markup(charts.bar_in_a_cell(given, first, said)),
        words.percent(given, 0),
        words.percent(first, 0),
    ]
