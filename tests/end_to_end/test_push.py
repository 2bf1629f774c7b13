"""A row pushed by the command that a person types: served at once, and kept for training."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.feature_event import DETAIL_TYPE
from credit_core.domain.metrics import NAMESPACE, Metric
from credit_core.domain.product import load_product
from tests.builders import features_of
from tests.left_behind import noted_rejection

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

BUREAU = load_product("personal_loan").view("bureau")
PATIENCE_SECONDS = 90


def a_row(applicant_id: str, *, age: timedelta = timedelta(seconds=1)) -> dict[str, Any]:
    at = (datetime.now(UTC) - age).isoformat(timespec="milliseconds")
    return {
        "view": "bureau",
        "keys": {"applicant_id": applicant_id},
        "event_timestamp": at,
        "created_timestamp": at,
        "features": features_of(BUREAU),
    }


def eventually(found: Callable[[], Any]) -> Any:
    """Return what is found, as soon as something is."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return value


def athena_rows(aws: LocalAws, deployment: Deployment, query: str) -> list[list[str]]:
    athena: AthenaClient = aws.client("athena")
    execution = athena.start_query_execution(
        QueryString=query,
        QueryExecutionContext={"Database": deployment["GlueDatabase"]},
        ResultConfiguration={"OutputLocation": f"s3://{deployment['ResultsBucket']}/test-push/"},
    )["QueryExecutionId"]

    def state() -> str:
        found = athena.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
        state = found["Status"]["State"]
        return "" if state in {"QUEUED", "RUNNING"} else str(state)

    assert eventually(state) == "SUCCEEDED"
    rows = athena.get_query_results(QueryExecutionId=execution)["ResultSet"]["Rows"]
    return [[cell.get("VarCharValue", "") for cell in row["Data"]] for row in rows[1:]]


@pytest.fixture
def applicant_id() -> str:
    """Return an applicant whom no store knows."""
    return f"pushed-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bureau_status(
    client: Client, an_application: Callable[..., dict[str, Any]], applicant_id: str
) -> Callable[[], dict[str, Any]]:
    """Return what asks for a decision on the applicant and says how fresh the report was."""

    def ask() -> dict[str, Any]:
        decision = client(an_application(applicant_id=applicant_id)).document()
        return dict(decision["feature_status"]["bureau"])

    return ask


def test_a_pushed_row_is_served_at_the_next_score_and_seen_by_athena(
    credit: Credit,
    aws: LocalAws,
    deployment: Deployment,
    bureau_status: Callable[[], dict[str, Any]],
    applicant_id: str,
) -> None:
    assert bureau_status()["status"] == "missing"
    row = a_row(applicant_id)

    done = credit("push", "-", "--json", stdin=json.dumps(row).encode())

    (sent,) = json.loads(done.stdout)["sent"]
    assert (sent["view"], sent["event_timestamp"]) == ("bureau", row["event_timestamp"])
    eventually(lambda: bureau_status()["status"] == "fresh")
    event = datetime.fromisoformat(bureau_status()["event_timestamp"])
    assert event == datetime.fromisoformat(row["event_timestamp"])
    table = f"{deployment['GlueDatabase']}.personal_loan_bureau"
    query = f"SELECT inq_fi FROM {table} WHERE applicant_id = '{applicant_id}'"  # noqa: S608 (ours)
    assert athena_rows(aws, deployment, query) == [["1"]]


def test_a_bad_row_is_refused_before_it_is_sent(credit: Credit, applicant_id: str) -> None:
    row = a_row(applicant_id)
    row["features"]["inq_fi"] = "many"
    del row["created_timestamp"]

    refused = credit("push", "-", check=False, stdin=json.dumps(row).encode())

    assert refused.returncode == 2
    assert refused.stderr.decode().splitlines() == [
        "error: row 1: created_timestamp is missing; inq_fi is not a number",
        "  nothing was sent",
    ]


@pytest.mark.usefixtures("demo")
def test_a_bad_row_on_the_bus_is_noted_without_its_values(
    aws: LocalAws, deployment: Deployment, applicant_id: str
) -> None:
    """Other senders than `credit push` check nothing."""
    events: EventBridgeClient = aws.client("events")
    s3: S3Client = aws.client("s3")
    row = a_row(applicant_id)
    # As long as no part of an id or of a time is by chance.
    row["features"]["inq_fi"] = -987_654_321_987

    (entry,) = events.put_events(
        Entries=[
            {
                "EventBusName": deployment["FeatureBus"],
                "Source": "test",
                "DetailType": DETAIL_TYPE,
                "Detail": json.dumps(row),
            }
        ]
    )["Entries"]

    bucket = deployment["ResultsBucket"]
    key = eventually(lambda: noted_rejection(s3, bucket, entry["EventId"]))
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert json.loads(body)["reasons"] == ["inq_fi is not from 0 to 1000"]
    assert applicant_id not in body
    assert "987654321987" not in body


@pytest.mark.usefixtures("demo")
def test_the_freshness_of_each_view_is_a_metric(aws: LocalAws) -> None:
    lambda_: LambdaClient = aws.client("lambda")
    function = "credit-local-personal-loan-freshness"
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")

    # The schedule would come within five minutes.
    answer = lambda_.invoke(FunctionName=function)

    ages = {view["view"]: view["age_seconds"] for view in json.load(answer["Payload"])}
    assert set(ages) == {"bureau", "region_market"}
    for view, age in ages.items():
        found = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=Metric.FEATURE_AGE,
            Dimensions=[
                {"Name": "Stage", "Value": "local"},
                {"Name": "Product", "Value": "personal_loan"},
                {"Name": "View", "Value": view},
            ],
            StartTime=datetime.now(UTC) - timedelta(minutes=5),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            # The schedule may measure in the same minute, before a row came: an age of its own.
            Period=1,
            Statistics=["Minimum", "Maximum"],
        )
        published = [point[of] for point in found["Datapoints"] for of in ("Minimum", "Maximum")]
        assert pytest.approx(age, abs=0.01) in published
