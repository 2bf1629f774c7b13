"""How new code comes to answer: rehearsed, then for a share of the requests, then for all."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infrastructure.templates import Deployment

ALIAS = "AWS::Lambda::Alias"
APPLICATION = "AWS::CodeDeploy::Application"
CONFIGURATION = "AWS::CodeDeploy::DeploymentConfig"
GROUP = "AWS::CodeDeploy::DeploymentGroup"
ALARM = "AWS::CloudWatch::Alarm"

GROUPS = {
    f"scoring/{name}/Live": f"scoring/Canary/{name}" for name in ("Scorer", "Records", "Batch")
}
REHEARSAL = "scoring/Rehearsal/Rehearsal/Function"


@pytest.fixture(params=["dev", "prod"])
def shifted(request: pytest.FixtureRequest, deployments: Mapping[str, Deployment]) -> Deployment:
    """Each stage that has CodeDeploy."""
    return deployments[request.param]


def update_policy(deployment: Deployment, alias: str) -> dict[str, str]:
    policy = deployment.at(alias, ALIAS)["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    return {name: deployment.text(value, "scoring") for name, value in policy.items()}


def assert_aliases_move_by_codedeploy(deployment: Deployment) -> None:
    assert deployment.of_type(ALIAS).keys() == GROUPS.keys()
    for alias, group in GROUPS.items():
        assert update_policy(deployment, alias) == {
            "ApplicationName": "scoring/Canary/Application",
            "DeploymentGroupName": group,
            "BeforeAllowTrafficHook": REHEARSAL,
        }


def assert_alarms_take_it_back(deployment: Deployment) -> None:
    alarms = {properties(alarm)["AlarmName"] for alarm in deployment.of_type(ALARM).values()}
    for path in GROUPS.values():
        group = properties(deployment.at(path, GROUP))
        watched = group["AlarmConfiguration"]
        assert watched["Enabled"] is True
        assert watched["IgnorePollAlarmFailure"] is False
        names = [alarm["Name"] for alarm in watched["Alarms"]]
        # CodeDeploy takes no more than ten.
        assert 0 < len(names) <= 10
        assert set(names) <= alarms
        rollback = group["AutoRollbackConfiguration"]
        assert rollback["Enabled"] is True
        assert {"DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"} <= set(rollback["Events"])


def test_new_code_answers_a_share_of_the_requests_first(shifted: Deployment) -> None:
    assert_aliases_move_by_codedeploy(shifted)
    canary = shifted.stage.canary
    assert canary is not None
    (configuration,) = map(properties, shifted.of_type(CONFIGURATION).values())
    assert configuration["TrafficRoutingConfig"] == {
        "Type": "TimeBasedCanary",
        "TimeBasedCanary": {
            "CanaryPercentage": canary.percent,
            "CanaryInterval": canary.minutes,
        },
    }
    for path in GROUPS.values():
        group = properties(shifted.at(path, GROUP))
        assert group["DeploymentStyle"]["DeploymentOption"] == "WITH_TRAFFIC_CONTROL"
        named = shifted.text(group["DeploymentConfigName"], "scoring")
        assert named == "scoring/Canary/Configuration"


def test_an_alias_that_jumps_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed("scoring/Scorer/Live", ALIAS)
    del mutant.at("scoring/Scorer/Live", ALIAS)["UpdatePolicy"]

    with pytest.raises(KeyError):
        assert_aliases_move_by_codedeploy(mutant)


def test_an_alias_without_a_rehearsal_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed("scoring/Batch/Live", ALIAS)
    policy = mutant.at("scoring/Batch/Live", ALIAS)["UpdatePolicy"]
    del policy["CodeDeployLambdaAliasUpdate"]["BeforeAllowTrafficHook"]

    with pytest.raises(AssertionError):
        assert_aliases_move_by_codedeploy(mutant)


def test_alarms_that_there_are_take_new_code_back(shifted: Deployment) -> None:
    assert_alarms_take_it_back(shifted)


@pytest.mark.parametrize(
    "changes",
    [
        {"Enabled": False},
        {"IgnorePollAlarmFailure": True},
        {"Alarms": []},
        {"Alarms": [{"Name": "credit-prod-personal-loan-renamed"}]},
    ],
)
def test_a_blind_deployment_would_be_noticed(prod: Deployment, changes: dict[str, Any]) -> None:
    path = "scoring/Canary/Scorer"
    watched = copy.deepcopy(properties(prod.at(path, GROUP))["AlarmConfiguration"])

    with pytest.raises(AssertionError):
        assert_alarms_take_it_back(prod.changed(path, GROUP, AlarmConfiguration=watched | changes))


def test_an_alarm_has_time_to_ring_before_everybody_is_moved(prod: Deployment) -> None:
    canary, patience = prod.stage.canary, prod.stage.patience
    assert canary is not None

    assert 60 * canary.minutes > 2 * patience.periods * patience.period_seconds


def test_the_rehearsal_is_told_the_new_versions_before_an_alias_moves(
    shifted: Deployment,
) -> None:
    variables = properties(shifted.at(REHEARSAL, "AWS::Lambda::Function"))["Environment"][
        "Variables"
    ]
    for name in ("Scorer", "Batch", "Records"):
        alias = shifted.at(f"scoring/{name}/Live", ALIAS)
        version = shifted.text(properties(alias)["FunctionVersion"], "scoring")
        assert shifted.text(variables[f"CREDIT_{name.upper()}"], "scoring") == version
        awaited = {shifted.text({"Ref": id_}, "scoring") for id_ in alias["DependsOn"]}
        assert {REHEARSAL, "scoring/Rehearsal/Rehearsal/Role/DefaultPolicy"} <= awaited
        assert "scoring/Canary/Deployer/DefaultPolicy" in awaited


def test_names_of_two_stages_do_not_meet(deployments: Mapping[str, Deployment]) -> None:
    names = [
        properties(found)["ApplicationName"]
        for deployment in deployments.values()
        for found in deployment.of_type(APPLICATION).values()
    ]

    assert len(names) == len(set(names)) == 2


def test_the_local_cloud_rehearses_and_moves_at_once(local: Deployment) -> None:
    assert local.at(REHEARSAL, "AWS::Lambda::Function")
    assert not [alias for alias in local.of_type(ALIAS).values() if "UpdatePolicy" in alias]
