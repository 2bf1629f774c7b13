"""Of a product without feature views nothing is read online: DynamoDB refuses an empty list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3

from credit_core.adapters.aws_calls import JsonApi
from credit_core.adapters.decision_store import DynamoDecisionStore
from credit_core.adapters.newest_events import DynamoNewestEvents
from credit_core.adapters.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

ONLINE_STORE = "online-store"


class Strict(JsonApi):
    """DynamoDB that refuses a table of which no key is asked for, as it does."""

    def __init__(self) -> None:
        super().__init__("dynamodb", target="DynamoDB_20120810", version="1.0")
        self.tables: set[str] = set()

    def call(
        self, operation: str, document: Mapping[str, Any], *, deadline: float
    ) -> dict[str, Any]:
        assert operation == "BatchGetItem"
        assert deadline > 0
        assert all(asked["Keys"] for asked in document["RequestItems"].values())
        self.tables |= set(document["RequestItems"])
        return {"Responses": {}}


def store_on(api: JsonApi) -> DynamoDecisionStore:
    return DynamoDecisionStore(
        api,
        product="german_credit",
        online_store_table=ONLINE_STORE,
        decisions_table="decisions",
        registry_table="registry",
        receipt_days=7,
        on_damaged_pointer=lambda _: None,
    )


def test_a_decision_without_views_reads_its_receipt_and_the_pointer_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    api = Strict()

    found = store_on(api).read(
        (), application_id="application-1", with_pointer=True, timer=Stopwatch(deadline_ms=1_000)
    )

    assert found.rows == {}
    assert found.unread == frozenset()
    assert api.tables == {"decisions", "registry"}


def test_a_product_without_views_has_no_newest_event_and_nothing_is_asked() -> None:
    unreachable: Any = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )

    assert DynamoNewestEvents(unreachable, ONLINE_STORE).read(()) == {}
