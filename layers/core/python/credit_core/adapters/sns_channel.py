"""Messages to on-call, through an SNS topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

LONGEST_SUBJECT = 100
"""Characters; SNS refuses more, line breaks, and what is not ASCII."""


class SnsChannel:
    """Tells whoever subscribed to a topic."""

    def __init__(self, sns: SNSClient, topic_arn: str) -> None:
        self._sns = sns
        self._topic_arn = topic_arn

    def tell(self, subject: str, text: str) -> None:
        """Send a message.

        Raises:
            StoreUnavailableError: It is not known to have arrived; sending it again is safe.
        """
        line = " ".join(subject.split()).encode("ascii", "replace").decode()[:LONGEST_SUBJECT]
        try:
            self._sns.publish(TopicArn=self._topic_arn, Subject=line, Message=text)
        except AWS_ERRORS as error:
            message = f"on-call was not told: {error_code(error)}"
            raise StoreUnavailableError(message) from None
