"""What the loans and the definition must fulfil before a model trained on them can be trusted.

These gates need no model, so a training run may ask them first. Each names what is wrong and what
to look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.credit_lint import credit_lint
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.findings import Severity
from credit_core.domain.measures import (
    population_stability_index,
    shares_in,
)
from credit_core.domain.model_manifest import Gate, categories_of
from credit_core.domain.product import RiskDirection
from model_build.baselines import baselines_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Distribution, ModelManifest
    from credit_core.domain.product import CreditProduct, Feature
    from model_build.loans import Fold, LoanSet, LoanSplit, TrainingSet
    from model_build.previous import PreviousModel

FEWEST_FITTED_LOANS = 500
FEWEST_FITTED_DEFAULTS = 100
FEWEST_TESTED_DEFAULTS = 50
"""With 50 defaults the standard error of an AUC of 0.7 is about 0.04 (Hanley and McNeil 1982)."""

LARGEST_UNSERVABLE_SHARE = 0.05
LARGEST_REFERRED_SHARE = 0.5
LARGEST_REFERRED_RISE = 0.1
"""Of all loans, above the share when the champion was trained: a feed has failed."""

LARGEST_DRIFT = 0.25
"""A population stability index above it calls for action by convention (Siddiqi 2006)."""

LEAKING_AUC = 0.90
"""No honest input ranks so well by itself: models of dozens of them seldom reach it."""
LONELY_AUC = 0.85
LONELY_FACTOR = 2.5
"""Above the former, an input this many times as far from chance as the next one is suspect."""
PURE_RATE = 0.98
PURE_SHARE = 0.10
FEWEST_IN_PURE_BIN = 30
"""Values that so surely mean default, of so large a share of all defaults, follow from it."""

COPIED_AUC = 0.90
COPIED_SHARE = 0.05
"""Loans that equal others in every input are copies where those tell their outcomes so well.

Honest ones, of a product with few categories, agree no more than any two of the same risk.
"""

PROXY_AUC = 0.90
FEWEST_OF_A_GROUP = 30

SIGNIFICANT = 3.0
"""Standard errors from chance. With dozens of inputs, two are often met by accident."""
MOST_DEFAULTS = 0.5

CHANCE = 0.001
"""What is less likely did not happen by chance."""
CHANCE_RESAMPLES = 2_000

MOST_NAMED = 5
LEVELS = 20
"""Quantile bins in which a number is read for leakage."""


def data_gates(
    product: CreditProduct,
    training_set: TrainingSet,
    split: LoanSplit,
    previous: PreviousModel | None,
) -> tuple[Gate, ...]:
    """Return every gate that needs no model, with its evidence."""
    return (
        _enough_data(split),
        _data_schema(product, training_set, previous),
        _drift(product, split, previous),
        _allowed_inputs(product),
        _credit_lint(product),
        _proxies(product, training_set.loans),
        _labels(product, training_set.loans),
        _leakage(product, split),
        _no_future_features(training_set),
        _informative_inputs(product, split.fitted, previous),
    )


def gate(name: str, evidence: str, *, passed: bool, look_at: str) -> Gate:
    """Return a gate; what to look at is told only when it failed."""
    return Gate(name=name, passed=passed, evidence=evidence, look_at="" if passed else look_at)


def named(items: Iterable[str]) -> str:
    """Return the first few of some names or phrases, and how many more there are."""
    listed = list(items)
    more = len(listed) - MOST_NAMED
    return ", ".join(listed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _enough_data(split: LoanSplit) -> Gate:
    fitted, tested = split.fitted, split.tested
    short = [
        f"{limit - found} {what} too few"
        for what, found, limit in (
            ("loans", len(fitted), FEWEST_FITTED_LOANS),
            ("defaults to train on", fitted.defaults, FEWEST_FITTED_DEFAULTS),
            ("defaults to test with", tested.defaults, FEWEST_TESTED_DEFAULTS),
        )
        if found < limit
    ]
    measured_with = (
        f"{len(tested)} later ones with {tested.defaults} to test with"
        if split.out_of_time
        else "each tested in the fold that held it out"
    )
    return gate(
        "enough_data",
        f"{len(fitted)} loans with {fitted.defaults} defaults to train on (at least "
        f"{FEWEST_FITTED_LOANS} and {FEWEST_FITTED_DEFAULTS}), {measured_with} (at least "
        f"{FEWEST_TESTED_DEFAULTS} defaults)" + "".join(f"; {fault}" for fault in short),
        passed=not short,
        look_at=(
            "a longer period or a shorter label horizon, and the rows that were left out "
            "(data_schema); fewer defaults cannot tell a good model from a lucky one"
        ),
    )


def _data_schema(
    product: CreditProduct, training_set: TrainingSet, previous: PreviousModel | None
) -> Gate:
    labelled = max(training_set.rows - training_set.not_labelled, 1)
    unservable = training_set.unservable_rows / labelled
    referred = training_set.referred / labelled
    faults = []
    worst = sorted(training_set.unservable.items(), key=lambda item: -item[1])
    columns = named(f"{column} in {count}" for column, count in worst if count)
    if unservable > LARGEST_UNSERVABLE_SHARE:
        faults.append(f"too many rows outside the definition: {columns}")
    if referred > LARGEST_REFERRED_SHARE:
        faults.append("too many rows without a view that a decision needs")
    before = "" if previous is None else _schema_change(product, previous, referred, faults)
    return gate(
        "data_schema",
        f"of {labelled} labelled rows {len(training_set.loans)} could have been scored; "
        f"{unservable:.1%} hold a value outside the definition (at most "
        f"{LARGEST_UNSERVABLE_SHARE:.0%}){f', by column {columns}' if columns else ''}; "
        f"{referred:.1%} lack a view that a decision needs (at most "
        f"{LARGEST_REFERRED_SHARE:.0%}){before}" + "".join(f"; {fault}" for fault in faults),
        passed=not faults,
        look_at=(
            "the named columns' values against dtype, minimum, maximum, categories and nullable "
            "in the definition; for missing views, when their feed last arrived"
        ),
    )


def _schema_change(
    product: CreditProduct, previous: PreviousModel, referred: float, faults: list[str]
) -> str:
    """Return what changed since the champion was trained; add to the faults what is wrong."""
    then = previous.manifest
    inputs = [feature.name for feature in product.model_features]
    new = [name for name in inputs if name not in then.inputs]
    gone = [name for name in then.inputs if name not in inputs]
    rows, left_out = then.training_set.get("rows_labelled"), then.training_set.get("rows_referred")
    said = f"; since {then.version} {named(new) or 'no input'} new, {named(gone) or 'none'} gone"
    if isinstance(rows, int) and isinstance(left_out, int) and rows:
        earlier = left_out / rows
        said += f", rows without a view were {earlier:.1%}"
        if referred - earlier > LARGEST_REFERRED_RISE:
            faults.append(
                f"that share rose by {referred - earlier:.1%} (at most {LARGEST_REFERRED_RISE:.0%})"
            )
    return said


def _drift(product: CreditProduct, split: LoanSplit, previous: PreviousModel | None) -> Gate:
    look_at = (
        "the named inputs' distributions in the model report, and what changed upstream: units, "
        "a source, a new sales channel; where the change is real and wanted, train without the "
        "champion's baseline once"
    )
    if previous is None:
        later = ""
        if split.out_of_time:
            within = _psi(product, baselines_of(product, split.fitted), split.tested)
            later = f"; from loans trained on to those tested, most in {_most(within)}"
        return gate("drift", f"no earlier model to compare with{later}", passed=True, look_at="")
    then = previous.manifest
    same = {
        name: distribution
        for name, distribution in then.baseline.items()
        if then.categories.get(name, ()) == categories_of(product).get(name, ())
    }
    found = _psi(product, same, split.fitted)
    drifted = {
        name: value
        for name, value in found.items()
        if value > LARGEST_DRIFT and value > _by_chance(same[name], then, len(split.fitted))
    }
    return gate(
        "drift",
        f"population stability index of {len(found)} inputs against the loans that {then.version} "
        f"was trained on: most in {_most(found)} (at most {LARGEST_DRIFT}, or what chance allows)",
        passed=not drifted,
        look_at=f"{_most(drifted) if drifted else ''}: {look_at}",
    )


def _psi(
    product: CreditProduct, baseline: Mapping[str, Distribution], loans: LoanSet
) -> dict[str, float]:
    """Return the population stability index of each input that has a baseline."""
    return {
        feature.name: population_stability_index(
            then.shares,
            shares_in(then, loans.matrix[:, position], categories=len(feature.categories)),
        )
        for position, feature in enumerate(product.model_features)
        if (then := baseline.get(feature.name)) is not None
    }


def _by_chance(baseline: Distribution, then: ModelManifest, loans: int) -> float:
    """Return the index that so many loans reach in one case of a thousand though nothing moved.

    Of 50 categories among 500 loans it is above 0.25 in every other case.
    """
    shares = np.array(baseline.shares)
    fitted = then.training_set.get("rows_trained")
    earlier = fitted if isinstance(fitted, int) and fitted > 0 else loans
    random = np.random.default_rng(0)
    drawn = [
        population_stability_index(one / earlier, other / loans)
        for one, other in zip(
            random.multinomial(earlier, shares / shares.sum(), CHANCE_RESAMPLES),
            random.multinomial(loans, shares / shares.sum(), CHANCE_RESAMPLES),
            strict=True,
        )
    ]
    return float(np.quantile(drawn, 1 - CHANCE))


def _most(found: Mapping[str, float]) -> str:
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {value:.2f}" for name, value in ordered[:3]) or "none"


def _allowed_inputs(product: CreditProduct) -> Gate:
    prohibited = {unwanted.name: unwanted.reason for unwanted in product.prohibited}
    inputs = [feature.name for feature in product.model_features]
    found = [name for name in inputs if name in prohibited]
    return gate(
        "allowed_inputs",
        f"prohibited: {named(prohibited) or 'nothing'}; {', '.join(found) or 'none'} of them among "
        f"the {len(inputs)} inputs",
        passed=not found,
        look_at="; ".join(f"{name}: {prohibited[name]}" for name in found),
    )


def _credit_lint(product: CreditProduct) -> Gate:
    findings = credit_lint(product)
    errors = [it for it in findings if it.severity is Severity.ERROR]
    warnings = [it for it in findings if it.severity is Severity.WARNING]
    said = "; ".join(f"{it.place}: {it.what}" for it in errors)
    return gate(
        "credit_lint",
        f"{len(errors)} errors and {len(warnings)} warnings in the definition"
        + (f": {said}" if said else "")
        + (f"; warnings at {named(it.place for it in warnings)}" if warnings else ""),
        passed=not errors,
        look_at=" ".join(dict.fromkeys(f"{it.why} {it.remedy}" for it in errors)),
    )


def _proxies(product: CreditProduct, loans: LoanSet) -> Gate:
    """Whether an input by itself tells who belongs to a monitored group."""
    best, culprit, compared = 0.5, "none", 0
    found: dict[str, float] = {}
    for group in product.monitored_groups:
        stated = loans.groups.get(group.name)
        if stated is None:
            continue
        told = np.isin(stated, group.values)
        # The first of two groups is whoever is not of the second.
        compared_values = group.values[1:] if len(group.values) == 2 else group.values  # noqa: PLR2004
        for value in compared_values:
            member = (stated[told] == value).astype(np.int64)
            if min(member.sum(), len(member) - member.sum()) < FEWEST_OF_A_GROUP:
                continue
            compared += 1
            for position, feature in enumerate(product.model_features):
                area = _ranking(feature, loans.matrix[told, position], member, _halves(len(member)))
                if area > best:
                    best, culprit = area, f"{feature.name} for {group.name} {value}"
                if area >= PROXY_AUC:
                    found[feature.name] = area
    if not compared:
        evidence = "no monitored group is stated in the data, so no input was compared with one"
    else:
        evidence = (
            f"{len(product.model_features)} inputs, each by itself, against {compared} monitored "
            f"group{'s' if compared > 1 else ''}: the closest is {culprit}, AUC {best:.3f} (below "
            f"{PROXY_AUC:.2f})"
        )
    return gate(
        "proxies",
        evidence,
        passed=not found,
        look_at=(
            f"{named(found)}: whoever knows it knows the group; list it under prohibited, or "
            "coarsen it until it no longer tells"
        ),
    )


def _labels(product: CreditProduct, loans: LoanSet) -> Gate:
    """Whether 1 seems to mean default: the declared directions of risk are asked.

    A portfolio of which most default is possible, so that alone is no proof where the directions
    say otherwise.
    """
    rate = loans.defaults / len(loans)
    agreeing: list[tuple[str, float]] = []
    opposed: list[tuple[str, float]] = []
    for position, feature in enumerate(product.model_features):
        if feature.risk is None:
            continue
        column = loans.matrix[:, position]
        known = ~np.isnan(column)
        apart = _standard_errors(column[known], loans.defaulted[known])
        towards = apart if feature.risk is RiskDirection.INCREASING else -apart
        if abs(towards) >= SIGNIFICANT:
            (agreeing if towards > 0 else opposed).append((feature.name, abs(towards)))
    weight = sum(size for _, size in agreeing) - sum(size for _, size in opposed)
    inverted = weight < 0 or (rate > MOST_DEFAULTS and weight <= 0)
    told = named(name for name, _ in sorted(opposed, key=lambda item: -item[1]))
    return gate(
        "labels",
        f"{rate:.1%} of the loans have {product.label.name} = 1; of the inputs with a declared "
        f"direction of risk {len(agreeing)} surely go with it and {len(opposed)} against it"
        + (f" ({told})" if opposed else "")
        + ("; the labels look inverted" if inverted else ""),
        passed=not inverted,
        look_at=(
            f"the column {product.label.name}: 1 must mean default and 0 repaid; then the "
            "directions of risk in the definition"
        ),
    )


def _standard_errors(column: NDArray[np.float32], defaulted: NDArray[np.int64]) -> float:
    """Return how many standard errors the AUC of a column is above one half.

    Source: Hanley and McNeil (1982), the variance where there is no difference.
    """
    bads = int(defaulted.sum())
    goods = len(defaulted) - bads
    if not bads or not goods:
        return 0.0
    area = _area(defaulted, column)
    return float((area - 0.5) / np.sqrt((bads + goods + 1) / (12 * bads * goods)))


def _leakage(product: CreditProduct, split: LoanSplit) -> Gate:
    """Whether an input by itself all but tells the outcome."""
    loans = split.fitted
    areas: dict[str, float] = {}
    pure: dict[str, tuple[int, float]] = {}
    for position, feature in enumerate(product.model_features):
        column = loans.matrix[:, position]
        areas[feature.name] = _ranking(feature, column, loans.defaulted, split.folds)
        covered, rate = _purest(feature, column, loans.defaulted)
        if covered:
            pure[feature.name] = (covered, rate)
    ordered = sorted(areas, key=lambda name: -areas[name])
    copied, told = _copies(split)
    are_copies = copied > COPIED_SHARE * len(split.tested) and told >= COPIED_AUC
    leaks = {
        name: f"{name} AUC {areas[name]:.3f}" for name in ordered if areas[name] >= LEAKING_AUC
    }
    first, second = ordered[0], areas[ordered[1]] if len(ordered) > 1 else 1.0
    if areas[first] >= LONELY_AUC and areas[first] - 0.5 > LONELY_FACTOR * (second - 0.5):
        leaks.setdefault(first, f"{first} AUC {areas[first]:.3f}, the next only {second:.3f}")
    for name, (covered, rate) in pure.items():
        leaks.setdefault(
            name, f"{name}: {rate:.1%} of {covered} loans with some of its values defaulted"
        )
    look_at = []
    if leaks:
        look_at.append(
            f"when {named(leaks)} is written: a value that follows from the outcome is not there "
            "when an application is decided; list it under prohibited"
        )
    if are_copies:
        look_at.append("rows that were delivered twice, or joined to several: keep one of each")
    return gate(
        "leakage",
        f"each of {len(areas)} inputs by itself: {first} ranks best, AUC {areas[first]:.3f} (below "
        f"{LEAKING_AUC:.2f})"
        + (f"; too good to be known beforehand: {named(leaks.values())}") * bool(leaks)
        + (
            f"; {copied} loans that measure the model equal others, which it was fitted on, in "
            f"every input, and those tell their outcomes, AUC {told:.3f}"
        )
        * are_copies,
        passed=not leaks and not are_copies,
        look_at="; ".join(look_at),
    )


def _copies(split: LoanSplit) -> tuple[int, float]:
    """Return how many measured loans equal a fitted one in every input, and how well those tell.

    The latter is the AUC of the fitted ones' default rate; one half where it cannot be measured.
    """
    fitted, tested = split.fitted, split.tested
    if split.out_of_time:
        parts = [(fitted, tested)]
    else:
        parts = [(fitted.where(others), fitted.where(held_out)) for others, held_out in split.folds]
    rates, outcomes = [np.empty(0)], [np.empty(0, dtype=np.int64)]
    for others, measuring in parts:
        rows = np.ascontiguousarray(np.concatenate([others.matrix, measuring.matrix]))
        whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        _, places = np.unique(whole, return_inverse=True)
        ours, theirs = places[len(others) :], places[: len(others)]
        loans = np.bincount(theirs, minlength=int(places.max()) + 1)
        bads = np.bincount(theirs, weights=others.defaulted, minlength=len(loans))
        known = loans[ours] > 0
        rates.append(bads[ours][known] / loans[ours][known])
        outcomes.append(measuring.defaulted[known])
    rate, outcome = np.concatenate(rates), np.concatenate(outcomes)
    if not 0 < outcome.sum() < len(outcome):
        return len(outcome), 0.5
    return len(outcome), _area(outcome, rate)


def _ranking(
    feature: Feature,
    column: NDArray[np.float32],
    outcome: NDArray[np.int64],
    folds: Sequence[Fold],
) -> float:
    """Return the AUC of one input by itself, whatever its shape, unknown included.

    Its bins are ranked by their rates among other folds' loans, so that chance gains nothing. The
    raw number, either way up, counts too: bins are coarser than it.
    """
    bins = _bins(feature, column)
    count = int(bins.max()) + 1
    rates = np.empty(len(column))
    for others, held_out in folds:
        loans = np.bincount(bins[others], minlength=count)
        events = np.bincount(bins[others], weights=outcome[others], minlength=count)
        mean = outcome[others].mean()
        # A bin of few is drawn towards the mean of all.
        rates[held_out] = ((events + 5 * mean) / (loans + 5))[bins[held_out]]
    area = _area(outcome, rates)
    known = ~np.isnan(column)
    if not feature.categories and 0 < outcome[known].sum() < known.sum():
        raw = _area(outcome[known], column[known])
        # Of known values only; the others rank no better than by chance.
        share = outcome[known].mean() * (1 - outcome[known].mean()) * known.mean() ** 2
        share /= outcome.mean() * (1 - outcome.mean())
        area = max(area, 0.5 + abs(raw - 0.5) * share)
    return area


def _area(outcome: NDArray[np.int64], values: NDArray[np.floating]) -> float:
    """Return the AUC of values alone: measures of a probability would cost ten times as much.

    >>> _area(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    _, places = np.unique(values, return_inverse=True)
    loans = np.bincount(places)
    bads = np.bincount(places, weights=outcome)
    goods = loans - bads
    below = np.cumsum(goods) - goods
    return float((bads * (below + goods / 2)).sum() / (bads.sum() * goods.sum()))


def _purest(
    feature: Feature, column: NDArray[np.float32], defaulted: NDArray[np.int64]
) -> tuple[int, float]:
    """Return how many loans have values that all but mean default, and their default rate."""
    bins = _bins(feature, column)
    # A value that many share is a bin of its own: a balance of 0 is no small balance.
    _, places, shared = np.unique(column, return_inverse=True, return_counts=True)
    alone = shared[places] >= FEWEST_IN_PURE_BIN
    bins = np.where(alone, bins.max() + 1 + places, bins)
    loans = np.bincount(bins)
    bads = np.bincount(bins, weights=defaulted)
    rates = bads / np.maximum(loans, 1)
    sure = (rates >= PURE_RATE) & (loans >= FEWEST_IN_PURE_BIN)
    if bads[sure].sum() < PURE_SHARE * defaulted.sum() or defaulted.mean() > MOST_DEFAULTS:
        return 0, 0.0
    covered = int(loans[sure].sum())
    return covered, float(bads[sure].sum() / covered) if covered else 0.0


def _bins(feature: Feature, column: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the bin of each value: a category's code, a number's quantile, unknown first."""
    if feature.categories:
        return (column - UNKNOWN_CATEGORY).astype(np.int64)
    known = column[~np.isnan(column)]
    if not known.size:
        return np.zeros(len(column), dtype=np.int64)
    edges = np.unique(np.quantile(known, np.arange(1, LEVELS) / LEVELS, method="lower"))
    return np.where(np.isnan(column), 0, 1 + np.searchsorted(edges, column)).astype(np.int64)


def _halves(count: int) -> list[Fold]:
    positions = np.arange(count)
    even, odd = positions[::2], positions[1::2]
    return [(even, odd), (odd, even)]


def _no_future_features(training_set: TrainingSet) -> Gate:
    newer = {view: count for view, count in training_set.features_newer.items() if count}
    said = named(f"{view} in {count} loans" for view, count in newer.items())
    return gate(
        "no_future_features",
        f"features newer than the application: {said or 'none'}"
        + (" (there must be none)" if newer else ""),
        passed=not newer,
        look_at=(
            f"how {named(newer)} was joined: only rows whose event_timestamp and "
            "created_timestamp lie before the application; `credit dataset build` does so"
        ),
    )


def _informative_inputs(
    product: CreditProduct, loans: LoanSet, previous: PreviousModel | None
) -> Gate:
    """Whether each input has more than one value.

    An input that was rare when the champion was trained may be absent by chance: that is told, and
    stops nothing.
    """
    unknown: list[str] = []
    constant: list[str] = []
    rare: list[str] = []
    for position, feature in enumerate(product.model_features):
        column = loans.matrix[:, position]
        absent = column == UNKNOWN_CATEGORY if feature.categories else np.isnan(column)
        if absent.all():
            unknown.append(feature.name)
        elif not absent.any() and (column == column[0]).all():
            said = f"{feature.name} ({_shown(feature, float(column[0]))})"
            chance = _chance_of_none_other(feature, column, previous)
            (rare if CHANCE < chance < 1 else constant).append(said)
    faults = [
        f"{words}: {', '.join(names)}"
        for words, names in (("never known", unknown), ("always the same", constant))
        if names
    ]
    return gate(
        "informative_inputs",
        f"{len(product.model_features)} inputs over {len(loans)} loans; "
        + ("; ".join(faults) or "none is constant or never known")
        + (f", but by chance in these loans: {', '.join(rare)}" if rare else ""),
        passed=not faults,
        look_at=(
            "whether the column's source still delivers it; if it never varies, take it out of "
            "the definition"
        ),
    )


def _chance_of_none_other(
    feature: Feature, column: NDArray[np.float32], previous: PreviousModel | None
) -> float:
    """Return how likely so many loans all have this value, by the champion's baseline.

    Loans are few where a value is rare: of one in 500, none is among 500 in one case of three.
    1 where the champion had no other value either, or none is known of it.
    """
    then = None if previous is None else previous.manifest.baseline.get(feature.name)
    if then is None:
        return 1.0
    codes = len(feature.categories)
    here = int(np.argmax(shares_in(then, column[:1], categories=codes)))
    share = then.shares[here] if here < len(then.shares) else 0.0
    return float(share ** len(column))


def _shown(feature: Feature, value: float) -> str:
    return feature.categories[int(value)] if feature.categories else f"{value:g}"
