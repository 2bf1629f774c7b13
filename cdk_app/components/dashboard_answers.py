"""Of the dashboard: is it up, is it fast, is it deciding as usual?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_cloudwatch as cloudwatch

from cdk_app.components.api_routes import DECISIONS_PATH
from cdk_app.components.dashboard_graphs import (
    A_DAY,
    A_MINUTE,
    FIVE_MINUTES,
    Own,
    Section,
    found,
    graph,
    line,
    share,
)
from credit_core.domain.log_queries import STAGES
from credit_core.domain.metrics import Metric, outcome_metric
from credit_core.domain.policy_definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.components.live_alias import LiveAlias
    from cdk_app.components.pager import Pager
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.tables import Tables

GATEWAY, LAMBDA, TABLES = "AWS/ApiGateway", "AWS/Lambda", "AWS/DynamoDB"


def is_it_up(api: ScoringApi, functions: Mapping[str, LiveAlias], pager: Pager) -> Section:
    """Return all alarms, calls, and what became of them."""
    of_api = {"ApiName": api.name, "Stage": api.stage_name}
    calls = line(GATEWAY, "Count", of_api, "calls", every=A_MINUTE)
    refused = line(GATEWAY, "4XXError", of_api, "4xx", every=A_MINUTE)
    failed = line(GATEWAY, "5XXError", of_api, "5xx", every=A_MINUTE)
    wakes = [alarm for name, alarm in pager.alarms.items() if name in pager.paging]
    informs = [alarm for name, alarm in pager.alarms.items() if name not in pager.paging]
    return Section(
        title="Is it up?",
        words="5xx: clients got no answer. 4xx is theirs; many of 401 or 429 are not.",
        graphs=[
            cloudwatch.AlarmStatusWidget(
                title="These wake somebody", alarms=wakes, width=10, height=5
            ),
            cloudwatch.AlarmStatusWidget(
                title="These can wait for the morning", alarms=informs, width=14, height=5
            ),
            graph("Calls", [calls, refused, failed], unit="calls a minute"),
            graph(
                "Calls without an answer",
                [share(failed, calls, "5xx", every=A_MINUTE)],
                unit="share of calls",
                rings_at=[pager.alarms["ApiServerErrors"]],
            ),
            graph(
                "Functions that answer",
                [
                    line(LAMBDA, metric, function.dimensions, f"{name} {what}", every=A_MINUTE)
                    for name, function in functions.items()
                    for metric, what in (("Errors", "failed"), ("Throttles", "throttled"))
                ],
                unit="runs a minute",
            ),
        ],
    )


def is_it_fast(
    own: Own,
    api: ScoringApi,
    functions: Mapping[str, LiveAlias],
    tables: Tables,
    pager: Pager,
) -> Section:
    """Return how long clients wait, and in which stage of a request the time goes."""
    scorer = functions["Scorer"].dimensions
    of_decisions = {
        "ApiName": api.name,
        "Method": "POST",
        "Resource": DECISIONS_PATH,
        "Stage": api.stage_name,
    }
    name = scorer["FunctionName"]
    return Section(
        title="Is it fast?",
        words="From left to right: the client, the function, its stages, what these wait for. "
        "Single decisions: `credit logs scorer --query slowest`.",
        graphs=[
            graph(
                "Clients wait for a decision",
                [
                    line(GATEWAY, "Latency", of_decisions, figure, every=A_MINUTE, statistic=figure)
                    for figure in ("p50", "p99")
                ],
                unit="ms",
                rings_at=[pager.alarms["ApiLatency"]],
            ),
            graph(
                "The scorer takes",
                [
                    line(LAMBDA, "Duration", scorer, figure, every=A_MINUTE, statistic=figure)
                    for figure in ("p50", "p99")
                ],
                unit="ms",
                rings_at=[pager.alarms["ScorerLatency"]],
            ),
            *_stages(own),
            graph(
                "Tables answer",
                [
                    line(
                        TABLES,
                        "SuccessfulRequestLatency",
                        {"TableName": table.table_name, "Operation": operation},
                        f"{label}, {figure.lower()}",
                        every=A_MINUTE,
                        statistic=figure,
                    )
                    for table, operation, label in (
                        (tables.online_store, "BatchGetItem", "features read"),
                        (tables.decisions, "PutItem", "decision written"),
                    )
                    for figure in ("Average", "Maximum")
                ],
                unit="ms",
                right=[
                    line(
                        TABLES,
                        metric,
                        {"TableName": table.table_name},
                        f"{label} throttled",
                        every=A_MINUTE,
                    )
                    for table, metric, label in (
                        (tables.online_store, "ReadThrottleEvents", "reads"),
                        (tables.decisions, "WriteThrottleEvents", "writes"),
                    )
                ],
                right_unit="throttled",
            ),
            graph(
                "Warm environments of the scorer",
                [
                    # Each version has its own: of whichever are there.
                    found(
                        "AWS/Lambda,FunctionName,Resource",
                        {
                            "FunctionName": name,
                            "MetricName": "ProvisionedConcurrencyUtilization",
                        },
                        statistic="Maximum",
                        every=A_MINUTE,
                    )
                ],
                unit="share in use",
                right=[
                    line(
                        LAMBDA,
                        "ProvisionedConcurrencySpilloverInvocations",
                        # Of a version, not of the alias: all of them together.
                        {"FunctionName": name},
                        "met a cold start",
                        every=A_MINUTE,
                    ),
                    line(
                        LAMBDA,
                        "ConcurrentExecutions",
                        scorer,
                        "at once",
                        every=A_MINUTE,
                        statistic="Maximum",
                    ),
                ],
                right_unit="requests",
            ),
        ],
    )


def _stages(own: Own) -> list[cloudwatch.IWidget]:
    return [
        graph(
            f"Stages of a decision, {figure}",
            [
                own.line(
                    stage,
                    stage.removeprefix("Stage").lower(),
                    every=A_MINUTE,
                    statistic=figure,
                )
                for stage in STAGES
            ],
            unit="ms",
            # No sum of p99s is the p99 of all.
            stacked=figure == "p50",
        )
        for figure in ("p99", "p50")
    ]


def is_it_deciding_as_usual(own: Own, pager: Pager) -> Section:
    """Return outcomes, and why a person is asked."""
    decisions = own.line(Metric.DECISIONS, "decisions", every=FIVE_MINUTES)

    def rate(metric: str, label: str) -> cloudwatch.MathExpression:
        counted = own.line(metric, label, every=FIVE_MINUTES)
        return share(counted, decisions, label, every=FIVE_MINUTES)

    return Section(
        title="Is it deciding as usual?",
        words="Why applications are referred: `credit logs scorer --query referrals`. What a day's "
        "decisions were made of: `credit monitor`.",
        graphs=[
            graph(
                "Outcomes",
                [
                    own.line(outcome_metric(outcome), outcome, every=FIVE_MINUTES)
                    for outcome in Outcome
                ],
                unit="decisions in five minutes",
                stacked=True,
            ),
            graph(
                "Left to a person",
                [
                    rate(outcome_metric(Outcome.REFER), "referred"),
                    rate(Metric.FAULT_REFERRALS, "by a fault of ours"),
                ],
                unit="share of decisions",
                rings_at=[pager.alarms["ReferralRate"], pager.alarms["FaultReferrals"]],
            ),
            graph(
                "Decided without all features",
                [
                    rate(Metric.MISSING_DECISIONS, "missing"),
                    rate(Metric.STALE_DECISIONS, "stale"),
                ],
                unit="share of decisions",
                rings_at=[pager.alarms["MissingFeatures"], pager.alarms["StaleFeatures"]],
            ),
            graph(
                "Outcomes of a day",
                [
                    own.line(metric, label, every=A_DAY, statistic="Maximum")
                    for metric, label in (
                        (Metric.APPROVAL_RATE, "approved"),
                        (Metric.DECLINE_RATE, "declined"),
                        (Metric.REFERRAL_RATE, "referred"),
                    )
                ],
                unit="share of decisions",
                width=12,
            ),
            graph(
                "Against the four weeks before",
                [
                    own.line(metric, label, every=A_DAY, statistic="Maximum")
                    for metric, label in (
                        (Metric.OUTCOME_SHIFT, "outcomes"),
                        (Metric.REASON_SHIFT, "first reasons"),
                    )
                ],
                unit="population stability index",
                rings_at=[pager.alarms["OutcomeShift"], pager.alarms["ReasonShift"]],
                width=12,
            ),
        ],
    )
