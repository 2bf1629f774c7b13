"""What is deployed, seen through the command and through AWS's own APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Credit

pytestmark = pytest.mark.end_to_end


def test_the_status_names_everything_that_a_script_needs(
    credit: Credit, demo: dict[str, Any]
) -> None:
    status = credit.json("local", "status")

    assert (status["running"], status["deployed"]) == (True, True)
    assert status["endpoint_url"] == demo["deployment"]["endpoint_url"]
    assert status["region"] == "us-east-1"
    for name in (
        "api_url",
        "lake_bucket",
        "online_store_table",
        "decisions_table",
        "materialization_state_machine",
        "retraining_state_machine",
    ):
        assert status[name], name


def test_a_second_demo_reuses_what_exists(credit: Credit, demo: dict[str, Any]) -> None:
    first, again = demo, credit.json("demo")
    if again["sample"]["last_day"] != first["sample"]["last_day"]:
        # Midnight has passed, and with the new day there was more to do.
        first, again = again, credit.json("demo")

    done = {step["name"]: step["result"] for step in again["steps"]}
    assert done["Layers"].endswith("; 0 of 4 built")
    assert done["CDK bootstrap"] == "there already"
    assert done["CDK deploy"].startswith("0 stacks deployed, ")
    assert again["sample"]["uploaded"] == 0
    assert again["champion"] == first["champion"]
    assert again["decision"] == first["decision"]


@pytest.mark.usefixtures("demo")
def test_the_cdk_finds_nothing_to_change(credit: Credit) -> None:
    done = credit("local", "cdk", "diff", "--fail")

    assert b"Number of stacks with differences: 0" in done.stdout + done.stderr


@pytest.mark.usefixtures("demo")
def test_the_token_command_prints_the_token_and_nothing_else(credit: Credit) -> None:
    printed = credit("token").stdout.decode()

    assert printed.count(".") == 2
    assert printed.strip() == printed.rstrip("\n")
    assert not printed.strip().count("\n")


def test_the_p99_alarm_pages_and_informs(aws: LocalAws, deployment: Deployment) -> None:
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")

    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[deployment["LatencyAlarm"]])["MetricAlarms"]

    assert alarm["ExtendedStatistic"] == "p99"
    assert alarm["Threshold"] == 100
    assert set(alarm["AlarmActions"]) == {deployment["InformTopic"], deployment["PageTopic"]}
