"""Who may use how much of the account's concurrency, so that nobody starves who decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cdk_app.components.scorer import warm_at_first
from cdk_app.stages import STAGES
from credit_cli.costs import SHAPES
from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infrastructure.templates import Deployment

FUNCTION, MAPPING = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"
SCORER = "scoring/Scorer/Scorer/Function"

ACCOUNT_LIMIT, LEFT_FOR_OTHERS = 1_000, 100
"""Lambda's usual limit of a region, and what it keeps for functions that reserve nothing.

Source: AWS Lambda Developer Guide, "Lambda quotas" and "Configuring reserved concurrency".
"""


@pytest.fixture(params=["dev", "prod"])
def reserving(request: pytest.FixtureRequest, deployments: Mapping[str, Deployment]) -> Deployment:
    """Each stage that reserves."""
    return deployments[request.param]


def reserved(deployment: Deployment) -> dict[str, int]:
    """Return the environments that each function has for itself, by path."""
    return {
        path: properties(function)["ReservedConcurrentExecutions"]
        for path, function in deployment.of_type(FUNCTION).items()
        if "ReservedConcurrentExecutions" in properties(function)
    }


def assert_nothing_starves_who_answers(deployment: Deployment) -> None:
    own = reserved(deployment)
    for name in ("Scorer", "Records", "Batch"):
        assert own[f"scoring/{name}/{name}/Function"] > 0
    # What a burst of uploads or pushes starts has an end, too.
    assert own["materialization/Features/Materializer/Function"] > 0
    assert own["materialization/Push/Pusher/Function"] > 0
    assert own["retraining/Retraining/Trainer/Function"] > 0
    # The way back is there when the account is used up.
    assert own["retraining/Rollout/Promoter/Function"] > 0


def test_who_answers_is_not_starved(reserving: Deployment) -> None:
    assert_nothing_starves_who_answers(reserving)


@pytest.mark.parametrize("path", [SCORER, "materialization/Features/Materializer/Function"])
def test_a_function_without_bounds_would_be_noticed(prod: Deployment, path: str) -> None:
    with pytest.raises(KeyError):
        assert_nothing_starves_who_answers(
            prod.changed(path, FUNCTION, ReservedConcurrentExecutions=None)
        )


def test_two_products_of_both_stages_fit_into_an_account(
    deployments: Mapping[str, Deployment],
) -> None:
    every = sum(sum(reserved(deployments[name]).values()) for name in ("dev", "prod"))

    assert 2 * every <= ACCOUNT_LIMIT - LEFT_FOR_OTHERS


def test_two_versions_can_be_as_warm_as_scaling_lets_them(reserving: Deployment) -> None:
    """What is kept warm counts as reserved, and in a canary there are two versions."""
    scaling = reserving.stage.scaling
    assert scaling is not None
    assert warm_at_first(reserving.stage) <= scaling.maximum

    assert reserved(reserving)[SCORER] > 2 * scaling.maximum


def test_who_hands_work_out_hands_out_no_more_than_is_taken(reserving: Deployment) -> None:
    stage, own = reserving.stage, reserved(reserving)
    (pushes,) = (
        properties(mapping)["ScalingConfig"]["MaximumConcurrency"]
        for path, mapping in reserving.of_type(MAPPING).items()
        if path.startswith("materialization/Push/")
    )

    assert pushes <= own["materialization/Push/Pusher/Function"]
    assert (
        stage.materialization.parts_at_once <= own["materialization/Features/Materializer/Function"]
    )
    assert stage.retraining.candidates_at_once <= own["retraining/Retraining/Trainer/Function"]


def test_the_local_cloud_shares_what_it_has(local: Deployment) -> None:
    assert reserved(local) == {}
    assert STAGES["local"].scaling is None


def charged_metrics(deployment: Deployment) -> int:
    """Return the metrics that alarms look at: CloudWatch charges for each of an expression's."""
    return sum(
        max(1, len([metric for metric in found.get("Metrics", ()) if "MetricStat" in metric]))
        for found in map(properties, deployment.of_type("AWS::CloudWatch::Alarm").values())
    )


def test_what_is_charged_by_the_month_is_what_there_is(reserving: Deployment) -> None:
    """A handful of alarms more or less is some cents; a forgotten key or firewall is dollars."""
    costed = SHAPES[reserving.stage.name]
    rules = sum(
        len(properties(firewall)["Rules"])
        for firewall in reserving.of_type("AWS::WAFv2::WebACL").values()
    )

    assert costed.keys == len(reserving.of_type("AWS::KMS::Key"))
    assert costed.secrets == len(reserving.of_type("AWS::SecretsManager::Secret"))
    assert costed.dashboards == len(reserving.of_type("AWS::CloudWatch::Dashboard"))
    assert costed.composite_alarms == len(reserving.of_type("AWS::CloudWatch::CompositeAlarm"))
    assert costed.firewall_rules == rules
    assert abs(costed.alarms - charged_metrics(reserving)) <= 10
