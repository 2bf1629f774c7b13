"""What comes first: the verdict, what the model is for and not for, and the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.model_manifest import Split
from credit_core.domain.pages import words
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
    tiles,
    wide_and_narrow,
)
from model_build.report import charts

if TYPE_CHECKING:
    from model_build.report.facts import Facts

SPLIT_WORDS = {
    Split.OUT_OF_TIME: "out of time",
    Split.CROSS_VALIDATED: "cross-validated",
}
ALGORITHMS = {
    "scorecard": "A scorecard: each input's value falls into a bin, each bin has points, and the "
    "points add up.",
    "additive": "Boosted trees, each of one input: an input's effect is a curve, and the curves "
    "add up.",
    "pairwise": "Boosted trees, each of at most two inputs: curves per input and surfaces per pair "
    "add up.",
    "unrestricted": "Boosted trees with interactions of any order: its reasons cannot be exact.",
    "xgboost": "XGBoost's boosted trees with interactions of any order, as a challenger.",
    "neural_network": "A small neural network, as a challenger: its reasons cannot be exact.",
}
MOST_PERIODS = 24


def cover(facts: Facts) -> Markup:
    """Return the head of the report: what it is of, the verdict, and the key figures."""
    manifest, product = facts.manifest, facts.product
    about = ALGORITHMS.get(manifest.algorithm, "")
    return element(
        "header",
        paragraph(f"Model report · {product.title}", kind="eyebrow"),
        element("h1", manifest.version),
        paragraph(
            element("b", words.plain(manifest.algorithm).capitalize()),
            f" · trained {manifest.created_at:%Y-%m-%d} · policy {facts.policy.version}",
            kind="about",
        ),
        paragraph(about, kind="about") if about else "",
        _verdict(facts),
        _tiles(facts),
        element("h2", "In short", kind="plain"),
        items(_in_short(facts), kind="short"),
    )


def _verdict(facts: Facts) -> Markup:
    gates, failed = facts.manifest.gates, facts.failed
    if not gates:
        return element("div", element("strong", "Not judged: no gate was run."), kind="verdict no")
    if not failed:
        return element(
            "div",
            element("strong", f"All {len(gates)} gates passed."),
            " The model may be tried beside the champion and promoted.",
            kind="verdict yes",
        )
    return element(
        "div",
        element("strong", f"{len(failed)} of {words.plural(len(gates), 'gate')} failed."),
        " The model may not answer an application.",
        items(
            joined((element("b", words.plain(gate.name)), f": {gate.evidence}")) for gate in failed
        ),
        kind="verdict no",
    )


def _tiles(facts: Facts) -> Markup:
    evaluation, approved, overall = facts.manifest.evaluation, facts.approved, facts.overall
    return tiles(
        [
            (
                "AUC",
                words.decimal(evaluation.auc.value),
                words.interval(evaluation.auc.low, evaluation.auc.high),
            ),
            (
                "Gini",
                words.decimal(evaluation.gini.value),
                words.interval(evaluation.gini.low, evaluation.gini.high),
            ),
            (
                "KS",
                words.decimal(evaluation.ks.value),
                words.interval(evaluation.ks.low, evaluation.ks.high),
            ),
            (
                "Default rate",
                words.percent(overall.observed),
                f"{words.percent(overall.expected)} expected",
            ),
            (
                "Approved",
                words.percent(approved.share, 0),
                f"at a probability up to {words.percent(approved.cutoff)}",
            ),
            (
                "Default if approved",
                words.percent(approved.default_rate),
                words.percent_interval(approved.low, approved.high)
                if approved.share
                else words.UNKNOWN,
            ),
        ]
    )


def _in_short(facts: Facts) -> list[str]:
    evaluation, overall, approved = facts.manifest.evaluation, facts.overall, facts.approved
    measured = (
        f"It was measured with {words.count(overall.loans)} {facts.kind_of_test}; "
        f"{words.count(overall.defaults)} of them defaulted."
    )
    ranks = (
        "Of one loan that defaulted and one that was repaid, it ranks the defaulted one as the "
        f"riskier in {words.percent(evaluation.auc.value, 0)} of cases; a coin would in "
        f"{words.percent(0.5, 0)}."
    )
    within = overall.low <= overall.expected <= overall.high
    level = (
        f"It expected {words.percent(overall.expected)} to default; "
        f"{words.percent(overall.observed)} did (95{words.SPACE}% interval "
        f"{words.percent_interval(overall.low, overall.high)}), so its level is "
        f"{'within what chance allows' if within else 'off by more than chance allows'}"
        f"{'' if facts.split.out_of_time else ', as cross-validation makes it'}."
    )
    saved = overall.observed - approved.default_rate
    decided = (
        f"At the live cut-off it approves {words.percent(approved.share, 0)} of these loans, of "
        f"which {words.percent(approved.default_rate)} default: "
        f"{words.decimal(abs(saved) * 100, 1)} percentage points "
        f"{'less' if saved >= 0 else 'more'} than of all. Of applicants, who are not all granted a "
        "loan, it approves another share."
        if approved.share
        else "At the live cut-off it approves none of these loans."
    )
    exact = (
        "It has no interaction of three or more inputs, so the reasons it gives are exact."
        if facts.manifest.pairwise
        else "It has interactions of three or more inputs, so it cannot give exact reasons and may "
        "not become champion."
    )
    return [measured, ranks, level, decided, exact]


def purpose(facts: Facts) -> Section:
    """Return what the model is for and what not."""
    product, label = facts.product, facts.product.label
    fitted, evaluation = facts.split.fitted, facts.manifest.evaluation
    horizon = label.horizon.days
    within = f", within {words.count(horizon)} days" if horizon else ""
    cutoffs = words.percent(facts.policy.approve_up_to), words.percent(facts.policy.decline_from)
    used = [
        f"Decisions on new applications for: {product.title}. {product.description}",
        f"It estimates the probability of this: {label.description}{within} ({label.name}).",
        (
            f"With policy {facts.policy.version}: up to {cutoffs[0]} is approved, from "
            f"{cutoffs[1]} on declined, between them a person decides. Hard rules come first."
        ),
        "Reasons for adverse actions, measured against the reference applicant of this version.",
    ]
    not_used = [
        (
            "Any other product, and any purpose beside the decision: no marketing, no collections, "
            "no provisioning or capital without a validation of their own."
        ),
        (
            "Applicants unlike those it learned from: it has seen only loans that were granted, "
            f"{words.count(len(fitted))} of them. What those turned down would have done is "
            "unknown."
        ),
        "Another definition of default or another horizon: the level would be wrong.",
        "Inputs outside the ranges of the definition: the service refuses them.",
        "Setting a price: it says how likely a default is, not what a loan earns or costs.",
    ]
    if evaluation.split is Split.CROSS_VALIDATED:
        not_used.append("A claim about the future: its data has no time to test that with.")
    prohibited: Markup = Markup("")
    if product.prohibited:
        prohibited = joined(
            (
                element("h3", "Never seen by the model"),
                pairs((column.name, column.reason) for column in product.prohibited),
            )
        )
    body = joined(
        (
            side_by_side(
                element("div", element("h3", "It is for"), items(used), kind="for"),
                element("div", element("h3", "It is not for"), items(not_used), kind="not"),
            ),
            prohibited,
        )
    )
    return Section("purpose", "What it is for and not for", body)


def data(facts: Facts) -> Section:
    """Return where the loans come from and which were left out."""
    found, split = facts.inputs.training_set, facts.split
    rows: list[list[str]] = [["Rows read", words.count(found.rows), "", ""]]
    left_out = [
        ("without an outcome yet", found.not_labelled),
        ("lacking features that a decision needs", found.referred),
        ("with a value outside the definition", found.unservable_rows),
    ]
    rows += [[f"{words.MINUS} {name}", words.count(number), "", ""] for name, number in left_out]
    loans = found.loans
    rows.append(
        [
            "Loans used",
            words.count(len(loans)),
            words.count(loans.defaults),
            words.percent(loans.defaults / max(len(loans), 1)),
        ]
    )
    parts = (
        [("of them fitted on", split.fitted), ("of them tested with", split.tested)]
        if split.out_of_time
        else []
    )
    rows += [
        [
            name,
            words.count(len(part)),
            words.count(part.defaults),
            words.percent(part.defaults / len(part)),
        ]
        for name, part in parts
    ]
    table = Table(
        caption="From the rows read to the loans used",
        headings=("", "Rows", "Defaults", "Default rate"),
        rows=rows,
        marked=frozenset({4}),
    )
    refused = [
        [name, words.count(number)]
        for name, number in sorted(found.unservable.items(), key=lambda each: (-each[1], each[0]))
        if number
    ]
    tables = [table.html()]
    if refused:
        tables.append(
            Table(
                caption="Values outside the definition, by column",
                headings=("Column", "Rows"),
                rows=refused,
            ).html()
        )
    body = [_period(facts), side_by_side(*tables)]
    newer = sum(found.features_newer.values())
    if newer:
        body.append(
            paragraph(
                f"{words.plural(newer, 'loan')} have features newer than their application: they "
                "tell the model what could not be known.",
                kind="warn",
            )
        )
    return Section("data", "Data and period", joined(body))


def _period(facts: Facts) -> Markup:
    split, found = facts.split, facts.inputs.training_set
    instants = found.loans.event_timestamps
    if instants is None or not len(instants):
        return paragraph(
            "The data has no time. The model was measured by cross-validation in "
            f"{len(split.folds)} folds of whole applicants: each loan by a model fitted without "
            "its fold. How it does on later loans is not known."
        )
    first, last = instants[0].astype("datetime64[D]"), instants[-1].astype("datetime64[D]")
    parts = (
        f"The first {words.percent(len(split.fitted) / len(found.loans), 0)} were fitted on; the "
        "later ones were kept apart until the model was chosen, and measure it."
        if split.out_of_time
        else "All were fitted on; it was measured by cross-validation."
    )
    names, goods, bads, border = _by_period(facts)
    drawn = wide_and_narrow(lambda width: charts.volume(names, goods, bads, border, width=width))
    return joined(
        (
            paragraph(f"Applications from {first} to {last}. {parts}"),
            figure(
                drawn,
                "Loans by the time of their application; the darker part at the foot defaulted.",
                kind="full",
            ),
        )
    )


def _by_period(facts: Facts) -> tuple[list[str], list[int], list[int], float]:
    """Return the periods' first days, their good and bad loans, and where the tested ones begin."""
    loans, split = facts.inputs.training_set.loans, facts.split
    assert loans.event_timestamps is not None  # noqa: S101 (its caller made sure)
    days = loans.event_timestamps.astype("datetime64[D]").astype(np.int64)
    first, last = int(days[0]), int(days[-1])
    span = last - first + 1
    size = next(
        (each for each in (1, 7, 14, 28, 91, 182, 365) if span / each <= MOST_PERIODS),
        -(-span // MOST_PERIODS),
    )
    count = max(-(-span // size), 1)
    places = (days - first) // size
    bads = np.bincount(places, weights=loans.defaulted, minlength=count).astype(int)
    total = np.bincount(places, minlength=count)
    names = [str(np.datetime64(first + place * size, "D")) for place in range(count)]
    border = -1.0
    if split.out_of_time and split.tested.event_timestamps is not None:
        begins = int(split.tested.event_timestamps[0].astype("datetime64[D]").astype(np.int64))
        border = (begins - first) / size
    return names, (total - bads).tolist(), bads.tolist(), border
