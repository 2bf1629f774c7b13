"""What the dashboard shows is there, and is all that rings; saved queries find their logs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.log_queries import ACCESS, QUERIES, STAGES
from credit_core.domain.metrics import NAMESPACE, Metric, outcome_metric
from credit_core.domain.policy_definition import Outcome
from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.templates import Deployment

DASHBOARD, QUERY = "AWS::CloudWatch::Dashboard", "AWS::Logs::QueryDefinition"
FUNCTION, LOGS = "AWS::Lambda::Function", "AWS::Logs::LogGroup"
DASHBOARD_PATH = "operations/Dashboard/Dashboard"
SEARCH = re.compile(r"SEARCH\('\{(?P<schema>[^}]+)\} (?P<terms>.+)', '\w+', \d+\)")

FUNCTIONS, TABLES = {"FunctionName"}, {"TableName"}
BY_ALIAS, BY_API = {"FunctionName", "Resource"}, {"ApiName", "Stage"}
AWS_METRICS: dict[str, dict[str, list[set[str]]]] = {
    "AWS/ApiGateway": {
        "4XXError": [BY_API],
        "5XXError": [BY_API],
        "Count": [BY_API],
        "Latency": [BY_API | {"Method", "Resource"}],
    },
    "AWS/DynamoDB": {
        "ConsumedReadCapacityUnits": [TABLES],
        "ConsumedWriteCapacityUnits": [TABLES],
        "ReadThrottleEvents": [TABLES],
        "SuccessfulRequestLatency": [TABLES | {"Operation"}],
        "WriteThrottleEvents": [TABLES],
    },
    "AWS/Lambda": {
        "ConcurrentExecutions": [FUNCTIONS, BY_ALIAS],
        "Duration": [FUNCTIONS, BY_ALIAS],
        "Errors": [FUNCTIONS, BY_ALIAS],
        "Invocations": [FUNCTIONS, BY_ALIAS],
        "IteratorAge": [FUNCTIONS],
        # Of versions, which are what is kept warm here, and of no alias.
        "ProvisionedConcurrencySpilloverInvocations": [FUNCTIONS],
        "ProvisionedConcurrencyUtilization": [BY_ALIAS],
        "Throttles": [FUNCTIONS, BY_ALIAS],
    },
    "AWS/Logs": {"IncomingBytes": [{"LogGroupName"}]},
    "AWS/S3": {"BucketSizeBytes": [{"BucketName", "StorageType"}]},
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage": [{"QueueName"}],
        "ApproximateNumberOfMessagesVisible": [{"QueueName"}],
    },
    "AWS/States": {
        f"Executions{ended}": [{"StateMachineArn"}]
        for ended in ("Aborted", "Failed", "Succeeded", "TimedOut")
    },
    "AWS/Usage": {"CallCount": [{"Class", "Resource", "Service", "Type"}]},
}
"""Metrics that AWS publishes, and the sets of dimensions under which it does.

Source: "Metrics" of each service's developer guide; AWS/Usage: KMS Developer Guide, "Request
quotas".
"""
PER_VIEW = {
    *(Metric.FEATURE_AGE, Metric.FEATURE_SKEW, Metric.MISSING_FEATURES, Metric.STALE_FEATURES),
}
OWN_METRICS = {*Metric, *STAGES, *(outcome_metric(outcome) for outcome in Outcome)}
NAMED_AFTER = {
    "FunctionName": "AWS::Lambda::Function",
    "TableName": "AWS::DynamoDB::Table",
    "QueueName": "AWS::SQS::Queue",
    "BucketName": "AWS::S3::Bucket",
}


def body(deployment: Deployment) -> dict[str, Any]:
    text = properties(deployment.at(DASHBOARD_PATH, DASHBOARD))["DashboardBody"]
    return dict(json.loads(deployment.text(text, "operations")))


def with_body(deployment: Deployment, document: dict[str, Any]) -> Deployment:
    return deployment.changed(DASHBOARD_PATH, DASHBOARD, DashboardBody=json.dumps(document))


def widgets(deployment: Deployment, type_: str) -> list[dict[str, Any]]:
    return [found["properties"] for found in body(deployment)["widgets"] if found["type"] == type_]


def shown(deployment: Deployment) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield namespace, name and dimensions of each metric, those that are searched included."""
    for graph in widgets(deployment, "metric"):
        for namespace, *rest in graph["metrics"]:
            if isinstance(namespace, str):
                # What follows is its name, then dimensions in pairs, then how it is drawn.
                name, *named = [item for item in rest if isinstance(item, str)]
                yield namespace, name, dict(zip(named[::2], named[1::2], strict=True))
            elif search := SEARCH.fullmatch(namespace["expression"]):
                searched, *schema = search["schema"].split(",")
                terms = dict(re.findall(r'(\w+)="([^"]+)"', search["terms"]))
                name = terms.pop("MetricName")
                yield searched, name, dict.fromkeys(schema, "") | terms


def assert_every_metric_exists(deployment: Deployment) -> None:
    made = {
        dimension: {*deployment.of_type(type_), *physical_names(deployment, type_)}
        for dimension, type_ in NAMED_AFTER.items()
    }
    for namespace, name, named in shown(deployment):
        about = f"{namespace} {name} {named}"
        if namespace == NAMESPACE:
            assert name in OWN_METRICS, about
            assert (named["Stage"], named["Product"]) == (deployment.stage.name, "personal_loan")
            assert set(named) == {"Stage", "Product", *(["View"] if name in PER_VIEW else [])}
            continue
        assert set(named) in AWS_METRICS.get(namespace, {}).get(name, []), about
        for dimension in named.keys() & NAMED_AFTER.keys():
            assert named[dimension] in made[dimension], about


def physical_names(deployment: Deployment, type_: str) -> set[str]:
    return {
        str(properties(found)["FunctionName"])
        for found in deployment.of_type(type_).values()
        if type_ == FUNCTION
    }


def assert_every_alarm_is_shown(deployment: Deployment) -> None:
    rows = [alarm for widget in widgets(deployment, "alarm") for alarm in widget["alarms"]]
    assert sorted(rows) == sorted(deployment.of_type("AWS::CloudWatch::Alarm"))


def test_every_metric_on_the_dashboard_exists(deployment: Deployment) -> None:
    assert_every_metric_exists(deployment)
    assert len(list(shown(deployment))) > 100


@pytest.mark.parametrize(
    "metric",
    [
        [NAMESPACE, "StageReading", "Product", "personal_loan", "Stage", "prod"],
        [NAMESPACE, "Decisions", "Product", "personal_loan", "Stage", "production"],
        [NAMESPACE, "FeatureAge", "Product", "personal_loan", "Stage", "prod"],
        ["AWS/Lambda", "Latency", "FunctionName", "credit-prod-personal-loan-scorer"],
        ["AWS/Lambda", "Errors", "FunctionName", "credit-prod-personal-loan-scoring"],
        ["AWS/Lambda", "Errors", "Function", "credit-prod-personal-loan-scorer"],
    ],
)
def test_a_metric_that_is_nowhere_published_would_be_noticed(
    prod: Deployment, metric: list[str]
) -> None:
    document = body(prod)
    graph = next(found for found in document["widgets"] if found["type"] == "metric")
    graph["properties"]["metrics"].append(metric)

    with pytest.raises(AssertionError):
        assert_every_metric_exists(with_body(prod, document))


def test_every_alarm_is_on_the_dashboard(deployment: Deployment) -> None:
    assert_every_alarm_is_shown(deployment)


def test_an_alarm_that_is_not_shown_would_be_noticed(prod: Deployment) -> None:
    document = body(prod)
    row = next(found for found in document["widgets"] if found["type"] == "alarm")
    row["properties"]["alarms"].pop()

    with pytest.raises(AssertionError):
        assert_every_alarm_is_shown(with_body(prod, document))


def test_the_alarms_that_wake_somebody_are_apart(prod: Deployment) -> None:
    (composite,) = prod.of_type("AWS::CloudWatch::CompositeAlarm").values()
    rule = prod.text(properties(composite)["AlarmRule"], "operations")
    names = {
        prod.text(properties(alarm)["AlarmName"], "operations"): path
        for path, alarm in prod.of_type("AWS::CloudWatch::Alarm").items()
    }

    wakes, _ = widgets(prod, "alarm")

    assert {names[name] for name in re.findall(r'"([^"]+)"', rule)} == set(wakes["alarms"])


def test_it_is_read_from_the_top_in_the_order_in_which_on_call_asks(deployment: Deployment) -> None:
    first, *sections = [found["markdown"].split("\n")[0] for found in widgets(deployment, "text")]

    assert first == f"# personal_loan, {deployment.stage.name}"
    assert sections == [
        "## Is it up?",
        "## Is it fast?",
        "## Is it deciding as usual?",
        "## Are features fresh?",
        "## Is the model healthy?",
        "## Do pipelines run?",
        "## What costs?",
    ]
    tops = [found["y"] for found in body(deployment)["widgets"]]
    assert tops == sorted(tops)


def test_no_two_graphs_lie_on_each_other_and_none_leaves_the_page(deployment: Deployment) -> None:
    taken: set[tuple[int, int]] = set()
    for found in body(deployment)["widgets"]:
        cells = {
            (x, y)
            for x in range(found["x"], found["x"] + found["width"])
            for y in range(found["y"], found["y"] + found["height"])
        }
        assert not cells & taken
        assert found["x"] + found["width"] <= 24
        taken |= cells


def test_each_alarm_links_its_runbook_at_the_top(deployment: Deployment) -> None:
    first = widgets(deployment, "text")[0]["markdown"]

    for path, alarm in deployment.of_type("AWS::CloudWatch::Alarm").items():
        runbook = properties(alarm)["AlarmDescription"].rsplit("Runbook: ", 1)[1]
        assert f"({runbook})" in first, path


def test_the_stages_of_a_request_are_shown_and_the_budget_with_them(
    deployment: Deployment,
) -> None:
    graphs = {found["title"]: found for found in widgets(deployment, "metric")}

    for percentile in ("p50", "p99"):
        graph = graphs[f"Stages of a decision, {percentile}"]
        assert [metric[1] for metric in graph["metrics"]] == list(STAGES)
        assert all(metric[-1]["stat"] == percentile for metric in graph["metrics"])
        # The p99s of stages are no parts of the p99 of all.
        assert bool(graph.get("stacked")) is (percentile == "p50")
    for title in ("Clients wait for a decision", "The scorer takes"):
        (limit,) = graphs[title]["annotations"]["horizontal"]
        assert limit["value"] == deployment.stage.latency_budget_ms


def test_a_dashboard_is_named_after_stage_and_product(deployment: Deployment) -> None:
    name = properties(deployment.at(DASHBOARD_PATH, DASHBOARD))["DashboardName"]

    assert name == f"credit-{deployment.stage.name}-personal-loan"


def test_every_query_is_saved_where_cloudformation_can(deployment: Deployment) -> None:
    saved = {
        properties(found)["Name"]: properties(found) for found in deployment.of_type(QUERY).values()
    }

    if not deployment.stage.saved_queries:
        assert saved == {}
        return
    assert list(saved) == [f"{deployment.stage.prefix}/{name}" for name in QUERIES]
    for name, query in QUERIES.items():
        assert saved[f"{deployment.stage.prefix}/{name}"]["QueryString"] == query.text()
        parameters = saved[f"{deployment.stage.prefix}/{name}"].get("Parameters", [])
        assert [found["Name"] for found in parameters] == [query.parameter] * bool(query.parameter)


def test_a_query_is_over_the_logs_that_it_is_about(prod: Deployment) -> None:
    saved = {
        properties(found)["Name"].rsplit("/", 1)[1]: prod.texts(
            properties(found)["LogGroupNames"], "operations"
        )
        for found in prod.of_type(QUERY).values()
    }
    functions = {
        properties(found)["FunctionName"].removeprefix(f"{prod.stage.prefix}-"): path
        for path, found in prod.of_type(FUNCTION).items()
    }
    groups = {name: path.removesuffix("Function") + "Logs" for name, path in functions.items()}
    groups[ACCESS] = "scoring/Api/AccessLog"

    for name, query in QUERIES.items():
        assert set(saved[name]) == {groups[log] for log in query.logs or groups}, name
    assert set(groups.values()) <= set(prod.of_type(LOGS))
    # CloudWatch takes no more for one query.
    assert len(groups) <= 50
