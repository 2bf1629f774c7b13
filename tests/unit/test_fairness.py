"""The adverse impact ratio of groups at a cut-off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.domain.fairness import AdverseImpact, adverse_impact
from credit_core.domain.product import MonitoredGroup

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEX = MonitoredGroup(
    name="sex", description="As stated", values=("male", "female"), least_ratio=0.8
)
CUTOFF = 0.1


def groups_of(**approved_of: tuple[int, int]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return groups and probabilities, so many approved of so many in each group."""
    stated, probabilities = [], []
    for name, (approved, loans) in approved_of.items():
        stated += [name] * loans
        probabilities += [CUTOFF] * approved + [0.2] * (loans - approved)
    return np.array(stated), np.array(probabilities)


def impact(monitored: MonitoredGroup = SEX, **approved_of: tuple[int, int]) -> AdverseImpact:
    stated, probabilities = groups_of(**approved_of)
    defaulted = np.zeros(len(stated), dtype=np.int64)
    return adverse_impact(monitored, stated, defaulted, probabilities, cutoff=CUTOFF, seed=0)


def test_the_ratio_compares_approval_rates_with_the_group_approved_most() -> None:
    found = impact(male=(600, 1_000), female=(450, 1_000))

    assert found.reference == "male"
    assert found.worst is not None
    assert found.worst.group == "female"
    assert found.worst.approval_rate == pytest.approx(0.45)
    assert found.worst.ratio is not None
    assert found.worst.ratio.value == pytest.approx(0.75)
    assert found.worst.ratio.low < 0.75 < found.worst.ratio.high


def test_groups_of_equal_rates_have_a_ratio_of_one() -> None:
    found = impact(male=(300, 1_000), female=(300, 1_000))

    assert found.worst is not None
    assert found.worst.ratio is not None
    assert found.worst.ratio.value == 1
    assert found.too_low == ()


def test_a_ratio_is_too_low_only_where_its_whole_interval_is() -> None:
    surely = impact(male=(6_000, 10_000), female=(4_500, 10_000))
    perhaps = impact(male=(60, 100), female=(45, 100))

    assert [group.group for group in surely.too_low] == ["female"]
    assert perhaps.too_low == ()
    assert perhaps.worst is not None
    assert perhaps.worst.ratio is not None
    assert perhaps.worst.ratio.value < 0.8 < perhaps.worst.ratio.high


def test_without_a_least_ratio_nothing_is_too_low() -> None:
    reported = MonitoredGroup(name="sex", description="As stated", values=("male", "female"))

    assert impact(reported, male=(900, 1_000), female=(10, 1_000)).too_low == ()


def test_a_declared_reference_is_kept_even_if_another_group_is_approved_more() -> None:
    declared = MonitoredGroup(
        name="sex", description="As stated", values=("male", "female"), reference="male"
    )

    found = impact(declared, male=(300, 1_000), female=(600, 1_000))

    assert found.reference == "male"
    assert [group.ratio.value for group in found.groups if group.ratio] == [1, 2]


def test_a_group_too_small_is_reported_and_not_compared() -> None:
    found = impact(male=(300, 1_000), female=(0, 29))

    assert [(group.group, group.loans, group.ratio is None) for group in found.groups] == [
        ("male", 1_000, False),
        ("female", 29, True),
    ]
    assert found.worst is None


def test_where_nobody_is_approved_there_is_nothing_to_compare() -> None:
    found = impact(male=(0, 100), female=(0, 100))

    assert found.reference is None
    assert [group.ratio for group in found.groups] == [None, None]


def test_of_a_group_of_which_nobody_is_approved_the_ratio_is_zero_and_not_certain() -> None:
    found = impact(male=(60, 100), female=(0, 100))

    assert [group.group for group in found.too_low] == ["female"]
    assert found.worst is not None
    assert found.worst.ratio is not None
    assert found.worst.ratio.value == found.worst.ratio.low == 0
    assert 0.02 < found.worst.ratio.high < 0.1


def test_nobody_approved_of_a_few_proves_nothing_where_few_are_approved_at_all() -> None:
    """Of 30 applicants none is approved in one case of five where one in twenty is."""
    found = impact(male=(50, 1_000), female=(0, 30))

    assert found.worst is not None
    assert found.worst.ratio is not None
    assert found.worst.ratio.value == 0
    assert found.too_low == ()


def test_five_approvals_against_none_are_chance() -> None:
    """All five are of one of two equal groups in one case of sixteen."""
    assert impact(male=(5, 500), female=(0, 500)).too_low == ()
    assert impact(male=(30, 500), female=(0, 500)).too_low != ()


REGIONS = MonitoredGroup(
    name="region", description="Where", values=tuple("abcdefgh"), least_ratio=0.8
)


def test_the_lowest_of_many_groups_that_are_treated_alike_is_not_too_low() -> None:
    """Chance calls one of them so in at most 2.5 %, not in up to every other case."""
    random = np.random.default_rng(0)
    stopped = [
        bool(
            impact(
                REGIONS, **{name: (random.binomial(100, 0.1), 100) for name in "abcdefgh"}
            ).too_low
        )
        for _ in range(100)
    ]

    assert np.mean(stopped) <= 0.05


def test_a_small_group_that_was_lucky_does_not_hide_what_is_sure_of_large_ones() -> None:
    three = replace(SEX, values=("male", "female", "other"))

    found = impact(three, male=(3_200, 4_000), female=(2_360, 4_000), other=(26, 31))

    assert found.reference == "male"
    assert [group.group for group in found.too_low] == ["female"]


def test_loans_of_no_group_are_counted_as_not_stated() -> None:
    found = impact(male=(10, 50), female=(10, 50), other=(5, 7))

    assert found.not_stated == 7


def test_rates_of_default_are_shown_beside_those_expected() -> None:
    stated, probabilities = groups_of(male=(50, 50), female=(0, 50))
    defaulted = np.array([1] * 10 + [0] * 90)

    found = adverse_impact(SEX, stated, defaulted, probabilities, cutoff=CUTOFF, seed=0)

    assert [group.default_rate for group in found.groups] == [0.2, 0.0]
    assert [group.expected_rate for group in found.groups] == pytest.approx([0.1, 0.2])
