"""The daily monitoring as Amazon States Language: plan, a tally for each part, report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA, RETRY_THROTTLED

if TYPE_CHECKING:
    from cdk_app.stages import Stage

SECONDS_AN_HOUR = 3_600

RETRIES = [
    RETRY_THROTTLED,
    RETRY_LAMBDA,
    {**RETRY_LAMBDA, "ErrorEquals": ["StoreUnavailableError"], "MaxAttempts": 3},
    # What the local cloud calls a function that it has no worker for.
    {**RETRY_LAMBDA, "ErrorEquals": ["Lambda.Unknown"], "MaxAttempts": 3},
]
"""Each step may be done again: it writes the same, in place of what an earlier try left."""


def monitoring_definition(*, stage: Stage, monitor_arn: str) -> dict[str, Any]:
    """Return the state machine's definition.

    Its input is ``{}`` for the day before, or ``{"day": "2026-11-21"}``; ``trigger`` in it says
    what asked for the run. Its output has the day's ``figures``, and where ``summary`` and
    ``report`` lie.

    Nothing is caught: what fails after its retries fails the run with its own words, and a run that
    is redriven goes on with the parts that are missing.
    """

    def step(action: str, **payload: str) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": LAMBDA_INVOKE,
            "Arguments": {
                "FunctionName": monitor_arn,
                "Payload": {
                    "action": action,
                    "run_id": "{% $states.context.Execution.Name %}",
                    **payload,
                },
            },
            # The function's own limit comes first and says more.
            "TimeoutSeconds": stage.monitor.timeout_seconds + 30,
            "Retry": RETRIES,
        }

    # The run's own start, so that a run that is redriven on another day is of the same day.
    started_at = "{% $states.context.Execution.StartTime %}"
    named_day = (
        "{% $exists($states.context.Execution.Input.day)"
        " ? $states.context.Execution.Input.day : null %}"
    )
    return {
        "Comment": "A day of the archive -> tallies -> figures, metrics and a page",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": stage.monitoring.run_hours * SECONDS_AN_HOUR,
        "StartAt": "Plan",
        "States": {
            "Plan": {
                **step("plan", day=named_day, started_at=started_at),
                "Output": "{% $states.result.Payload %}",
                "Next": "TallyParts",
            },
            "TallyParts": {
                "Type": "Map",
                "Items": "{% [$states.input.parts] %}",
                "ItemSelector": {"part": "{% $states.context.Map.Item.Value %}"},
                "MaxConcurrency": stage.monitoring.parts_at_once,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "INLINE"},
                    "StartAt": "TallyPart",
                    "States": {
                        "TallyPart": {
                            **step("tally", part="{% $states.input.part %}"),
                            # The answers of all parts are held together.
                            "Output": {},
                            "End": True,
                        }
                    },
                },
                "Output": "{% $states.input %}",
                "Next": "Report",
            },
            "Report": {
                **step(
                    "report",
                    day="{% $states.input.day %}",
                    parts="{% $count($states.input.parts) %}",
                    started_at=started_at,
                ),
                "Output": "{% $states.result.Payload %}",
                "End": True,
            },
        },
    }
