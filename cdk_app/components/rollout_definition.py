"""The rollout as Amazon States Language: shadow, shares one after the other, champion.

A step is a move of the pointer and the time that it is watched for. Until a model is champion, any
alarm and any failure withdraws it; in the time after that it takes the one before back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA, RETRY_THROTTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdk_app.stages import Rollout, Stage

RETRY_ALARMS = {
    "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 6,
    "JitterStrategy": "FULL",
}
RETRY_REGISTRY = {**RETRY_LAMBDA, "ErrorEquals": ["StoreUnavailableError"]}
# The move may be made all the same: whoever asks again is told so. Taken for a failure, a promotion
# that was made would be "withdrawn", which no champion is.
RETRY_UNANSWERED = {
    **RETRY_LAMBDA,
    "ErrorEquals": ["Lambda.Unknown", "Sandbox.Timedout", "States.Timeout"],
    "MaxAttempts": 2,
}
# Of a model that has to go; somebody else's move at the same moment is no reason to leave it.
RETRY_WAY_BACK = {**RETRY_ALARMS, "ErrorEquals": ["States.ALL"]}
LOOK_SECONDS = 60

RINGING = "[$states.result.MetricAlarms.AlarmName]"
"""On AWS no alarm is an empty list, on the local cloud an empty text: this is a list of both."""

# A function's cause is JSON around its sentence; a person's word is the sentence itself. It is read
# where the model has gone: words that cannot be read must not keep it.
REASON = (
    "($type($reason) = 'string' ?"
    " ($substring($reason, 0, 1) = '{' ? $parse($reason).errorMessage : $reason) : '')"
)

SECONDS_PASSED = "($millis() - $since) / 1000"


def rollout_definition(
    *, stage: Stage, promoter_arn: str, promoter_timeout_seconds: int, alarms: Sequence[str]
) -> dict[str, Any]:
    """Return the state machine's definition.

    Its input is ``{"version": ..., "moved_by": ...}``, its output what answers at the end. The
    first champion is promoted at once: there is nothing that it could be compared with.

    Args:
        stage: Says how long each step is watched, and whether a person approves.
        promoter_arn: The function that moves the pointer.
        promoter_timeout_seconds: After which Lambda ends it.
        alarms: The names of the alarms that are watched.
    """
    states = _States(stage.rollout, promoter_arn, promoter_timeout_seconds + 30, list(alarms))
    return {
        "Comment": "Shadow -> live share -> champion; an alarm takes the model back",
        "QueryLanguage": "JSONata",
        "StartAt": "Check",
        "States": {
            **states.beginning(),
            **states.watch(),
            **states.approval(),
            **states.steps(),
            **states.ways_back(),
            # The local cloud's Succeed has no output of its own.
            "Done": {
                "Type": "Pass",
                "Output": "{% $merge([{'version': $version}, $pointer]) %}",
                "End": True,
            },
        },
    }


class _States:
    def __init__(
        self, rollout: Rollout, promoter_arn: str, seconds: int, alarms: list[str]
    ) -> None:
        self._rollout = rollout
        self._promoter = promoter_arn
        self._seconds = seconds
        self._alarms = alarms
        self._first_answer = "AskApproval" if rollout.approval_hours else None

    def beginning(self) -> dict[str, Any]:
        """Return the states up to the first look at the alarms."""
        check = self._move("check", version="{% $states.input.version %}")
        check["Arguments"]["Payload"]["moved_by"] = "{% $states.input.moved_by %}"
        return {
            "Check": {
                **check,
                "Assign": {
                    "version": "{% $states.input.version %}",
                    "moved_by": "{% $states.input.moved_by & ', by rollout '"
                    " & $states.context.Execution.Name %}",
                    "pointer": "{% $states.result.Payload %}",
                    "first": "{% $states.result.Payload.champion = null %}",
                    "promoted": False,
                    "approved": not self._rollout.approval_hours,
                    "shares": list(self._rollout.shares),
                    "step": 0,
                    "reason": "",
                },
                "Next": "Begin",
            },
            "Begin": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $pointer.champion = $version %}", "Next": "Done"},
                    {"Condition": "{% $first %}", "Next": self._first_answer or "Promote"},
                ],
                "Default": "LookBefore",
            },
            "LookBefore": {**self._look(), "Next": "QuietBefore"},
            "QuietBefore": {
                "Type": "Choice",
                "Choices": [
                    {
                        "Condition": "{% $count($states.input.ringing) > 0 %}",
                        "Next": "AlarmBefore",
                    }
                ],
                "Default": "Shadow",
            },
            "AlarmBefore": {
                "Type": "Fail",
                "Error": "AlarmBefore",
                "Cause": "{% 'model ' & $version & ' was not tried: '"
                " & $join($states.input.ringing, ', ') & ' is in alarm already' %}",
            },
        }

    def watch(self) -> dict[str, Any]:
        """Return the loop that watches a step for its time and chooses the next."""
        choices = [
            {"Condition": "{% $count($states.input.ringing) > 0 %}", "Next": "Alarm"},
            {"Condition": f"{{% {SECONDS_PASSED} < $seconds %}}", "Next": "Watch"},
            {"Condition": "{% $promoted %}", "Next": "Done"},
            *(
                [{"Condition": "{% $not($approved) %}", "Next": self._first_answer}]
                if self._first_answer
                else []
            ),
            {"Condition": "{% $step < $count($shares) %}", "Next": "Share"},
        ]
        return {
            "Watch": {"Type": "Wait", "Seconds": self._rollout.poll_seconds, "Next": "Look"},
            "Look": {**self._look(), **self._undone_if_it_fails(), "Next": "Judge"},
            "Judge": {"Type": "Choice", "Choices": choices, "Default": "Promote"},
            "Alarm": {
                "Type": "Pass",
                "Assign": {"reason": "{% $join($states.input.ringing, ', ') & ' is in alarm' %}"},
                "Next": "Undo",
            },
        }

    def approval(self) -> dict[str, Any]:
        """Return the states in which a person is waited for, where the stage wants one."""
        if self._first_answer is None:
            return {}
        hours = self._rollout.approval_hours or 0
        token = "{% $states.context.Task.Token %}"  # noqa: S105 (an expression, no secret)
        ask = self._move("ask", task_token=token)
        return {
            "AskApproval": {
                **ask,
                # Its timeout is a person's silence.
                "Retry": [retry for retry in ask["Retry"] if retry is not RETRY_UNANSWERED],
                "Resource": f"{LAMBDA_INVOKE}.waitForTaskToken",
                "TimeoutSeconds": 3_600 * hours,
                "Catch": [
                    {
                        "ErrorEquals": ["States.Timeout"],
                        "Assign": {"reason": f"nobody approved it within {hours} hours"},
                        "Next": "Undo",
                    },
                    *self._undone_if_it_fails()["Catch"],
                ],
                "Assign": {"approved": True},
                "Output": {},
                "Next": "Approved",
            },
            "Approved": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $first %}", "Next": "Promote"}],
                # It may have waited for days: the alarms are looked at again.
                "Default": "Look",
            },
        }

    def steps(self) -> dict[str, Any]:
        """Return the moves, each with the time that it is watched for."""
        rollout = self._rollout
        return {
            "Shadow": self._step("shadow", seconds=rollout.shadow_seconds),
            "Share": self._step(
                "share",
                seconds=rollout.share_seconds,
                payload={"share": "{% $shares[$step] %}"},
                assigned={"step": "{% $step + 1 %}"},
            ),
            "Promote": {
                **self._step(
                    "promote",
                    seconds=rollout.watch_seconds,
                    payload={"from_trial": "{% $not($first) %}"},
                    assigned={"promoted": True},
                ),
                "Next": "Promoted",
            },
            "Promoted": {
                "Type": "Choice",
                # There is nothing that the first one could be rolled back to.
                "Choices": [{"Condition": "{% $first %}", "Next": "Done"}],
                "Default": "Watch",
            },
        }

    def ways_back(self) -> dict[str, Any]:
        """Return the states that take a model back, and say why."""
        return {
            "Undo": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": "{% $promoted %}", "Next": "RollBack"},
                    {"Condition": "{% $first %}", "Next": "NotPromoted"},
                ],
                "Default": "Withdraw",
            },
            "Withdraw": {
                **self._way_back("withdraw"),
                "Output": "{% $states.result.Payload %}",
                "Next": "Withdrawn",
            },
            "Withdrawn": {
                "Type": "Fail",
                "Error": "Withdrawn",
                "Cause": "{% 'model ' & $version & ' was withdrawn, ' & $states.input.champion"
                f" & ' answers: ' & {REASON} %}}",
            },
            "RollBack": {
                **self._way_back("rollback"),
                "Output": "{% $states.result.Payload %}",
                "Next": "RolledBack",
            },
            "RolledBack": {
                "Type": "Fail",
                "Error": "RolledBack",
                "Cause": "{% 'model ' & $version & ' was rolled back, ' & $states.input.champion"
                f" & ' answers again: ' & {REASON} %}}",
            },
            "NotPromoted": {
                "Type": "Fail",
                "Error": "NotPromoted",
                "Cause": f"{{% 'model ' & $version & ' was not promoted: ' & {REASON} %}}",
            },
        }

    def _step(
        self,
        action: str,
        *,
        seconds: int,
        payload: dict[str, Any] | None = None,
        assigned: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        return {
            **self._move(action, **(payload or {})),
            **self._undone_if_it_fails(),
            "Assign": {
                **(assigned or {}),
                "pointer": "{% $states.result.Payload %}",
                "since": "{% $millis() %}",
                "seconds": seconds,
            },
            "Next": "Watch",
        }

    def _move(self, action: str, **payload: Any) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": LAMBDA_INVOKE,
            "Arguments": {
                "FunctionName": self._promoter,
                "Payload": {
                    "action": action,
                    "version": "{% $version %}",
                    "moved_by": "{% $moved_by %}",
                    **payload,
                },
            },
            "TimeoutSeconds": self._seconds,
            "Retry": [RETRY_THROTTLED, RETRY_LAMBDA, RETRY_REGISTRY, RETRY_UNANSWERED],
            "Output": "{% $states.result.Payload %}",
        }

    def _way_back(self, action: str) -> dict[str, Any]:
        move = self._move(action)
        return {**move, "Retry": [*move["Retry"], RETRY_WAY_BACK]}

    def _look(self) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::aws-sdk:cloudwatch:describeAlarms",
            "Arguments": {"AlarmNames": self._alarms, "StateValue": "ALARM"},
            "TimeoutSeconds": LOOK_SECONDS,
            "Retry": [RETRY_ALARMS],
            "Output": {"ringing": f"{{% {RINGING} %}}"},
        }

    def _undone_if_it_fails(self) -> dict[str, Any]:
        """Nobody would watch the model any more."""
        return {
            "Catch": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "Assign": {
                        "reason": "{% $exists($states.errorOutput.Cause)"
                        " ? $states.errorOutput.Cause : $states.errorOutput.Error %}"
                    },
                    "Next": "Undo",
                }
            ]
        }
