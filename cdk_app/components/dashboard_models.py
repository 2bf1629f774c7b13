"""Of the dashboard: are features fresh, is the model healthy, do pipelines run?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdk_app.components.dashboard_graphs import (
    A_DAY,
    AN_HOUR,
    FIVE_MINUTES,
    Own,
    Section,
    graph,
    line,
    share,
)
from credit_core.domain.metrics import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_cloudwatch as cloudwatch

    from cdk_app.components.archive import Archive
    from cdk_app.components.pager import Pager
    from cdk_app.components.push import FeaturePush
    from cdk_app.components.workflow import Workflow
    from cdk_app.components.workflow_triggers import WorkflowTriggers
    from credit_core.domain.product import CreditProduct

QUEUES, WORKFLOWS, FUNCTIONS = "AWS/SQS", "AWS/States", "AWS/Lambda"
ENDS = {
    "ExecutionsSucceeded": "succeeded",
    "ExecutionsFailed": "failed",
    "ExecutionsTimedOut": "timed out",
    "ExecutionsAborted": "aborted",
}


def are_features_fresh(own: Own, product: CreditProduct, pager: Pager) -> Section:
    """Return how old each view is, what of it was refused, and what it lacks for decisions."""
    views = [view.name for view in product.feature_views]
    names = {name: name.title().replace("_", "") for name in views}

    def of_views(metric: Metric, label: str, every: int) -> list[cloudwatch.Metric]:
        return [
            own.line(metric, f"{view}{label}", every=every, statistic="Maximum", view=view)
            for view in views
        ]

    return Section(
        title="Are features fresh?",
        words="A limit lies at a share of the view's time to live; past all of it decisions stop "
        "to use the view. What is late or refused: `credit runs`, `credit queues`.",
        graphs=[
            graph(
                "Age of each view's newest event",
                of_views(Metric.FEATURE_AGE, "", FIVE_MINUTES),
                unit="seconds",
                rings_at=[pager.alarms[f"Freshness{name}"] for name in names.values()],
            ),
            graph(
                "Rows refused",
                [
                    own.line(Metric.REJECTED_ROWS, "of files", every=FIVE_MINUTES),
                    own.line(Metric.REJECTED_PUSHES, "pushed", every=FIVE_MINUTES),
                ],
                unit="rows in five minutes",
            ),
            graph(
                "Decided without a view, of a day",
                [
                    *of_views(Metric.MISSING_FEATURES, " missing", A_DAY),
                    *of_views(Metric.STALE_FEATURES, " stale", A_DAY),
                ],
                unit="share of decisions",
            ),
        ],
    )


def is_the_model_healthy(own: Own, product: CreditProduct, pager: Pager) -> Section:
    """Return whether models load, agree and are young, and whether applicants have changed."""
    compared = own.line(Metric.SHADOW_DECISIONS, "compared", every=AN_HOUR)
    otherwise = own.line(Metric.SHADOW_DISAGREEMENTS, "judged otherwise", every=AN_HOUR)

    def of_a_day(metric: Metric, label: str) -> cloudwatch.Metric:
        return own.line(metric, label, every=A_DAY, statistic="Maximum")

    return Section(
        title="Is the model healthy?",
        words="Who answers: `credit models list`. Back to the champion before: `credit models "
        "rollback`; a challenger leaves by `credit models withdraw`.",
        graphs=[
            graph(
                "Models that fail",
                [
                    own.line(Metric.MODEL_LOAD_FAILURE, "not loaded", every=FIVE_MINUTES),
                    own.line(
                        Metric.CHALLENGER_FAILURES, "challenger without answer", every=FIVE_MINUTES
                    ),
                ],
                unit="in five minutes",
                right=[
                    own.line(Metric.CHALLENGER_DECISIONS, "challenger decides", every=FIVE_MINUTES)
                ],
                right_unit="decisions",
            ),
            graph(
                "Champion and challenger differ",
                [share(otherwise, compared, "judged otherwise", every=AN_HOUR)],
                unit="share of compared",
                right=[compared],
                right_unit="compared in an hour",
                rings_at=[pager.alarms["ShadowDisagreement"]],
            ),
            graph(
                "Age of models",
                [
                    own.line(metric, label, every=AN_HOUR, statistic="Maximum")
                    for metric, label in (
                        (Metric.MODEL_AGE, "champion"),
                        (Metric.CANDIDATE_AGE, "newest candidate"),
                    )
                ],
                unit="days",
                rings_at=[pager.alarms["ModelAge"], pager.alarms["CandidateAge"]],
            ),
            graph(
                "Applicants against those of training",
                [
                    of_a_day(Metric.FEATURE_DRIFT, "the input that moved most"),
                    of_a_day(Metric.SCORE_DRIFT, "probability of default"),
                ],
                unit="population stability index",
                rings_at=[pager.alarms["FeatureDrift"]],
            ),
            graph(
                "Served against the lake",
                [
                    own.line(
                        Metric.FEATURE_SKEW,
                        view.name,
                        every=A_DAY,
                        statistic="Maximum",
                        view=view.name,
                    )
                    for view in product.feature_views
                ],
                unit="share of rows that differ",
                # The same limit for each view: one line.
                rings_at=[
                    pager.alarms[f"Skew{view.name.title().replace('_', '')}"]
                    for view in product.feature_views[:1]
                ],
            ),
            graph(
                "A trial as a whole",
                [of_a_day(Metric.MODEL_AGREEMENT, "agree")],
                unit="share of decisions",
                right=[of_a_day(Metric.SCORE_SHIFT, "probabilities moved")],
                right_unit="population stability index",
            ),
        ],
    )


def do_pipelines_run(
    own: Own,
    *,
    workflows: Mapping[str, Workflow],
    triggers: Mapping[str, WorkflowTriggers],
    push: FeaturePush,
    archive: Archive,
    pager: Pager,
) -> Section:
    """Return how runs ended, what waits, and how far the archive is behind."""
    given_up = {
        **{f"{name.lower()} not started": found.dead_letters for name, found in triggers.items()},
        "pushed rows given up": push.dead_letters,
        "pushed rows undecryptable": push.undecryptable,
        "receipts not archived": archive.failed_batches,
    }
    return Section(
        title="Do pipelines run?",
        words="Runs and why they failed: `credit runs --failed`. What lies in a queue: `credit "
        "queues`.",
        graphs=[
            *(
                graph(
                    f"Runs of {name.lower()}",
                    [
                        line(
                            WORKFLOWS,
                            metric,
                            {"StateMachineArn": workflow.arn},
                            label,
                            every=AN_HOUR,
                        )
                        for metric, label in ENDS.items()
                    ],
                    unit="runs in an hour",
                    width=6,
                )
                for name, workflow in workflows.items()
            ),
            graph(
                "Given up: should be empty",
                [
                    line(
                        QUEUES,
                        "ApproximateNumberOfMessagesVisible",
                        {"QueueName": queue.queue_name},
                        label,
                        every=FIVE_MINUTES,
                        statistic="Maximum",
                    )
                    for label, queue in given_up.items()
                ],
                unit="messages",
            ),
            graph(
                "Behind",
                [
                    line(
                        QUEUES,
                        "ApproximateAgeOfOldestMessage",
                        {"QueueName": push.queue.queue_name},
                        "oldest pushed row, s",
                        every=FIVE_MINUTES,
                        statistic="Maximum",
                    )
                ],
                unit="seconds",
                right=[
                    line(
                        FUNCTIONS,
                        "IteratorAge",
                        {"FunctionName": archive.function.function_name},
                        "archive, ms",
                        every=FIVE_MINUTES,
                        statistic="Maximum",
                    )
                ],
                right_unit="milliseconds",
                rings_at=[pager.alarms["PushLate"]],
            ),
            graph(
                "Decisions of a day that were monitored",
                [
                    own.line(
                        Metric.MONITORED_DECISIONS, "decisions", every=A_DAY, statistic="Maximum"
                    )
                ],
                unit="decisions",
                right=[
                    own.line(Metric.DAMAGED_RECEIPTS, "damaged", every=A_DAY, statistic="Maximum")
                ],
                right_unit="receipts",
            ),
        ],
    )
