"""What is found out of decisions by the clock, and who hears of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

SCHEDULE, ALARM = "AWS::Scheduler::Schedule", "AWS::CloudWatch::Alarm"
FUNCTION, BUCKET = "AWS::Lambda::Function", "AWS::S3::Bucket"
A_DAY_SECONDS = 86_400


@pytest.mark.parametrize(
    ("path", "function", "asked"),
    [
        ("archive/Evidence/Schedule", "archive/Evidence/Comparer/Function", {"publish": "yes"}),
        ("archive/Skew/Schedule", "archive/Skew/Meter/Function", {}),
    ],
)
def test_the_clock_invokes_each_function_with_its_event(
    deployment: Deployment, path: str, function: str, asked: dict[str, str]
) -> None:
    schedule = properties(deployment.at(f"{path}/Schedule", SCHEDULE))

    assert deployment.text(schedule["Target"]["Arn"], "archive") == function
    assert json.loads(schedule["Target"]["Input"]) == asked
    # The longest that EventBridge Scheduler allows.
    assert schedule["Target"]["RetryPolicy"]["MaximumEventAgeInSeconds"] <= A_DAY_SECONDS


def test_models_are_compared_each_week_and_features_each_night(prod: Deployment) -> None:
    expressions = [
        properties(prod.at(f"{path}/Schedule", SCHEDULE))["ScheduleExpression"]
        for path in ("archive/Evidence/Schedule", "archive/Skew/Schedule")
    ]

    assert expressions == ["cron(0 5 ? * MON *)", "cron(0 3 * * ? *)"]


def test_no_more_days_are_compared_than_the_archive_keeps(deployment: Deployment) -> None:
    kept = properties(deployment.at("storage/Buckets/Receipts", BUCKET))
    function = properties(deployment.at("archive/Evidence/Comparer/Function", FUNCTION))

    days = int(function["Environment"]["Variables"]["CREDIT_DAYS"])

    assert 1 <= days <= kept["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"]


@pytest.mark.parametrize(
    ("view", "name"), [("bureau", "Bureau"), ("region_market", "RegionMarket")]
)
def test_skew_of_each_view_pages(deployment: Deployment, view: str, name: str) -> None:
    alarm = properties(deployment.at(f"operations/Pager/Skew{name}", ALARM))

    assert (alarm["MetricName"], alarm["Statistic"]) == ("FeatureSkew", "Maximum")
    assert {"Name": "View", "Value": view} in alarm["Dimensions"]
    assert alarm["Threshold"] == deployment.stage.skew_check.most_share
    # One night's figure stands for its day.
    assert alarm["Period"] * alarm["EvaluationPeriods"] == A_DAY_SECONDS


@pytest.mark.parametrize(
    ("name", "function"),
    [("Comparer", "archive/Evidence/Comparer/Function"), ("Skew", "archive/Skew/Meter/Function")],
)
def test_a_check_that_fails_pages(deployment: Deployment, name: str, function: str) -> None:
    alarm = properties(deployment.at(f"operations/Pager/{name}Failed", ALARM))
    (watched,) = alarm["Dimensions"]

    assert alarm["MetricName"] == "Errors"
    assert deployment.text(watched["Value"], "operations") == function
