"""Whom the desk asks about decisions: the API with tokens of its own, and the decisions table.

Nothing here prints or keeps what an applicant sent; a problem of the API names fields, no values.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from dataclasses import dataclass, field
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from credit_cli import api
from credit_cli.api import ClientKind
from credit_cli.errors import RefusedError, UnreachableError
from credit_cli.replay import product_now
from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.adapters.model_artifacts import verified_model
from credit_core.adapters.model_registry import objects_in
from credit_core.domain.application_records import compact_json
from credit_core.domain.receipt import is_receipt
from credit_core.errors import StoreUnavailableError
from credit_core.use_cases.replay import Replayer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.api import Answer, Token
    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_core.domain.application_records import StoredRecord
    from credit_core.use_cases.replay import Replay

RENEW_BEFORE_SECONDS = 60
UNAUTHORIZED, NOT_FOUND, TOO_MANY, SERVERS_FAULT = 401, 404, 429, 500
DEADLINE_VARIABLE = "CREDIT_DEADLINE_MS"


class ProblemError(RefusedError):
    """The API refused or failed, by an RFC 9457 problem document.

    ``faults`` are pairs of a field's path and what is expected there.
    """

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.title = str(document.get("title") or document.get("message") or "no reason given")
        detail = document.get("detail")
        self.detail = str(detail) if detail else ""
        self.request_id = str(document.get("request_id") or "")
        faults = document.get("faults")
        self.faults: tuple[tuple[str, str], ...] = tuple(
            (str(fault.get("path")), str(fault.get("message")))
            for fault in (faults if isinstance(faults, list) else ())
            if isinstance(fault, dict)
        )
        named = [{"path": path, "message": message} for path, message in self.faults]
        said = api.problem_text({**document, "faults": named})
        super().__init__(f"{status} {said}", hint=hint_of(status, self.request_id))


def hint_of(status: int, request_id: str) -> str | None:
    """Return what to do about a problem of the API."""
    quoted = f" Its request_id: {request_id}" if request_id else ""
    if status == UNAUTHORIZED:
        return "a new token was fetched and refused too: are the clients those of this deployment?"
    if status == NOT_FOUND:
        return "is it the right stage and product? Ids are told apart by upper and lower case"
    if status == TOO_MANY:
        return "wait a few seconds, then try again: nothing was recorded"
    if status >= SERVERS_FAULT:
        return f"trying again is safe: what is recorded is recorded once.{quoted}"
    return quoted.strip() or None


@dataclass(frozen=True)
class AnswerTimes:
    """How long an answer took: the header Server-Timing, and the round trip as the desk saw it.

    ``repeated`` says whether the API had decided it before.
    """

    server_timing: str
    seconds: float
    repeated: bool = False


@dataclass(frozen=True)
class Decided:
    """A decision as it was answered, and how long that took."""

    decision: Mapping[str, Any]
    times: AnswerTimes


@dataclass(frozen=True)
class Limits:
    """How long a decision may take, None where that is not known.

    After ``deadline_ms`` the scorer waits for nobody any more; ``budget_ms`` is the p99 that
    clients are promised, above which the latency alarm rings.
    """

    deadline_ms: float | None = None
    budget_ms: float | None = None


class Office(Protocol):
    """What pages ask. Each method may raise ProblemError or another CliError."""

    def decide(self, application: bytes) -> Decided:
        """Ask for the decision on an application, sent byte for byte as it is."""

    def record(self, application_id: str) -> Mapping[str, Any]:
        """Return what `GET /v1/decisions/{application_id}` answers."""

    def explanation(self, application_id: str) -> Mapping[str, Any]:
        """Return what `GET /v1/decisions/{application_id}/explanation` answers."""

    def review(self, application_id: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        """Record a review, and return it as it is recorded."""

    def referrals(self, *, limit: int, after: str | None) -> Mapping[str, Any]:
        """Return a page of what `GET /v1/referrals` answers."""

    def receipts(self, application_id: str) -> Sequence[StoredRecord]:
        """Return every record of an application as it is stored, none if there is none."""

    def replay(self, records: Sequence[StoredRecord]) -> Sequence[Replay]:
        """Decide again from receipts and models alone; one answer for each receipt."""

    def card(self) -> Mapping[str, Any]:
        """Return what `GET /v1/model` answers."""

    def limits(self) -> Limits:
        """Return how long a decision may take, as it is deployed."""

    def samples(self) -> Sequence[Mapping[str, Any]]:
        """Return applications of the local cloud's lake, without ids; none elsewhere."""


@dataclass
class Tokens:
    """Bearer tokens, fetched when first needed and again before they end."""

    fetch: Callable[[ClientKind], Token]
    clock: Callable[[], float] = time.monotonic
    _kept: dict[ClientKind, tuple[str, float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def __call__(self, kind: ClientKind, *, anew: bool = False) -> str:
        """Return a token that is good for some time yet; ``anew`` one that was just issued."""
        with self._lock:
            token, good_until = self._kept.get(kind, ("", 0.0))
            if anew or self.clock() >= good_until:
                issued = self.fetch(kind)
                token = issued.access_token
                good_until = self.clock() + issued.expires_in_seconds - RENEW_BEFORE_SECONDS
                self._kept[kind] = (token, good_until)
            return token


class DeployedOffice:
    """The office of a deployment, local or in an account."""

    def __init__(
        self,
        aws: Aws,
        deployment: Deployment,
        *,
        samples: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
    ) -> None:
        self._deployment = deployment
        self._tokens = Tokens(lambda kind: api.fetch_token(aws, deployment, kind))
        self._samples = samples
        self._found_samples: Sequence[Mapping[str, Any]] | None = None
        self._found_limits: Limits | None = None
        # Making a client takes longer than its call; one serves all threads.
        self._client = cache(aws.client)

    def decide(self, application: bytes) -> Decided:
        """Ask for a decision.

        Raises:
            ProblemError: The API refused the application, or failed.
            UnreachableError: Nothing answers.
        """
        answer = self._ask("POST", api.DECISIONS_PATH, ClientKind.APPLICATION, body=application)
        return Decided(
            answer.document(),
            AnswerTimes(
                answer.headers.get("Server-Timing", ""),
                answer.seconds,
                answer.headers.get("Idempotency-Replayed") == "true",
            ),
        )

    def record(self, application_id: str) -> Mapping[str, Any]:
        """Return all that is recorded of an application.

        Raises:
            ProblemError: Nothing was decided under this id, or the API failed.
            UnreachableError: Nothing answers.
        """
        return self._ask("GET", path_of(application_id), ClientKind.DESK).document()

    def explanation(self, application_id: str) -> Mapping[str, Any]:
        """Return why an application was decided so.

        Raises:
            ProblemError: Nothing was decided under this id, or the API failed.
            UnreachableError: Nothing answers.
        """
        path = f"{path_of(application_id)}/explanation"
        return self._ask("GET", path, ClientKind.DESK).document()

    def review(self, application_id: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        """Record a review.

        Raises:
            ProblemError: It is refused, contradicts what is recorded, or the API failed.
            UnreachableError: Nothing answers.
        """
        body = compact_json(dict(review)).encode()
        path = f"{path_of(application_id)}/review"
        return self._ask("POST", path, ClientKind.DESK, body=body).document()

    def referrals(self, *, limit: int, after: str | None) -> Mapping[str, Any]:
        """Return a page of referrals that nobody reviewed, the oldest first.

        Raises:
            ProblemError: The API refused or failed.
            UnreachableError: Nothing answers.
        """
        query = {"limit": str(limit)} | ({"after": after} if after else {})
        path = f"{api.REFERRALS_PATH}?{urllib.parse.urlencode(query)}"
        return self._ask("GET", path, ClientKind.DESK).document()

    def receipts(self, application_id: str) -> Sequence[StoredRecord]:
        """Return every record of an application, read from the decisions table.

        Raises:
            UnreachableError: The table did not answer.
        """
        dynamodb: DynamoDBClient = self._client("dynamodb")
        table = DynamoDecisionRecords(dynamodb, self._deployment["DecisionsTable"])
        try:
            return list(table.of_application(application_id))
        except StoreUnavailableError as error:
            raise UnreachableError(str(error)) from None

    def replay(self, records: Sequence[StoredRecord]) -> Sequence[Replay]:
        """Decide again from receipts and models alone, as `credit decisions replay` does."""
        s3: S3Client = self._client("s3")
        read = objects_in(s3, self._deployment["ModelsBucket"])
        again = Replayer(partial(verified_model, read), product_now)
        return [again(record) for record in records if is_receipt(record)]

    def card(self) -> Mapping[str, Any]:
        """Return the champion's card.

        Raises:
            ProblemError: There is no champion, or the API failed.
            UnreachableError: Nothing answers.
        """
        return self._ask("GET", "/v1/model", ClientKind.DESK).document()

    def limits(self) -> Limits:
        """Return how long a decision may take: by the function's settings and the alarm's."""
        if self._found_limits is None:
            functions: LambdaClient = self._client("lambda")
            found = functions.get_function_configuration(
                FunctionName=self._deployment["ScorerFunction"]
            )
            deadline = found.get("Environment", {}).get("Variables", {}).get(DEADLINE_VARIABLE)
            cloudwatch: CloudWatchClient = self._client("cloudwatch")
            alarms = cloudwatch.describe_alarms(AlarmNames=[self._deployment["LatencyAlarm"]])
            budgets = [alarm.get("Threshold") for alarm in alarms["MetricAlarms"]]
            self._found_limits = Limits(
                float(deadline) if deadline else None, budgets[0] if budgets else None
            )
        return self._found_limits

    def samples(self) -> Sequence[Mapping[str, Any]]:
        """Return applications of the lake, without ids; read once."""
        if self._found_samples is None:
            self._found_samples = self._samples()
        return self._found_samples

    def _ask(
        self, method: str, path: str, kind: ClientKind, *, body: bytes | None = None
    ) -> Answer:
        """Ask the API; a token that it takes no more is fetched anew, once.

        Raises:
            ProblemError: The API refused or failed.
            UnreachableError: Nothing answers.
        """
        answer = self._send(method, path, self._tokens(kind), body)
        if answer.status == UNAUTHORIZED:
            answer = self._send(method, path, self._tokens(kind, anew=True), body)
        if not answer.ok:
            raise ProblemError(answer.status, answer.document())
        if not isinstance(_parsed(answer.body), dict):
            raise ProblemError(502, {"title": "The answer is no JSON object"})
        return answer

    def _send(self, method: str, path: str, token: str, body: bytes | None) -> Answer:
        headers = api.bearing(token)
        if body is not None:
            headers["Content-Type"] = "application/json"
        return api.send(method, f"{self._deployment.api_url}{path}", headers, body=body)


def path_of(application_id: str) -> str:
    """Return the API's path of an application's decision.

    >>> path_of("a/b c")
    '/v1/decisions/a%2Fb%20c'
    """
    return f"{api.DECISIONS_PATH}/{api.quoted(application_id)}"


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None
