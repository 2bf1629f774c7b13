from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application import APPLICATION_ID_PATTERN, ApplicationReader
from credit_core.domain.definitions import EntityKey, KeyType
from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.matching_text import matching_text
from credit_core.domain.model_manifest import GoldenVector
from credit_core.domain.product import load_product, product_names
from credit_core.domain.rehearsal import (
    PREFIX,
    a_key,
    application_of_nobody,
    is_rehearsal,
    made_up,
)
from credit_core.ports import Kept
from credit_core.use_cases.archive import archive
from tests.builders import NOW, PRODUCT, a_model, features_of
from tests.builders_receipts import some_receipts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_core.domain.receipt_archive import ArchivedRecord


@pytest.mark.parametrize("name", product_names())
def test_an_applicant_can_be_made_up_for_every_product(name: str) -> None:
    product = load_product(name)
    request = {
        feature.name: feature.categories[0]
        if feature.categories
        else (int if feature.dtype == "integer" else float)(feature.minimum or 0)
        for feature in product.request_features
    }

    application = application_of_nobody(product, "rehearsal-1", request)

    assert ApplicationReader(product).faults(application) == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"[A-Z]{2}",
        r"[0-9]{8}_[0-9]{4}",
        r"\d{3}-\w+",
        r"(?:CA|NY)-[^0-9]+",
        r"[à-ü]{2}",
        r"LOAN-(?P<number>[1-9][0-9]*)\Z",
        r"[^A-Za-z0-9]x?.",
        r"\S\D\W",
    ],
)
def test_a_key_is_made_up_for_a_pattern(pattern: str) -> None:
    text = matching_text(pattern)

    assert text is not None
    assert re.fullmatch(pattern, text)


@given(st.from_regex(r"(\[[a-z]-z\]|[A-Z]|\\d)(\{[1-3]\})?(\|x)?", fullmatch=True))
def test_what_is_made_up_matches_or_is_not_there(pattern: str) -> None:
    text = matching_text(pattern)

    assert text is None or re.fullmatch(pattern, text)


def test_a_pattern_that_nothing_was_found_for_is_told() -> None:
    with pytest.raises(ValueError, match="no account could be made up"):
        a_key(EntityKey("account", pattern=r"(a|b)(?(1)c|d){2}x\1"))


def test_a_whole_number_is_no_customers() -> None:
    assert a_key(EntityKey("holder", dtype=KeyType.INTEGER)) == 2**53 - 1


def a_vector(**changes: float) -> GoldenVector:
    values: dict[str, object] = {
        "loan_amount": 12_000.0,
        "term_months": 36,
        "annual_income": 60_000.0,
        "employment_years": None,
        "verification_status": "verified",
    }
    for view in PRODUCT.feature_views:
        values |= features_of(view)
    values |= changes
    columns = {feature.name: (values[feature.name],) for feature in PRODUCT.base_features}
    row = feature_matrix(PRODUCT, columns)[0]
    return GoldenVector(
        model_input=tuple(None if np.isnan(value) else float(value) for value in row),
        log_odds=-2.0,
    )


def test_an_applicant_comes_back_from_the_models_input() -> None:
    person = made_up(PRODUCT, a_vector())

    assert person is not None
    assert person.request["employment_years"] is None
    assert person.request["verification_status"] == "verified"
    assert person.views["bureau"] == features_of(PRODUCT.view("bureau"))


def test_an_applicant_that_no_request_could_bring_is_left_out() -> None:
    """The product's limits may have changed since the model was registered."""
    beyond = max(feature.maximum or 0 for feature in PRODUCT.request_features) * 2

    assert made_up(PRODUCT, a_vector(loan_amount=beyond)) is None


def test_an_input_that_is_derived_otherwise_is_left_out() -> None:
    vector = a_vector()
    last = vector.model_input[-1]
    assert last is not None
    other = vector.model_copy(update={"model_input": (*vector.model_input[:-1], last * 1.001 + 1)})

    assert made_up(PRODUCT, other) is None


def test_no_client_can_send_the_id_of_a_rehearsal() -> None:
    assert not re.fullmatch(APPLICATION_ID_PATTERN, f"{PREFIX}x")


class FakeArchive:
    def __init__(self) -> None:
        self.kept: list[ArchivedRecord] = []

    def keep(self, records: Sequence[ArchivedRecord]) -> Kept:
        self.kept += records
        return Kept(new=len(records))

    def keys(self, days: object) -> object:
        raise NotImplementedError


def test_a_rehearsal_is_not_archived() -> None:
    """Nor, therefore, monitored, compared or trained with."""
    (receipt,) = some_receipts(1, champion=a_model())
    rehearsed = replace(receipt, application_id=f"{PREFIX}{receipt.application_id}")
    into = FakeArchive()

    kept = archive(
        [receipt.as_record(), rehearsed.as_record()],
        product=PRODUCT.name,
        into=into,  # type: ignore[arg-type]
        as_of=NOW,
    )

    assert (kept.new, len(into.kept)) == (1, 1)
    assert is_rehearsal(rehearsed.as_record())
    assert not is_rehearsal(receipt.as_record())
