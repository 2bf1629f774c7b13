"""Made-up applications, sent to a new version of a function before it answers anybody.

They come from a model's golden vectors, whose answer is known: nobody, see ``golden_vectors``. What
they leave behind lies under names that no client can use, and expires within a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY, feature_matrix
from credit_core.domain.matching_text import matching_text
from credit_core.domain.product import LARGEST_EXACT_INTEGER, DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.definitions import EntityKey
    from credit_core.domain.model_manifest import GoldenVector
    from credit_core.domain.product import CreditProduct, Feature, Value

REHEARSAL = "rehearsal"
"""The one name of an event that API Gateway cannot send."""

PREFIX = "/rehearsal/"
"""Begins the stored application id of a rehearsal: a client's id holds no slash."""

KEPT_DAYS = 1
"""How long the record of a rehearsal is kept."""

NOBODY = "rehearsal"
"""A text key of the applicant who does not exist, where its pattern allows it."""


@dataclass(frozen=True, slots=True)
class MadeUp:
    """An applicant whom a model was asked about when it was registered.

    ``request`` are the features that an application brings, ``views`` those that the online store
    would; ``log_odds`` is what the model answered.
    """

    request: Mapping[str, Value]
    views: Mapping[str, Mapping[str, Value]]
    log_odds: float


def is_rehearsal(record: StoredRecord) -> bool:
    """Whether a record of the decisions table is of a rehearsal, and no decision about anybody.

    >>> is_rehearsal({"application_id": "/rehearsal/golden-1"}), is_rehearsal({})
    (True, False)
    """
    return str(record.get("application_id", "")).startswith(PREFIX)


def made_up(product: CreditProduct, vector: GoldenVector) -> MadeUp | None:
    """Return the applicant of a golden vector, or None where no request can bring this input.

    A client's numbers are doubles and the model's are not, so that what is derived from them may
    differ in its last bit; and the product may have changed its limits since.
    """
    values = {
        feature.name: _decoded(feature, vector.model_input[position])
        for position, feature in enumerate(product.base_features)
    }
    again = feature_matrix(product, {name: (value,) for name, value in values.items()})[0]
    known = np.array(vector.model_input, dtype=np.float32)
    if not np.array_equal(again, known, equal_nan=True):
        return None
    if any(feature.value_fault(values[feature.name]) for feature in product.base_features):
        return None
    return MadeUp(
        {feature.name: values[feature.name] for feature in product.request_features},
        {
            view.name: {feature.name: values[feature.name] for feature in view.features}
            for view in product.feature_views
        },
        vector.log_odds,
    )


def application_of_nobody(
    product: CreditProduct, application_id: str, request: Mapping[str, Value]
) -> dict[str, Value]:
    """Return an application of somebody who does not exist, as a client would send it.

    Raises:
        ValueError: No value was found that a key's pattern allows.
    """
    keys = {key.name: a_key(key) for key in product.entity_keys}
    return {"application_id": application_id, **keys, **request}


def a_key(key: EntityKey) -> str | int:
    """Return a key that its entity could have, the same each time.

    Raises:
        ValueError: None was found.
    """
    if key.dtype is KeyType.INTEGER:
        return LARGEST_EXACT_INTEGER - 1
    text = NOBODY if key.value_fault(NOBODY) is None else matching_text(key.pattern)
    if text is None:
        raise ValueError(f"no {key.name} could be made up that matches {key.pattern}")
    return text


def _decoded(feature: Feature, number: float | None) -> Value:
    if feature.dtype is DType.CATEGORY:
        if number is None or number == UNKNOWN_CATEGORY:
            return None
        return feature.categories[int(number)]
    if number is None:
        return None
    return int(number) if feature.dtype is DType.INTEGER else number
