"""However many views a product has, a score reads all of them in one BatchGetItem."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.decision_store import DynamoDecisionStore
from credit_core.domain.product import Outcome
from credit_core.use_cases.score import ScoreApplication
from tests.builders import NOW, PRODUCT, SECRET, FixedModels, a_body, a_model, a_timer, fresh_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import StoredFeatures

MOST_KEYS = 100
"""Limit of BatchGetItem."""
REGION_MARKET = PRODUCT.view("region_market")


class OldPointer(FixedModels):
    """A champion source that wants to know where the rollout pointer stands."""

    def pointer_is_old(self) -> bool:
        return True


class CountingDynamo:
    """Tables in memory that note each read and refuse more keys than DynamoDB takes."""

    def __init__(self, rows: Mapping[str, StoredFeatures]) -> None:
        self.rows = rows
        self.reads: list[int] = []

    def call(self, operation: str, request: Mapping[str, Any], *, deadline: float) -> Any:
        assert deadline > 0
        if operation == "PutItem":
            return {}
        keys = [key for table in request["RequestItems"].values() for key in table["Keys"]]
        assert len(keys) <= MOST_KEYS
        self.reads.append(len(keys))
        found = [
            {
                "entity_key": key["entity_key"],
                "recency": {"S": self.rows[key["entity_key"]["S"]].recency},
                "features": {"S": self.rows[key["entity_key"]["S"]].features_json},
            }
            for key in request["RequestItems"]["online"]["Keys"]
        ]
        return {"Responses": {"online": found}}


def with_views(count: int) -> CreditProduct:
    """Return the product with so many views, each of features of its own."""
    views = tuple(
        replace(
            REGION_MARKET,
            name=f"market_{number}",
            features=tuple(
                replace(feature, name=f"{feature.name}_{number}")
                for feature in REGION_MARKET.features
            ),
        )
        for number in range(count)
    )
    policy = replace(PRODUCT.policy, rules=())
    return replace(PRODUCT, feature_views=views, derived_features=(), policy=policy)


@pytest.mark.parametrize("count", [1, 10, 98])
def test_any_number_of_views_is_one_batch_get_item(count: int) -> None:
    """The earlier decision and the rollout pointer are in it, too."""
    product = with_views(count)
    dynamodb = CountingDynamo(fresh_rows(product))
    store = DynamoDecisionStore(
        dynamodb,  # type: ignore[arg-type]
        product=product.name,
        online_store_table="online",
        decisions_table="decisions",
        registry_table="registry",
        receipt_days=7,
        on_damaged_pointer=lambda _: None,
    )
    champions = OldPointer(a_model(product))
    score = ScoreApplication(product, secret=SECRET, store=store, models=champions)

    answer = score(a_body(), as_of=NOW, timer=a_timer())

    assert answer.outcome == Outcome.APPROVE
    assert dynamodb.reads == [count + 2]
