"""Two models on the scoring path of the local cloud: shares follow the pointer, nothing fails."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.load_applications import applications, lake_applications
from credit_core.domain.model_manifest import Challenger, RolloutMode
from credit_core.domain.product import load_product
from tests.end_to_end.model_variants import move, register_variant, registry_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from credit_core.adapters.model_registry import S3DynamoModelRegistry
    from credit_core.domain.model_manifest import ModelReference
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

PRODUCT = load_product("personal_loan")
APPLICANTS = 80
CLIENTS = 4
FOLLOWS_SECONDS = 10.0
"""Within which the decisions have to follow the pointer."""


class Desk:
    """Sends applications of the same applicants again and again, each under a new id."""

    def __init__(self, client: Client, known: list[dict[str, Any]]) -> None:
        self._client = client
        self.known = known
        self.sent: list[str] = []

    def __call__(self) -> dict[str, dict[str, Any]]:
        """Return a new decision about each applicant."""
        run = uuid.uuid4().hex
        bodies = [
            application | {"application_id": f"{run}-{number}"}
            for number, application in enumerate(self.known)
        ]
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(self._client, bodies))
        assert {answer.status for answer in answers} == {200}
        self.sent += [body["application_id"] for body in bodies]
        return {
            body["applicant_id"]: answer.document()
            for body, answer in zip(bodies, answers, strict=True)
        }


@pytest.fixture(scope="module")
def registry(aws: LocalAws, deployment: Deployment) -> S3DynamoModelRegistry:
    return registry_of(aws, deployment, PRODUCT.name)


@pytest.fixture(scope="module")
def another(
    aws: LocalAws, deployment: Deployment, registry: S3DynamoModelRegistry
) -> ModelReference:
    return register_variant(aws, deployment, registry, PRODUCT.name)


@pytest.fixture(scope="module")
def champion(registry: S3DynamoModelRegistry) -> Iterator[ModelReference]:
    """The champion, which is it again when these tests are done."""
    before = registry.champion()
    yield before.champion
    move(registry, before.champion, challenger=before.challenger)


@pytest.fixture(scope="module")
def desk(aws: LocalAws, deployment: Deployment, client: Client) -> Desk:
    """A desk of applicants whom a model judges."""
    rows = lake_applications(aws.client("s3"), deployment["LakeBucket"], PRODUCT)
    run = uuid.uuid4().hex
    bodies = map(json.loads, applications(PRODUCT, rows[-2_000:], count=400, run=run, seed=5))
    tried = Desk(client, list({body["applicant_id"]: body for body in bodies}.values()))
    judged = {name for name, it in tried().items() if it["probability_of_default"] is not None}
    known = [body for body in tried.known if body["applicant_id"] in judged][:APPLICANTS]
    assert len(known) == APPLICANTS
    return Desk(client, known)


def versions_of(decisions: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: decision["model"]["version"] for name, decision in decisions.items()}


def settled(desk: Desk, *expected: str) -> dict[str, str]:
    """Return who answers whom as soon as the decisions follow the pointer."""
    deadline = time.monotonic() + FOLLOWS_SECONDS
    while time.monotonic() < deadline:
        if set(versions_of(desk()).values()) == set(expected):
            break
    # What comes now was asked after all functions have read the pointer.
    time.sleep(max(0.0, deadline - time.monotonic()))
    return versions_of(desk())


@pytest.mark.usefixtures("no_trial_ends")
def test_a_challenger_goes_through_shadow_and_shares_to_champion_and_back(
    registry: S3DynamoModelRegistry,
    champion: ModelReference,
    another: ModelReference,
    desk: Desk,
    credit: Credit,
) -> None:
    """No request fails, and no applicant changes the model within a share."""
    first, second = champion.version, another.version

    def on_trial(share: float = 0.0) -> Challenger:
        mode = RolloutMode.LIVE if share else RolloutMode.SHADOW
        return Challenger(model=another, mode=mode, share=share)

    move(registry, champion, challenger=on_trial())
    in_shadow = settled(desk, first)
    shadowed = desk.sent[-1]
    move(registry, champion, challenger=on_trial(0.3))
    third = settled(desk, first, second)
    rounds = [versions_of(desk()) for _ in range(3)]
    move(registry, champion, challenger=on_trial(0.7))
    most = settled(desk, first, second)
    answered_live = desk.sent[-APPLICANTS:]
    move(registry, another)
    promoted = settled(desk, second)
    move(registry, champion)
    rolled_back = settled(desk, first)

    assert set(in_shadow.values()) == {first}
    assert rounds == [third] * 3
    chosen = {name for name, version in third.items() if version == second}
    assert 0.1 * APPLICANTS <= len(chosen) <= 0.5 * APPLICANTS
    assert all(most[name] == second for name in chosen)
    assert len(chosen) < list(most.values()).count(second) < APPLICANTS
    assert set(promoted.values()) == {second}
    assert set(rolled_back.values()) == {first}
    replayed = credit.json("decisions", "replay", shadowed, *answered_live)
    assert replayed["all_identical"] is True
    assert replayed["replayed"] > APPLICANTS
