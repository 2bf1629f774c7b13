"""Promises that hold for every template."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from aws_cdk import App, Stack
from aws_cdk import aws_s3 as s3
from cfnlint import api as cfnlint  # type: ignore[import-untyped]  # it ships no types

from cdk_app.app import check
from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infrastructure.templates import Deployment

OUTPUTS = {
    "storage": {
        *(
            "LakeBucket",
            "ResultsBucket",
            "ModelsBucket",
            "ReceiptsBucket",
            "OnlineStoreTable",
            "DecisionsTable",
        ),
        *("RegistryTable", "GlueDatabase", "PageTopic", "InformTopic"),
    },
    "scoring": {
        *("ApiUrl", "RestApiId", "RestApiStage", "UserPoolId", "ApplicationClientId"),
        *("TokenUrl", "DecideScope", "ScorerFunction"),
    },
    "archive": {"ArchiverFunction", "FailedBatchesQueue", "MonitoringStateMachine"},
    "materialization": {"MaterializationStateMachine", "FeatureBus"},
    "retraining": {
        *("RetrainingStateMachine", "RolloutStateMachine", "PromoterFunction"),
        *("ApproverFunction", "GuardFunction"),
    },
    "operations": {"LatencyAlarm"},
}
# Twelve digits that stand alone; hashes of assets contain digits, but letters around them.
ACCOUNT_NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")


def test_every_output_of_the_contract_is_there(deployment: Deployment) -> None:
    for stack, names in OUTPUTS.items():
        assert names <= set(deployment.templates[stack]["Outputs"])


def test_no_template_holds_an_account_number(deployment: Deployment) -> None:
    for template in deployment.templates.values():
        assert ACCOUNT_NUMBER.findall(json.dumps(template)) == []


def test_an_account_number_would_be_noticed() -> None:
    assert ACCOUNT_NUMBER.findall('{"Arn": "arn:aws:iam::123456789012:root"}')


def test_no_function_but_the_services_own_is_deployed(deployment: Deployment) -> None:
    """The CDK's own custom resources would bring functions that nobody here has read."""
    for stack, template in deployment.templates.items():
        for id_, found in template["Resources"].items():
            assert found["Type"] != "AWS::CloudFormation::CustomResource", id_
            if found["Type"].startswith("Custom::"):
                provider = deployment.text(properties(found)["ServiceToken"], stack)
                handler = properties(deployment.at(provider, "AWS::Lambda::Function"))["Handler"]
                assert handler == "handler.handler", id_
            if found["Type"] == "AWS::Lambda::Function":
                assert properties(found)["Handler"] == "handler.handler", id_


def test_every_finding_of_cdk_nag_is_explained(deployment: Deployment) -> None:
    assert deployment.findings == ()


def test_cdk_nag_would_find_an_open_bucket(tmp_path: Path) -> None:
    app = App(outdir=str(tmp_path))
    s3.CfnBucket(Stack(app, "Careless"), "Bucket")
    check(app)

    with pytest.raises(RuntimeError, match="AwsSolutions-S10"):
        app.synth()


@pytest.mark.parametrize("stack", OUTPUTS)
def test_cfn_lint_finds_no_error_in_prod(prod: Deployment, stack: str) -> None:
    found = cfnlint.lint(json.dumps(prod.templates[stack]), regions=["us-east-1", "eu-central-1"])

    # W3005: the CDK states dependencies that a reference implies already; it does no harm.
    assert [str(match) for match in found if match.rule.id != "W3005"] == []
