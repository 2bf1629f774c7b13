"""`credit alarms` where one alarm pages for others, as on AWS: the emulator has such by its API."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import alarm_trial, alarms, main
from credit_cli.aws import LocalAws
from credit_cli.deployment import Deployment
from credit_cli.watched import Alarm, Change, Watched, details, listing
from credit_core.adapters.model_registry import MOVE
from credit_core.domain.model_manifest import Challenger, RolloutMode
from credit_core.domain.places import rollout_partition
from credit_core.settings import GuardSettings
from tests.builders import PRODUCT, a_pointer, a_reference
from tests.builders_aws import create_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_cloudwatch import CloudWatchClient

    from credit_core.domain.model_manifest import RolloutPointer
    from tests.integration.conftest import LocalCloud

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "states.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
WAITING = {
    "StartAt": "Wait",
    "States": {"Wait": {"Type": "Wait", "Seconds": 600, "End": True}},
}


@dataclass
class Operations:
    """What the operations stack makes on AWS, under a name of the test's own."""

    aws: LocalAws
    deployment: Deployment
    rollout: str
    made: list[str] = field(default_factory=list)

    @property
    def cloudwatch(self) -> CloudWatchClient:
        client: CloudWatchClient = self.aws.client("cloudwatch")
        return client

    def alarm(self, name: str, **changes: Any) -> None:
        """Make an alarm that informs."""
        described = f"Something is wrong. Runbook: docs/runbooks/{name}.md"
        self.cloudwatch.put_metric_alarm(
            **{
                "AlarmName": f"{self.deployment.prefix}-{name}",
                "AlarmDescription": described,
                "Namespace": "Nothing",
                "MetricName": uuid.uuid4().hex,
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 1,
                "Threshold": 0,
                "ComparisonOperator": "GreaterThanThreshold",
                "AlarmActions": [self.deployment["InformTopic"]],
                **changes,
            }
        )
        self.made.append(f"{self.deployment.prefix}-{name}")

    def page_by(self, *names: str) -> None:
        """Make the alarm that pages for others."""
        self.cloudwatch.put_composite_alarm(
            AlarmName=f"{self.deployment.prefix}-page",
            AlarmDescription="Some ring. Runbook: docs/runbooks/page.md",
            AlarmRule=" OR ".join(f'ALARM("{self.deployment.prefix}-{name}")' for name in names),
            AlarmActions=[self.deployment["PageTopic"]],
        )

    def ring(self, name: str, state: Any = "ALARM") -> None:
        self.cloudwatch.set_alarm_state(
            AlarmName=f"{self.deployment.prefix}-{name}",
            StateValue=state,
            StateReason="the p99\nwas 412",
        )

    def moved(self, pointer: RolloutPointer, before: RolloutPointer) -> None:
        """Keep a move of the rollout pointer, as the promoter does."""
        self.aws.client("dynamodb").put_item(
            TableName=self.deployment["RegistryTable"],
            Item={
                "product": {"S": rollout_partition(PRODUCT.name)},
                "record": {"S": f"{MOVE}{pointer.revision:08}"},
                "pointer": {"S": pointer.model_dump_json()},
                "before": {"S": before.model_dump_json()},
            },
        )

    def left_behind(self) -> int:
        """Count queues and subscriptions."""
        sqs, sns = self.aws.client("sqs"), self.aws.client("sns")
        found = sqs.list_queues(QueueNamePrefix=f"{self.deployment.prefix}-alarm-test")
        topics = [self.deployment[name] for name in ("PageTopic", "InformTopic")]
        return len(found.get("QueueUrls", [])) + sum(
            len(sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"])
            for topic in topics
        )


@pytest.fixture
def operations(
    local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Operations]:
    aws = LocalAws(local_cloud_bare.endpoint_url)
    mark = uuid.uuid4().hex[:8]
    sns = aws.client("sns")
    role = aws.client("iam").create_role(
        RoleName=f"states-{mark}", AssumeRolePolicyDocument=json.dumps(TRUST)
    )["Role"]["Arn"]
    rollout = aws.client("stepfunctions").create_state_machine(
        name=f"rollout-{mark}", definition=json.dumps(WAITING), roleArn=role
    )["stateMachineArn"]
    guard = GuardSettings(
        product=PRODUCT.name,
        deployment=f"credit-test-{mark}",
        registry_table=f"registry-{mark}",
        promoter_function="promoter",
        page_topic="page",
        baking_seconds=900,
        alarms=f"credit-test-{mark}-scorer-latency",
        shadow_alarms=f"credit-test-{mark}-model-load-failure",
    )
    aws.client("lambda").create_function(
        FunctionName=f"guard-{mark}",
        Runtime="python3.13",
        Handler="handler.handler",
        Role=role,
        Code={"ZipFile": EMPTY_ZIP},
        Environment={"Variables": guard.to_environment()},
    )
    create_table(aws.client("dynamodb"), "registry", name=f"registry-{mark}")
    outputs = {
        "GuardFunction": f"guard-{mark}",
        "RegistryTable": f"registry-{mark}",
        "ModelsBucket": "models",
        "SigningKey": "key",
        "PageTopic": sns.create_topic(Name=f"page-{mark}")["TopicArn"],
        "InformTopic": sns.create_topic(Name=f"inform-{mark}")["TopicArn"],
        "RolloutStateMachine": rollout,
        "LatencyAlarm": f"credit-test-{mark}-scorer-latency",
    }
    deployment = Deployment(aws, outputs, "test", mark)
    made = Operations(aws, deployment, rollout)
    made.alarm("scorer-latency")
    made.alarm("push-late")
    made.page_by("scorer-latency")
    monkeypatch.setattr(alarms, "deployed", lambda _, **__: (aws, deployment))
    yield made
    made.cloudwatch.delete_alarms(AlarmNames=[f"{deployment.prefix}-page"])
    made.cloudwatch.delete_alarms(AlarmNames=made.made)


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main.run(["alarms", *words]) == code
    return capsys.readouterr().out


def test_a_page_arrives_by_the_alarm_that_pages_for_all(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = json.loads(said(capsys, "test", "--json"))

    assert (trial["alarm"], trial["told_by"]) == ("scorer-latency", "page")
    assert trial["arrived"]
    assert trial["topic"] == operations.deployment["PageTopic"]
    assert operations.left_behind() == 0
    states = {found.name: found.state for found in the_alarms(operations)}
    assert states["scorer-latency"] == "INSUFFICIENT_DATA"
    assert states["page"] == "OK"


def test_an_alarm_that_only_informs_is_heard_where_it_informs(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = json.loads(said(capsys, "test", "push-late", "--json"))

    assert (trial["told_by"], trial["arrived"]) == ("push-late", True)
    assert trial["topic"] == operations.deployment["InformTopic"]
    assert operations.left_behind() == 0


def test_a_topic_that_nothing_reaches_fails_and_nothing_is_left_behind(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page's own action is gone: the child rings, and nobody hears it."""
    operations.cloudwatch.put_composite_alarm(
        AlarmName=f"{operations.deployment.prefix}-page",
        AlarmRule=f'ALARM("{operations.deployment.prefix}-scorer-latency")',
        AlarmActions=[operations.deployment["PageTopic"]],
        ActionsEnabled=False,
    )

    lines = said(capsys, "test", "--wait", "2", code=1)

    assert "Nothing arrived within 2 s" in lines
    assert operations.left_behind() == 0
    assert not any(found.rings for found in the_alarms(operations))


class Interrupted(LocalAws):
    """The local cloud, whose person presses Ctrl-C while the message is waited for."""

    def client(self, service: str) -> Any:
        found = super().client(service)
        if service == "sqs":

            def receive_message(**_: object) -> None:
                raise KeyboardInterrupt

            found.receive_message = receive_message
        return found


def test_ctrl_c_leaves_nothing_behind(operations: Operations) -> None:
    aws = Interrupted(operations.aws.endpoint_url)
    watched = Watched(aws, operations.deployment)
    alarm = watched.one("push-late")

    with pytest.raises(KeyboardInterrupt):
        alarm_trial.tried(aws, operations.deployment, watched, alarm, alarm, wait_seconds=10)

    assert operations.left_behind() == 0
    assert not any(found.rings for found in the_alarms(operations))


def test_what_rings_already_is_not_tested(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    operations.ring("scorer-latency")

    assert main.run(["alarms", "test"]) == 1
    assert "page rings already, so that nothing would be sent" in capsys.readouterr().err
    assert operations.left_behind() == 0


def test_a_page_is_tested_by_one_of_those_behind_it(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["alarms", "test", "page"]) == 1
    assert "test one of them: " in capsys.readouterr().err
    assert operations.left_behind() == 0


def test_nobody_is_paged_for_a_test_while_a_model_is_rolled_out(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    """The page would take it back."""
    stepfunctions = operations.aws.client("stepfunctions")
    started = stepfunctions.start_execution(stateMachineArn=operations.rollout, name="of-a-model")
    try:
        assert main.run(["alarms", "test"]) == 1
        assert "of-a-model is under way" in capsys.readouterr().err
        assert json.loads(said(capsys, "test", "push-late", "--json"))["arrived"]
    finally:
        stepfunctions.stop_execution(executionArn=started["executionArn"])


def moved_ago(pointer: RolloutPointer, ago: timedelta) -> RolloutPointer:
    return pointer.model_copy(update={"moved_at": datetime.now(UTC) - ago})


@pytest.mark.parametrize(
    ("after", "place"),
    [
        (a_pointer(champion="v2", previous="v1", revision=2), "champion for 2 min"),
        (
            a_pointer(
                revision=2,
                challenger=Challenger(model=a_reference("v2"), mode=RolloutMode.LIVE, share=0.1),
            ),
            "answering 10% of the applicants",
        ),
    ],
)
def test_a_model_that_a_person_moved_is_not_taken_back_by_a_test(
    operations: Operations,
    capsys: pytest.CaptureFixture[str],
    after: RolloutPointer,
    place: str,
) -> None:
    """By `models promote --now` and `models share` no rollout runs, and the guard watches."""
    operations.moved(moved_ago(after, timedelta(seconds=130)), a_pointer())

    assert main.run(["alarms", "test"]) == 1
    said_so = f"the guard would take model v2 back for it: {place}"
    assert said_so in capsys.readouterr().err
    assert json.loads(said(capsys, "test", "push-late", "--json"))["arrived"]
    assert operations.left_behind() == 0


def test_a_champion_that_is_no_longer_new_hinders_no_test(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted = a_pointer(champion="v2", previous="v1", revision=2)
    operations.moved(moved_ago(promoted, timedelta(hours=1)), a_pointer())

    assert json.loads(said(capsys, "test", "--json"))["arrived"]


def test_an_alarm_that_is_not_there_is_a_mistake_and_those_that_are_there_are_named(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["alarms", "show", "batch"]) == 2
    err = capsys.readouterr().err
    assert "there is no alarm 'batch'" in err
    assert all(name in err for name in ("page", "push-late", "scorer-latency"))
    assert operations.left_behind() == 0


def test_the_beginning_of_a_name_is_enough(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(said(capsys, "show", "push", "--json"))["alarm"] == "push-late"
    assert operations.left_behind() == 0


def the_alarms(operations: Operations) -> list[Alarm]:
    return Watched(operations.aws, operations.deployment).all()


def test_pages_that_ring_come_first(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    operations.ring("push-late")
    operations.ring("scorer-latency")

    found = json.loads(said(capsys, "--json"))["alarms"]

    assert [(alarm["alarm"], alarm["kind"]) for alarm in found] == [
        ("page", "page"),
        ("scorer-latency", "page"),
        ("push-late", "inform"),
    ]
    assert found[1]["reason"] == "the p99 was 412"
    lines = said(capsys, "list")
    assert lines.startswith("3 of 3 alarms ring\n  PAGE    page ")
    assert "docs/runbooks/scorer-latency.md" in lines


def test_an_alarm_of_a_product_whose_name_begins_alike_is_not_this_ones(
    operations: Operations,
) -> None:
    operations.alarm("plus-scorer-latency", AlarmActions=["arn:aws:sns:us-east-1:0:another"])

    assert [found.name for found in the_alarms(operations)] == [
        "page",
        "scorer-latency",
        "push-late",
    ]


def test_one_alarm_is_shown_with_its_history(
    operations: Operations, capsys: pytest.CaptureFixture[str]
) -> None:
    operations.ring("push-late")
    operations.ring("push-late", "OK")

    lines = said(capsys, "show", f"{operations.deployment.prefix}-push-late").splitlines()

    assert lines[0].startswith("push-late in order for ")
    assert lines[0].endswith("it informs")
    assert lines[1] == "  Something is wrong."
    assert lines[4] == "  runbook   docs/runbooks/push-late.md"
    assert lines[5].endswith("rings -> in order  the p99 was 412")
    assert lines[6].endswith("no figures yet -> rings  the p99 was 412")


def an_alarm(**changes: Any) -> Alarm:
    return Alarm(
        **{
            "name": "scorer-latency",
            "full_name": "credit-prod-personal-loan-scorer-latency",
            "state": "ALARM",
            "since": NOW - timedelta(minutes=12),
            "reason": "412 was above 100",
            "description": "The scorer is late.",
            "runbook": "docs/runbooks/scorer-latency.md",
            "pages": True,
            "measures": "p99",
            **changes,
        }
    )


def test_a_listing_says_since_when_why_and_what_to_read() -> None:
    quiet = an_alarm(name="api-latency", state="OK")
    mute = an_alarm(name="push-late", state="INSUFFICIENT_DATA", actions_enabled=False)

    assert list(listing([an_alarm(), quiet, mute], now=NOW)) == [
        "1 of 3 alarms ring",
        "  PAGE    scorer-latency            for 12 min        docs/runbooks/scorer-latency.md",
        "          412 was above 100",
        "no figures yet: push-late",
        "in order: api-latency",
        "told nobody, their actions are disabled: push-late",
    ]
    assert next(iter(listing([quiet], now=NOW))) == "0 of 1 alarms ring"


def test_details_say_that_an_alarm_tells_nobody() -> None:
    change = Change(NOW, "in order", "rings", "412 was above 100")

    lines = list(details(an_alarm(actions_enabled=False), [change], now=NOW))

    assert lines[0] == "scorer-latency rings for 12 min; it pages"
    assert lines[1] == "  its actions are disabled: it tells nobody"
    assert lines[-1] == "  2026-11-22 03:00:00  in order -> rings  412 was above 100"
