"""Two stages and two products in one account: no name twice, and an order to deploy the stacks."""

from __future__ import annotations

import json
import re
from functools import cache
from graphlib import TopologicalSorter
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import RemovalPolicy
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from cdk_app.stages import STAGES
from tests.infrastructure.conftest import synthesize
from tests.infrastructure.release import REGION
from tests.infrastructure.templates import imports_of, properties, stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infrastructure.templates import Deployment

NAMED_OTHERWISE = {
    "AWS::Cognito::UserPoolDomain": ["Domain"],
    "AWS::Glue::Database": ["DatabaseInput/Name"],
    # Nothing keeps two from having one name, but who should know which is which?
    "AWS::ApiGateway::RestApi": ["Name"],
    "AWS::Logs::QueryDefinition": ["Name"],
    "AWS::WAFv2::WebACL": ["VisibilityConfig/MetricName"],
}
# How AWS wants some names to begin.
DEMANDED = re.compile(r"\A(alias/|/aws/vendedlogs/states/|aws-waf-logs-)")
PSEUDO = re.compile(r'\{"Ref": "AWS::\w+"\}')

# What a stack says of another's resource by name alone, and why it may be deployed before it.
BY_NAME = {
    ("retraining", "AWS::CloudWatch::Alarm"): "The rollout asks for alarms by name when it runs.",
    ("scoring", "AWS::CloudWatch::Alarm"): "CodeDeploy looks at alarms when it deploys a version.",
}


def is_fixed(value: Any) -> bool:
    """Tell whether a name is known from the template, but for the account and the region."""
    return not re.search(r'"(Ref|Fn::GetAtt|Fn::ImportValue)"', PSEUDO.sub("", json.dumps(value)))


@cache
def identifier(type_: str) -> list[str]:
    """Return the properties of a type that name its resources."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, type_).schema
    read_only = schema.get("readOnlyProperties", ())
    return NAMED_OTHERWISE.get(type_) or [
        pointer.removeprefix("/properties/")
        for pointer in schema["primaryIdentifier"]
        if pointer not in read_only
    ]


def names(deployment: Deployment) -> dict[tuple[str, ...], str]:
    """Return the path of each resource that the app names, by its type and name.

    What has a parent whose name CloudFormation makes up cannot meet another's.

    Source: ``primaryIdentifier`` of the CloudFormation resource schemas, as cfn-lint ships them.
    """
    found: dict[tuple[str, ...], str] = {}
    for stack, template in deployment.templates.items():
        for id_, resource in template["Resources"].items():
            type_ = resource["Type"]
            if not type_.startswith("AWS::"):
                continue
            values = [at(properties(resource), pointer) for pointer in identifier(type_)]
            if values and all(value is not None and is_fixed(value) for value in values):
                name = (type_, *(deployment.text(value, stack) for value in values))
                assert name not in found, f"{name} is named twice"
                found[name] = f"{stack}/{id_}"
    return found


def at(found: Any, pointer: str) -> Any:
    for part in pointer.split("/"):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def everything_named(deployment: Deployment) -> set[tuple[str, ...]]:
    """Return all names of a deployment: of resources, stacks and exports."""
    prefix = deployment.stage.prefix
    return {
        *names(deployment),
        *(("stack", f"{prefix}-{stack}") for stack in deployment.templates),
        *(
            ("export", output["Export"]["Name"])
            for template in deployment.templates.values()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        ),
    }


def assert_no_name_twice(deployments: list[Deployment]) -> None:
    for one, other in combinations(deployments, 2):
        assert everything_named(one) & everything_named(other) == set()


def assert_names_begin_with_stage_and_product(deployment: Deployment) -> None:
    prefix = deployment.stage.prefix
    for type_, *parts in everything_named(deployment):
        plain = [DEMANDED.sub("", part).replace("_", "-") for part in parts]
        assert any(part.startswith(prefix) for part in plain), (type_, parts)


def known_by_name(deployment: Deployment) -> set[tuple[str, str]]:
    """Return which stacks say the name of what, without waiting for the stack that makes it."""
    waits = {stack: stacks_before(deployment, stack) for stack in deployment.templates}
    texts = {
        stack: json.dumps(template["Resources"]) for stack, template in deployment.templates.items()
    }
    found = set()
    for (type_, *parts), path in names(deployment).items():
        if parts[-1] == deployment.stage.prefix:
            continue  # it begins all others
        for stack, text in texts.items():
            if stack == stack_of(path) or stack_of(path) in waits[stack]:
                continue
            # Whole names: one may begin another.
            if parts[-1] in text and re.search(rf"(?<![\w-]){re.escape(parts[-1])}(?![\w-])", text):
                found.add((stack, type_))
    return found


def needs(deployment: Deployment) -> Mapping[str, set[str]]:
    """Return for each stack those whose exports it imports."""
    owners = {
        output["Export"]["Name"]: stack
        for stack, template in deployment.templates.items()
        for output in template.get("Outputs", {}).values()
        if "Export" in output
    }
    return {
        stack: {owners[name] for name in imports_of(template)}
        for stack, template in deployment.templates.items()
    }


def stacks_before(deployment: Deployment, stack: str) -> set[str]:
    """Return all that are deployed before a stack, whatever order the CDK chooses."""
    needed = needs(deployment)
    before: set[str] = set()
    waiting = [stack]
    while waiting:
        new = needed[waiting.pop()] - before
        before |= new
        waiting += new
    return before


@pytest.fixture(scope="session")
def neighbours(
    deployments: Mapping[str, Deployment], tmp_path_factory: pytest.TempPathFactory
) -> list[Deployment]:
    """Every stage with one product, and two of them with another, all in one account."""
    return [
        *deployments.values(),
        *(
            synthesize(STAGES[name], tmp_path_factory.mktemp(name), product="credit_card")
            for name in ("local", "dev")
        ),
    ]


def test_stages_and_products_that_share_an_account_share_no_name(
    neighbours: list[Deployment],
) -> None:
    assert_no_name_twice(neighbours)
    for deployment in neighbours:
        assert_names_begin_with_stage_and_product(deployment)
        assert len(names(deployment)) > 50


@pytest.mark.parametrize(
    ("path", "type_", "named"),
    [
        (
            "scoring/Scorer/Scorer/Function",
            "AWS::Lambda::Function",
            {"FunctionName": "credit-scorer"},
        ),
        ("operations/Dashboard/Dashboard", "AWS::CloudWatch::Dashboard", {"DashboardName": "ops"}),
        ("storage/Data/Key/Alias", "AWS::KMS::Alias", {"AliasName": "alias/credit-data"}),
        (
            "scoring/Access/UserPool/Domain",
            "AWS::Cognito::UserPoolDomain",
            {"Domain": {"Fn::Join": ["-", ["credit", {"Ref": "AWS::AccountId"}]]}},
        ),
    ],
)
def test_a_name_that_two_stages_share_would_be_noticed(
    deployments: Mapping[str, Deployment], path: str, type_: str, named: dict[str, Any]
) -> None:
    both = [deployments[name].changed(path, type_, **named) for name in ("dev", "prod")]

    with pytest.raises(AssertionError):
        assert_no_name_twice(both)
    with pytest.raises(AssertionError):
        assert_names_begin_with_stage_and_product(both[0])


def test_there_is_an_order_in_which_the_stacks_can_be_deployed(deployment: Deployment) -> None:
    order = list(TopologicalSorter(needs(deployment)).static_order())

    assert set(order) == set(deployment.templates)
    assert (order[0], order[-1]) == ("storage", "operations")


def test_what_a_stack_knows_by_name_alone_need_not_be_there_when_it_is_deployed(
    deployment: Deployment,
) -> None:
    """A reference has the CDK wait; a name does not, so that each has a reason written down."""
    assert known_by_name(deployment) <= set(BY_NAME)


def test_a_name_without_a_reference_would_be_noticed(prod: Deployment) -> None:
    """A queue of the storage stack that needs a function of a later one."""
    mutant = prod.changed(
        "storage/Tables/Registry",
        "AWS::DynamoDB::Table",
        Tags=[{"Key": "reader", "Value": f"{prod.stage.prefix}-scorer"}],
    )

    assert known_by_name(mutant) - known_by_name(prod) == {("storage", "AWS::Lambda::Function")}


def test_only_where_state_goes_with_its_stack_a_function_empties_the_buckets(
    deployment: Deployment,
) -> None:
    goes = deployment.stage.removal is RemovalPolicy.DESTROY
    buckets = deployment.of_type("AWS::S3::Bucket")
    emptied = deployment.of_type("Custom::EmptyBucket")

    assert (deployment.stage.emptier is not None) is goes
    assert all((bucket["DeletionPolicy"] == "Delete") is goes for bucket in buckets.values())
    assert {
        deployment.text(properties(found)["BucketName"], "storage") for found in emptied.values()
    } == (set(buckets) if goes else set())


def test_a_bucket_is_emptied_after_its_policy_went_and_before_itself(
    deployment: Deployment,
) -> None:
    """CloudFormation deletes in the reverse order of dependencies."""
    template = deployment.templates["storage"]["Resources"]
    emptied = {
        properties(found)["BucketName"]["Ref"]: id_
        for id_, found in template.items()
        if found["Type"] == "Custom::EmptyBucket"
    }
    policies = {
        properties(found)["Bucket"]["Ref"]: found
        for found in template.values()
        if found["Type"] == "AWS::S3::BucketPolicy"
    }

    assert set(emptied) in (set(), set(policies))
    for bucket, id_ in emptied.items():
        assert id_ in policies[bucket]["DependsOn"]


def test_what_is_removed_takes_the_least_time_that_kms_allows(deployment: Deployment) -> None:
    for key in deployment.of_type("AWS::KMS::Key").values():
        expected = 7 if key["DeletionPolicy"] == "Delete" else 30
        assert properties(key)["PendingWindowInDays"] == expected


def test_where_state_goes_with_its_stack_nothing_is_retained_but_the_accounts_api_logging(
    deployment: Deployment,
) -> None:
    retained = {
        path
        for template_path in deployment.templates
        for path, found in resources(deployment, template_path).items()
        if found.get("DeletionPolicy", "Delete") != "Delete"
    }

    if deployment.stage.removal is RemovalPolicy.DESTROY:
        stays = deployment.stage.api_logging_removal is RemovalPolicy.RETAIN
        account = {"scoring/Api/RestApi/Account", "scoring/Api/RestApi/CloudWatchRole"}
        assert retained == (account if stays else set())


def resources(deployment: Deployment, stack: str) -> dict[str, dict[str, Any]]:
    return {
        f"{found['Metadata']['aws:cdk:path']}".removeprefix(
            f"{deployment.stage.prefix}-"
        ).removesuffix("/Resource"): found
        for found in deployment.templates[stack]["Resources"].values()
        if "Metadata" in found
    }
