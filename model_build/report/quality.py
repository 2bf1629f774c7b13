"""How good the model is: candidates, ranking, calibration, and what its answers decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.measures import delong_p_value, differences
from credit_core.domain.pages import words
from credit_core.domain.pages.html import (
    Markup,
    Section,
    Table,
    element,
    figure,
    joined,
    paragraph,
    side_by_side,
    wide_and_narrow,
)
from credit_core.domain.policy import points
from model_build.report import charts
from model_build.report.curves import (
    approvals,
    bin_of,
    equal_bins,
    recalibration,
    receiver_operating_band,
    receiver_operating_curve,
)
from model_build.report.facts import SEED
from model_build.report.overview import ALGORITHMS, SPLIT_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import CandidateRecord
    from model_build.report.facts import Facts

COMPARED_RESAMPLES = 200
MEASURES = (
    ("auc", "AUC", 3),
    ("gini", "Gini", 3),
    ("ks", "KS", 3),
    ("brier", "Brier score", 4),
    ("log_loss", "Log loss", 4),
    ("calibration_error", "Calibration error", 4),
    ("stability", "PSI of the score", 3),
)
SURE = 0.05
"""By custom; a difference less sure than this is called chance."""


def candidates(facts: Facts) -> Section:
    """Return the candidates side by side, with the rule that chose one."""
    manifest = facts.manifest
    records = manifest.candidates
    rows = [
        [name, *(_cell(value, note) for value, note in cells)]
        for name, cells in _measures_of(list(records.values()))
    ]
    table = Table(
        caption=f"Candidates, {SPLIT_WORDS[manifest.evaluation.split]}, "
        f"with 95{words.SPACE}% intervals",
        headings=("Measure", *(_chosen(name, manifest.algorithm) for name in records)),
        rows=rows,
        kind="measures",
    )
    forests = [
        figure(
            charts.forest(
                title,
                [(name, getattr(record.evaluation, measure)) for name, record in records.items()],
                chosen=manifest.algorithm,
                label=label,
            ),
            title,
        )
        for measure, title, label in (
            ("auc", "How well each candidate ranks", "AUC, more is better"),
            ("log_loss", "How well each candidate states the risk", "Log loss, less is better"),
        )
    ]
    body = [
        paragraph(f"Chosen: {manifest.algorithm}. {_sentence(manifest.selection)}"),
        side_by_side(*forests),
        table.html(),
        _what_the_folds_tell(facts),
        _against_champion(facts),
        _limit_of_pairs(facts),
        _settings(facts),
    ]
    return Section("candidates", "Candidates side by side", joined(body))


def _chosen(name: str, algorithm: str) -> str:
    return joined((name, element("small", "chosen"))) if name == algorithm else name


def _cell(value: str, note: str) -> Markup:
    return joined((value, element("small", note))) if note else joined((value,))


def _measures_of(
    records: Sequence[CandidateRecord],
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return, for each measure, a value and its interval per candidate."""
    found: list[tuple[str, list[tuple[str, str]]]] = [
        ("Reasons", [("exact" if record.pairwise else "not exact", "") for record in records]),
        (
            "Log loss in the folds",
            [(words.decimal(record.cross_validated_log_loss, 4), "") for record in records],
        ),
    ]
    for field, name, digits in MEASURES:
        estimates = [getattr(record.evaluation, field) for record in records]
        found.append(
            (
                name,
                [
                    (words.decimal(each.value, digits), words.interval(each.low, each.high, digits))
                    for each in estimates
                ],
            )
        )
    return found


def _sentence(text: str) -> str:
    told = text[:1].upper() + text[1:]
    return told if told.endswith(".") else f"{told}."


def _what_the_folds_tell(facts: Facts) -> Markup:
    """Return which of the figures are a little too good, or tell something else than their name."""
    if facts.split.out_of_time:
        said = (
            "The log loss in the folds chose settings and candidate, so it is a little too good. "
            "The other figures are of later loans, which chose nothing."
        )
    else:
        said = (
            "The same folds choose among the candidates and measure them, so the figures of the "
            "chosen one are a little too good. The PSI compares the answers to loans that were "
            "learned from with those to loans held out; it tells nothing of a movement in time."
        )
    return paragraph(said, kind="note")


def _against_champion(facts: Facts) -> Markup:
    for gate in facts.manifest.gates:
        if gate.name == "beats_champion":
            return paragraph(f"Against the champion: {_sentence(gate.evidence)}", kind="note")
    return Markup("")


def _limit_of_pairs(facts: Facts) -> Markup:
    """Return what the chosen model gives up against the ceiling, on the same loans."""
    ceiling = facts.inputs.fitted.get("unrestricted")
    if ceiling is None or ceiling.name == facts.manifest.algorithm:
        return Markup("")
    theirs = ceiling.tested_probability
    apart = differences(
        facts.defaulted,
        facts.probability,
        theirs,
        seed=SEED,
        resamples=COMPARED_RESAMPLES,
        applicants=facts.split.tested.applicants,
    )
    chance = delong_p_value(facts.defaulted, facts.probability, theirs)
    auc = apart["auc"]
    if chance > SURE:
        verdict = "Chance alone may explain the difference."
    elif auc.value < 0:
        verdict = "The difference is more than chance: this is what the limit costs."
    else:
        verdict = "The limit costs nothing here."
    return paragraph(
        f"What exact reasons cost: the AUC is {words.decimal(abs(auc.value), 4)} "
        f"{'lower' if auc.value < 0 else 'higher'} than that of boosted trees without any limit "
        f"(95{words.SPACE}% interval of the difference {words.signed(auc.low, 4)} to "
        f"{words.signed(auc.high, 4)}, DeLong p = {words.decimal(chance, 2)}; log loss "
        f"{words.signed(apart['log_loss'].value, 4)}). {verdict}",
        kind="note",
    )


def _settings(facts: Facts) -> Markup:
    rows = []
    for name, record in facts.manifest.candidates.items():
        settings = ", ".join(
            f"{words.plain(setting)} {value}" for setting, value in record.parameters.items()
        )
        rows.append([name, ALGORITHMS.get(name, ""), settings or "none"])
    return Table(
        caption="What the candidates are, and the settings that their search chose",
        headings=("Candidate", "Kind of model", "Settings"),
        rows=rows,
        words=3,
        kind="prose",
    ).html()


def ranking(facts: Facts) -> Section:
    """Return how well the model ranks: ROC, KS, and loans in tenths."""
    defaulted, probability, manifest = facts.defaulted, facts.probability, facts.manifest
    curve = receiver_operating_curve(defaulted, probability)
    goods = facts.defaulted == 0
    marks = []
    for cutoff, said in (
        (facts.policy.approve_up_to, "approve up to"),
        (facts.policy.decline_from, "decline from"),
    ):
        above = probability > cutoff if said.startswith("approve") else probability >= cutoff
        across, upward = float(above[goods].mean()), float(above[~goods].mean())
        if 0 < across < 1 or 0 < upward < 1:
            marks.append(charts.Mark(across, upward, f"{said} {words.percent(cutoff)}"))
    roc = charts.ranking(
        curve,
        receiver_operating_band(defaulted, probability, seed=SEED),
        {
            name: receiver_operating_curve(defaulted, fitted.tested_probability)
            for name, fitted in facts.inputs.fitted.items()
            if name != manifest.algorithm
        },
        marks,
        name=manifest.algorithm,
    )
    cutoffs = [cut for cut, *_ in _cutoffs(facts)]
    apart = charts.separation(facts.points[goods], facts.points[~goods], cutoffs)
    evaluation = manifest.evaluation
    reading = (
        f"AUC {words.estimate(evaluation.auc)}, Gini {words.estimate(evaluation.gini)}, KS "
        f"{words.estimate(evaluation.ks)}. The riskiest tenth of the loans holds "
        f"{words.percent(_caught(facts, 0.1), 0)} of all defaults, the riskiest fifth "
        f"{words.percent(_caught(facts, 0.2), 0)}."
    )
    body = joined(
        (
            paragraph(reading),
            side_by_side(
                figure(
                    roc,
                    "ROC curve with its 95 % band. The higher above the diagonal, the better the "
                    "ranking. The dots are the policy's cut-offs.",
                ),
                figure(
                    apart,
                    "Points by outcome, as cumulative shares. KS is the widest gap. Dashed: the "
                    "cut-offs.",
                ),
            ),
            _tenths(facts),
        )
    )
    return Section("ranking", "How well it ranks", body)


def _caught(facts: Facts, share: float) -> float:
    """Return the share of defaults among the riskiest loans, ties as they come."""
    size = max(round(len(facts.probability) * share), 1)
    riskiest = np.argsort(-facts.probability, kind="stable")[:size]
    return float(facts.defaulted[riskiest].sum()) / max(int(facts.defaulted.sum()), 1)


def _tenths(facts: Facts) -> Markup:
    bins = equal_bins(facts.defaulted, facts.probability)
    rows, bads, goods = [], 0, 0
    all_bads = max(facts.overall.defaults, 1)
    all_goods = max(facts.overall.loans - facts.overall.defaults, 1)
    for place, found in enumerate(reversed(bins), 1):
        bads += found.defaults
        goods += found.loans - found.defaults
        rows.append(
            [
                str(place),
                f"{words.decimal(found.least * 100, 2)} to {words.percent(found.most, 2)}",
                words.count(found.loans),
                words.count(found.defaults),
                words.percent(found.observed),
                words.decimal(found.observed / max(facts.overall.observed, 1e-12), 2),
                words.percent(bads / all_bads, 0),
                words.percent(goods / all_goods, 0),
                words.decimal(bads / all_bads - goods / all_goods, 3),
            ]
        )
    return Table(
        caption="The tested loans in tenths, the riskiest first",
        headings=(
            "Tenth",
            "Probability of default",
            "Loans",
            "Defaults",
            "Default rate",
            "Times the average",
            "Defaults so far",
            "Good loans so far",
            "Gap (KS)",
        ),
        rows=rows,
        kind="dense",
    ).html()


def calibration(facts: Facts) -> Section:
    """Return whether the stated probabilities come true."""
    bins = equal_bins(facts.defaulted, facts.probability)
    overall = facts.overall
    inside = sum(found.low <= found.expected <= found.high for found in bins)
    ratio = overall.observed / overall.expected if overall.expected else float("nan")
    said = (
        f"Expected {words.percent(overall.expected, 2)}, observed "
        f"{words.percent(overall.observed, 2)}: {words.decimal(ratio, 2)} times as many as "
        f"expected. In {inside} of {len(bins)} bins the expected rate lies within the interval of "
        "the observed one."
    )
    fitted = recalibration(facts.defaulted, facts.log_odds)
    if fitted is not None:
        said += (
            f" A line of the outcomes on the stated log-odds has slope "
            f"{words.decimal(fitted.slope, 2)} ± {words.decimal(1.96 * fitted.slope_error, 2)} "
            f"(1 is right; below 1 the answers are too extreme), and the level is off by "
            f"{words.signed(fitted.intercept, 2)} ± "
            f"{words.decimal(1.96 * fitted.intercept_error, 2)} log-odds (0 is right)."
        )
    if not facts.split.out_of_time:
        said += (
            " The level was taken from loans of the same days, so cross-validation cannot find it "
            "wrong; later loans can."
        )
    rows = [
        [
            words.percent(found.expected, 2),
            words.percent(found.observed, 2),
            words.percent_interval(found.low, found.high),
            words.count(found.loans),
            words.decimal(found.loans * found.expected, 1),
            words.count(found.defaults),
        ]
        for found in bins
    ]
    table = Table(
        caption="Bins of as many loans each: default rates, and numbers of defaults",
        headings=(
            "Expected",
            "Observed",
            f"95{words.SPACE}% interval",
            "Loans",
            "Expected",
            "Observed",
        ),
        rows=rows,
        kind="dense",
    )
    body = joined(
        (
            paragraph(said),
            side_by_side(
                figure(
                    charts.calibration(bins),
                    "On the diagonal, what is expected comes true. Above it, the model states too "
                    "little risk; below it, too much.",
                ),
                table.html(),
            ),
        )
    )
    return Section("calibration", "Whether its probabilities come true", body)


def _cutoffs(facts: Facts) -> list[tuple[float, str, str]]:
    policy = facts.policy
    logit = [np.log(cut / (1 - cut)) for cut in (policy.approve_up_to, policy.decline_from)]
    approve, decline = (points(policy, float(each)) for each in logit)
    return [
        (approve, f"approve from {words.count(approve)}", "start"),
        (decline, f"decline up to {words.count(decline)}", "end"),
    ]


def decisions(facts: Facts) -> Section:
    """Return the scores by outcome, and what the policy makes of them."""
    goods = facts.defaulted == 0
    cutoffs = _cutoffs(facts)
    drawn = wide_and_narrow(
        lambda width: charts.scores(facts.points[goods], facts.points[~goods], cutoffs, width=width)
    )
    found = approvals(facts.defaulted, facts.probability)
    expected = [float(facts.probability[facts.probability <= each.cutoff].mean()) for each in found]
    trade = charts.trade_off(found, facts.approved, facts.overall.observed, expected=expected)
    policy = facts.policy
    body = joined(
        (
            paragraph(
                f"{policy.base_points:g} points stand for odds of {policy.base_odds:g} good to one "
                f"bad; {policy.points_to_double_odds:g} points more double the odds."
            ),
            figure(
                drawn,
                "Points of the tested loans by outcome; each outcome's shares add to 100 %. "
                "Dashed: the live cut-offs.",
                kind="full",
            ),
            side_by_side(
                figure(
                    trade,
                    "What any cut-off would mean: the default rate of those approved, with its "
                    "95 % interval, against the share approved.",
                ),
                _outcomes(facts),
            ),
            _bands(facts),
        )
    )
    return Section("decisions", "Scores and what they decide", body)


def _outcomes(facts: Facts) -> Markup:
    policy, probability = facts.policy, facts.probability
    declined, referred = facts.settled_by_rules
    free = ~declined & ~referred
    approves = free & (probability <= policy.approve_up_to)
    declines = free & (probability >= policy.decline_from)
    groups: Sequence[tuple[str, NDArray[np.bool_]]] = (
        ("Approved", approves),
        ("Referred by cut-off", free & ~approves & ~declines),
        ("Declined by cut-off", declines),
        ("Referred by rule", referred),
        ("Declined by rule", declined),
    )
    total = max(len(probability), 1)
    rows = []
    for name, chosen in groups:
        of = bin_of(facts.defaulted[chosen], probability[chosen])
        rows.append(
            [
                name,
                words.count(of.loans),
                words.percent(of.loans / total),
                words.percent(of.expected),
                words.percent(of.observed),
                words.percent_interval(of.low, of.high) if of.loans else words.UNKNOWN,
            ]
        )
    return Table(
        caption="What the policy would decide on the tested loans",
        headings=("Outcome", "Loans", "Share", "Expected", "Observed", f"95{words.SPACE}%"),
        rows=rows,
    ).html()


def _bands(facts: Facts) -> Markup:
    if not facts.policy.bands:
        return Markup("")
    rows, lowest = [], 0.0
    total = max(len(facts.probability), 1)
    for band in facts.policy.bands:
        chosen = (facts.probability > lowest) & (facts.probability <= band.up_to)
        of = bin_of(facts.defaulted[chosen], facts.probability[chosen])
        rows.append(
            [
                band.name,
                f"{words.decimal(lowest * 100, 1)} to {words.percent(band.up_to)}",
                words.count(of.loans),
                words.percent(of.loans / total),
                words.percent(of.expected),
                words.percent(of.observed),
                words.percent_interval(of.low, of.high) if of.loans else words.UNKNOWN,
            ]
        )
        lowest = band.up_to
    return Table(
        caption="Risk bands of the policy",
        headings=(
            "Band",
            "Probability of default",
            "Loans",
            "Share",
            "Expected",
            "Observed",
            f"95{words.SPACE}% interval",
        ),
        rows=rows,
        kind="dense",
    ).html()
