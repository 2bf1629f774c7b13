"""Calls of a deployed API, one of each kind, kept with what was answered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_cli.api import ClientKind, fetch_token, send
from credit_cli.errors import PreconditionError
from credit_cli.load_applications import applications, lake_applications
from credit_core.domain.openapi import OPERATIONS
from credit_core.domain.referrals import Place
from credit_core.domain.review import adverse_action_codes

if TYPE_CHECKING:
    from datetime import datetime

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_core.domain.product import CreditProduct

MOST_TRIED = 400
"""Applications of the lake that are sent until each kind of decision was seen."""
HEADERS = (
    "Allow",
    "Cache-Control",
    "Content-Type",
    "Idempotency-Replayed",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
)
"""Those that this API's document promises; others are the gateway's own."""

type Call = dict[str, Any]


class ApiCalls:
    """The API with a token of each kind of client."""

    def __init__(self, aws: Aws, deployment: Deployment) -> None:
        self._url = deployment.api_url
        self._tokens = {
            kind: fetch_token(aws, deployment, kind).access_token for kind in ClientKind
        }

    def __call__(
        self,
        operation_id: str,
        name: str,
        summary: str,
        request: object = None,
        *,
        by: ClientKind = ClientKind.APPLICATION,
        application_id: str = "",
        query: str = "",
        with_token: bool = True,
    ) -> Call:
        """Call an operation and return what was asked and answered."""
        operation = next(known for known in OPERATIONS if known.id == operation_id)
        path = operation.path.replace("{application_id}", application_id) + query
        headers = {"Content-Type": "application/json"} if operation.takes else {}
        if with_token:
            headers["Authorization"] = f"Bearer {self._tokens[by]}"
        body = json.dumps(request).encode() if operation.takes else None
        answer = send(operation.method.upper(), self._url + path, headers, body=body)
        given = {header.lower(): value for header, value in answer.headers.items()}
        return {
            "operation": operation_id,
            "name": name,
            "summary": summary,
            "path": path,
            "request": request,
            "response": {
                "status": answer.status,
                "headers": {
                    header: given[header.lower()] for header in HEADERS if header.lower() in given
                },
                "body": answer.document(),
            },
        }


def made_calls(
    call: ApiCalls,
    aws: Aws,
    deployment: Deployment,
    product: CreditProduct,
    *,
    as_of: datetime,
) -> list[Call]:
    """Make one call of each kind and return all.

    Raises:
        PreconditionError: The lake holds no applications, or none of some kind.
    """
    run = f"{as_of:%Y%m%dT%H%M%S}"
    found = one_of_each_outcome(call, aws, deployment, product, run=run)
    declined, approved, referred = (
        found[outcome] | {"application_id": f"loan-{run}-{place}"}
        for place, outcome in enumerate(("decline", "approve", "refer"), 1)
    )
    first, second, third = (
        document["application_id"] for document in (declined, approved, referred)
    )
    feature = next(known for known in product.request_features if known.minimum is not None)
    faulty = {
        **approved,
        "application_id": "loan 4",
        feature.name: "much",
        "nickname": "Sam",
    }
    missing = {name: value for name, value in approved.items() if name != feature.name}
    review = {
        "review_id": f"review-{run}-1",
        "revision": 1,
        "outcome": "decline",
        "reviewer": "r.meyer",
        "reason": "The employer could not confirm the income.",
        "adverse_action_codes": [adverse_action_codes(product)[0]],
    }
    repaid = {"application_id": second, "outcome": "repaid", "date": f"{as_of:%Y-%m-%d}"}
    desk, servicing = ClientKind.DESK, ClientKind.SERVICING
    decided = [
        call("decide", "declined", "A decline with its reasons", declined),
        call("decide", "approved", "An approval", approved),
        call("decide", "referred", "A referral", referred),
    ]
    # Behind the approval waits the referral, whatever else waits.
    behind = Place.of(decided[1]["response"]["body"]).cursor
    return [
        *decided,
        call("decide", "repeated", "The same application again", declined),
        call("decide", "faulty", "Several faults, told at once", faulty),
        call("decide", "no-token", "A call without a token", declined, with_token=False),
        call(
            "decide",
            "conflict",
            "An id that was used before",
            approved | {"application_id": first},
        ),
        call(
            "decide-batch",
            "batch",
            "One application is decided already, one is faulty",
            {"applications": [approved, missing]},
        ),
        call("decide-batch", "empty-batch", "A batch of nothing", {"applications": []}),
        call(
            "list-referrals",
            "waiting",
            "What waits behind a place",
            by=desk,
            query=f"?after={behind}",
        ),
        call("list-referrals", "too-many", "More than a page holds", by=desk, query="?limit=1000"),
        call("explain-decision", "explained", "A decline", application_id=first),
        call(
            "review-decision",
            "reviewed",
            "A referral is declined",
            review,
            by=desk,
            application_id=third,
        ),
        call(
            "review-decision",
            "reviewed-again",
            "The same review again",
            review,
            by=desk,
            application_id=third,
        ),
        call(
            "review-decision",
            "review-conflict",
            "A review id that was used before",
            review | {"reason": "Another one."},
            by=desk,
            application_id=third,
        ),
        call("report-outcome", "repaid", "A loan was repaid", repaid, by=servicing),
        call(
            "report-outcome",
            "not-approved",
            "A loan that there can't be",
            repaid | {"application_id": first},
            by=servicing,
        ),
        call("read-decision", "record", "A reviewed referral", application_id=third, by=desk),
        call("read-decision", "unknown", "An id that was never sent", application_id="loan-0"),
        call("read-model", "card", "The champion"),
        call("check-health", "ready", "A model is loaded"),
    ]


def one_of_each_outcome(
    call: ApiCalls, aws: Aws, deployment: Deployment, product: CreditProduct, *, run: str
) -> dict[str, dict[str, Any]]:
    """Return an application per outcome that the model settled.

    Raises:
        PreconditionError: Of some outcome there is none.
    """
    known = lake_applications(aws.client("s3"), deployment["LakeBucket"], product)
    found: dict[str, dict[str, Any]] = {}
    for body in applications(product, known, count=MOST_TRIED, run=f"sought-{run}", seed=0):
        document = json.loads(body)
        decision = call("decide", "", "", document)["response"]["body"]
        if decision.get("decided_by", {}).get("kind") == "cutoff":
            found.setdefault(decision["outcome"], document)
        if len(found) == len(("approve", "decline", "refer")):
            return found
    raise PreconditionError(
        f"{MOST_TRIED} applications of the lake gave no more than {', '.join(found) or 'faults'}",
        hint="is a champion promoted, and are features materialized? see: make demo",
    )
