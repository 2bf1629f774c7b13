"""`credit --stage`: a real account is reached when it is named, and never when it is not."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from credit_cli import deployment as deployments
from credit_cli import local_commands, main
from credit_cli.aws import AccountAws, LocalAws
from credit_cli.checkout import Checkout
from credit_cli.deployment import Deployment, deployed
from credit_cli.errors import DeploymentError, PreconditionError, UnreachableError, UsageError
from credit_cli.target import choose
from credit_core.domain.feature_event import DETAIL_TYPE
from tests.builders_account import (
    ACCOUNT,
    CREDENTIALS,
    REGION,
    a_function,
    a_machine,
    a_queue,
    a_role,
    make_stack,
)
from tests.pushes import a_detail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "credit-prod-personal-loan"
API = "https://abc.execute-api.eu-central-1.amazonaws.com/live"
TOKENS = "https://credit-prod.auth.eu-central-1.amazoncognito.com/oauth2/token"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the local cloud of this checkout, nor a stage that another one chose."""
    for module in (deployments, local_commands):
        monkeypatch.setattr(module, "Checkout", lambda: Checkout(tmp_path))
    monkeypatch.delenv("CREDIT_STAGE", raising=False)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield
    choose("local", yes=False)


@pytest.fixture
def account() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def prod(account: None) -> None:  # noqa: ARG001 (it is where this is made)
    role = a_role()
    make_stack(
        f"{PREFIX}-scoring",
        outputs={"ApiUrl": f"{API}/", "TokenUrl": TOKENS},
        resources={"ScorerFunction0123ABCD": a_function(f"{PREFIX}-scorer", role)},
    )
    dead = {"Fn::GetAtt": ["PushDeadLetters0123ABCD", "Arn"]}
    make_stack(
        f"{PREFIX}-materialization",
        outputs={"FeatureBus": PREFIX},
        resources={
            "PushDeadLetters0123ABCD": a_queue(),
            "PushQueue4567CDEF": a_queue(
                RedrivePolicy={"deadLetterTargetArn": dead, "maxReceiveCount": 5}
            ),
            "FeaturesTriggersDeadLetters0123ABCD": a_queue(),
            "Machine": a_machine(f"{PREFIX}-materialization", role),
        },
    )
    # Of another product, whose name begins as ours does.
    make_stack(f"{PREFIX}-plus-scoring", outputs={"ApiUrl": "https://other.example"})
    boto3.client("events", region_name=REGION).create_event_bus(Name=PREFIX)


def run(*words: str) -> int:
    return main.run(["--stage", "prod", *words])


@pytest.mark.usefixtures("prod")
def test_a_stage_is_found_by_its_stacks() -> None:
    choose("prod", yes=False)

    aws, found = deployed("personal_loan")

    assert isinstance(aws, AccountAws)
    assert (aws.account, aws.region) == (ACCOUNT, REGION)
    assert (found.api_url, found.token_url) == (API, TOKENS)
    assert found.prefix == PREFIX
    assert aws.client("sqs").meta.region_name == REGION
    with pytest.raises(DeploymentError, match="no deployed stack has the output LakeBucket"):
        found["LakeBucket"]


@pytest.mark.usefixtures("account")
def test_what_is_not_deployed_there_says_in_which_account_and_region(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("queues") == 4

    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        f"error: nothing of personal_loan is deployed as prod in account {ACCOUNT}, {REGION}"
    )
    assert "AWS_PROFILE and AWS_REGION" in second


def test_without_a_region_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    with pytest.raises(PreconditionError, match="no AWS region is configured"):
        AccountAws("prod")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_PROFILE": "gone"}, "AWS can't be asked: The config profile (gone)"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "AWS does not answer",
        ),
    ],
)
def test_who_is_not_logged_in_is_told_so_in_two_lines(
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert run("queues") in {1, 4}

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"error: {said}")
    assert "the local cloud" not in "".join(lines)


@pytest.mark.parametrize("command", [["local", "status"], ["demo"]])
def test_commands_of_the_local_cloud_know_no_other(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command) == 2

    assert f"credit {command[0]} is about the local cloud" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Prod", "", "prod_2", "../prod", "-x"])
def test_a_stage_is_a_name(name: str) -> None:
    with pytest.raises(UsageError, match="is no name of a stage"):
        choose(name, yes=False)


@pytest.mark.usefixtures("prod")
def test_a_shell_that_is_logged_in_reaches_no_account_unless_a_stage_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployments, "AccountAws", None)  # whoever calls it fails

    assert main.run(["queues"]) == 4
    assert "the local cloud is not running" in capsys.readouterr().err
    assert main.run(["--stage", "local", "queues"]) == 4
    with pytest.raises(UnreachableError, match="the local cloud is not running"):
        deployed("personal_loan")


@pytest.mark.usefixtures("prod")
def test_the_stage_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDIT_STAGE", "prod")

    assert main.run(["queues", "--json"]) == 0

    queues = json.loads(capsys.readouterr().out)["queues"]
    assert {queue["queue"] for queue in queues} == {
        *("push-dead-letters", "push-queue", "features-triggers-dead-letters"),
    }


@pytest.mark.usefixtures("prod")
def test_a_change_says_first_whose_it_is_and_a_look_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    choose("prod", yes=False)

    deployed("personal_loan")
    assert capsys.readouterr().err == ""
    deployed("personal_loan", change="withdraw v2")
    assert capsys.readouterr().err == f"prod in account {ACCOUNT}, {REGION}: withdraw v2\n"


@pytest.mark.usefixtures("prod")
@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y\n", "yes"), ("n\n", ""), ("\n", ""), (None, "")]
)
def test_what_can_not_be_undone_is_asked_about(
    answer: str | None, goes_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.StringIO(answer or "")
    stdin.isatty = lambda: answer is not None  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", stdin)
    choose("prod", yes=False)

    if goes_on:
        deployed("personal_loan", change="retire v1", ask=True)
    else:
        with pytest.raises(UsageError):
            deployed("personal_loan", change="retire v1", ask=True)


@pytest.mark.usefixtures("prod")
def test_who_has_agreed_beforehand_is_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    choose("prod", yes=True)

    deployed("personal_loan", change="retire v1", ask=True)

    assert capsys.readouterr().err.endswith(": retire v1\n")


@pytest.mark.usefixtures("prod")
def test_a_row_is_pushed_to_the_bus_of_the_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps(a_detail("applicant-1")))

    assert run("push", str(path)) == 0

    said = capsys.readouterr()
    assert said.err == f"prod in account {ACCOUNT}, {REGION}: push 1 row of features\n"
    assert f"sent to the bus {PREFIX}" in said.out


@pytest.mark.usefixtures("prod")
def test_dead_letters_are_shown_without_values_and_moved_back(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    urls = {url.rpartition("/")[2]: url for url in sqs.list_queues()["QueueUrls"]}
    dead = next(url for name, url in urls.items() if "DeadLetters" in name and "Push" in name)
    queue = next(url for name, url in urls.items() if "PushQueue" in name)
    rows = [a_detail(f"customer-{number}") for number in range(12)]
    for number, row in enumerate(rows):
        body = json.dumps({"id": f"e-{number}", "detail-type": DETAIL_TYPE, "detail": row})
        sqs.send_message(QueueUrl=dead, MessageBody=body)

    assert run("queues", "show", "push-d", "--limit", "5", "--json") == 0
    shown = capsys.readouterr().out
    assert run("queues", "redrive", "push-dead-letters", "--json") == 0
    moved = json.loads(capsys.readouterr().out)
    assert run("queues", "show", "push-queue") == 2

    messages = json.loads(shown)["messages"]
    assert [message["view"] for message in messages] == ["bureau"] * 5
    assert "customer-" not in shown
    assert (moved["moved"], moved["complete"]) == (12, True)
    there = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert there["ApproximateNumberOfMessages"] == "12"
    bodies = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert json.loads(bodies[0]["Body"])["detail"] in rows


@pytest.mark.usefixtures("prod")
def test_an_event_that_started_nothing_starts_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    sqs = boto3.client("sqs", region_name=REGION)
    url = next(url for url in sqs.list_queues()["QueueUrls"] if "Triggers" in url)
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"detail-type": "Object Created"}))

    assert run("queues", "redrive", "features", "--json") == 0

    done = json.loads(capsys.readouterr().out)
    assert done["moved"] == 3
    stepfunctions = boto3.client("stepfunctions", region_name=REGION)
    [machine] = stepfunctions.list_state_machines()["stateMachines"]
    [execution] = stepfunctions.list_executions(stateMachineArn=machine["stateMachineArn"])[
        "executions"
    ]
    assert execution["name"] == done["run"]
    asked = stepfunctions.describe_execution(executionArn=execution["executionArn"])["input"]
    assert json.loads(asked) == {"sweep": True}
    assert run("queues", "redrive", "features") == 0
    assert "nothing waits" in capsys.readouterr().out


@pytest.mark.usefixtures("prod")
def test_what_can_not_be_redriven_says_why_and_is_cleared_only_when_agreed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    guard = {"ModelGuardUndelivered0123ABCD": a_queue()}
    make_stack(f"{PREFIX}-retraining", resources=guard)
    sqs = boto3.client("sqs", region_name=REGION)
    url = next(url for url in sqs.list_queues()["QueueUrls"] if "Undelivered" in url)
    sqs.send_message(QueueUrl=url, MessageBody="{}")

    assert run("queues", "redrive", "model-guard") == 2
    assert "would move models of today" in capsys.readouterr().err
    assert run("queues", "clear", "model-guard") == 2
    assert "nobody is at a terminal" in capsys.readouterr().err
    assert run("queues", "clear", "push-queue") == 2
    capsys.readouterr()
    assert main.run(["--stage", "prod", "--yes", "queues", "clear", "model-guard", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["removed"] == 1
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


@pytest.mark.usefixtures("prod")
def test_a_part_of_the_status_that_can_not_be_seen_hides_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("status", "--json") == 1

    parts = {part["part"]: part for part in json.loads(capsys.readouterr().out)["parts"]}
    assert "UserPoolId" in parts["API"]["fault"]
    assert "ModelsBucket" in parts["Models"]["fault"]
    assert "PageTopic" in parts["Alarms"]["fault"]
    assert parts["Features"]["views"]["bureau"]["age_seconds"] is None
    assert parts["materialization"]["well"] is True
    assert parts["Queues"]["well"] is True
    assert run("status") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"  Deployment       personal_loan, prod in account {ACCOUNT}, {REGION}"
    assert lines[1].startswith("! API              can't be looked at: no deployed stack has")


@pytest.mark.usefixtures("prod")
def test_the_status_names_what_rings_as_the_alarms_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    topics = {"PageTopic": "arn:aws:sns:eu-central-1:1:page", "InformTopic": "arn:aws:sns:x:1:i"}
    make_stack(f"{PREFIX}-storage", outputs=topics)
    cloudwatch = boto3.client("cloudwatch", region_name=REGION)
    for name in (f"{PREFIX}-push-late", f"{PREFIX}-api-latency", f"{PREFIX}-plus-push-late"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            AlarmActions=[topics["InformTopic"]] if "plus" not in name else [],
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
        if "push-late" in name:
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")

    assert run("status") == 1

    assert "! Alarms           1 of 2 ring: push-late" in capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("prod")
def test_runs_say_how_they_ended(capsys: pytest.CaptureFixture[str]) -> None:
    stepfunctions = boto3.client("stepfunctions", region_name=REGION)
    [machine] = stepfunctions.list_state_machines()["stateMachines"]
    for name in ("first", "second"):
        execution = stepfunctions.start_execution(
            stateMachineArn=machine["stateMachineArn"], name=name
        )
    arn = execution["executionArn"]
    stepfunctions.stop_execution(executionArn=arn, error="Stopped", cause="by on-call")

    assert run("runs", "--failed", "--json") == 0
    failed = json.loads(capsys.readouterr().out)["runs"]
    assert run("runs", "mat") == 0
    listed = capsys.readouterr().out.splitlines()
    assert run("runs", "show", "nothing") == 2

    assert [found["run"] for found in failed] == ["second"]
    assert failed[0]["status"] == "aborted"
    assert len(listed) == 2
    assert all(line.startswith("materialization") for line in listed)


@pytest.mark.usefixtures("prod")
def test_logs_are_asked_through_insights(capsys: pytest.CaptureFixture[str]) -> None:
    logs = boto3.client("logs", region_name=REGION)
    logs.create_log_group(logGroupName=f"/aws/lambda/{PREFIX}-scorer")

    assert run("logs", "scorer", "--query", "refused", "--json") == 0

    assert json.loads(capsys.readouterr().out)["query"] == "refused"
    [query] = logs.describe_queries(logGroupName=f"/aws/lambda/{PREFIX}-scorer")["queries"]
    assert "filter" in query["queryString"]
    assert query["logGroupName"] == f"/aws/lambda/{PREFIX}-scorer"


@pytest.mark.parametrize(
    "words", [["--request", "x"], ["--query", "application"], ["--query", "no"]]
)
@pytest.mark.usefixtures("prod")
def test_a_question_that_can_not_be_asked_is_wrong_use(words: list[str]) -> None:
    assert run("logs", "nobody", *words) == 2


def test_the_local_cloud_is_what_it_was() -> None:
    aws = LocalAws("http://127.0.0.1:4566")
    outputs = {"RestApiId": "abc", "RestApiStage": "v", "ApiUrl": API, "TokenUrl": TOKENS}

    found: Any = Deployment(aws, outputs)

    assert found.api_url == "http://127.0.0.1:4566/restapis/abc/v/_user_request_"
    assert found.token_url == "http://127.0.0.1:4566/oauth2/token"
