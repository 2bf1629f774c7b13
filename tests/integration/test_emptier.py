"""The emptier as deployed: its handler, buckets, a stack, and CloudFormation waiting for a word."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from moto import mock_aws

from credit_core.adapters import bucket_emptier
from credit_core.adapters.clients import client, pipeline_config
from credit_core.settings import EmptierSettings
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

BUCKET = "receipts-of-a-stage"
PLENTY_MS, NOTHING_LEFT_MS = 900_000, 30_000
TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})


class Context:
    """Lambda's, of which the emptier looks at one thing."""

    def __init__(self, remaining_ms: int) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


class CloudFormation:
    """Where a custom resource is answered: an address that takes one PUT after the other."""

    def __init__(self) -> None:
        answers: list[dict[str, Any]] = []
        types: list[str | None] = []

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answers.append(json.loads(body))
                types.append(self.headers["Content-Type"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.answers, self.types = answers, types
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/answer"


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    listening = CloudFormation()
    thread = threading.Thread(target=listening.server.serve_forever, daemon=True)
    thread.start()
    yield listening
    listening.server.shutdown()
    listening.server.server_close()
    thread.join()


class World:
    """A stack with a versioned bucket, and the function that empties it."""

    def __init__(self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloudformation = cloudformation
        self.s3: S3Client = client("s3", pipeline_config())
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        stacks = client("cloudformation", pipeline_config())
        self.stack: str = stacks.create_stack(StackName="storage", TemplateBody=TEMPLATE)["StackId"]
        settings = EmptierSettings(stack=self.stack)
        for name, value in settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.function = started("emptier")

    def stack_is(self, status: str) -> None:
        """Have the stack be in a state that moto passes through in no time."""
        described = {"Stacks": [{"StackStatus": status}]}

        class Described:
            def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 (boto3's)
                assert StackName == stack
                return described

        stack = self.stack
        self.function.cloudformation = Described()

    def fill(self) -> None:
        """Put two versions of one object, a delete marker, and an upload nobody finished."""
        for body in (b"first", b"second"):
            self.s3.put_object(Bucket=BUCKET, Key="receipt.json", Body=body)
        self.s3.put_object(Bucket=BUCKET, Key="other.json", Body=b"{}")
        self.s3.delete_object(Bucket=BUCKET, Key="other.json")
        self.s3.create_multipart_upload(Bucket=BUCKET, Key="large.parquet")

    def held(self) -> int:
        """Return how many versions, markers and uploads the bucket holds."""
        found = self.s3.list_object_versions(Bucket=BUCKET)
        uploads = self.s3.list_multipart_uploads(Bucket=BUCKET)
        return sum(
            len(listed)
            for listed in (
                found.get("Versions", []),
                found.get("DeleteMarkers", []),
                uploads.get("Uploads", []),
            )
        )

    def asked(
        self, request: str = "Delete", *, bucket: str = BUCKET, remaining_ms: int = PLENTY_MS
    ) -> dict[str, Any]:
        """Have CloudFormation ask; return what it is told."""
        event = {
            "RequestType": request,
            "ResponseURL": self.cloudformation.url,
            "StackId": self.stack,
            "RequestId": "a-request",
            "LogicalResourceId": "EmptierReceipts",
            "ResourceProperties": {"ServiceToken": "arn", "BucketName": bucket},
            **({} if request == "Create" else {"PhysicalResourceId": "EmptierReceipts"}),
        }
        self.function.handler(event, Context(remaining_ms))
        return self.cloudformation.answers[-1]


@pytest.fixture
def world(cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield World(cloudformation, monkeypatch)


def test_a_bucket_is_empty_when_its_stack_is_deleted(world: World) -> None:
    world.fill()
    world.stack_is("DELETE_IN_PROGRESS")
    assert world.held() == 5

    answer = world.asked()

    assert answer == {
        "Status": "SUCCESS",
        "Reason": "",
        "PhysicalResourceId": "EmptierReceipts",
        "StackId": world.stack,
        "RequestId": "a-request",
        "LogicalResourceId": "EmptierReceipts",
    }
    assert world.held() == 0
    # The address is signed without a type.
    assert world.cloudformation.types == [""]


@pytest.mark.parametrize(
    "status",
    [
        *("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"),
        *("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "CREATE_COMPLETE"),
    ],
)
def test_nothing_is_removed_while_the_stack_stays(world: World, status: str) -> None:
    """Also when the resource itself goes: a stage that begins to retain its data drops it."""
    world.fill()
    world.stack_is(status)

    assert world.asked()["Status"] == "SUCCESS"

    assert world.held() == 5


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_nothing_is_removed_when_the_resource_is_made_or_changed(
    world: World, request_type: str
) -> None:
    world.fill()
    world.stack_is("DELETE_IN_PROGRESS")

    answer = world.asked(request_type)

    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "EmptierReceipts")
    assert world.held() == 5


def test_the_stack_that_counts_is_the_functions_own(world: World) -> None:
    """An event that somebody made up, naming another stack, removes nothing."""
    world.fill()

    assert world.asked()["Status"] == "SUCCESS"

    assert world.held() == 5


def test_more_objects_than_one_call_removes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_emptier, "OBJECTS_A_CALL", 3)
    for number in range(40):
        world.s3.put_object(Bucket=BUCKET, Key=f"{number}.json", Body=b"{}")
    world.stack_is("DELETE_IN_PROGRESS")

    assert world.asked()["Status"] == "SUCCESS"

    assert world.held() == 0


def test_time_that_does_not_suffice_is_told_and_the_next_deletion_goes_on(world: World) -> None:
    world.fill()
    world.stack_is("DELETE_IN_PROGRESS")

    answer = world.asked(remaining_ms=NOTHING_LEFT_MS)

    assert answer["Status"] == "FAILED"
    assert answer["Reason"].endswith("more are left; delete the stack again")
    assert world.asked()["Status"] == "SUCCESS"
    assert world.held() == 0


def test_a_bucket_that_is_gone_already_is_no_failure(world: World) -> None:
    world.stack_is("DELETE_IN_PROGRESS")

    assert world.asked(bucket="gone-before")["Status"] == "SUCCESS"


def test_what_s3_refuses_is_told_to_cloudformation(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy that still stands, or a lock: the stack stays, and says why."""
    world.fill()
    world.stack_is("DELETE_IN_PROGRESS")
    refused = {"Errors": [{"Key": "receipt.json", "Code": "AccessDenied"}] * 4}
    monkeypatch.setattr(world.function.s3, "delete_objects", lambda **_: refused)

    answer = world.asked()

    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == f"4 objects of {BUCKET} were not removed: AccessDenied"


def test_a_fault_of_our_own_is_told_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """CloudFormation would wait for its time to pass; a trace may hold what nobody should read."""
    world.stack_is("DELETE_IN_PROGRESS")

    def broken(*_: object, **__: object) -> None:
        raise TypeError("a value")

    monkeypatch.setattr(world.function, "emptied", broken)

    answer = world.asked()

    assert answer["Status"] == "FAILED"
    assert answer["Reason"].startswith("TypeError at test_emptier.py")
