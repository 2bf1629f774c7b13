"""Alarms that page on-call; each description says what is wrong and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.api_routes import DECISIONS_PATH
from cdk_app.stages import Patience
from credit_core.domain.metrics import NAMESPACE, Metric, dimensions
from credit_core.domain.places import REJECTED_PUSHES, SKEW_REPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_

    from cdk_app.components.archive import Archive
    from cdk_app.components.live_alias import LiveAlias
    from cdk_app.components.pager import Pager
    from cdk_app.components.push import FeaturePush
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.workflow import Workflow
    from cdk_app.components.workflow_triggers import WorkflowTriggers
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

A_DAY_SECONDS = 86_400

WHAT_NOW = {
    "Rollout": "If it was stopped, or could not take its model back, that model goes on and nobody "
    "watches it: `credit models withdraw`, or rollback where it is the champion by now.",
}
"""After a run of a workflow that is not simply started again."""


class ScoringAlarms(Construct):
    """Is a decision late, refused, or broken?

    ``functions`` answer the API, the one named ``Scorer`` within the promised latency.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        pager: Pager,
        api: ScoringApi,
        functions: Mapping[str, LiveAlias],
        product: CreditProduct,
    ) -> None:
        super().__init__(scope, id_)
        budget, patience = stage.latency_budget_ms, stage.patience
        scorer = functions["Scorer"].dimensions
        self.latency = pager.page(
            "ScorerLatency",
            description=f"The scorer's p99 is above {budget} ms. Look at the decisions' stage "
            "timings, then at throttles and latency of the tables.",
            namespace="AWS/Lambda",
            metric="Duration",
            dimensions=scorer,
            statistic="p99",
            above=budget,
            patience=patience,
        )
        pager.page(
            "ApiLatency",
            description=f"Clients wait more than {budget} ms at p99 for a decision. If the "
            "scorer's own p99 is in order, look at cold starts (spill-over) and the authorizer.",
            namespace="AWS/ApiGateway",
            metric="Latency",
            # Of this method alone: nobody was promised a batch, or a history, in that time.
            dimensions={
                "ApiName": api.name,
                "Method": "POST",
                "Resource": DECISIONS_PATH,
                "Stage": api.stage_name,
            },
            statistic="p99",
            above=budget,
            patience=patience,
        )
        pager.page(
            "ApiServerErrors",
            description="The API answered 5xx: clients got no answer. A 503 is a function's own "
            "word for a store that did not take or give a record; look at the decisions table "
            "first. Before the first model is promoted, health and the model's card are 503 too.",
            namespace="AWS/ApiGateway",
            metric="5XXError",
            dimensions={"ApiName": api.name, "Stage": api.stage_name},
        )
        pager.page(
            "ScorerSpillover",
            description="Requests met a cold start because all warm environments were busy: "
            "raise the provisioned concurrency or its floor at this hour.",
            namespace="AWS/Lambda",
            metric="ProvisionedConcurrencySpilloverInvocations",
            dimensions=scorer,
            patience=patience,
        )
        pager.page(
            "ModelLoadFailure",
            description="A promoted champion, or a challenger, could not be fetched, verified or "
            "loaded; the champion before goes on deciding, or everybody is referred. The scorer's "
            "log says why: roll back, or withdraw the challenger.",
            namespace=NAMESPACE,
            metric=Metric.MODEL_LOAD_FAILURE,
            dimensions=dimensions(stage=stage.name, product=product.name),
        )
        pager.page(
            "ChallengerFailures",
            description="The challenger was asked and gave no answer; the champion answered, so "
            "nobody was referred for it. challenger_fault in the scorer's log says why: withdraw "
            "it.",
            namespace=NAMESPACE,
            metric=Metric.CHALLENGER_FAILURES,
            dimensions=dimensions(stage=stage.name, product=product.name),
        )
        for name, function in functions.items():
            pager.page(
                f"{name}Errors",
                description=f"The {name.lower()} function failed or ran out of time: a client got "
                "504 or 502 instead of an answer. Its log has the error; each call can be sent "
                "again.",
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions=function.dimensions,
            )
            pager.page(
                f"{name}Throttles",
                description=f"Lambda turned requests to the {name.lower()} function away: the "
                "account's or the function's concurrency is used up.",
                namespace="AWS/Lambda",
                metric="Throttles",
                dimensions=function.dimensions,
            )


class TriggerAlarms(Construct):
    """Did an upload or the clock fail to start what it should?"""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        pager: Pager,
        triggers: Mapping[str, WorkflowTriggers],
    ) -> None:
        super().__init__(scope, id_)
        for name, found in triggers.items():
            pager.page(
                f"{name}NotStarted",
                description=f"An upload or the clock could not start a {name.lower()} within an "
                "hour; the dead-letter queue holds what it was. The next one that the clock starts "
                "makes up for it.",
                namespace="AWS/SQS",
                metric="ApproximateNumberOfMessagesVisible",
                dimensions={"QueueName": found.dead_letters.queue_name},
                statistic="Maximum",
            )


class WorkflowAlarms(Construct):
    """Did a state machine end without success?"""

    def __init__(
        self, scope: Construct, id_: str, *, pager: Pager, workflows: Mapping[str, Workflow]
    ) -> None:
        super().__init__(scope, id_)
        for name, workflow in workflows.items():
            for metric in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"):
                pager.page(
                    f"{name}{metric}",
                    description=f"A {name.lower()} run ended without success; the execution's "
                    f"cause says why. {WHAT_NOW.get(name, 'It can be started again as it is.')}",
                    namespace="AWS/States",
                    metric=metric,
                    dimensions={"StateMachineArn": workflow.arn},
                )


class PushAlarms(Construct):
    """Are pushed rows refused, late or given up?"""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        pager: Pager,
        push: FeaturePush,
    ) -> None:
        super().__init__(scope, id_)
        pager.page(
            "PushRejected",
            description="Pushed rows were refused: they are not what the product defines. Their "
            f"faults lie under {REJECTED_PUSHES} in the results bucket; the sender mends them.",
            namespace=NAMESPACE,
            metric=Metric.REJECTED_PUSHES,
            dimensions=dimensions(stage=stage.name, product=product.name),
        )
        pager.page(
            "PushGivenUp",
            description="Pushed rows were given up and lie in the dead-letter queue. The pusher's "
            "log says why; mend that, then start a message move task with the push queue as its "
            "destination: without one SQS refuses what EventBridge could not deliver.",
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": push.dead_letters.queue_name},
            statistic="Maximum",
        )
        pager.page(
            "PushUndecryptable",
            description="EventBridge could not decrypt pushed rows: look at the data key and its "
            "policy. Mend that, decrypt what lies in the queue (EventBridge User Guide, "
            '"Decrypting events in dead-letter queues"), and send it again.',
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": push.undecryptable.queue_name},
            statistic="Maximum",
        )
        late = stage.push.late_after_seconds
        pager.page(
            "PushLate",
            description=f"A pushed row has waited for more than {late} s: the pusher fails or does "
            "not keep up. Its log says which store did not take rows.",
            namespace="AWS/SQS",
            metric="ApproximateAgeOfOldestMessage",
            dimensions={"QueueName": push.queue.queue_name},
            statistic="Maximum",
            above=late,
        )


class ReceiptAlarms(Construct):
    """Does the archive of receipts lack something, or fall behind?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, pager: Pager, archive: Archive
    ) -> None:
        super().__init__(scope, id_)
        pager.page(
            "ReceiptsNotArchived",
            description="Receipts were not archived; each is safe in the decisions table. The "
            "archiver's log says why: mend that, then invoke the archiver with "
            '{"redrive": {}} until it answers "complete": true. docs/receipts.md has the command.',
            namespace="AWS/SQS",
            metric="ApproximateNumberOfMessagesVisible",
            dimensions={"QueueName": archive.failed_batches.queue_name},
            statistic="Maximum",
        )
        late = stage.archiving.late_after_seconds
        pager.page(
            "ReceiptsLate",
            description=f"The archive is more than {late} s behind the decisions. The archiver's "
            "log says whether it fails; S3, the data key and the account's concurrency are what it "
            "needs. Once that is mended it catches up by itself. If it stood still for a day, "
            "invoke it with the days in question as well, see docs/receipts.md.",
            namespace="AWS/Lambda",
            metric="IteratorAge",
            dimensions={"FunctionName": archive.function.function_name},
            statistic="Maximum",
            above=1_000 * late,
        )


class EvidenceAlarms(Construct):
    """Is what decisions are served another thing than what models are trained on?

    ``functions`` find out by the clock, the one named ``Skew`` each night.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        pager: Pager,
        functions: Mapping[str, lambda_.IFunction],
    ) -> None:
        super().__init__(scope, id_)
        limit = stage.skew_check.most_share
        nightly = Patience(
            period_seconds=A_DAY_SECONDS, periods=1, breaching=1, evaluate_low_samples=True
        )
        for view in product.feature_views:
            pager.page(
                f"Skew{view.name.title().replace('_', '')}",
                description=f"More than {limit:.1%} of the rows of {view.name} that decisions were "
                "served are not what the lake has for that moment. The report under "
                f"{SKEW_REPORTS} in the results bucket names features and causes; `credit skew "
                "check` makes a new one. Do not train before it is understood.",
                namespace=NAMESPACE,
                metric=Metric.FEATURE_SKEW,
                dimensions=dimensions(stage=stage.name, product=product.name, view=view.name),
                statistic="Maximum",
                above=limit,
                patience=nightly,
            )
        for name, function in functions.items():
            pager.page(
                f"{name}Failed",
                description=f"The {name.lower()} function failed or ran out of time; its log says "
                "why. It can be invoked again as it is, and decisions don't depend on it.",
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions={"FunctionName": function.function_name},
            )


class FreshnessAlarms(Construct):
    """Has a view's source stopped, or was it never loaded?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, pager: Pager
    ) -> None:
        super().__init__(scope, id_)
        limits = stage.freshness
        # A view that was never loaded has no age, nor has one whose rows have all expired.
        patience = Patience(
            period_seconds=60 * limits.every_minutes,
            periods=3,
            breaching=3,
            evaluate_low_samples=True,
        )
        for view in product.feature_views:
            seconds = limits.share_of_ttl * view.ttl_seconds
            pager.page(
                f"Freshness{view.name.title().replace('_', '')}",
                description=f"The newest event of {view.name} is older than {seconds:.0f} s, "
                f"{limits.share_of_ttl:.0%} of its ttl, or there is none; at the ttl decisions "
                f"stop to use it. Look for its newest file under {product.view_prefix(view)} in "
                "the lake: if none came, ask its source; if one did, look at the materialization. "
                "No figure at all also means that the freshness function fails; see its log.",
                namespace=NAMESPACE,
                metric=Metric.FEATURE_AGE,
                dimensions=dimensions(stage=stage.name, product=product.name, view=view.name),
                statistic="Maximum",
                above=seconds,
                patience=patience,
                silence_breaches=True,
            )
