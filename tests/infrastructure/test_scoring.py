from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

ALIAS, FUNCTION = "AWS::Lambda::Alias", "AWS::Lambda::Function"
VERSION = "AWS::Lambda::Version"
METHOD, STAGE = "AWS::ApiGateway::Method", "AWS::ApiGateway::Stage"
SCALABLE = "AWS::ApplicationAutoScaling::ScalableTarget"
SCALING = "AWS::ApplicationAutoScaling::ScalingPolicy"

LIVE = "scoring/Scorer/Live"
ALIASES = {LIVE, "scoring/Records/Live", "scoring/Batch/Live"}
SCORER = "scoring/Scorer/Scorer/Function"
DECIDE = "scoring/Api/RestApi/Default/v1/decisions/POST"
API_STAGE = "scoring/Api/RestApi/DeploymentStage.live"


def version_of(deployment: Deployment, path: str) -> dict[str, Any]:
    """Return the properties of the version that an alias leads to."""
    alias = properties(deployment.at(path, ALIAS))
    assert alias["Name"] == "live"
    return properties(deployment.at(named_version(deployment, alias), VERSION))


def named_version(deployment: Deployment, alias: dict[str, Any]) -> str:
    return deployment.text(alias["FunctionVersion"], "scoring")


def assert_live_is_warm(deployment: Deployment) -> None:
    stage = deployment.stage
    warm = version_of(deployment, LIVE)["ProvisionedConcurrencyConfig"]
    assert warm["ProvisionedConcurrentExecutions"] >= stage.provisioned_concurrency > 0


def assert_deciding_takes_a_token_with_the_scope(deployment: Deployment) -> None:
    method = properties(deployment.at(DECIDE, METHOD))
    assert method["AuthorizationType"] == "COGNITO_USER_POOLS"
    assert method["AuthorizationScopes"] == ["decisions/decide"]
    assert deployment.text(method["AuthorizerId"], "scoring") == "scoring/Api/Authorizer"


def test_the_live_version_is_warm(deployment: Deployment) -> None:
    assert_live_is_warm(deployment)


def test_a_cold_version_would_be_noticed(prod: Deployment) -> None:
    path = named_version(prod, properties(prod.at(LIVE, ALIAS)))
    with pytest.raises(KeyError):
        assert_live_is_warm(prod.changed(path, VERSION, ProvisionedConcurrencyConfig=None))


def assert_no_alias_is_kept_warm(deployment: Deployment) -> None:
    for path, alias in deployment.of_type(ALIAS).items():
        assert "ProvisionedConcurrencyConfig" not in properties(alias), path
    for target in deployment.of_type(SCALABLE).values():
        function, version = deployment.text(properties(target)["ResourceId"], "scoring").split(":")[
            1:
        ]
        assert function == SCORER
        assert version == named_version(deployment, properties(deployment.at(LIVE, ALIAS)))


def test_versions_are_kept_warm_and_never_the_alias(deployment: Deployment) -> None:
    """Lambda warms no alias whose requests a canary shares out between two versions."""
    assert_no_alias_is_kept_warm(deployment)


def test_a_warm_alias_would_be_noticed(prod: Deployment) -> None:
    warm = {"ProvisionedConcurrentExecutions": 5}
    with pytest.raises(AssertionError):
        assert_no_alias_is_kept_warm(prod.changed(LIVE, ALIAS, ProvisionedConcurrencyConfig=warm))


def assert_nothing_is_warm_that_nobody_reaches(deployment: Deployment) -> None:
    for path, version in deployment.of_type(VERSION).items():
        if "ProvisionedConcurrencyConfig" in properties(version):
            assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Delete", path


def test_a_version_that_is_replaced_is_not_paid_for(deployment: Deployment) -> None:
    """CloudFormation would keep it warm for ever, even where its own deployment failed."""
    assert_nothing_is_warm_that_nobody_reaches(deployment)


def test_a_version_that_would_be_paid_for_is_noticed(prod: Deployment) -> None:
    path = named_version(prod, properties(prod.at(LIVE, ALIAS)))
    mutant = prod.changed(path, VERSION)
    mutant.at(path, VERSION)["DeletionPolicy"] = "Retain"
    with pytest.raises(AssertionError):
        assert_nothing_is_warm_that_nobody_reaches(mutant)


def test_another_number_of_warm_environments_is_another_version(prod: Deployment) -> None:
    """CloudFormation can't change it, and Lambda makes no version of what didn't change."""
    warm = version_of(prod, LIVE)["ProvisionedConcurrencyConfig"]
    description = properties(prod.at(SCORER, FUNCTION))["Description"]

    assert description.endswith(f"; {warm['ProvisionedConcurrentExecutions']} warm")


def test_warm_environments_follow_the_load_where_the_stage_says_so(
    scaled: list[Deployment],
) -> None:
    assert {deployment.stage.name for deployment in scaled} == {"dev", "prod"}
    for deployment in scaled:
        scaling = deployment.stage.scaling
        assert scaling is not None
        (target,) = deployment.of_type(SCALABLE).values()
        (policy,) = deployment.of_type(SCALING).values()
        tracking = properties(policy)["TargetTrackingScalingPolicyConfiguration"]

        assert properties(target)["ScalableDimension"] == "lambda:function:ProvisionedConcurrency"
        assert properties(target)["MinCapacity"] == deployment.stage.provisioned_concurrency
        assert properties(target)["MaxCapacity"] == scaling.maximum
        assert tracking["TargetValue"] == scaling.target_utilization
        scheduled = properties(target).get("ScheduledActions", [])
        assert [action["ScheduledActionName"] for action in scheduled] == [
            change.name for change in scaling.schedule
        ]


def test_prod_is_warmer_in_business_hours(prod: Deployment) -> None:
    """And each version that is deployed in them within an hour, wherever it begins."""
    (target,) = prod.of_type(SCALABLE).values()

    floors = {
        action["ScheduledActionName"]: action["ScalableTargetAction"]["MinCapacity"]
        for action in properties(target)["ScheduledActions"]
    }

    assert floors["BeforeOpening"] > floors["AfterClosing"] > 0
    hourly = properties(target)["ScheduledActions"][0]["Schedule"]
    assert hourly == "cron(0 6-19 ? * MON-FRI *)"


def test_the_local_cloud_is_asked_for_nothing_that_it_lacks(local: Deployment) -> None:
    types = {
        found["Type"]
        for template in local.templates.values()
        for found in template["Resources"].values()
    }

    assert not {
        type_
        for type_ in types
        if type_.startswith(("AWS::ApplicationAutoScaling::", "AWS::CodeDeploy::"))
    }


def test_deciding_takes_a_token_with_the_scope(deployment: Deployment) -> None:
    assert_deciding_takes_a_token_with_the_scope(deployment)


@pytest.mark.parametrize("lost", ["AuthorizationScopes", "AuthorizationType"])
def test_an_open_method_would_be_noticed(prod: Deployment, lost: str) -> None:
    with pytest.raises(KeyError):
        assert_deciding_takes_a_token_with_the_scope(prod.changed(DECIDE, METHOD, **{lost: None}))


def test_what_answers_has_its_code_and_its_configuration_together(deployment: Deployment) -> None:
    """CloudFormation changes them one after the other; a version has both."""
    aliases = deployment.of_type(ALIAS)
    assert aliases.keys() == ALIASES
    for path, alias in aliases.items():
        name = path.split("/")[1]
        version = deployment.text(properties(alias)["FunctionVersion"], "scoring")
        assert version == f"scoring/{name}/{name}/Function/CurrentVersion"


def test_only_the_scorer_is_kept_warm(deployment: Deployment) -> None:
    warm = {
        path for path in ALIASES if "ProvisionedConcurrencyConfig" in version_of(deployment, path)
    }

    assert warm == {LIVE}


def test_the_api_calls_the_live_alias_and_never_a_version(deployment: Deployment) -> None:
    uri = properties(deployment.at(DECIDE, METHOD))["Integration"]["Uri"]

    assert f"/functions/{LIVE}/invocations" in deployment.text(uri, "scoring")


def test_only_the_api_may_call_what_answers(deployment: Deployment) -> None:
    called = set()
    for path, permission in deployment.of_type("AWS::Lambda::Permission").items():
        if not path.startswith("scoring/"):
            continue
        found = properties(permission)
        assert found["Principal"] == "apigateway.amazonaws.com"
        assert "/v1/" in deployment.text(found["SourceArn"], "scoring")
        called.add(deployment.text(found["FunctionName"], "scoring"))

    assert called == ALIASES


def test_logs_of_the_api_hold_no_bodies_and_no_addresses(deployment: Deployment) -> None:
    stage = properties(deployment.at(API_STAGE, STAGE))

    logged = json.loads(stage["AccessLogSetting"]["Format"])

    assert not any(settings["DataTraceEnabled"] for settings in stage["MethodSettings"])
    assert logged["client"] == "$context.authorizer.claims.client_id"
    assert not [
        value for value in logged.values() if "identity" in value or "request.body" in value
    ]


def test_prod_has_a_firewall_before_its_api(prod: Deployment) -> None:
    (association,) = map(properties, prod.of_type("AWS::WAFv2::WebACLAssociation").values())
    (firewall,) = map(properties, prod.of_type("AWS::WAFv2::WebACL").values())

    assert prod.text(association["ResourceArn"], "scoring").endswith(f"/stages/{API_STAGE}")
    rules = {rule["Name"]: rule["Statement"] for rule in firewall["Rules"]}
    size, elsewhere = rules["OversizedBody"]["AndStatement"]["Statements"]
    assert size["SizeConstraintStatement"]["Size"] <= 16_384
    batches = elsewhere["NotStatement"]["Statement"]["ByteMatchStatement"]
    assert batches["FieldToMatch"] == {"UriPath": {}}
    assert (batches["PositionalConstraint"], batches["SearchString"]) == (
        "ENDS_WITH",
        "/v1/decision-batches",
    )
    assert "FloodFromOneAddress" in rules
    assert firewall["VisibilityConfig"]["SampledRequestsEnabled"] is False


def test_the_firewall_has_no_other_limit_for_bodies(prod: Deployment) -> None:
    """AWS's common rules would block a body of more than 8 KB, which the scorer accepts."""
    (firewall,) = map(properties, prod.of_type("AWS::WAFv2::WebACL").values())
    managed = {
        rule["Name"]: rule["Statement"]["ManagedRuleGroupStatement"]
        for rule in firewall["Rules"]
        if "ManagedRuleGroupStatement" in rule["Statement"]
    }

    overruled = {name: rules.get("RuleActionOverrides", []) for name, rules in managed.items()}

    assert overruled.pop("AWSManagedRulesCommonRuleSet") == [
        {"Name": name, "ActionToUse": {"Count": {}}}
        for name in ("NoUserAgent_HEADER", "SizeRestrictions_BODY")
    ]
    assert not any(overruled.values())


def test_other_apis_of_a_shared_account_keep_their_logs_when_this_one_goes(
    deployment: Deployment,
) -> None:
    role = deployment.at("scoring/Api/RestApi/CloudWatchRole", "AWS::IAM::Role")
    (account,) = deployment.of_type("AWS::ApiGateway::Account").values()

    stays = "Delete" if deployment.stage.name == "local" else "Retain"
    assert role["DeletionPolicy"] == account["DeletionPolicy"] == stays


def test_the_scorer_runs_on_the_machine_that_its_layers_are_built_for(
    deployment: Deployment,
) -> None:
    for function in deployment.of_type(FUNCTION).values():
        assert properties(function)["Runtime"] == "python3.13"
        assert properties(function)["Architectures"] == ["x86_64"]


def test_what_answers_gives_up_before_the_api_does(deployment: Deployment) -> None:
    for alias in ALIASES:
        name = alias.split("/")[1]
        function = deployment.at(f"scoring/{name}/{name}/Function", FUNCTION)
        # API Gateway's own limit, in seconds; past it a client would see 504 and no cause.
        assert properties(function)["Timeout"] < 29


def test_a_batch_ends_before_its_function_does(deployment: Deployment) -> None:
    stage = deployment.stage

    longest = stage.batching.batch_seconds + stage.batching.deadline_ms / 1_000

    assert longest < stage.batch.timeout_seconds
