from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties, statements

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

PRODUCT = load_product("personal_loan")
ALARM, KEY, TOPIC = "AWS::CloudWatch::Alarm", "AWS::KMS::Key", "AWS::SNS::Topic"
ALARM_TOPIC, ALARM_KEY = "operations/Alarms/Topic", "operations/Alarms/Key"
SCORER_LATENCY, API_LATENCY = "operations/Pager/ScorerLatency", "operations/Pager/ApiLatency"
THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def assert_alarms_page(deployment: Deployment) -> None:
    for path, alarm in deployment.of_type(ALARM).items():
        actions = properties(alarm)["AlarmActions"]
        assert deployment.texts(actions, "operations") == [ALARM_TOPIC], path
        assert properties(alarm).get("ActionsEnabled", True) is True, path


def assert_cloudwatch_may_use_the_encrypted_topic(deployment: Deployment) -> None:
    topic = properties(deployment.at(ALARM_TOPIC, TOPIC))
    assert deployment.text(topic["KmsMasterKeyId"], "operations") == ALARM_KEY
    key = properties(deployment.at(ALARM_KEY, KEY))["KeyPolicy"]
    policy = properties(deployment.at("operations/Alarms/Topic/Policy", "AWS::SNS::TopicPolicy"))[
        "PolicyDocument"
    ]
    for document, actions in (
        (key, ["kms:Decrypt", "kms:GenerateDataKey*"]),
        (policy, ["sns:Publish"]),
    ):
        (statement,) = (
            found
            for found in statements(document)
            if found["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        )
        assert statement["Effect"] == "Allow"
        assert statement["Action"] == actions
        assert statement["Condition"] == THIS_ACCOUNT


@pytest.mark.parametrize(
    ("path", "namespace", "metric"),
    [(SCORER_LATENCY, "AWS/Lambda", "Duration"), (API_LATENCY, "AWS/ApiGateway", "Latency")],
)
def test_p99_above_the_budget_pages(
    deployment: Deployment, path: str, namespace: str, metric: str
) -> None:
    alarm = properties(deployment.at(path, ALARM))

    assert (alarm["Namespace"], alarm["MetricName"]) == (namespace, metric)
    assert alarm["ExtendedStatistic"] == "p99"
    assert alarm["Threshold"] == deployment.stage.latency_budget_ms
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_an_answer_of_503_pages_although_the_function_did_not_fail(deployment: Deployment) -> None:
    """The scorer answers faults itself, so that Lambda counts no error."""
    alarm = properties(deployment.at("operations/Pager/ApiServerErrors", ALARM))

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/ApiGateway", "5XXError")
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)
    assert {dimension["Name"] for dimension in alarm["Dimensions"]} == {"ApiName", "Stage"}


def test_a_small_lender_is_paged_too(deployment: Deployment) -> None:
    for path in (SCORER_LATENCY, API_LATENCY):
        alarm = properties(deployment.at(path, ALARM))
        assert alarm["EvaluateLowSampleCountPercentile"] == "evaluate"


def test_low_samples_are_a_matter_of_percentiles_only(deployment: Deployment) -> None:
    """CloudWatch refuses an alarm on a sum that says what to do with them."""
    for path, alarm in deployment.of_type(ALARM).items():
        is_percentile = "ExtendedStatistic" in properties(alarm)
        assert ("EvaluateLowSampleCountPercentile" in properties(alarm)) is is_percentile, path


def test_one_slow_request_wakes_nobody_in_prod(prod: Deployment) -> None:
    alarm = properties(prod.at(SCORER_LATENCY, ALARM))

    assert alarm["DatapointsToAlarm"] > 1


def dimensions_of(deployment: Deployment, alarm: dict[str, Any]) -> dict[str, str]:
    return {
        dimension["Name"]: deployment.text(dimension["Value"], "operations")
        for dimension in alarm["Dimensions"]
    }


@pytest.mark.parametrize(("name", "least"), [("Scorer", 4), ("Records", 2), ("Batch", 2)])
def test_alarms_of_what_answers_watch_the_live_alias(
    deployment: Deployment, name: str, least: int
) -> None:
    function = f"scoring/{name}/{name}/Function"
    watched = [
        dimensions_of(deployment, alarm)
        for alarm in map(properties, deployment.of_type(ALARM).values())
        if alarm["Namespace"] == "AWS/Lambda"
    ]

    of_function = [found for found in watched if found["FunctionName"] == function]

    assert len(of_function) >= least
    assert all(found["Resource"] == f"{function}:live" for found in of_function)


@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
@pytest.mark.parametrize("name", ["Scorer", "Records", "Batch"])
def test_a_function_of_the_api_that_fails_or_is_throttled_pages(
    deployment: Deployment, name: str, metric: str
) -> None:
    alarm = properties(deployment.at(f"operations/Pager/{name}{metric}", ALARM))

    assert (alarm["MetricName"], alarm["Threshold"]) == (metric, 0)
    function = f"scoring/{name}/{name}/Function"
    assert dimensions_of(deployment, alarm)["FunctionName"] == function


@pytest.mark.parametrize("name", ["ModelLoadFailure", "ChallengerFailures"])
def test_a_model_that_cannot_be_loaded_or_does_not_answer_pages(
    deployment: Deployment, name: str
) -> None:
    alarm = properties(deployment.at(f"operations/Pager/{name}", ALARM))

    assert (alarm["Namespace"], alarm["MetricName"]) == ("CreditDecisions", name)
    assert alarm["Threshold"] == 0
    expected = {"Stage": deployment.stage.name, "Product": "personal_loan"}
    assert dimensions_of(deployment, alarm) == expected


def test_the_promised_latency_is_that_of_a_decision(deployment: Deployment) -> None:
    found = dimensions_of(deployment, properties(deployment.at(API_LATENCY, ALARM)))

    assert (found["Method"], found["Resource"]) == ("POST", "/v1/decisions")


def test_every_alarm_pages_and_says_what_to_look_at(deployment: Deployment) -> None:
    assert_alarms_page(deployment)
    for alarm in map(properties, deployment.of_type(ALARM).values()):
        assert len(alarm["AlarmDescription"].split()) > 10


def test_an_alarm_that_pages_nobody_would_be_noticed(prod: Deployment) -> None:
    with pytest.raises(AssertionError):
        assert_alarms_page(prod.changed(SCORER_LATENCY, ALARM, AlarmActions=[]))


def test_cloudwatch_may_use_the_encrypted_topic(deployment: Deployment) -> None:
    assert_cloudwatch_may_use_the_encrypted_topic(deployment)


def test_a_topic_that_cloudwatch_cannot_use_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed(ALARM_KEY, KEY, KeyPolicy={"Statement": []})

    with pytest.raises(ValueError, match="not enough values"):
        assert_cloudwatch_may_use_the_encrypted_topic(mutant)


def test_failure_of_any_workflow_pages(deployment: Deployment) -> None:
    watched = {
        (alarm["MetricName"], deployment.text(alarm["Dimensions"][0]["Value"], "operations"))
        for alarm in map(properties, deployment.of_type(ALARM).values())
        if alarm["Namespace"] == "AWS/States"
    }

    for machine in ("materialization", "retraining", "rollout"):
        arn = "arn:<Partition>:states:<Region>:<AccountId>:stateMachine"
        name = f"{arn}:{deployment.stage.prefix}-{machine}"
        assert ("ExecutionsFailed", name) in watched
        assert ("ExecutionsTimedOut", name) in watched


def test_who_is_paged_for_a_stopped_rollout_learns_that_its_model_goes_on(
    deployment: Deployment,
) -> None:
    """Whoever stops an execution stops its states that take the model back as well."""
    alarm = properties(deployment.at("operations/Pager/RolloutExecutionsAborted", ALARM))

    assert "credit models withdraw" in alarm["AlarmDescription"]


@pytest.mark.parametrize(
    ("workflow", "triggers"),
    [
        ("Materialization", "materialization/Features/Triggers"),
        ("Retraining", "retraining/Retraining/Triggers"),
    ],
)
def test_a_workflow_that_could_not_be_started_pages(
    deployment: Deployment, workflow: str, triggers: str
) -> None:
    alarm = properties(deployment.at(f"operations/Pager/{workflow}NotStarted", ALARM))

    assert (alarm["Namespace"], alarm["MetricName"]) == (
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
    )
    (queue,) = (found["Value"] for found in alarm["Dimensions"])
    assert deployment.text(queue, "operations") == f"{triggers}/DeadLetters"
    assert alarm["Threshold"] == 0


def test_each_views_age_pages_before_decisions_stop_to_use_it(deployment: Deployment) -> None:
    for view in PRODUCT.feature_views:
        name = view.name.title().replace("_", "")
        alarm = properties(deployment.at(f"operations/Pager/Freshness{name}", ALARM))

        assert (alarm["Namespace"], alarm["MetricName"]) == ("CreditDecisions", "FeatureAge")
        assert {found["Name"]: found["Value"] for found in alarm["Dimensions"]} == {
            "Stage": deployment.stage.name,
            "Product": "personal_loan",
            "View": view.name,
        }
        share = deployment.stage.freshness.share_of_ttl
        assert alarm["Threshold"] == share * view.ttl_seconds < view.ttl_seconds
        assert alarm["Period"] == 60 * deployment.stage.freshness.every_minutes


def test_a_view_that_is_silent_pages_and_one_missed_measurement_does_not(
    deployment: Deployment,
) -> None:
    """Never loaded, expired, or not measured any more: none of these gives a figure."""
    for path, alarm in deployment.of_type(ALARM).items():
        silent = properties(alarm)["TreatMissingData"] == "breaching"
        assert silent is ("/Freshness" in path), path
        if silent:
            assert properties(alarm)["DatapointsToAlarm"] > 1


@pytest.mark.parametrize(
    ("name", "namespace", "metric", "queue"),
    [
        ("Rejected", "CreditDecisions", "RejectedPushes", None),
        ("GivenUp", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "DeadLetters"),
        ("Late", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Queue"),
    ],
)
def test_pushed_rows_that_are_refused_late_or_given_up_page(
    deployment: Deployment, name: str, namespace: str, metric: str, queue: str | None
) -> None:
    alarm = properties(deployment.at(f"operations/Pager/Push{name}", ALARM))

    assert (alarm["Namespace"], alarm["MetricName"]) == (namespace, metric)
    dimensions = {
        found["Name"]: deployment.text(found["Value"], "operations")
        for found in alarm["Dimensions"]
    }
    if queue:
        assert dimensions == {"QueueName": f"materialization/Push/{queue}"}
    else:
        assert dimensions == {"Stage": deployment.stage.name, "Product": "personal_loan"}
    if name != "Late":
        assert alarm["Threshold"] == 0


def test_a_row_is_not_late_before_it_could_be_tried_a_second_time(deployment: Deployment) -> None:
    late = properties(deployment.at("operations/Pager/PushLate", ALARM))["Threshold"]
    queue = properties(deployment.at("materialization/Push/Queue", "AWS::SQS::Queue"))

    assert late > queue["VisibilityTimeout"]
