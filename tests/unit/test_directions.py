"""What is declared of an input holds of what is derived from it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.domain.product import RiskDirection
from model_build.directions import with_implied_directions
from tests.builders import PRODUCT
from tests.builders_training import some_loans

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.product import Column
    from model_build.loans import LoanSet

DECLARED = {it.name: it.risk for it in PRODUCT.derived_features}
UNDIRECTED = replace(
    PRODUCT,
    derived_features=tuple(replace(it, risk=None) for it in PRODUCT.derived_features),
)


@pytest.fixture(scope="module")
def loans() -> LoanSet:
    return some_loans(600)


def implied(loans: LoanSet, function: Callable[..., Column], *inputs: str) -> RiskDirection | None:
    """Return the direction that a feature derived so is given."""
    first = replace(PRODUCT.derived_features[0], inputs=inputs, function=function, risk=None)
    product = replace(PRODUCT, derived_features=(first, *PRODUCT.derived_features[1:]))
    return with_implied_directions(product, loans).derived_features[0].risk


def test_the_ratios_of_the_product_get_the_directions_that_it_declares(loans: LoanSet) -> None:
    found = with_implied_directions(UNDIRECTED, loans)

    directed = {name: risk for name, risk in DECLARED.items() if risk is not None}
    assert directed
    assert {it.name: it.risk for it in found.derived_features}.items() >= {
        name: risk for name, risk in directed.items() if name != "installment_utilization"
    }.items()


def test_a_declared_direction_is_kept(loans: LoanSet) -> None:
    assert with_implied_directions(PRODUCT, loans) == PRODUCT


def test_what_falls_with_an_input_has_the_opposite_direction(loans: LoanSet) -> None:
    assert implied(loans, lambda income: -income, "annual_income") is RiskDirection.INCREASING


def test_inputs_that_contradict_each_other_imply_nothing(loans: LoanSet) -> None:
    """More income and more inquiries: what speaks for the one speaks against the other."""
    assert (
        implied(
            loans, lambda income, inquiries: income + inquiries, "annual_income", "inq_last_6mths"
        )
        is None
    )


def test_what_rises_and_falls_implies_nothing(loans: LoanSet) -> None:
    assert implied(loans, lambda income: np.sin(income / 9_000), "annual_income") is None


def test_inputs_without_a_direction_imply_nothing(loans: LoanSet) -> None:
    undirected = next(it.name for it in PRODUCT.base_features if it.risk is None and it.unit)

    assert implied(loans, lambda column: column, undirected) is None


def test_what_never_moves_implies_nothing(loans: LoanSet) -> None:
    assert implied(loans, lambda income: 0 * income, "annual_income") is None
