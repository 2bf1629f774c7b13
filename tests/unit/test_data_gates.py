"""What is wrong with the loans or the definition is named before a model is trained on them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.domain.model_manifest import categories_of
from credit_core.domain.product import MonitoredGroup, ProhibitedInput
from model_build.baselines import baselines_of
from model_build.data_gates import LARGEST_DRIFT, data_gates
from model_build.loans import LoanSplit, TrainingSet
from model_build.previous import PreviousModel
from tests.builders import PRODUCT, a_manifest
from tests.builders_training import a_split, a_training_set, some_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Gate
    from credit_core.domain.product import CreditProduct
    from model_build.loans import LoanSet

POSITIONS = {feature.name: place for place, feature in enumerate(PRODUCT.model_features)}


@pytest.fixture(scope="module")
def healthy() -> TrainingSet:
    return a_training_set(some_rows())


def the_previous(loans: LoanSet, **training_set: str | int | None) -> PreviousModel:
    """Return a champion that was trained on some loans."""
    manifest = a_manifest(version="then").model_copy(
        update={"baseline": baselines_of(PRODUCT, loans), "training_set": training_set}
    )
    return PreviousModel(manifest, b"")


def gates_of(
    training_set: TrainingSet,
    *,
    product: CreditProduct = PRODUCT,
    previous: PreviousModel | None = None,
) -> dict[str, Gate]:
    split = a_split(training_set.loans, product=product)
    return {gate.name: gate for gate in data_gates(product, training_set, split, previous)}


def failures(
    training_set: TrainingSet,
    *,
    product: CreditProduct = PRODUCT,
    previous: PreviousModel | None = None,
) -> dict[str, Gate]:
    """Return each failed gate by name; all say what to look at."""
    gates = gates_of(training_set, product=product, previous=previous)
    failed = {name: gate for name, gate in gates.items() if not gate.passed}
    assert all(gate.look_at for gate in failed.values())
    return failed


def with_column(
    training_set: TrainingSet, name: str, column: Callable[[LoanSet], NDArray[np.floating]]
) -> TrainingSet:
    """Return the loans with another column in the place of an input."""
    loans = training_set.loans
    matrix = loans.matrix.copy()
    matrix[:, POSITIONS[name]] = column(loans)
    return replace(training_set, loans=replace(loans, matrix=matrix))


def test_healthy_loans_fail_nothing(healthy: TrainingSet) -> None:
    gates = gates_of(healthy)

    assert [gate for gate in gates.values() if not gate.passed or gate.look_at] == []
    assert list(gates) == [
        "enough_data",
        "data_schema",
        "drift",
        "allowed_inputs",
        "credit_lint",
        "proxies",
        "labels",
        "leakage",
        "no_future_features",
        "informative_inputs",
    ]


def test_too_little_data_is_stopped_by_how_much_is_missing() -> None:
    evidence = failures(a_training_set(some_rows(600)))["enough_data"].evidence

    assert "450 loans with" in evidence
    assert "50 loans too few" in evidence
    assert "defaults to train on too few" in evidence


def test_cross_validated_loans_are_counted_once(healthy: TrainingSet) -> None:
    timeless = replace(healthy, loans=replace(healthy.loans, event_timestamps=None))

    assert (
        "2400 loans with 447 defaults to train on (at least 500 and 100), each tested in the fold"
        in gates_of(timeless)["enough_data"].evidence
    )


def test_values_outside_the_definition_are_counted_by_column(healthy: TrainingSet) -> None:
    broken = replace(healthy, unservable={"annual_income": 90, "all_util": 60}, unservable_rows=140)

    gate = failures(broken)["data_schema"]

    assert "5.8% hold a value outside the definition (at most 5%)" in gate.evidence
    assert "annual_income in 90, all_util in 60" in gate.evidence
    assert "minimum, maximum, categories" in gate.look_at


def test_a_feed_that_failed_since_the_champion_was_trained_is_noticed(
    healthy: TrainingSet,
) -> None:
    previous = the_previous(healthy.loans, rows_labelled=2_000, rows_referred=20)

    found = failures(replace(healthy, referred=400), previous=previous)

    assert "rows without a view were 1.0%" in found["data_schema"].evidence
    assert "that share rose by 15.7% (at most 10%)" in found["data_schema"].evidence


def test_rows_that_are_mostly_referred_support_no_model(healthy: TrainingSet) -> None:
    assert "data_schema" in failures(replace(healthy, referred=1_300))


def test_inputs_that_came_and_went_are_told(healthy: TrainingSet) -> None:
    previous = the_previous(healthy.loans)
    inputs = ("shoe_size", *previous.manifest.inputs[1:])
    other = PreviousModel(previous.manifest.model_copy(update={"inputs": inputs}), b"")

    gate = gates_of(healthy, previous=other)["data_schema"]

    assert gate.passed
    assert "since then loan_amount new, shoe_size gone" in gate.evidence


def test_an_input_in_another_unit_drifts_and_is_named(healthy: TrainingSet) -> None:
    previous = the_previous(healthy.loans)
    in_thousands = with_column(
        healthy, "annual_income", lambda loans: loans.matrix[:, POSITIONS["annual_income"]] / 1_000
    )

    found = failures(in_thousands, previous=previous)

    assert set(found) == {"drift"}
    assert "most in annual_income" in found["drift"].evidence
    assert found["drift"].look_at.startswith("annual_income ")


def test_a_category_that_vanished_drifts(healthy: TrainingSet) -> None:
    previous = the_previous(healthy.loans)
    always_one = with_column(
        healthy, "verification_status", lambda loans: (np.arange(len(loans)) % 50 > 0) * 1.0
    )

    assert "verification_status" in failures(always_one, previous=previous)["drift"].look_at


def test_the_same_loans_have_not_drifted(healthy: TrainingSet) -> None:
    previous = the_previous(a_split(healthy.loans).fitted)

    assert "most in loan_amount 0.00" in gates_of(healthy, previous=previous)["drift"].evidence


def test_a_category_feature_with_other_categories_is_not_compared(healthy: TrainingSet) -> None:
    previous = the_previous(healthy.loans)
    categories = {name: (*codes, "new") for name, codes in previous.manifest.categories.items()}
    other = PreviousModel(previous.manifest.model_copy(update={"categories": categories}), b"")
    compared = len(PRODUCT.model_features) - len(categories)

    assert f"of {compared} inputs" in gates_of(healthy, previous=other)["drift"].evidence


def test_a_prohibited_input_is_stopped_and_named(healthy: TrainingSet) -> None:
    """A definition does not allow it in the first place; so it is forced here."""
    product = replace(PRODUCT)
    forced = (ProhibitedInput(name="annual_income", reason="so the board decided"),)
    object.__setattr__(product, "prohibited", forced)

    gate = failures(healthy, product=product)["allowed_inputs"]

    assert "annual_income of them among the 25 inputs" in gate.evidence
    assert gate.look_at == "annual_income: so the board decided"


def test_an_input_whose_name_is_a_prohibited_basis_is_stopped(healthy: TrainingSet) -> None:
    first, *others = PRODUCT.request_features
    product = replace(
        PRODUCT,
        request_features=(replace(first, name="marital_status"), *others),
        derived_features=(),
        policy=replace(PRODUCT.policy, rules=()),
    )

    gate = failures(healthy, product=product)["credit_lint"]

    assert "request_features.marital_status: marital_status looks like marital" in gate.evidence
    assert "12 CFR 1002.6(b)(1)" in gate.look_at


def test_an_input_that_tells_a_monitored_group_is_a_proxy(healthy: TrainingSet) -> None:
    groups = (MonitoredGroup(name="sex", description="As stated", values=("male", "female")),)
    product = replace(PRODUCT, monitored_groups=groups)
    years = np.nan_to_num(healthy.loans.matrix[:, POSITIONS["employment_years"]], nan=3)
    noise = np.random.default_rng(0).normal(0, 1, len(years))
    told = np.where(years + noise / 4 > np.median(years), "male", "female")
    loans = replace(healthy.loans, groups={"sex": told})

    gate = failures(replace(healthy, loans=loans), product=product)["proxies"]

    assert (
        "against 1 monitored group: the closest is employment_years for sex female" in gate.evidence
    )
    assert gate.look_at.startswith("employment_years: ")


def test_groups_that_no_input_tells_are_no_reason_to_stop(healthy: TrainingSet) -> None:
    groups = (MonitoredGroup(name="sex", description="As stated", values=("male", "female")),)
    product = replace(PRODUCT, monitored_groups=groups)
    drawn = np.random.default_rng(0).choice(np.array(["male", "female", ""]), len(healthy.loans))
    loans = replace(healthy.loans, groups={"sex": drawn})

    assert failures(replace(healthy, loans=loans), product=product) == {}


def test_inverted_labels_are_seen_from_the_declared_directions(healthy: TrainingSet) -> None:
    loans = replace(healthy.loans, defaulted=1 - healthy.loans.defaulted)

    gate = failures(replace(healthy, loans=loans))["labels"]

    assert "81.4% of the loans have defaulted = 1" in gate.evidence
    assert "0 surely go with it and 4 against it" in gate.evidence
    assert gate.evidence.endswith("the labels look inverted")
    assert "1 must mean default" in gate.look_at


def test_without_directions_a_majority_of_defaults_looks_inverted(healthy: TrainingSet) -> None:
    product = replace(
        PRODUCT,
        request_features=tuple(replace(it, risk=None) for it in PRODUCT.request_features),
        feature_views=tuple(
            replace(view, features=tuple(replace(it, risk=None) for it in view.features))
            for view in PRODUCT.feature_views
        ),
        derived_features=tuple(replace(it, risk=None) for it in PRODUCT.derived_features),
    )
    loans = replace(healthy.loans, defaulted=1 - healthy.loans.defaulted)

    assert "labels" in failures(replace(healthy, loans=loans), product=product)


def test_a_majority_of_defaults_is_believed_where_the_directions_bear_it_out() -> None:
    """Of bad debts that were bought, most default."""
    rows = some_rows(4_000)
    mostly_bad = [
        row for place, row in enumerate(rows) if row["defaulted"] == "1" or place % 10 == 0
    ]

    gate = gates_of(a_training_set(mostly_bad))["labels"]

    assert gate.passed
    assert gate.evidence.startswith("69.")


def test_a_column_that_follows_from_the_outcome_is_named(healthy: TrainingSet) -> None:
    noise = np.random.default_rng(0).normal(0, 0.4, len(healthy.loans))
    leaking = with_column(healthy, "all_util", lambda loans: 50 + 10 * (loans.defaulted + noise))

    gate = failures(leaking)["leakage"]

    assert "all_util ranks best, AUC 0.9" in gate.evidence
    assert "when all_util is written" in gate.look_at


def test_a_column_that_is_unknown_where_a_loan_defaulted_leaks(healthy: TrainingSet) -> None:
    leaking = with_column(
        healthy,
        "employment_years",
        lambda loans: np.where(loans.defaulted == 1, np.nan, 4.0 + np.arange(len(loans)) % 7),
    )

    assert "employment_years AUC 1.000" in failures(leaking)["leakage"].evidence


def test_a_leak_that_goes_both_ways_is_found(healthy: TrainingSet) -> None:
    """Very low and very high values mean default: neither end alone ranks."""
    turn = np.where(np.arange(len(healthy.loans)) % 2, 1, -1)
    leaking = with_column(
        healthy, "all_util", lambda loans: 50.0 + turn * (1 + 20 * loans.defaulted)
    )

    assert "all_util" in failures(leaking)["leakage"].look_at


def test_a_leak_about_some_of_the_defaults_is_found(healthy: TrainingSet) -> None:
    """Recoveries are booked for one default in four: too few for a high AUC."""
    leaking = with_column(
        healthy,
        "total_bal_il",
        lambda loans: np.where((loans.defaulted == 1) & (np.arange(len(loans)) % 4 == 0), 900, 0.0),
    )

    evidence = failures(leaking)["leakage"].evidence

    assert "total_bal_il: 100.0% of 85" in evidence
    assert "loans with some of its values defaulted" in evidence


def test_an_input_far_above_all_others_is_suspect(healthy: TrainingSet) -> None:
    noise = np.random.default_rng(0).normal(0, 0.62, len(healthy.loans))
    leaking = with_column(healthy, "all_util", lambda loans: 50 + 10 * (loans.defaulted + noise))

    assert "the next only 0." in failures(leaking)["leakage"].evidence


def test_features_newer_than_the_decision_are_counted_by_view(healthy: TrainingSet) -> None:
    gate = failures(replace(healthy, features_newer={"bureau": 3}))["no_future_features"]

    assert "bureau in 3 loans (there must be none)" in gate.evidence
    assert "credit dataset build" in gate.look_at


def test_inputs_that_say_nothing_are_named(healthy: TrainingSet) -> None:
    constant = with_column(healthy, "all_util", lambda loans: np.full(len(loans), 40.0))
    both = with_column(constant, "employment_years", lambda loans: np.full(len(loans), np.nan))

    evidence = failures(both)["informative_inputs"].evidence

    assert "never known: employment_years" in evidence
    assert "always the same: all_util (40)" in evidence


def test_a_rare_value_that_chance_left_out_stops_nothing(healthy: TrainingSet) -> None:
    """One loan in 1,800 had it when the champion was trained; among as many there may be none."""
    once = with_column(
        healthy, "delinq_2yrs", lambda loans: (np.arange(len(loans)) == 0).astype(float)
    )
    often = with_column(
        healthy, "delinq_2yrs", lambda loans: (np.arange(len(loans)) % 50 == 0).astype(float)
    )
    never = with_column(healthy, "delinq_2yrs", lambda loans: np.zeros(len(loans)))

    assert "informative_inputs" not in failures(never, previous=the_previous(once.loans))
    assert "informative_inputs" in failures(never, previous=the_previous(often.loans))
    assert "informative_inputs" in failures(never)


def test_many_categories_among_few_loans_do_not_drift_by_chance(healthy: TrainingSet) -> None:
    """Of 50 categories among 500 loans the index is above 0.25 in every other case."""
    names = tuple(f"c{place}" for place in range(50))
    position = POSITIONS["verification_status"]
    product = replace(
        PRODUCT,
        request_features=tuple(
            replace(feature, categories=names) if feature.name == "verification_status" else feature
            for feature in PRODUCT.request_features
        ),
    )
    assert product.model_features[position].categories == names
    weights = 1 / np.arange(1, 51)
    random = np.random.default_rng(4)

    def drawn(chances: NDArray[np.float64]) -> LoanSet:
        loans = healthy.loans.where(np.arange(667))
        matrix = loans.matrix.copy()
        matrix[:, position] = random.choice(50, len(loans), p=chances / chances.sum())
        return replace(loans, matrix=matrix)

    earlier = drawn(weights)
    then = a_manifest(version="then").model_copy(
        update={
            "baseline": baselines_of(product, earlier),
            "categories": categories_of(product),
            "training_set": {"rows_trained": len(earlier)},
        }
    )
    previous = PreviousModel(then, b"")

    def drift(loans: LoanSet) -> Gate:
        drawn_set = replace(healthy, loans=loans)
        return gates_of(drawn_set, product=product, previous=previous)["drift"]

    same = [drift(drawn(weights)) for _ in range(20)]
    indices = [float(it.evidence.partition("verification_status ")[2][:4]) for it in same]
    assert max(indices) > LARGEST_DRIFT
    assert all(gate.passed for gate in same)
    assert not drift(drawn(weights[::-1])).passed


def test_rows_on_both_sides_of_the_split_are_copies(healthy: TrainingSet) -> None:
    """Trees remember them: an AUC of 0.66 became 0.80, and no input leaks by itself."""
    split = a_split(healthy.loans)
    again = np.random.default_rng(0).choice(len(split.fitted), len(split.tested) // 10)
    loans = split.tested
    matrix, defaulted = loans.matrix.copy(), loans.defaulted.copy()
    matrix[: len(again)] = split.fitted.matrix[again]
    defaulted[: len(again)] = split.fitted.defaulted[again]
    tested = replace(loans, matrix=matrix, defaulted=defaulted)

    gates = {
        gate.name: gate
        for gate in data_gates(PRODUCT, healthy, replace(split, tested=tested), None)
    }

    assert not gates["leakage"].passed
    assert "60 loans that measure the model equal others" in gates["leakage"].evidence
    assert gates["leakage"].look_at.startswith("rows that were delivered twice")


def test_loans_that_happen_to_be_alike_are_no_copies(healthy: TrainingSet) -> None:
    loans = healthy.loans
    few = np.random.default_rng(0).integers(0, 2, (len(loans), 3))
    matrix = np.zeros_like(loans.matrix)
    matrix[:, :3] = few
    gate = gates_of(replace(healthy, loans=replace(loans, matrix=matrix)))["leakage"]

    assert gate.passed


def test_a_balance_of_nothing_that_means_default_leaks(healthy: TrainingSet) -> None:
    """It lies at the end of a range in which small balances are honest."""

    def wiped(loans: LoanSet) -> NDArray[np.float64]:
        balance = np.random.default_rng(0).uniform(1, 50_000, len(loans))
        return np.where((loans.defaulted == 1) & (np.arange(len(loans)) % 5 == 0), 0.0, balance)

    gate = failures(with_column(healthy, "total_bal_il", wiped))["leakage"]

    assert "total_bal_il: 100.0% of" in gate.evidence


def test_a_category_that_never_varies_is_named_in_words(healthy: TrainingSet) -> None:
    alike = with_column(healthy, "verification_status", lambda loans: np.zeros(len(loans)))
    words = PRODUCT.model_features[POSITIONS["verification_status"]].categories[0]

    assert f"verification_status ({words})" in failures(alike)["informative_inputs"].evidence


def test_a_value_that_is_the_same_or_unknown_still_says_something(healthy: TrainingSet) -> None:
    half = with_column(
        healthy,
        "employment_years",
        lambda loans: np.where(np.arange(len(loans)) % 2, 4.0, np.nan),
    )

    assert "informative_inputs" not in failures(half)


def test_a_split_by_hand_is_judged_as_it_is(healthy: TrainingSet) -> None:
    """The gates take the split they are given; they never divide the loans again."""
    whole = a_split(healthy.loans)
    halved = LoanSplit(whole.fitted, whole.fitted, whole.folds, out_of_time=False)

    gates = {gate.name: gate for gate in data_gates(PRODUCT, healthy, halved, None)}

    assert gates["enough_data"].evidence.startswith("1800 loans")
