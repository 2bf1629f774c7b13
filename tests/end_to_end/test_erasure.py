"""An applicant erased by the command that a person types: gone at once, for good, everywhere."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.log_lines import lines_since
from credit_core.domain.online_store import ERASED
from credit_core.domain.places import pushed_prefix
from credit_core.domain.product import load_product
from tests.builders import features_of
from tests.left_behind import noted_rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

PRODUCT = load_product("personal_loan")
BUREAU = PRODUCT.view("bureau")
PATIENCE_SECONDS = 90


def eventually[Found](found: Callable[[], Found]) -> Found:
    """Return what is found, as soon as something is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return value


@pytest.fixture
def applicant_id() -> str:
    """Return an applicant whom no store knows."""
    return f"erased-{uuid.uuid4().hex[:16]}"


@dataclass(frozen=True)
class Applicant:
    """One applicant, and what clients and senders do about them."""

    applicant_id: str
    client: Client
    credit: Credit
    example: dict[str, Any]

    def push(self, *, late: timedelta = timedelta(seconds=1)) -> None:
        """Push a row of the bureau."""
        at = (datetime.now(UTC) - late).isoformat(timespec="milliseconds")
        row = {
            "view": "bureau",
            "keys": {"applicant_id": self.applicant_id},
            "event_timestamp": at,
            "created_timestamp": at,
            "features": features_of(BUREAU),
        }
        self.credit("push", "-", "--json", stdin=json.dumps(row).encode())

    def decision(self) -> dict[str, Any]:
        """Apply, under an id of its own."""
        application = self.example | {
            "application_id": f"end-to-end-{uuid.uuid4()}",
            "applicant_id": self.applicant_id,
        }
        return dict(self.client(application).document())

    def status(self) -> str:
        """Return how fresh the bureau's row is."""
        return str(self.decision()["feature_status"]["bureau"]["status"])

    def erase(self) -> dict[str, Any]:
        """Have the applicant erased."""
        return self.credit.json("erase", f"applicant_id={self.applicant_id}", "--yes")


@pytest.fixture
def applicant(
    applicant_id: str,
    client: Client,
    credit: Credit,
    an_application: Callable[..., dict[str, Any]],
) -> Applicant:
    """An applicant whose features are served."""
    applicant = Applicant(applicant_id, client, credit, an_application())
    applicant.push()
    eventually(lambda: applicant.status() == "fresh")
    return applicant


def items(aws: LocalAws, table: str) -> Iterator[dict[str, Any]]:
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        yield from map(dict, page["Items"])


def objects(aws: LocalAws, bucket: str) -> Iterator[tuple[str, bytes]]:
    """Yield each version of each object."""
    s3: S3Client = aws.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for found in page.get("Versions", []):
            answer = s3.get_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])
            yield found["Key"], answer["Body"].read()


def test_features_are_gone_at_once_and_nothing_brings_them_back(
    applicant: Applicant, credit: Credit, aws: LocalAws, deployment: Deployment
) -> None:
    done = applicant.erase()

    decision = applicant.decision()
    assert decision["outcome"] == "refer"
    assert decision["cause"]["code"] == "features_missing"
    assert done["certificate"]["features"] == {"bureau": "removed"}
    assert done["certificate"]["lake"]["pushed_rows_removed"] >= 1
    # A backfill of everything, and another push; its successor tells that it was dealt with.
    credit("materialize", "--json")
    applicant.push()
    other = replace(applicant, applicant_id=f"{applicant.applicant_id}-2")
    other.push()
    eventually(lambda: other.status() == "fresh")
    assert applicant.status() == "missing"
    key = f"{PRODUCT.name}/bureau#{done['certificate']['applicant']}"
    (row,) = [
        item
        for item in items(aws, deployment["OnlineStoreTable"])
        if item["entity_key"]["S"] == key
    ]
    assert row == {"entity_key": {"S": key}, "recency": {"S": ERASED}}
    prefix = pushed_prefix(PRODUCT, BUREAU)
    lake = dict(objects(aws, deployment["LakeBucket"]))
    assert [name for name in lake if name.startswith(prefix)], "the other's row"
    mine, others = applicant.applicant_id.encode(), other.applicant_id.encode()
    assert not [name for name, body in lake.items() if mine in body.replace(others, b"")]


def test_receipts_end_when_the_duty_to_keep_them_does(
    applicant: Applicant, aws: LocalAws, deployment: Deployment
) -> None:
    s3: S3Client = aws.client("s3")
    decided = applicant.decision()

    done = applicant.erase()

    kept = done["certificate"]["kept"]
    assert kept["receipts"] >= 2
    hashed = done["certificate"]["applicant"]
    receipts = [
        item
        for item in items(aws, deployment["DecisionsTable"])
        if item.get("applicant", {}).get("S") == hashed
    ]
    assert len(receipts) == kept["receipts"]
    for receipt in receipts:
        decided_at = datetime.fromisoformat(receipt["decided_at"]["S"])
        days = (int(receipt["expires_at"]["N"]) - decided_at.timestamp()) / 86_400
        assert days == pytest.approx(kept["days_each"], abs=0.001)
    archived = [
        key
        for key, _ in objects(aws, deployment["ReceiptsBucket"])
        if f"/application={decided['application_id']}/" in key
    ]
    assert archived
    for key in archived:
        tags = s3.get_object_tagging(Bucket=deployment["ReceiptsBucket"], Key=key)["TagSet"]
        assert tags == [{"Key": "applicant", "Value": "erased"}]


def test_again_it_prints_the_same_certificate(applicant: Applicant) -> None:
    first = applicant.erase()
    again = applicant.erase()

    assert (first["already"], again["already"]) == (False, True)
    assert (again["certificate"], again["seal"]) == (first["certificate"], first["seal"])


def test_a_certificate_is_genuine_or_not(
    applicant: Applicant, credit: Credit, tmp_path: Any
) -> None:
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps(applicant.erase()))
    assert credit("erase", "--verify", str(file)).returncode == 0

    file.write_text(file.read_text().replace("removed", "altered"))
    assert credit("erase", "--verify", str(file), check=False).returncode == 1


def test_the_identifier_is_nowhere_in_the_clear(
    applicant: Applicant, credit: Credit, aws: LocalAws, deployment: Deployment
) -> None:
    """Tables, lake, what jobs left, archive, logs; and what was rejected of the applicant."""
    applicant.decision()
    rejected = {
        "view": "bureau",
        "keys": {"applicant_id": applicant.applicant_id},
        "features": {},
    }
    events = aws.client("events")
    (entry,) = events.put_events(
        Entries=[
            {
                "EventBusName": deployment["FeatureBus"],
                "Source": "test",
                "DetailType": "FeatureRow",
                "Detail": json.dumps(rejected),
            }
        ]
    )["Entries"]
    s3: S3Client = aws.client("s3")
    bucket = deployment["ResultsBucket"]
    eventually(lambda: noted_rejection(s3, bucket, entry["EventId"]))
    applicant.erase()
    applicant.decision()
    credit("materialize", "--json")

    identifier = applicant.applicant_id
    for output in ("OnlineStoreTable", "DecisionsTable", "RegistryTable"):
        # The terms of a receipt are compressed.
        text = json.dumps(
            list(items(aws, deployment[output])),
            default=lambda packed: zlib.decompress(packed).decode(),
        )
        assert identifier not in text, output
    for output in ("LakeBucket", "ResultsBucket", "ReceiptsBucket", "ModelsBucket"):
        for key, body in objects(aws, deployment[output]):
            assert identifier not in key, output
            assert identifier.encode() not in body, key
    logs: CloudWatchLogsClient = aws.client("logs")
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            for event in lines_since(logs, group["logGroupName"], 0):
                assert identifier not in event["message"], group["logGroupName"]
