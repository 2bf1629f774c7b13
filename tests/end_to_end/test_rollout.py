"""Models tried, promoted and taken back on the local cloud, while applicants are answered."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.product import load_product
from tests.end_to_end.model_variants import move, register_variant, registry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudwatch import CloudWatchClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from credit_core.adapters.model_registry import S3DynamoModelRegistry
    from credit_core.domain.model_manifest import ModelReference
    from tests.end_to_end.conftest import Client, Credit

PRODUCT = load_product("personal_loan")
SWITCH_SECONDS = 10
PATIENCE_SECONDS = 60
ALARM = "credit-local-personal-loan-model-load-failure"


@pytest.fixture(scope="module")
def registry(aws: LocalAws, deployment: Deployment) -> S3DynamoModelRegistry:
    return registry_of(aws, deployment, PRODUCT.name)


@pytest.fixture
def challenger(
    aws: LocalAws, deployment: Deployment, registry: S3DynamoModelRegistry
) -> Iterator[ModelReference]:
    """A registered model like the champion; the champion is one again at the end."""
    before = registry.champion()
    yield register_variant(aws, deployment, registry, PRODUCT.name)
    if registry.champion().champion != before.champion or registry.champion().challenger:
        move(registry, before.champion, challenger=before.challenger)


@pytest.fixture
def ring(aws: LocalAws) -> Iterator[Callable[[str], None]]:
    """Set the state of an alarm that rollouts watch; it is in order again at the end."""
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")

    def to(state: Any) -> None:
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="test")

    yield to
    to("OK")


def answering(client: Client, an_application: Callable[..., dict[str, Any]]) -> str:
    """Return the version that answers a new applicant, who must be answered."""
    answer = client(an_application(application_id=f"rollout-{uuid.uuid4()}"))
    assert answer.status == 200
    return str(answer.document()["model"]["version"])


def seconds_until(look: Callable[[], str], wanted: str) -> float:
    """Return how long it took until that version answered."""
    started = time.monotonic()
    while time.monotonic() < started + PATIENCE_SECONDS:
        if look() == wanted:
            return time.monotonic() - started
    pytest.fail(f"{wanted} does not answer after {PATIENCE_SECONDS} s")


def test_a_model_becomes_champion_step_by_step_and_is_rolled_back_within_seconds(
    credit: Credit,
    client: Client,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    before = registry.champion().champion.version

    done = credit.json("models", "promote", challenger.version, "--by", "ada")

    assert (done["champion"], done["previous_champion"]) == (challenger.version, before)
    shares = [
        found.after.challenger.share
        for found in registry.moves()
        if found.after.challenger and found.after.challenger.model == challenger
    ]
    assert shares == [0.5, 0.2, 0.0]

    def look() -> str:
        return answering(client, an_application)

    seconds_until(look, challenger.version)
    credit.json("models", "rollback", "--by", "ada")
    assert seconds_until(look, before) < SWITCH_SECONDS
    assert registry.find(challenger.version).state == "registered"


def test_an_alarm_withdraws_a_model_that_is_tried(
    credit: Credit,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    ring: Callable[[str], None],
) -> None:
    before = registry.champion().champion
    started = credit.json("models", "promote", challenger.version, "--no-wait")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while registry.champion().challenger is None and time.monotonic() < deadline:
        time.sleep(0.2)

    ring("ALARM")

    while registry.champion().challenger is not None and time.monotonic() < deadline:
        time.sleep(0.2)
    pointer = registry.champion()
    assert (pointer.champion, pointer.challenger) == (before, None)
    assert pointer.moved_by.endswith(started["execution"].rpartition(":")[2])
