"""What CloudFormation asks of a resource of ours, and how it is answered.

Source: CloudFormation Template Reference, "Custom resource request and response reference".
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudformation import CloudFormationClient

ANSWER_SECONDS = 30
MOST_REASON = 1_000
"""CloudFormation takes 4,096 bytes of an answer."""


def is_being_deleted(cloudformation: CloudFormationClient, stack: str) -> bool:
    """Tell whether the stack itself is going, rather than one of its resources.

    Raises:
        StoreUnavailableError: CloudFormation did not say.
    """
    try:
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except AWS_ERRORS as error:
        message = f"CloudFormation did not tell the stack's state: {error_code(error)}"
        raise StoreUnavailableError(message) from None
    return found["StackStatus"] == "DELETE_IN_PROGRESS"


def answer(event: Mapping[str, Any], *, failure: str | None = None) -> None:
    """Tell CloudFormation that the resource is as it asked, or why it is not.

    Its id never changes: another would have CloudFormation delete the one before.

    Raises:
        StoreUnavailableError: It could not be told; it waits for its own time to pass.
    """
    document = {
        "Status": "FAILED" if failure else "SUCCESS",
        "Reason": (failure or "")[:MOST_REASON],
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    request = urllib.request.Request(  # noqa: S310 (CloudFormation's own address)
        event["ResponseURL"],
        data=json.dumps(document).encode(),
        method="PUT",
        # The address is signed for an answer of no type.
        headers={"Content-Type": ""},
    )
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):  # noqa: S310 (as above)
            pass
    except (urllib.error.URLError, OSError) as error:
        message = f"CloudFormation could not be answered: {type(error).__name__}"
        raise StoreUnavailableError(message) from None
