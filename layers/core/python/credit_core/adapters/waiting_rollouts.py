"""Rollouts that wait for a person, as Step Functions holds them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from credit_core.ports import Approval

GONE = {"InvalidToken", "TaskDoesNotExist", "TaskTimedOut"}
REJECTED = "Rejected"
"""The error with which a state ends that a person rejected."""


class WaitingRollouts:
    """Gives a person's word to the state that waits for it."""

    def __init__(self, stepfunctions: SFNClient) -> None:
        self._stepfunctions = stepfunctions

    def resume(self, decided: Approval) -> bool:
        """Let a rollout go on, or end it; return False where it does not wait any more.

        Raises:
            StoreUnavailableError: Step Functions did not answer; doing it again is safe.
        """
        token, by = decided.task_token, str(decided.decided_by)
        try:
            if decided.approved:
                output = json.dumps({"approved_by": by})
                self._stepfunctions.send_task_success(taskToken=token, output=output)
            else:
                cause = f"model {decided.version} was rejected by {by}"
                self._stepfunctions.send_task_failure(taskToken=token, error=REJECTED, cause=cause)
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and error_code(error) in GONE:
                return False
            message = f"Step Functions did not answer: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        return True
