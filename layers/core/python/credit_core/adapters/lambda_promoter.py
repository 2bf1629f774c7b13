"""The function that moves the rollout pointer, asked by another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import RolloutConflictError, StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class LambdaPromoter:
    """Asks the promoter and waits for its answer."""

    def __init__(self, lambda_: LambdaClient, function: str) -> None:
        self._lambda = lambda_
        self._function = function

    def take_back(self, action: str, version: str, *, moved_by: str) -> str:
        """Withdraw a model or roll it back; return the version of the champion then.

        Raises:
            RolloutConflictError: The promoter refused, or failed; it says why.
            StoreUnavailableError: It did not answer; doing it again is safe.
        """
        asked = {"action": action, "version": version, "moved_by": moved_by}
        try:
            answer = self._lambda.invoke(
                FunctionName=self._function, Payload=json.dumps(asked).encode()
            )
            told = json.loads(answer["Payload"].read())
        except AWS_ERRORS as error:
            message = f"the promoter did not answer: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        if answer.get("FunctionError"):
            message = f"the promoter refused: {told.get('errorMessage')}"
            raise RolloutConflictError(message)
        return str(told["champion"])
