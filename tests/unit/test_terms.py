"""The terms of a decision survive in its receipt, whatever becomes of the definition."""

from __future__ import annotations

import zlib

import pytest

from credit_core.domain.product import load_product, product_names
from credit_core.domain.terms import Terms
from credit_core.errors import DamagedReceiptError


@pytest.mark.parametrize("name", product_names())
def test_terms_come_back_as_they_went_in(name: str) -> None:
    terms = Terms.of(load_product(name))

    assert Terms.unpack(terms.pack()) == terms
    assert terms.pack() == Terms.of(load_product(name)).pack()


@pytest.mark.parametrize("name", product_names())
def test_terms_add_no_more_than_two_kilobytes_to_a_receipt(name: str) -> None:
    assert len(Terms.of(load_product(name)).pack()) < 2_048


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no zlib",
        zlib.compress(b"{}"),
        zlib.compress(b"[1, 2"),
        zlib.compress(bytes(100_000_000)),
        Terms.of(load_product("personal_loan")).pack()[:-20],
    ],
)
def test_what_are_no_terms_is_a_damaged_receipt(packed: bytes) -> None:
    with pytest.raises(DamagedReceiptError, match="terms cannot be read"):
        Terms.unpack(packed)
