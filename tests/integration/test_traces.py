"""What X-Ray's daemon is told of a request, by functions whose calls meet a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from botocore.exceptions import BotoCoreError

from credit_core.adapters import traces
from credit_core.adapters.aws_calls import CALL_ERRORS, Bucket, JsonApi
from credit_core.adapters.clients import answering_config, client
from credit_core.adapters.decision_store import dynamodb
from credit_core.adapters.traces import note, traced, watch
from tests.faulty_server import (
    FaultyServer,
    document,
    error,
    faulty_server,
    resets,
)
from tests.xray_daemon import NOT_SAMPLED, PARENT, ROOT, SAMPLED, XrayDaemon, xray_daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

type Work = Callable[[], object]

A_VALUE = "712345678901"
"""Of so many digits that no time and no id of a trace holds them by chance."""
READ = {"RequestItems": {"features": {"Keys": [{"entity_key": {"S": "secret-key"}}]}}}
WRITE = {"TableName": "decisions", "Item": {"income": {"N": A_VALUE}}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with faulty_server() as running:
        for name, value in {
            "AWS_ENDPOINT_URL": running.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }.items():
            monkeypatch.setenv(name, value)
        running.answers = [document({})]
        yield running


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[XrayDaemon]:
    with xray_daemon() as running:
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", running.address)
        monkeypatch.setenv("_X_AMZN_TRACE_ID", SAMPLED)
        yield running


def serve(work: Work, *, status: int = 200) -> None:
    """Have a function of Lambda do something for a request."""

    @traced("decision")
    def handler(_event: dict[str, Any], _context: object) -> dict[str, object]:
        work()
        return {"statusCode": status}

    handler({}, None)


def soon() -> float:
    return time.monotonic() + 5


def calls_in(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in trace["subsegments"] if part.get("namespace") == "aws"]


@pytest.mark.usefixtures("server")
def test_a_traced_request_is_one_part_of_lambdas_trace_with_its_calls(daemon: XrayDaemon) -> None:
    api, bucket, before = dynamodb(), Bucket("models"), time.time()

    def work() -> None:
        api.call("BatchGetItem", READ, deadline=soon())
        api.call("PutItem", WRITE, deadline=soon())
        bucket.read("model.onnx", deadline=soon())

    serve(work)

    [trace] = daemon.documents()
    assert (trace["type"], trace["name"]) == ("subsegment", "decision")
    assert (trace["trace_id"], trace["parent_id"]) == (ROOT, PARENT)
    assert before <= trace["start_time"] <= trace["end_time"] <= time.time()
    assert "fault" not in trace
    read, write, fetch = calls_in(trace)
    assert read["aws"] == {"operation": "BatchGetItem", "table_names": ["features"]}
    assert write["aws"] == {"operation": "PutItem", "table_name": "decisions"}
    assert fetch["aws"] == {"operation": "GetObject", "bucket_name": "models"}
    assert [call["name"] for call in (read, write, fetch)] == ["DynamoDB", "DynamoDB", "S3"]
    assert read["start_time"] <= read["end_time"] <= write["start_time"] <= write["end_time"]
    ids = [part["id"] for part in (trace, read, write, fetch)]
    assert len(set(ids)) == 4
    assert all(len(id_) == 16 and int(id_, 16) >= 0 for id_ in ids)


@pytest.mark.usefixtures("server")
def test_no_key_and_no_value_leaves_with_a_trace(daemon: XrayDaemon) -> None:
    api = dynamodb()

    def work() -> None:
        api.call("BatchGetItem", READ, deadline=soon())
        api.call("PutItem", WRITE, deadline=soon())
        note({"outcome": "refer", "faults": {"income": A_VALUE}, "cause": None})

    serve(work)

    [trace] = daemon.documents()
    assert trace["annotations"] == {"outcome": "refer"}
    assert "secret-key" not in json.dumps(trace)
    assert A_VALUE not in json.dumps(trace)


@pytest.mark.usefixtures("server")
def test_calls_lie_in_the_stage_in_which_they_began(daemon: XrayDaemon) -> None:
    api = dynamodb()

    def work() -> None:
        started = time.time()
        api.call("BatchGetItem", READ, deadline=soon())
        read_ms = 1_000 * (time.time() - started) + 1
        time.sleep(0.02)
        api.call("PutItem", WRITE, deadline=soon())
        note({"outcome": "approve"}, {"read": read_ms, "infer": 10.0, "write": 10_000.0})

    serve(work)

    [trace] = daemon.documents()
    read, infer, write = trace["subsegments"]
    assert [part["name"] for part in (read, infer, write)] == ["read", "infer", "write"]
    assert [call["aws"]["operation"] for call in read["subsegments"]] == ["BatchGetItem"]
    assert "subsegments" not in infer
    assert [call["aws"]["operation"] for call in write["subsegments"]] == ["PutItem"]
    assert read["end_time"] == infer["start_time"]


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("header", [NOT_SAMPLED, None, "", "Sampled=1", "Root=1;Sampled=1"])
def test_a_request_that_is_not_traced_sends_nothing(
    header: str | None, server: FaultyServer, daemon: XrayDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    if header is None:
        monkeypatch.delenv("_X_AMZN_TRACE_ID")
    else:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
    api = dynamodb()

    def work() -> None:
        assert traces.under_way() is None
        api.call("PutItem", WRITE, deadline=soon())
        note({"outcome": "approve"}, {"read": 1.0})

    serve(work)

    assert daemon.documents() == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answers", "seen"),
    [
        ([resets, document({})], [("fault", "ConnectionResetError|NoAnswerError"), None]),
        ([error("ThrottlingException"), document({})], [("error", "ThrottlingException"), None]),
        (
            [error("InternalServerError", status=500), document({})],
            [("fault", "InternalServerError"), None],
        ),
        ([error("ValidationException")], [("error", "ValidationException")]),
    ],
)
def test_each_try_is_seen_with_what_became_of_it(
    answers: list[Any],
    seen: list[tuple[str, str] | None],
    server: FaultyServer,
    daemon: XrayDaemon,
) -> None:
    server.answers = answers
    api = dynamodb()

    def work() -> None:
        with suppress(*CALL_ERRORS):
            api.call("PutItem", WRITE, deadline=soon())

    serve(work)

    calls = calls_in(daemon.documents()[0])
    assert len(calls) == len(seen)
    for call, fault in zip(calls, seen, strict=True):
        if fault is None:
            assert call["http"] == {"response": {"status": 200}}
            assert not {"error", "fault", "annotations"} & set(call)
        else:
            kind, code = fault
            assert call[kind] is True
            assert call["annotations"]["error_code"] in code.split("|")
            assert call.get("throttle", False) is ("Throttl" in code)


@pytest.mark.usefixtures("server")
def test_the_next_request_knows_nothing_of_one_that_failed(daemon: XrayDaemon) -> None:
    def fail() -> NoReturn:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve(fail)
    assert traces.under_way() is None
    serve(lambda: None, status=503)
    serve(lambda: None, status=400)

    broken, busy, refused = daemon.documents()
    assert broken["fault"] is True
    assert busy["fault"] is True
    assert refused["error"] is True
    assert "fault" not in refused


@pytest.mark.parametrize("address", ["127.0.0.1:9", "nowhere", "", "127.0.0.1:x", "256.0.0.1:1"])
@pytest.mark.usefixtures("server")
def test_a_daemon_that_is_not_there_harms_no_request(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", SAMPLED)
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", address)
    served: list[bool] = []

    for _ in range(3):  # what the first datagram met, the socket says at the second
        serve(lambda: served.append(True))

    assert served == [True] * 3


@pytest.mark.usefixtures("server")
def test_a_batch_of_many_calls_fits_in_one_datagram_and_says_what_it_left_out(
    daemon: XrayDaemon,
) -> None:
    api = dynamodb()

    def work() -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: api.call("BatchGetItem", READ, deadline=soon()), range(150)))

    serve(work)

    [trace] = daemon.documents()
    assert len(calls_in(trace)) == traces.MOST_CALLS
    assert trace["metadata"] == {"calls_left_out": 150 - traces.MOST_CALLS}


def test_calls_of_boto3_are_parts_too(server: FaultyServer, daemon: XrayDaemon) -> None:
    server.answers = [document({}), error("ProvisionedThroughputExceededException")]
    watched = client("dynamodb", answering_config())
    watch(watched)
    watched.list_tables()  # outside of any request

    def work() -> None:
        with pytest.raises(watched.exceptions.ClientError):
            watched.get_item(TableName="decisions", Key={"application_id": {"S": "secret-key"}})

    serve(work)

    [trace] = daemon.documents()
    [call] = calls_in(trace)
    assert (call["name"], call["aws"]) == ("DynamoDB", {"operation": "GetItem"})
    assert (call["error"], call["throttle"]) == (True, True)
    assert "secret-key" not in json.dumps(trace)


def test_a_call_of_boto3_without_an_answer_is_a_fault(
    server: FaultyServer, daemon: XrayDaemon
) -> None:
    server.answers = [resets]
    watched = client("dynamodb", answering_config())
    watch(watched)

    def work() -> None:
        with pytest.raises(BotoCoreError):
            watched.list_tables()

    serve(work)

    [call] = calls_in(daemon.documents()[0])
    assert call["fault"] is True


def test_kms_and_secrets_have_xrays_names(server: FaultyServer, daemon: XrayDaemon) -> None:
    server.answers = [document({})]
    kms = JsonApi("kms", target="TrentService", version="1.1")
    secrets = JsonApi("secretsmanager", target="secretsmanager", version="1.1")

    def work() -> None:
        kms.call("Verify", {"KeyId": "k"}, deadline=soon())
        secrets.call("GetSecretValue", {"SecretId": "s"}, deadline=soon())

    serve(work)

    names = [call["name"] for call in calls_in(daemon.documents()[0])]
    assert names == ["KMS", "SecretsManager"]
