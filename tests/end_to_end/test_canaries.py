"""A thousand applicants whom nobody else knows, sent through every path, and then looked for.

Each canary's id bears a mark that is found nowhere else. The lender's own files in the lake may
hold it, in their bytes; what the service itself writes may not, in no place and in no name.
"""

from __future__ import annotations

import gzip
import json
import time
import uuid
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_cli import api
from credit_cli.checkout import Checkout
from credit_cli.log_lines import lines_since
from credit_core.domain.feature_event import DETAIL_TYPE
from credit_core.domain.review import adverse_action_codes
from tests.builders import PRODUCT, features_of
from tests.feature_rows import BUREAU, a_lake_row, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Caller, Client, Credit

pytestmark = pytest.mark.end_to_end

SCORED, BATCHED, FAULTY, PUSHED, REFUSED, DELIVERED, REJECTED, ERASED = (
    *(167, 300, 150, 100, 100),
    *(100, 80, 3),
)
CANARIES = 1_000
PATIENCE_SECONDS = 120
SENDERS = 6
PARQUET, GZIP = b"PAR1", b"\x1f\x8b"


@dataclass
class Flock:
    """The canaries of one run, and what was answered to requests about them."""

    mark: str = field(default_factory=lambda: f"cnry{uuid.uuid4().hex[:10]}")
    released: int = 0
    answers: list[str] = field(default_factory=list)
    application_ids: list[str] = field(default_factory=list)

    def release(self, path: str, count: int) -> list[str]:
        """Return the ids of so many more canaries."""
        first, self.released = self.released, self.released + count
        return [f"{self.mark}-{path}-{number:04}" for number in range(first, self.released)]


def eventually(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return value


def faulty(application: dict[str, Any], canary: str) -> Iterator[bytes]:
    """Yield bodies that are refused, with a canary wherever there is room for one."""
    sound = json.dumps(application | {"applicant_id": canary})
    yield sound[:-1].encode()
    yield sound.replace("{", "[", 1).encode()
    yield json.dumps(application | {"applicant_id": [canary]}).encode()
    yield json.dumps(application | {"applicant_id": {canary: canary}}).encode()
    yield json.dumps(application | {canary: canary}).encode()
    yield json.dumps(application | {"loan_amount": canary}).encode()
    yield json.dumps(application | {"application_id": f"{canary} {canary}"}).encode()
    yield json.dumps(application | {"applicant_id": canary * 20}).encode()
    yield sound.replace('"applicant_id"', '"applicant_id": 1, "applicant_id"').encode()
    yield json.dumps([canary]).encode()
    yield json.dumps(canary).encode()
    yield canary.encode() + b"\xff\xfe\x00"


@dataclass(frozen=True)
class Paths:
    """Every way by which an applicant's id comes into the service."""

    flock: Flock
    aws: LocalAws
    deployment: Deployment
    credit: Credit
    client: Client
    callers: dict[str, Caller]
    an_application: Callable[..., dict[str, Any]]

    def take_all(self, folder: Path) -> None:
        """Send each canary by its path."""
        self.score()
        self.batch()
        self.send_what_is_refused()
        self.record()
        self.push()
        self.materialize(folder)
        self.erase()

    def _applications(self, canaries: list[str]) -> list[dict[str, Any]]:
        applications = [self.an_application(applicant_id=canary) for canary in canaries]
        self.flock.application_ids += [found["application_id"] for found in applications]
        return applications

    def score(self) -> None:
        applications = self._applications(self.flock.release("score", SCORED))
        with ThreadPoolExecutor(SENDERS) as senders:
            answers = list(senders.map(self.client, applications))
        assert {answer.status for answer in answers} == {200}
        self.flock.answers += [answer.body.decode() for answer in answers]

    def batch(self) -> None:
        canaries = self.flock.release("batch", BATCHED)
        # One in ten of each batch is no application at all.
        sound = self._applications(canaries[: BATCHED * 9 // 10])
        broken = [{canary: canary, "applicant_id": canary} for canary in canaries[len(sound) :]]
        for some in batched([*sound, *broken], 100, strict=False):
            answer = self.callers["application"](
                "POST", "/v1/decision-batches", {"applications": some}
            )
            assert answer.status == 200
            self.flock.answers.append(answer.body.decode())

    def send_what_is_refused(self) -> None:
        canaries = self.flock.release("faulty", FAULTY)
        application = self.an_application()
        bodies = [body for canary in canaries[:10] for body in faulty(application, canary)]
        bodies += [
            json.dumps(application | {"applicant_id": canary, "annual_income": -1}).encode()
            for canary in canaries[10:-50]
        ]
        with ThreadPoolExecutor(SENDERS) as senders:
            for answer in senders.map(self.client.post, bodies):
                assert 400 <= answer.status < 500, answer.body
                self.flock.answers.append(answer.body.decode())
        routes = ("/v1/{}", "/v1/model?applicant_id={}", "/{}/{}", "/v1/decisions/%20{}")
        for number, canary in enumerate(canaries[-50:]):
            path = routes[number % len(routes)].replace("{}", canary)
            for kind, method in (
                ("application", "GET"),
                ("application", "POST"),
                ("nobody", "GET"),
            ):
                answer = self.callers[kind](method, path, {"id": canary})
                self.flock.answers.append(answer.body.decode())
            spoken = api.send(
                "GET",
                f"{self.deployment.api_url}/v1/health",
                {"Authorization": f"Bearer {canary}", "X-Applicant": canary, "User-Agent": canary},
            )
            assert spoken.status == 401
            self.flock.answers.append(spoken.body.decode())

    def record(self) -> None:
        """Have records refused that name an applicant where none belongs."""
        desk, servicing = self.callers["desk"], self.callers["servicing"]
        code = adverse_action_codes(PRODUCT)[0]
        for application_id in self.flock.application_ids[:20]:
            canary = f"{self.flock.mark}-{application_id}"
            for answer in (
                desk(
                    "POST",
                    f"/v1/decisions/{application_id}/review",
                    {"review_id": canary * 9, "applicant_id": canary, "outcome": canary},
                ),
                desk(
                    "POST",
                    f"/v1/decisions/{application_id}/review",
                    {"adverse_action_codes": [code, canary], "revision": canary},
                ),
                servicing(
                    "POST", "/v1/outcomes", {"application_id": f" {canary}", "status": canary}
                ),
                servicing(
                    "POST", "/v1/outcomes", {"application_id": application_id, canary: canary}
                ),
            ):
                assert 400 <= answer.status < 500, answer.body
                self.flock.answers.append(answer.body.decode())

    def push(self) -> None:
        rows = [a_row(canary) for canary in self.flock.release("push", PUSHED)]
        done = self.credit("push", "-", "--json", stdin="\n".join(map(json.dumps, rows)).encode())
        self.flock.answers.append(done.stdout.decode())
        late = datetime.now(UTC) + timedelta(days=2)
        changes: tuple[Callable[[str], dict[str, Any]], ...] = (
            lambda canary: a_row(canary) | {"created_timestamp": late.isoformat()},
            lambda canary: a_row(canary) | {"features": {canary: canary}},
            lambda canary: a_row(canary) | {"view": canary},
            lambda canary: a_row(canary) | {"keys": {canary: canary, "applicant_id": 7}},
            lambda canary: {canary: canary},
        )
        canaries = self.flock.release("refused", REFUSED)
        refused = [changes[number % len(changes)](canary) for number, canary in enumerate(canaries)]
        events: EventBridgeClient = self.aws.client("events")
        for some in batched(refused, 10, strict=False):
            sent = events.put_events(
                Entries=[
                    {
                        "EventBusName": self.deployment["FeatureBus"],
                        "Source": "canaries",
                        "DetailType": DETAIL_TYPE,
                        "Detail": json.dumps(detail),
                    }
                    for detail in some
                ]
            )
            assert sent["FailedEntryCount"] == 0
        # Poison: no events at all. None has to come back for ever.
        sqs: SQSClient = self.aws.client("sqs")
        for queue in self._queues():
            if "PushQueue" in queue:
                for body in (self.flock.mark, f'{{"detail": "{self.flock.mark}', "[]"):
                    sqs.send_message(QueueUrl=queue, MessageBody=body)

    def materialize(self, folder: Path) -> None:
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
        delivered = self.flock.release("delivered", DELIVERED)
        rejected = self.flock.release("rejected", REJECTED)
        rows = [a_lake_row(applicant_id=canary, event=at, created=at) for canary in delivered]
        rows += [
            a_lake_row(
                applicant_id=canary, event=at + timedelta(days=9), created=at + timedelta(days=9)
            )
            for canary in rejected
        ]
        good = write_parquet(folder / "rows.parquet", rows)
        refused = folder / "refused.parquet"
        refused.write_bytes(good.read_bytes()[:-20])
        s3: S3Client = self.aws.client("s3")
        lake = self.deployment["LakeBucket"]
        prefix = f"{PRODUCT.view_prefix(BUREAU)}canaries-{uuid.uuid4().hex}/"
        for path in (good, refused):
            s3.put_object(Bucket=lake, Key=f"{prefix}{path.name}", Body=path.read_bytes())
        done = self.credit("materialize", "--prefix", prefix, check=False)
        # Too many rejected rows, and a file that can't be read: either fails the run.
        assert done.returncode == 1
        self.flock.answers += [done.stdout.decode(), done.stderr.decode()]
        # Later tests train on the lake and count its files.
        for path in (good, refused):
            s3.delete_object(Bucket=lake, Key=f"{prefix}{path.name}")

    def unsettled(self) -> int:
        """Return how many pushed rows still wait. None is received: each time counts as a try."""
        sqs: SQSClient = self.aws.client("sqs")
        waiting = 0
        for queue in self._queues():
            if "PushQueue" in queue:
                found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
                waiting += int(found["Attributes"]["ApproximateNumberOfMessages"])
                waiting += int(found["Attributes"]["ApproximateNumberOfMessagesNotVisible"])
        return waiting

    def erase(self) -> None:
        for canary in self.flock.release("erased", ERASED):
            keys = f"applicant_id={canary}\n".encode()
            done = self.credit("erase", "-", "--yes", "--json", stdin=keys)
            self.flock.answers.append(done.stdout.decode())

    def _queues(self) -> list[str]:
        sqs: SQSClient = self.aws.client("sqs")
        pages = sqs.get_paginator("list_queues").paginate()
        return [url for page in pages for url in page.get("QueueUrls", [])]


def a_row(applicant_id: str) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(seconds=2)).isoformat(timespec="milliseconds")
    return {
        "view": "bureau",
        "keys": {"applicant_id": applicant_id},
        "event_timestamp": at,
        "created_timestamp": at,
        "features": features_of(BUREAU),
    }


@dataclass(frozen=True)
class Places:
    """Everywhere that the service writes, by what is there."""

    aws: LocalAws
    deployment: Deployment
    scratch: Path

    def all(self) -> Iterator[tuple[str, Iterator[str]]]:
        """Yield each place with the texts in it."""
        yield "logs", self.logs()
        yield "metrics", self.metrics()
        yield "executions", self.executions()
        yield "queues", self.queues()
        for output in ("OnlineStoreTable", "DecisionsTable", "RegistryTable"):
            yield output, self.table(output)
        for output in ("ResultsBucket", "ModelsBucket", "ReceiptsBucket"):
            yield output, self.bucket(output)
        yield "names in the lake", self.names("LakeBucket")
        yield "files of the local cloud", self.files()

    def logs(self) -> Iterator[str]:
        logs = self.aws.client("logs")
        for page in logs.get_paginator("describe_log_groups").paginate():
            for group in page["logGroups"]:
                name = group["logGroupName"]
                yield name
                for event in lines_since(logs, name, 0):
                    yield f"{event['logStreamName']} {event['message']}"

    def metrics(self) -> Iterator[str]:
        cloudwatch = self.aws.client("cloudwatch")
        for page in cloudwatch.get_paginator("list_metrics").paginate():
            yield from map(str, page["Metrics"])
        for page in cloudwatch.get_paginator("describe_alarms").paginate():
            yield str(page["MetricAlarms"])
        for page in cloudwatch.get_paginator("describe_alarm_history").paginate():
            yield str(page["AlarmHistoryItems"])

    def executions(self) -> Iterator[str]:
        """Yield inputs, outputs, causes and names of what state machines ran lately."""
        machines: SFNClient = self.aws.client("stepfunctions")
        for page in machines.get_paginator("list_state_machines").paginate():
            for machine in page["stateMachines"]:
                runs = machines.list_executions(
                    stateMachineArn=machine["stateMachineArn"], maxResults=10
                )["executions"]
                for run in runs:
                    arn = run["executionArn"]
                    yield str(machines.describe_execution(executionArn=arn))
                    history = machines.get_paginator("get_execution_history")
                    for events in history.paginate(executionArn=arn):
                        yield str(events["events"])

    def queues(self) -> Iterator[str]:
        """Yield what lies in the queues, and let it lie there."""
        sqs: SQSClient = self.aws.client("sqs")
        for page in sqs.get_paginator("list_queues").paginate():
            for queue in page.get("QueueUrls", []):
                yield queue
                found = sqs.receive_message(
                    QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0
                )
                yield from map(str, found.get("Messages", []))

    def table(self, output: str) -> Iterator[str]:
        dynamodb: DynamoDBClient = self.aws.client("dynamodb")
        name = self.deployment[output]
        for page in dynamodb.get_paginator("scan").paginate(TableName=name, ConsistentRead=True):
            # Terms and offers are compressed.
            yield json.dumps(page["Items"], default=lambda packed: zlib.decompress(packed).decode())

    def names(self, output: str) -> Iterator[str]:
        s3: S3Client = self.aws.client("s3")
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=self.deployment[output])
        for page in pages:
            for version in page.get("Versions", []):
                yield version["Key"]

    def bucket(self, output: str) -> Iterator[str]:
        s3: S3Client = self.aws.client("s3")
        for key in set(self.names(output)):
            yield key
            with suppress(s3.exceptions.NoSuchKey):
                body = s3.get_object(Bucket=self.deployment[output], Key=key)["Body"].read()
                yield self.readable(body)

    def readable(self, body: bytes) -> str:
        if body.startswith(GZIP):
            body = gzip.decompress(body)
        if not body.startswith(PARQUET):
            return body.decode(errors="replace")
        path = self.scratch / f"{uuid.uuid4().hex}.parquet"
        path.write_bytes(body)
        with duckdb.connect() as connection:
            return str(connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall())

    def files(self) -> Iterator[str]:
        """Yield what functions and the emulator said, as they said it."""
        for path in Checkout().local.rglob("*.log"):
            if path.is_file():
                yield path.read_text(errors="replace")


@pytest.fixture(scope="module")
def flock() -> Flock:
    return Flock()


@pytest.fixture
def paths(
    request: pytest.FixtureRequest, flock: Flock, aws: LocalAws, deployment: Deployment
) -> Paths:
    others = ("credit", "client", "callers", "an_application")
    return Paths(flock, aws, deployment, *map(request.getfixturevalue, others))


@pytest.fixture
def places(aws: LocalAws, deployment: Deployment, tmp_path: Path) -> Places:
    return Places(aws, deployment, tmp_path)


def test_a_thousand_canaries_are_heard_nowhere(
    paths: Paths, places: Places, tmp_path: Path
) -> None:
    flock = paths.flock

    paths.take_all(tmp_path)

    assert flock.released == CANARIES
    last = flock.application_ids[-1]
    eventually(lambda: any(last in name for name in places.names("ReceiptsBucket")))
    eventually(lambda: not paths.unsettled())

    found = {
        place: [context(text, flock.mark) for text in texts if flock.mark in text][:3]
        for place, texts in places.all()
    }

    assert not {place: heard for place, heard in found.items() if heard}
    assert not [context(answer, flock.mark) for answer in flock.answers if flock.mark in answer]


def test_what_looks_for_them_finds_what_is_there(
    flock: Flock, client: Client, an_application: Callable[..., dict[str, Any]], places: Places
) -> None:
    """An application's id is written down: where it is, a canary would be found as well."""
    known = f"known-{flock.mark}"
    assert client(an_application(application_id=known)).status == 200
    eventually(lambda: any(known in name for name in places.names("ReceiptsBucket")))

    def is_logged() -> bool:
        # It may be with the words of a later decision only.
        client(an_application())
        return any(known in text for text in places.logs())

    eventually(is_logged)

    looked_at = {
        "DecisionsTable": places.table("DecisionsTable"),
        "ReceiptsBucket": places.bucket("ReceiptsBucket"),
    }
    found = {place for place, texts in looked_at.items() if any(known in text for text in texts)}

    assert found == set(looked_at)


def context(text: str, mark: str) -> str:
    """Return what surrounds a mark."""
    place = text.index(mark)
    return text[max(0, place - 200) : place + 100]
