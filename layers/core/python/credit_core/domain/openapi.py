"""The OpenAPI 3.1 document of a product's API: each path, scope, body, answer, error and limit."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from credit_core.domain.api_guide import guide
from credit_core.domain.api_schemas import APPLICATION_ID, CURSOR, Schema, all_schemas, ref
from credit_core.domain.batch_body import MAXIMUM_BATCH_BYTES
from credit_core.domain.referrals import LARGEST_PAGE, USUAL_PAGE
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_core.domain.product import CreditProduct

API_VERSION = "1.1.0"
"""Of the API: the last number for words, the middle one for additions, the first for a break."""

RESOURCE_SERVER = "decisions"
SCOPES = {
    "decide": "Ask for decisions",
    "read": "Read decisions, explanations and the champion's card",
    "review": "See what waits for a person, and record what they decided",
    "report": "Report what became of a loan",
}
"""What a token may be good for. A scope's full name is ``decisions/<scope>``."""

SERVER_URL = "https://api.example.com/live"
TOKEN_URL = "https://auth.example.com/oauth2/token"  # noqa: S105 (an address)
"""What stands for a deployment's addresses where they are not known."""

JSON = "application/json"
PROBLEM = "application/problem+json"
OPENAPI_PATH = "/v1/openapi.json"
PAGE_PATH = "/v1/docs"

ERRORS = {
    HTTPStatus.BAD_REQUEST: (
        "The request cannot be judged: `faults` names every field at fault and what is expected "
        "there. Nothing was recorded. Correct it; the same again is refused again."
    ),
    HTTPStatus.UNAUTHORIZED: (
        "No token, or one that is expired, of another service or without the scope. Get a new one."
    ),
    HTTPStatus.FORBIDDEN: (
        "The token is not good for this call, or the firewall refused it. Sending it again is no "
        "help."
    ),
    HTTPStatus.NOT_FOUND: "Nothing was decided under this `application_id`.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The path has no such method; `Allow` names those that it has.",
    HTTPStatus.CONFLICT: (
        "It contradicts what is recorded: `detail` says what. Nothing was changed. For a decision, "
        "use a new `application_id`."
    ),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is longer than its limit; it was not read.",
    HTTPStatus.TOO_MANY_REQUESTS: (
        "More calls than agreed. Wait, twice as long each time, and send the same again."
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "The service failed. Send the same again; report it with the `request_id` if it stays."
    ),
    HTTPStatus.BAD_GATEWAY: "The answer was lost on the way. Send the same again.",
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "It is not known to be recorded, or no model is there. Send the same again."
    ),
    HTTPStatus.GATEWAY_TIMEOUT: "No answer in time; it may be recorded. Send the same again.",
}
"""When each status comes, and what to do then."""

EVERYWHERE = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
WITH_TOKEN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
WITH_BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

HEADERS: dict[str, Schema] = {
    "Cache-Control": {
        "description": "Answers are about a person: nobody may keep them.",
        "required": True,
        "schema": {"const": "no-store"},
    },
    "Server-Timing": {
        "description": "Milliseconds per stage of this call, as browsers and proxies read them.",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    },
    "Idempotency-Replayed": {
        "description": "`true` when an earlier call made the decision and this is its answer.",
        "required": True,
        "schema": {"enum": ["true", "false"], "type": "string"},
    },
}

APPLICATION_ID_IN_PATH = {
    "name": "application_id",
    "in": "path",
    "required": True,
    "description": "The id under which the application was sent.",
    "schema": APPLICATION_ID,
}
LIMIT_IN_QUERY = {
    "name": "limit",
    "in": "query",
    "description": "At most so many.",
    "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": USUAL_PAGE},
}
AFTER_IN_QUERY = {
    "name": "after",
    "in": "query",
    "description": "`next` of the answer before; without it the queue begins.",
    "schema": CURSOR,
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of a path. ``answers`` has description and schema by status.

    ``asks`` are its parameters in the query; ``leads_to`` the operations that take the
    ``application_id`` of its answer.
    """

    path: str
    method: str
    id: str
    tag: str
    summary: str
    description: str
    answers: Mapping[HTTPStatus, tuple[str, str]]
    scopes: tuple[str, ...] = ()
    asks: tuple[Schema, ...] = ()
    takes: str | None = None
    largest_body: int = MAXIMUM_BODY_BYTES
    errors: tuple[HTTPStatus, ...] = ()
    headers: tuple[str, ...] = ("Cache-Control",)
    leads_to: tuple[str, ...] = ()


DECIDED = HTTPStatus.OK
RECORDED = {
    HTTPStatus.CREATED: "It is recorded now.",
    HTTPStatus.OK: "It was recorded by an earlier call; this is the same answer.",
}
UNKNOWN_ID = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)

OPERATIONS = (
    Operation(
        path="/v1/decisions",
        method="post",
        id="decide",
        tag="Decisions",
        summary="Decide an application",
        description="The decision is recorded before it is answered. The same `application_id` "
        "with the same body gets the recorded answer again, byte for byte; with another body it "
        "is a conflict. A referral whose cause is `retryable` is decided anew when it is sent "
        "again; every other decision is final.",
        scopes=("decide",),
        takes="Application",
        answers={DECIDED: ("The decision.", "Decision")},
        errors=(*WITH_BODY, HTTPStatus.CONFLICT),
        headers=("Cache-Control", "Server-Timing", "Idempotency-Replayed"),
        leads_to=("read-decision", "explain-decision", "review-decision"),
    ),
    Operation(
        path="/v1/decision-batches",
        method="post",
        id="decide-batch",
        tag="Decisions",
        summary="Decide up to 100 applications",
        description="Each application is judged alone, as if it had been sent alone: a fault in "
        "one is no fault of the others. Answers come in the order of the applications.",
        scopes=("decide",),
        takes="Batch",
        largest_body=MAXIMUM_BATCH_BYTES,
        answers={HTTPStatus.OK: ("An answer to each application.", "BatchAnswer")},
        errors=WITH_BODY,
    ),
    Operation(
        path="/v1/decisions/{application_id}",
        method="get",
        id="read-decision",
        tag="Records",
        summary="Read all that is recorded of an application",
        description="The decision as it was answered, those it superseded, reviews, outcomes, and "
        "what stands now.",
        scopes=("read",),
        answers={HTTPStatus.OK: ("What is recorded.", "ApplicationRecord")},
        errors=UNKNOWN_ID,
    ),
    Operation(
        path="/v1/decisions/{application_id}/explanation",
        method="get",
        id="explain-decision",
        tag="Records",
        summary="Explain a decision",
        description="What each feature contributed, computed from the receipt, and the smallest "
        "change of what the applicant can influence that would come out better.",
        scopes=("read",),
        answers={HTTPStatus.OK: ("The explanation.", "Explanation")},
        errors=UNKNOWN_ID,
    ),
    Operation(
        path="/v1/referrals",
        method="get",
        id="list-referrals",
        tag="Records",
        summary="List what waits for a person",
        description="Referrals that nobody has reviewed, the oldest first. One leaves the queue "
        "when it is reviewed, when an outcome is reported, or when it was sent again and decided. "
        "The queue follows within about a second: what was just reviewed may still be in it.",
        scopes=("review",),
        asks=(LIMIT_IN_QUERY, AFTER_IN_QUERY),
        answers={HTTPStatus.OK: ("A page of the queue.", "Referrals")},
        errors=(HTTPStatus.BAD_REQUEST,),
    ),
    Operation(
        path="/v1/decisions/{application_id}/review",
        method="post",
        id="review-decision",
        tag="Records",
        summary="Record a person's review",
        description="For a referral, or a decision that the applicant contests. The decision stays "
        "as it is beside the review, whose outcome stands from then on. `revision` names the "
        "decision that the person saw: if it was decided again meanwhile, it is a conflict, and so "
        "is a review after an outcome was reported. The same review again gets the same answer.",
        scopes=("review",),
        takes="Review",
        answers={status: (words, "RecordedReview") for status, words in RECORDED.items()},
        errors=(*WITH_BODY, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        path="/v1/outcomes",
        method="post",
        id="report-outcome",
        tag="Records",
        summary="Report what became of a loan",
        description="Later models learn from it. `repaid` and `defaulted` are of approved "
        "applications; `withdrawn` excludes both, and `repaid` ends a loan: it may have defaulted "
        "before, not after. The date is not before the decision and not in the future. The same "
        "report again gets the same answer.",
        scopes=("report",),
        takes="OutcomeReport",
        answers={status: (words, "RecordedOutcome") for status, words in RECORDED.items()},
        errors=(*WITH_BODY, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
    Operation(
        path="/v1/model",
        method="get",
        id="read-model",
        tag="Service",
        summary="Read the champion's card",
        description="Which model decides, how good it was measured to be, and what it had to pass.",
        scopes=("read",),
        answers={HTTPStatus.OK: ("The card.", "ModelCard")},
    ),
    Operation(
        path="/v1/health",
        method="get",
        id="check-health",
        tag="Service",
        summary="Ask whether decisions can be made",
        description="Ready only when a verified model is loaded.",
        scopes=("decide", "read"),
        answers={HTTPStatus.OK: ("Ready.", "Health")},
    ),
)

TAGS = {
    "Decisions": "Applications in, decisions out.",
    "Records": "What was decided, why, what a person made of it, and what became of the loan.",
    "Service": "The model that decides, and whether it can.",
}


def openapi_document(
    product: CreditProduct,
    *,
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
    server_url: str | None = None,
    token_url: str | None = None,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a product's API.

    Args:
        product: The product.
        examples: Recorded calls by operation id, each with ``name``, ``summary``, ``request``
            (the body, or null) and ``response`` (``status``, ``headers``, ``body``).
        server_url: The API's base address, without a slash at its end.
        token_url: Where tokens are issued.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(operation.path, {})
        if "{application_id}" in operation.path:
            path["parameters"] = [APPLICATION_ID_IN_PATH]
        path[operation.method] = _operation(operation, examples.get(operation.id, ()))
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": f"Credit decisions: {product.title.lower()}",
            "version": API_VERSION,
            "summary": f"Approve, decline or refer: {product.description}",
            "description": guide(
                product,
                server_url=server_url if server_url and "://" in server_url else SERVER_URL,
                token_url=token_url or TOKEN_URL,
                examples=examples.get("decide", ()),
            ),
        },
        "servers": [{"url": server_url or SERVER_URL}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {"client": _client(token_url or TOKEN_URL)},
            "schemas": all_schemas(product),
            "headers": HEADERS,
            "responses": {_error_name(status): _error(status) for status in ERRORS},
        },
    }


def _client(token_url: str) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "description": "A token by the client credentials of your application (RFC 6749, 4.4).",
        "flows": {
            "clientCredentials": {
                "tokenUrl": token_url,
                "scopes": {f"{RESOURCE_SERVER}/{name}": words for name, words in SCOPES.items()},
            }
        },
    }


def _operation(operation: Operation, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    errors = {*operation.errors, *EVERYWHERE, *(WITH_TOKEN if operation.scopes else ())}
    document: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        # Any one of the scopes will do.
        "security": [{"client": [f"{RESOURCE_SERVER}/{name}"]} for name in operation.scopes],
    }
    if operation.asks:
        document["parameters"] = list(operation.asks)
    if operation.takes:
        document["requestBody"] = {
            "required": True,
            "description": f"At most {operation.largest_body:,} bytes of JSON in UTF-8, each name "
            "once.",
            "content": {
                JSON: _with_examples(
                    {"schema": ref(operation.takes)},
                    {
                        call["name"]: {"summary": call["summary"], "value": call["request"]}
                        for call in calls
                        if call["response"]["status"] < HTTPStatus.BAD_REQUEST
                    },
                )
            },
        }
    document["responses"] = {
        str(status.value): _answer(operation, status, calls) for status in operation.answers
    } | {
        str(status.value): _refusal(status, calls)
        for status in sorted(errors - operation.answers.keys())
    }
    return document


def _answer(
    operation: Operation, status: HTTPStatus, calls: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    words, schema = operation.answers[status]
    content = _with_examples({"schema": ref(schema)}, _answered(calls, status))
    answer: dict[str, Any] = {
        "description": words,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in operation.headers},
        "content": {JSON: content},
    }
    if operation.leads_to:
        parameters = {"application_id": "$response.body#/application_id"}
        answer["links"] = {
            name: {"operationId": name, "parameters": parameters} for name in operation.leads_to
        }
    return answer


def _refusal(status: HTTPStatus, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    recorded = _answered(calls, status)
    if not recorded:
        return {"$ref": f"#/components/responses/{_error_name(status)}"}
    error = _error(status)
    return {**error, "content": {PROBLEM: _with_examples(error["content"][PROBLEM], recorded)}}


def _error(status: HTTPStatus) -> dict[str, Any]:
    schema = ref("Problem") | {"properties": {"status": {"const": status.value}}}
    return {"description": ERRORS[status], "content": {PROBLEM: {"schema": schema}}}


def _error_name(status: HTTPStatus) -> str:
    """Return the name of an error's response.

    >>> _error_name(HTTPStatus.NOT_FOUND)
    'NotFound'
    """
    return status.name.title().replace("_", "")


def _answered(calls: Sequence[Mapping[str, Any]], status: HTTPStatus) -> dict[str, Any]:
    return {
        call["name"]: {"summary": call["summary"], "value": call["response"]["body"]}
        for call in calls
        if call["response"]["status"] == status
    }


def _with_examples(content: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    return {**content, "examples": examples} if examples else content
