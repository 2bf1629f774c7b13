"""Rollouts under way, as Step Functions runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

OVER = {"ExecutionDoesNotExist", "ValidationException"}
"""What Step Functions answers of an execution that has ended."""

LONGEST_CAUSE = 32_768
TAKEN_BACK = "TakenBack"
"""The error with which a rollout ends whose model was moved by somebody else."""


class RunningRollouts:
    """Stops executions of the rollout's state machine.

    Args:
        stepfunctions: Client.
        state_machine: Its ARN.
    """

    def __init__(self, stepfunctions: SFNClient, state_machine: str) -> None:
        self._stepfunctions = stepfunctions
        self._executions = state_machine.replace(":stateMachine:", ":execution:")

    def arn(self, name: str) -> str:
        """Return the ARN of the execution of that name."""
        return f"{self._executions}:{name}"

    def stop(self, name: str, *, cause: str) -> None:
        """Stop an execution; one that has ended stays as it is.

        Raises:
            StoreUnavailableError: It is not known to have ended; doing it again is safe.
        """
        try:
            self._stepfunctions.stop_execution(
                executionArn=self.arn(name), error=TAKEN_BACK, cause=cause[:LONGEST_CAUSE]
            )
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and error_code(error) in OVER:
                return
            message = f"Step Functions did not answer: {error_code(error)}"
            raise StoreUnavailableError(message) from None
