"""Alarms: whom each tells, of what, and that one which tells nobody would be noticed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App, Stack

from cdk_app.components.alarms_pipelines import WITHOUT_SUCCESS
from cdk_app.components.channels import Channels
from cdk_app.components.pager import MOST_DESCRIPTION, Figure, Pager, kebab
from cdk_app.stages import PROD
from credit_cli.costs import SHAPES
from credit_core.domain.metrics import Metric, outcome_metric
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties, statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.infrastructure.templates import Deployment

PRODUCT = load_product("personal_loan")
ALARM, COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
KEY, TOPIC = "AWS::KMS::Key", "AWS::SNS::Topic"
PAGE_TOPIC, INFORM_TOPIC, ALARM_KEY = (
    f"storage/Alarms/{name}" for name in ("Page", "Inform", "Key")
)
PAGER = "operations/Pager"
SCORER_LATENCY, API_LATENCY = f"{PAGER}/ScorerLatency", f"{PAGER}/ApiLatency"
THIS_ACCOUNT = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}

PAGING = {
    *("ApiLatency", "ApiServerErrors", "ChallengerFailures", "FaultReferrals", "GuardFailed"),
    *("GuardNotReached", "ModelLoadFailure", "ReferralRate", "ScorerErrors", "ScorerLatency"),
    "ScorerThrottles",
}
"""Where applicants are not served as promised, or a model that does so would stay."""

FEW = {"FewFaultReferrals", "FewServerErrors"}
"""Page too, where CloudWatch calculates."""

RUNBOOKS = {
    *("api-errors", "api-latency", "challenger-failures", "damaged-receipts", "dead-letters"),
    *("decision-mix", "drift", "evidence-failed", "feature-skew", "freshness", "function-errors"),
    *("model-age", "model-load-failure", "model-taken-back", "monitoring", "page"),
    *(
        "pipeline-failed",
        "pipeline-silent",
        "push-late",
        "receipts",
        "referrals",
        "rejected-rows",
        "rollout-failed",
    ),
    *("scorer-latency", "scorer-spillover", "shadow-disagreement", "stale-features", "throttles"),
}
"""Pages in docs/runbooks; an alarm with a new one asks for that page to be written."""

MOST_CHILDREN = 100
MOST_RULE = 10_240
"""Of a composite alarm. Source: CloudWatch API Reference, "PutCompositeAlarm"."""


def named(deployment: Deployment, name: str) -> dict[str, Any]:
    """Return the properties of the alarm of that name."""
    return properties(deployment.at(f"{PAGER}/{name}", ALARM))


def names_of_alarms(deployment: Deployment) -> list[str]:
    return [path.removeprefix(f"{PAGER}/") for path in deployment.of_type(ALARM)]


def measured(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each metric that an alarm looks at, as ``MetricStat`` has it."""
    if "Metrics" not in alarm:
        return [{"Metric": alarm, "Stat": alarm.get("Statistic"), "Period": alarm["Period"]}]
    return [query["MetricStat"] for query in alarm["Metrics"] if "MetricStat" in query]


def expression(alarm: dict[str, Any]) -> str:
    (found,) = (query["Expression"] for query in alarm["Metrics"] if "Expression" in query)
    return str(found)


def dimensions_of(deployment: Deployment, metric: dict[str, Any]) -> dict[str, str]:
    return {
        dimension["Name"]: deployment.text(dimension["Value"], "operations")
        for dimension in metric["Dimensions"]
    }


def assert_somebody_is_told(deployment: Deployment) -> None:
    """Each alarm informs; those that page do so by themselves, or through the composite alarm."""
    alone = not deployment.stage.alarms.composite
    for name in names_of_alarms(deployment):
        alarm = named(deployment, name)
        told = {INFORM_TOPIC} | ({PAGE_TOPIC} if alone and name in PAGING | FEW else set())
        for actions in ("AlarmActions", "OKActions"):
            assert set(deployment.texts(alarm[actions], "operations")) == told, (name, actions)
        assert alarm.get("ActionsEnabled", True) is True, name
    assert set(names_of_alarms(deployment)) >= PAGING
    assert (set(names_of_alarms(deployment)) >= FEW) is deployment.stage.alarms.metric_math
    assert bool(deployment.of_type(COMPOSITE)) is not alone


def assert_one_alarm_pages_for_all(deployment: Deployment) -> None:
    composite = properties(deployment.at(f"{PAGER}/Page", COMPOSITE))
    for actions in ("AlarmActions", "OKActions"):
        assert deployment.texts(composite[actions], "operations") == [PAGE_TOPIC]
    assert composite.get("ActionsEnabled", True) is True
    children = {f'ALARM("{deployment.stage.prefix}-{kebab(name)}")' for name in PAGING | FEW}
    assert set(composite["AlarmRule"].split(" OR ")) == children


def assert_cloudwatch_may_use_the_encrypted_topics(deployment: Deployment) -> None:
    key = properties(deployment.at(ALARM_KEY, KEY))["KeyPolicy"]
    documents = [(key, ["kms:Decrypt", "kms:GenerateDataKey*"])]
    for path in (PAGE_TOPIC, INFORM_TOPIC):
        topic = properties(deployment.at(path, TOPIC))
        assert deployment.text(topic["KmsMasterKeyId"], "storage") == ALARM_KEY
        policy = properties(deployment.at(f"{path}/Policy", "AWS::SNS::TopicPolicy"))
        documents.append((policy["PolicyDocument"], ["sns:Publish"]))
    for document, actions in documents:
        (statement,) = (
            found
            for found in statements(document)
            if found["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        )
        assert statement["Effect"] == "Allow"
        assert statement["Action"] == actions
        assert statement["Condition"] == THIS_ACCOUNT


def test_every_alarm_tells_somebody_and_the_grave_ones_wake_somebody(
    deployment: Deployment,
) -> None:
    assert_somebody_is_told(deployment)


def test_an_alarm_that_tells_nobody_would_be_noticed(prod: Deployment, local: Deployment) -> None:
    for mutant in (
        prod.changed(SCORER_LATENCY, ALARM, AlarmActions=[]),
        prod.changed(f"{PAGER}/PushLate", ALARM, ActionsEnabled=False),
        local.changed(SCORER_LATENCY, ALARM, AlarmActions=named(local, "PushLate")["AlarmActions"]),
    ):
        with pytest.raises(AssertionError):
            assert_somebody_is_told(mutant)


def test_one_alarm_pages_for_all_that_do(prod: Deployment) -> None:
    assert_one_alarm_pages_for_all(prod)


def test_a_page_that_lacks_an_alarm_or_reaches_nobody_would_be_noticed(prod: Deployment) -> None:
    rule = properties(prod.at(f"{PAGER}/Page", COMPOSITE))["AlarmRule"]
    inform = named(prod, "PushLate")["AlarmActions"]
    for changes in (
        {"AlarmRule": rule.split(" OR ", 1)[1]},
        {"AlarmActions": inform},
        {"ActionsEnabled": False},
    ):
        with pytest.raises(AssertionError):
            assert_one_alarm_pages_for_all(prod.changed(f"{PAGER}/Page", COMPOSITE, **changes))


def test_the_page_stays_within_cloudwatchs_limits_however_many_views_a_product_has(
    prod: Deployment,
) -> None:
    """None of its children is of a view: a page is about applicants, not about a source."""
    rule = properties(prod.at(f"{PAGER}/Page", COMPOSITE))["AlarmRule"]

    assert len(rule) <= MOST_RULE
    assert rule.count("ALARM(") <= MOST_CHILDREN
    for view in PRODUCT.feature_views:
        assert kebab(view.name.title().replace("_", "")) not in rule


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_estimate_of_costs_counts_the_alarms_that_there_are(
    deployments: Mapping[str, Deployment], name: str
) -> None:
    """Each metric of an expression is charged for."""
    alarms = deployments[name].of_type(ALARM).values()
    charged = sum(len(measured(properties(alarm))) for alarm in alarms)

    assert SHAPES[name].alarms == pytest.approx(charged, rel=0.1)


def test_the_page_is_made_after_the_alarms_that_it_names(prod: Deployment) -> None:
    """CloudWatch refuses a rule that names an alarm which is not there."""
    template = prod.templates["operations"]["Resources"]
    waits_for = set(prod.at(f"{PAGER}/Page", COMPOSITE)["DependsOn"])

    assert {
        template[id_]["Properties"]["AlarmName"]
        for id_ in waits_for
        if template[id_]["Type"] == ALARM
    } == {f"{prod.stage.prefix}-{kebab(name)}" for name in PAGING | FEW}


def test_every_alarm_says_what_is_wrong_and_names_its_runbook(deployment: Deployment) -> None:
    found = set()
    for type_ in (ALARM, COMPOSITE):
        for path, alarm in deployment.of_type(type_).items():
            description = properties(alarm)["AlarmDescription"]
            words, _, runbook = description.rpartition(" Runbook: ")
            assert len(words.split()) > 10, path
            assert len(description) <= MOST_DESCRIPTION, path
            match = re.fullmatch(r"docs/runbooks/([a-z-]+)\.md", runbook)
            assert match, path
            found.add(match[1])

    assert found == (RUNBOOKS if deployment.stage.alarms.composite else RUNBOOKS - {"page"})


def test_a_description_that_cloudwatch_would_refuse_is_refused_here() -> None:
    stack = Stack(App(), "stack")
    stage = PROD.serving("personal_loan")
    pager = Pager(stack, "Pager", stage=stage, channels=Channels(stack, "Alarms", stage=stage))
    figure = Figure(namespace="N", metric="M", dimensions={})

    with pytest.raises(ValueError, match="1024 go"):
        pager.inform("Long", description="x" * MOST_DESCRIPTION, of=figure)


def test_names_of_alarms_are_the_stages_and_the_products_own(deployment: Deployment) -> None:
    names = [properties(alarm)["AlarmName"] for alarm in deployment.of_type(ALARM).values()]

    assert len(set(names)) == len(names)
    assert all(name.startswith(f"{deployment.stage.prefix}-") for name in names)


def test_no_alarm_looks_back_further_than_cloudwatch_does(deployment: Deployment) -> None:
    """A day, and a week for periods of an hour or more. Source: "PutMetricAlarm"."""
    for path, alarm in deployment.of_type(ALARM).items():
        found = properties(alarm)
        for metric in measured(found):
            looked_back = metric["Period"] * found["EvaluationPeriods"]
            assert looked_back <= (604_800 if metric["Period"] >= 3_600 else 86_400), path


def test_every_figure_of_our_own_is_one_that_is_published(deployment: Deployment) -> None:
    ours = {*Metric, *(outcome_metric(outcome) for outcome in Outcome)}
    stage = {"Stage": deployment.stage.name, "Product": "personal_loan"}
    views = [{}, *({"View": view.name} for view in PRODUCT.feature_views)]
    for path, alarm in deployment.of_type(ALARM).items():
        for found in measured(properties(alarm)):
            metric = found["Metric"]
            if metric["Namespace"] == "CreditDecisions":
                assert metric["MetricName"] in ours, path
                assert dimensions_of(deployment, metric) in [stage | view for view in views], path


RATES = {
    "ApiServerErrors": ("errors", "5XXError", "Count"),
    "ScorerErrors": ("errors", "Errors", "Invocations"),
    "RecordsErrors": ("errors", "Errors", "Invocations"),
    "BatchErrors": ("errors", "Errors", "Invocations"),
    "FaultReferrals": ("fault_referrals", "FaultReferrals", "Decisions"),
    "ReferralRate": ("referrals", "OutcomeRefer", "Decisions"),
    "StaleFeatures": ("stale", "StaleDecisions", "Decisions"),
    "MissingFeatures": ("missing", "MissingDecisions", "Decisions"),
    "ChallengerFailures": ("challenger_failures", "ChallengerFailures", "Decisions"),
    "ShadowDisagreement": ("disagreement", "ShadowDisagreements", "ShadowDecisions"),
}


@pytest.mark.parametrize("name", RATES)
def test_where_a_share_matters_a_share_is_measured(deployment: Deployment, name: str) -> None:
    """One failure among three requests is no rate: the least number keeps it quiet."""
    limit, part, whole = RATES[name]
    share = getattr(deployment.stage.alarms, limit)
    alarm = named(deployment, name)
    looked_at = [found["Metric"]["MetricName"] for found in measured(alarm)]

    if deployment.stage.alarms.metric_math:
        assert looked_at == [part, whole]
        assert expression(alarm) == f"IF(part >= {share.least}, part / whole, 0)"
        assert alarm["Threshold"] == share.above
        assert all(found["Stat"] == "Sum" for found in measured(alarm))
    else:
        assert looked_at == [part]
        assert alarm["Threshold"] == share.least - 1
    assert alarm["TreatMissingData"] == "notBreaching"


@pytest.mark.parametrize(
    ("path", "namespace", "metric"),
    [(SCORER_LATENCY, "AWS/Lambda", "Duration"), (API_LATENCY, "AWS/ApiGateway", "Latency")],
)
def test_p99_above_the_budget_pages(
    deployment: Deployment, path: str, namespace: str, metric: str
) -> None:
    alarm = properties(deployment.at(path, ALARM))
    budget = deployment.stage.latency_budget_ms

    if deployment.stage.alarms.metric_math:
        looked_at = measured(alarm)
        assert {
            (found["Metric"]["Namespace"], found["Metric"]["MetricName"]) for found in looked_at
        } == {(namespace, metric)}
        assert [found["Stat"] for found in looked_at] == ["p99", f"PR(:{budget})", "SampleCount"]
        assert expression(alarm) == "IF((100 - within) / 100 * requests >= 2.5, p99, 0)"
    else:
        assert (alarm["Namespace"], alarm["MetricName"]) == (namespace, metric)
        assert alarm["ExtendedStatistic"] == "p99"
    assert alarm["Threshold"] == budget
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_one_slow_request_wakes_nobody_in_prod(prod: Deployment) -> None:
    alarm = properties(prod.at(SCORER_LATENCY, ALARM))

    assert alarm["DatapointsToAlarm"] > 1


def test_the_promised_latency_is_that_of_a_decision(deployment: Deployment) -> None:
    for looked_at in measured(properties(deployment.at(API_LATENCY, ALARM))):
        found = dimensions_of(deployment, looked_at["Metric"])
        assert (found["Method"], found["Resource"]) == ("POST", "/v1/decisions")


@pytest.mark.parametrize(
    ("name", "part", "whole"),
    [
        ("FewServerErrors", "5XXError", "Count"),
        ("FewFaultReferrals", "FaultReferrals", "Decisions"),
    ],
)
def test_an_outage_wakes_somebody_where_one_an_hour_applies(
    prod: Deployment, name: str, part: str, whole: str
) -> None:
    """Three within five minutes never come together there."""
    alarm = named(prod, name)

    assert [found["Metric"]["MetricName"] for found in measured(alarm)] == [part, whole]
    assert {found["Period"] for found in measured(alarm)} == {3 * 3_600}
    assert expression(alarm) == "IF(part >= 2 AND whole < 180, part / whole, 0)"
    assert alarm["Threshold"] == 0.2


def test_cloudwatch_may_use_the_encrypted_topics(deployment: Deployment) -> None:
    assert_cloudwatch_may_use_the_encrypted_topics(deployment)


def test_a_topic_that_cloudwatch_cannot_use_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed(ALARM_KEY, KEY, KeyPolicy={"Statement": []})

    with pytest.raises(ValueError, match="not enough values"):
        assert_cloudwatch_may_use_the_encrypted_topics(mutant)


@pytest.mark.parametrize(
    ("workflow", "triggers"),
    [
        ("Materialization", "materialization/Features/Triggers"),
        ("Retraining", "retraining/Retraining/Triggers"),
        ("Monitoring", "archive/Monitoring/Triggers"),
    ],
)
def test_a_workflow_that_could_not_be_started_is_told_of(
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


def test_each_views_age_is_told_of_before_decisions_stop_to_use_it(deployment: Deployment) -> None:
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


@pytest.mark.parametrize(
    ("name", "namespace", "metric", "queue"),
    [
        ("Rejected", "CreditDecisions", "RejectedPushes", None),
        ("GivenUp", "AWS/SQS", "ApproximateNumberOfMessagesVisible", "DeadLetters"),
        ("Late", "AWS/SQS", "ApproximateAgeOfOldestMessage", "Queue"),
    ],
)
def test_pushed_rows_that_are_refused_late_or_given_up_are_told_of(
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


def test_an_answer_of_503_counts_although_the_function_did_not_fail(
    deployment: Deployment,
) -> None:
    """The scorer answers faults itself, so that Lambda counts no error."""
    metric = measured(named(deployment, "ApiServerErrors"))[0]["Metric"]

    assert (metric["Namespace"], metric["MetricName"]) == ("AWS/ApiGateway", "5XXError")
    assert dimensions_of(deployment, metric).keys() == {"ApiName", "Stage"}


def test_few_requests_are_looked_at_on_purpose(deployment: Deployment) -> None:
    """A small lender is told too; a sum has no low samples, and CloudWatch refuses a word on it."""
    for path, alarm in deployment.of_type(ALARM).items():
        found = properties(alarm)
        word = found.get("EvaluateLowSampleCountPercentile")
        assert word == ("evaluate" if "ExtendedStatistic" in found else None), path


@pytest.mark.parametrize("name", ["Scorer", "Records", "Batch"])
def test_alarms_of_what_answers_watch_the_live_alias(deployment: Deployment, name: str) -> None:
    function = f"scoring/{name}/{name}/Function"
    for alarm in (f"{name}Errors", f"{name}Throttles"):
        for found in measured(named(deployment, alarm)):
            assert dimensions_of(deployment, found["Metric"]) == {
                "FunctionName": function,
                "Resource": f"{function}:live",
            }
    assert named(deployment, f"{name}Throttles")["Threshold"] == deployment.stage.alarms.throttles


@pytest.mark.parametrize(
    ("name", "metric", "table"),
    [
        ("OnlineStoreThrottles", "ReadThrottleEvents", "OnlineStore"),
        ("DecisionsThrottles", "WriteThrottleEvents", "Decisions"),
    ],
)
def test_a_table_that_turns_decisions_away_is_noticed(
    deployment: Deployment, name: str, metric: str, table: str
) -> None:
    alarm = named(deployment, name)

    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/DynamoDB", metric)
    assert dimensions_of(deployment, alarm) == {"TableName": f"storage/Tables/{table}"}


def test_a_model_that_cannot_be_loaded_pages_at_once(deployment: Deployment) -> None:
    alarm = named(deployment, "ModelLoadFailure")

    assert (alarm["MetricName"], alarm["Threshold"]) == ("ModelLoadFailure", 0)
    assert alarm["EvaluationPeriods"] == 1


@pytest.mark.parametrize("name", ["Materialization", "Retraining", "Rollout", "Monitoring"])
def test_one_alarm_tells_of_a_workflow_however_it_ended(deployment: Deployment, name: str) -> None:
    alarm = named(deployment, f"{name}Failed")
    found = [metric["Metric"] for metric in measured(alarm)]

    # The local cloud adds nothing up, and tells nobody of a run that was stopped.
    wanted = WITHOUT_SUCCESS if deployment.stage.alarms.metric_math else WITHOUT_SUCCESS[:1]
    assert tuple(metric["MetricName"] for metric in found) == wanted
    arn = "arn:<Partition>:states:<Region>:<AccountId>:stateMachine"
    for metric in found:
        machine = f"{arn}:{deployment.stage.prefix}-{name.lower()}"
        assert dimensions_of(deployment, metric) == {"StateMachineArn": machine}
    if deployment.stage.alarms.metric_math:
        # What never happened has no figures, and would take the sum with it.
        assert expression(alarm) == "SUM([FILL(part0, 0), FILL(part1, 0), FILL(part2, 0)])"
    assert alarm["Threshold"] == 0


def test_who_hears_of_a_stopped_rollout_learns_that_its_model_may_go_on(
    deployment: Deployment,
) -> None:
    """Whoever stops an execution stops its states that take the model back as well."""
    description = named(deployment, "RolloutFailed")["AlarmDescription"]

    assert "credit models withdraw" in description


def test_silence_is_noticed_where_something_is_always_measured(deployment: Deployment) -> None:
    """Never loaded, expired, or not run any more: none of these gives a figure."""
    always = {
        *("CandidateAge", "MaterializationSilent", "ModelAge", "MonitoringUnfinished"),
        *("FreshnessBureau", "FreshnessRegionMarket", "SkewSilent"),
    }
    for name in names_of_alarms(deployment):
        alarm = named(deployment, name)
        assert (alarm["TreatMissingData"] == "breaching") is (name in always), name
        if name in always:
            # One measurement that did not come is no silence.
            assert alarm["DatapointsToAlarm"] > 1, name


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("MaterializationSilent", "ExecutionsStarted"),
        ("SkewSilent", "Invocations"),
        ("MonitoringUnfinished", "MonitoredDecisions"),
    ],
)
def test_what_runs_each_day_is_missed_after_two(
    deployment: Deployment, name: str, metric: str
) -> None:
    alarm = named(deployment, name)
    (found,) = measured(alarm)

    assert found["Metric"]["MetricName"] == metric
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    assert (found["Period"], alarm["EvaluationPeriods"]) == (86_400, 2)
    if deployment.stage.alarms.metric_math:
        # CloudWatch looks further back than two periods, and passes over those without figures.
        assert expression(alarm) == "SUM([FILL(part0, 0)])"


@pytest.mark.parametrize(
    ("name", "metric"), [("ModelAge", "ModelAge"), ("CandidateAge", "CandidateAge")]
)
def test_an_old_model_and_a_retraining_that_stopped_are_noticed(
    deployment: Deployment, name: str, metric: str
) -> None:
    alarm, limits = named(deployment, name), deployment.stage.alarms

    assert (alarm["MetricName"], alarm["Statistic"]) == (metric, "Maximum")
    days = {"ModelAge": limits.model_days, "CandidateAge": limits.candidate_days}
    assert alarm["Threshold"] == days[name]
    # The clock starts one each week: two have to be missed.
    assert 14 < limits.candidate_days < 28


def test_rows_that_a_run_tolerated_are_told_of(deployment: Deployment) -> None:
    alarm = named(deployment, "RejectedRows")

    assert (alarm["MetricName"], alarm["Threshold"]) == ("RejectedRows", 0)


@pytest.mark.parametrize(
    ("name", "metric", "limit"),
    [
        ("FeatureDrift", "FeatureDrift", "most_drift"),
        ("ScoreDrift", "ScoreDrift", "most_drift"),
        ("OutcomeShift", "OutcomeShift", "most_outcome_shift"),
        ("ReasonShift", "ReasonShift", "most_reason_shift"),
    ],
)
def test_drift_is_told_of_by_the_limits_of_the_monitoring(
    deployment: Deployment, name: str, metric: str, limit: str
) -> None:
    alarm = named(deployment, name)

    assert (alarm["MetricName"], alarm["Statistic"]) == (metric, "Maximum")
    assert alarm["Threshold"] == getattr(deployment.stage.monitoring, limit)
