"""The rollout as Amazon States Language: shadow, shares one after the other, champion.

A step is a move of the pointer and the time that the model has there. Meanwhile nothing is asked:
an alarm has the guard take the model back. The alarms are looked at right after a move, for one
that went off while it was made, and before the next one, which also wants evidence. Until a model
is champion, whatever fails withdraws it; in the time after that it takes the one before back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA, RETRY_THROTTLED
from credit_core.domain.metrics import NAMESPACE, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.stages import Rollout

RETRY_CLOUDWATCH = {
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
RETRY_WAY_BACK = {**RETRY_CLOUDWATCH, "ErrorEquals": ["States.ALL"]}
LOOK_SECONDS = 60
A_MINUTE_SECONDS = 60
"""The shortest period of a metric."""

RINGING = "[$states.result.MetricAlarms.AlarmName]"
"""On AWS no alarm is an empty list, on the local cloud an empty text: this is a list of both."""

GUARDED = "$filter($states.input.ringing, function($name) { $name in $guarding })"
"""Those of them that take the model back where it is."""

# A function's cause is JSON around its sentence; a person's word is the sentence itself. It is read
# where the model has gone: words that cannot be read must not keep it.
REASON = (
    "($type($reason) = 'string' ?"
    " ($substring($reason, 0, 1) = '{' ? $parse($reason).errorMessage : $reason) : '')"
)

SECONDS_PASSED = "($millis() - $since) / 1000"
COUNTED = "$sum([$map([$states.result.MetricDataResults.Values][$ != ''], $number)])"
"""On the local cloud a figure is text, and none an empty one."""


def rollout_definition(
    rollout: Rollout,
    *,
    promoter_arn: str,
    promoter_timeout_seconds: int,
    alarms: Mapping[str, str],
    dimensions: Mapping[str, str],
) -> dict[str, Any]:
    """Return the state machine's definition.

    Its input is ``{"version": ..., "moved_by": ...}``, its output what answers at the end. The
    first champion is promoted at once: there is nothing that it could be compared with.

    Args:
        rollout: Says how long each step takes, and what it takes to be made.
        promoter_arn: The function that moves the pointer.
        promoter_timeout_seconds: After which Lambda ends it.
        alarms: The stage's alarms of a rollout and what CloudWatch calls them.
        dimensions: Of the metrics that count decisions.
    """
    states = _States(rollout, promoter_arn, promoter_timeout_seconds + 30, alarms, dimensions)
    return {
        "Comment": "Shadow -> live share -> champion; an alarm takes the model back",
        "QueryLanguage": "JSONata",
        "StartAt": "Check",
        "States": {
            **states.beginning(),
            **states.watch(),
            **states.evidence(),
            **states.approval(),
            **states.steps(),
            **states.ways_back(),
            **states.end(),
        },
    }


class _States:
    def __init__(
        self,
        rollout: Rollout,
        promoter_arn: str,
        seconds: int,
        alarms: Mapping[str, str],
        dimensions: Mapping[str, str],
    ) -> None:
        self._rollout = rollout
        self._promoter = promoter_arn
        self._seconds = seconds
        self._alarms = [alarms[name] for name in rollout.alarms]
        self._shadow_alarms = [alarms[name] for name in rollout.shadow_alarms]
        self._dimensions = [{"Name": name, "Value": text} for name, text in dimensions.items()]
        self._first_answer = "AskApproval" if rollout.approval_hours else None
        self._counts = rollout.evidence.counts

    def beginning(self) -> dict[str, Any]:
        """Return the states up to the first move."""
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
        """Return the looks at the alarms, and the wait between two of them."""
        return {
            "Look": {**self._look(), **self._undone_if_it_fails(), "Next": "Judge"},
            "Judge": {
                "Type": "Choice",
                "Choices": [
                    {"Condition": f"{{% $count({GUARDED}) > 0 %}}", "Next": "Alarm"},
                    {"Condition": f"{{% {SECONDS_PASSED} < $seconds %}}", "Next": "Watch"},
                    {"Condition": "{% $promoted %}", "Next": "Standing"},
                    {
                        # In shadow: one that this model does not cause.
                        "Condition": "{% $count($states.input.ringing) > 0 %}",
                        "Assign": {
                            "reason": "{% $join($states.input.ringing, ', ') & ' is in alarm' %}"
                        },
                        "Next": "Patience",
                    },
                ],
                "Default": "Evidence" if self._counts else "StepUp",
            },
            "Watch": {
                "Type": "Wait",
                "Seconds": f"{{% $max([0, $ceil($seconds - {SECONDS_PASSED})]) %}}",
                "Next": "Look",
            },
            "Alarm": {
                "Type": "Pass",
                "Assign": {"reason": f"{{% $join({GUARDED}, ', ') & ' is in alarm' %}}"},
                "Next": "Undo",
            },
            "Patience": {
                "Type": "Choice",
                "Choices": [
                    {
                        "Condition": f"{{% {SECONDS_PASSED} < $seconds"
                        f" + {self._rollout.evidence.patience_seconds} %}}",
                        "Next": "Again",
                    }
                ],
                "Default": "Undo",
            },
            "Again": {
                "Type": "Wait",
                "Seconds": self._rollout.evidence.again_seconds,
                "Next": "Look",
            },
            "StepUp": {
                "Type": "Choice",
                "Choices": [
                    *(
                        [{"Condition": "{% $not($approved) %}", "Next": self._first_answer}]
                        if self._first_answer
                        else []
                    ),
                    {"Condition": "{% $step < $count($shares) %}", "Next": "Share"},
                ],
                "Default": "Promote",
            },
        }

    def evidence(self) -> dict[str, Any]:
        """Return the states that count what the model has done, where the stage wants any."""
        if not self._counts:
            return {}
        metric = {
            "Namespace": NAMESPACE,
            "MetricName": f"{{% $step = 0 ? '{Metric.SHADOW_DECISIONS}'"
            f" : '{Metric.CHALLENGER_DECISIONS}' %}}",
            "Dimensions": self._dimensions,
        }
        wanted = self._rollout.evidence
        return {
            "Evidence": {
                "Type": "Task",
                "Resource": f"arn:{Aws.PARTITION}:states:::aws-sdk:cloudwatch:getMetricData",
                "Arguments": {
                    "MetricDataQueries": [
                        {
                            "Id": "decisions",
                            "MetricStat": {
                                "Metric": metric,
                                "Period": A_MINUTE_SECONDS,
                                "Stat": "Sum",
                            },
                        }
                    ],
                    "StartTime": "{% $fromMillis($since) %}",
                    "EndTime": "{% $now() %}",
                },
                "TimeoutSeconds": LOOK_SECONDS,
                "Retry": [RETRY_CLOUDWATCH],
                **self._undone_if_it_fails(),
                "Output": {
                    "decisions": f"{{% {COUNTED} %}}",
                    "least": f"{{% $step = 0 ? {wanted.least_compared}"
                    f" : {wanted.least_answered} %}}",
                },
                "Next": "Enough",
            },
            "Enough": {
                "Type": "Choice",
                "Choices": [
                    {
                        "Condition": "{% $states.input.decisions < $states.input.least %}",
                        "Assign": {
                            "reason": "{% 'it ' & ($step = 0 ? 'was compared in ' : 'made ')"
                            " & $states.input.decisions & ' decisions, not in the '"
                            " & $states.input.least & ' that it takes' %}"
                        },
                        "Next": "Patience",
                    }
                ],
                "Default": "StepUp",
            },
        }

    def approval(self) -> dict[str, Any]:
        """Return the states in which a person is waited for, where the stage wants one."""
        if self._first_answer is None:
            return {}
        hours = self._rollout.approval_hours or 0
        token = "{% $states.context.Task.Token %}"  # noqa: S105 (an expression, no secret)
        ask = self._move("ask", task_token=token, hours=hours)
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
        """Return the moves, each with the time that it takes."""
        rollout = self._rollout
        return {
            "Shadow": self._step(
                "shadow", seconds=rollout.shadow_seconds, guarding=self._shadow_alarms
            ),
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
                "Default": "Look",
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

    def end(self) -> dict[str, Any]:
        """Return the states after the last look: the champion may have been moved by then."""
        return {
            "Standing": {
                **self._move("standing"),
                "Assign": {"pointer": "{% $states.result.Payload %}"},
                "Next": "StillChampion",
            },
            "StillChampion": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $pointer.champion = $version %}", "Next": "Done"}],
                "Default": "Superseded",
            },
            "Superseded": {
                "Type": "Fail",
                "Error": "Superseded",
                "Cause": "{% 'model ' & $version & ' is not the champion any more, '"
                " & $pointer.champion & ' answers: moved by ' & $pointer.moved_by %}",
            },
            # The local cloud's Succeed has no output of its own.
            "Done": {
                "Type": "Pass",
                "Output": "{% $merge([{'version': $version}, $pointer]) %}",
                "End": True,
            },
        }

    def _step(
        self,
        action: str,
        *,
        seconds: int,
        payload: dict[str, Any] | None = None,
        assigned: dict[str, Any] | None = None,
        guarding: list[str] | None = None,
    ) -> dict[str, Any]:
        return {
            **self._move(action, **(payload or {})),
            **self._undone_if_it_fails(),
            "Assign": {
                **(assigned or {}),
                "pointer": "{% $states.result.Payload %}",
                "since": "{% $millis() %}",
                "seconds": seconds,
                "guarding": self._alarms if guarding is None else guarding,
            },
            "Next": "Look",
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
                    "execution": "{% $states.context.Execution.Id %}",
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
            "Retry": [RETRY_CLOUDWATCH],
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
