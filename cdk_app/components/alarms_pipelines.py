"""Alarms on what runs by itself: did it start, did it end well, did it stop to run at all?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.pager import Figure, Total, waiting_in
from cdk_app.stages import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_

    from cdk_app.components.archive import Archive
    from cdk_app.components.pager import Pager
    from cdk_app.components.workflow import Workflow
    from cdk_app.components.workflow_triggers import WorkflowTriggers
    from cdk_app.stages import Stage

A_DAY_SECONDS = 86_400

WITHOUT_SUCCESS = ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted")
"""Source: AWS Step Functions Developer Guide, "Execution metrics"."""

WHAT_NOW = {
    "Retraining": "A candidate that a gate refused is no fault of the system: the champion goes "
    "on, and its report says what was wrong.",
    "Rollout": "If it was stopped, or could not take its model back, look whether that model goes "
    "on: `credit models withdraw`, or rollback where it is the champion by now.",
}
"""After a run of a workflow that is not simply started again."""

TWO_DAYS = Patience(period_seconds=A_DAY_SECONDS, periods=2, breaching=2, evaluate_low_samples=True)
"""After the second run in a row that did not come; CloudWatch looks back a week at most."""


class WorkflowAlarms(Construct):
    """Did a state machine end without success?"""

    def __init__(
        self, scope: Construct, id_: str, *, pager: Pager, workflows: Mapping[str, Workflow]
    ) -> None:
        super().__init__(scope, id_)
        for name, workflow in workflows.items():
            pager.inform(
                f"{name}Failed",
                description=f"A {name.lower()} run ended without success; the execution's "
                f"cause says why. {WHAT_NOW.get(name, 'It can be started again as it is.')}",
                of=Total(
                    figures=tuple(
                        Figure(
                            namespace="AWS/States",
                            metric=metric,
                            dimensions={"StateMachineArn": workflow.arn},
                        )
                        for metric in WITHOUT_SUCCESS
                    )
                ),
                runbook="rollout-failed" if name == "Rollout" else "pipeline-failed",
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
            pager.inform(
                f"{name}NotStarted",
                description=f"An upload or the clock could not start a {name.lower()} within an "
                "hour; the dead-letter queue holds what it was. The next one that the clock starts "
                "makes up for it.",
                of=waiting_in(found.dead_letters.queue_name),
                runbook="dead-letters",
            )


class SilenceAlarms(Construct):
    """Has something stopped to run that should run each day? Then nothing fails, and ages.

    What runs once a week is beyond a week's look back: a retraining that stops is found by the age
    of the newest candidate.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        pager: Pager,
        workflows: Mapping[str, Workflow],
        functions: Mapping[str, lambda_.IFunction],
    ) -> None:
        super().__init__(scope, id_)
        runs = {
            name: Figure(
                namespace="AWS/States",
                metric="ExecutionsStarted",
                dimensions={"StateMachineArn": workflow.arn},
            )
            for name, workflow in workflows.items()
        } | {
            name: Figure(
                namespace="AWS/Lambda",
                metric="Invocations",
                dimensions={"FunctionName": function.function_name},
            )
            for name, function in functions.items()
        }
        for name, figure in runs.items():
            pager.inform_of_silence(
                f"{name}Silent",
                description=f"No {name.lower()} run was started for two days; the clock starts one "
                "each day. Look at its schedule in EventBridge Scheduler: is it there, enabled, "
                "and may its role start it? It rings until the first run of a new deployment.",
                of=figure,
                patience=TWO_DAYS,
                runbook="pipeline-silent",
            )


class ReceiptAlarms(Construct):
    """Does the archive of receipts lack something, or fall behind?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, pager: Pager, archive: Archive
    ) -> None:
        super().__init__(scope, id_)
        pager.inform(
            "ReceiptsNotArchived",
            description="Receipts were not archived; each is safe in the decisions table. The "
            "archiver's log says why: mend that, then `credit archive redrive`.",
            of=waiting_in(archive.failed_batches.queue_name),
            runbook="receipts",
        )
        late = stage.archiving.late_after_seconds
        pager.inform(
            "ReceiptsLate",
            description=f"The archive is more than {late} s behind the decisions. The archiver's "
            "log says whether it fails; S3, the data key and the account's concurrency are what it "
            "needs. Once that is mended it catches up by itself. If it stood still for a day, "
            "`credit archive redrive --from ... --to ...` brings in those days.",
            of=Figure(
                namespace="AWS/Lambda",
                metric="IteratorAge",
                dimensions={"FunctionName": archive.function.function_name},
                statistic="Maximum",
            ),
            above=1_000 * late,
            runbook="receipts",
        )
