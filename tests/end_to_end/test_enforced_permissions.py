"""The service on a local cloud that enforces IAM: each function with its own role, and no more.

How far that goes is in ``docs/security.md``. All of this folder's tests run there, too:
``CREDIT_LOCAL_ENFORCE=1 pytest tests/end_to_end``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import api
from credit_cli.aws import LocalAws
from credit_cli.checkout import ENFORCE_VARIABLE, Checkout, enforces
from credit_cli.deployment import Deployment
from tests.end_to_end.conftest import DEMO_VARIABLE, Client, Credit, a_free_port
from tests.end_to_end.enforcement import as_the_emulator_asks, statements_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_lambda import LambdaClient

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(enforces(), reason="the tests' own local cloud enforces IAM already"),
]

ALONE_SECONDS = 600
WAYS = {
    "test_decisions.py": (
        "test_the_same_application_again_gets_the_same_bytes",
        "test_an_unknown_applicant_is_referred",
    ),
    "test_batches.py": ("test_a_batch_finds_what_was_decided_before",),
    "test_records.py": (
        "test_a_decision_is_read_as_it_was_answered",
        "test_a_persons_review_stands_and_the_decision_stays",
        "test_what_became_of_a_loan_is_recorded_once",
        "test_the_champions_card_names_the_model_that_decides",
    ),
    "test_archive.py": ("test_each_decision_lies_in_the_archive_once_as_it_was_answered",),
    "test_push.py": (
        "test_a_bad_row_on_the_bus_is_noted_without_its_values",
        "test_the_freshness_of_each_view_is_a_metric",
    ),
    "test_erasure.py": ("test_again_it_prints_the_same_certificate",),
}
"""What is run anew: of each way in, and of each function on it, the least that makes all of its
calls. What enforcement has no part in, such as bodies that are refused, is tested without it.
"""


@pytest.fixture(scope="module")
def enforcing() -> Iterator[Credit]:
    """The command, with a local cloud of its own that enforces IAM, all in place."""
    environment = {
        **os.environ,
        ENFORCE_VARIABLE: "1",
        "CREDIT_LOCAL_PORT": str(a_free_port()),
    }
    credit = Credit(environment)
    try:
        aws = LocalAws(credit.json("local", "up")["endpoint_url"])
        deployment = Deployment.read(aws, "personal_loan")
        assert deployment is not None
        as_the_emulator_asks(aws, deployment)
        yield credit
    finally:
        credit("local", "down")


@pytest.fixture(scope="module")
def decided(enforcing: Credit) -> dict[str, Any]:
    """What `credit demo` prints: features brought in, a model trained, and a decision."""
    return enforcing.json("demo")


@pytest.fixture(scope="module")
def aws(decided: dict[str, Any]) -> LocalAws:
    return LocalAws(decided["deployment"]["endpoint_url"])


@pytest.fixture(scope="module")
def deployment(aws: LocalAws) -> Deployment:
    deployment = Deployment.read(aws, "personal_loan")
    assert deployment is not None
    return deployment


def test_with_their_own_roles_functions_bring_in_train_and_decide(decided: dict[str, Any]) -> None:
    counts = decided["materialized"]
    assert counts["read"] == counts["written"] + counts["stale"] > 0
    assert decided["decision"]["outcome"] in {"approve", "decline", "refer"}
    assert decided["decision"]["model"]["version"] == decided["champion"]["version"]


def test_each_way_in_works_as_it_does_without_enforcement(
    enforcing: Credit, decided: dict[str, Any]
) -> None:
    folder = Checkout().root / "tests" / "end_to_end"
    tests = [f"{folder / name}::{test}" for name, found in WAYS.items() for test in found]

    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", "--tb=short"),
            *tests,
        ],
        cwd=Checkout().root,
        env=enforcing.environment | {DEMO_VARIABLE: json.dumps(decided)},
        capture_output=True,
        timeout=ALONE_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout.decode()[-4_000:]
    assert f"{len(tests)} passed" in done.stdout.decode()


@pytest.mark.usefixtures("decided")
def test_the_archiver_checks_and_redrives_by_its_own_role(enforcing: Credit) -> None:
    # With days it looks at table and archive, and puts there what is on its way to it.
    assert enforcing.json("archive", "redrive", "--from", "2000-01-01")["complete"]
    assert b"are archived, once each" in enforcing("archive", "check").stdout


@pytest.mark.parametrize(
    ("function", "action"),
    [
        ("ScorerFunction", "dynamodb:BatchGetItem"),
        ("ScorerFunction", "dynamodb:PutItem"),
        ("RecordsFunction", "dynamodb:Query"),
    ],
)
def test_a_permission_that_is_taken_away_is_missed(
    aws: LocalAws,
    deployment: Deployment,
    an_application: Callable[..., dict[str, Any]],
    function: str,
    action: str,
) -> None:
    """Without this nobody would know that anything is enforced at all."""
    client = Client(deployment, api.fetch_token(aws, deployment).access_token)
    application = an_application()
    assert client(application).status == 200
    requests: dict[str, Callable[[], api.Answer]] = {
        "ScorerFunction": lambda: client.post(json.dumps(an_application()).encode()),
        "RecordsFunction": lambda: api.send(
            "GET",
            f"{deployment.api_url}/v1/decisions/{application['application_id']}",
            {"Authorization": f"Bearer {client.token}"},
        ),
    }
    asked = requests[function]
    assert asked().status == 200
    functions: LambdaClient = aws.client("lambda")
    role = functions.get_function_configuration(FunctionName=deployment[function])["Role"]
    name = role.rpartition("/")[2]
    iam: Any = aws.client("iam")
    denied = {"Effect": "Deny", "Action": action, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [denied]}

    iam.put_role_policy(RoleName=name, PolicyName="Missed", PolicyDocument=json.dumps(policy))
    try:
        without = asked()
    finally:
        iam.delete_role_policy(RoleName=name, PolicyName="Missed")

    assert without.status >= 500 or without.document().get("outcome") == "refer"
    assert asked().status == 200


def test_what_a_role_was_not_given_it_cannot_do(aws: LocalAws, deployment: Deployment) -> None:
    """The scorer's role, asked by itself, for what belongs to others."""
    functions: LambdaClient = aws.client("lambda")
    role = functions.get_function_configuration(FunctionName=deployment["ScorerFunction"])["Role"]
    iam: Any = aws.client("iam")
    actions = {
        action
        for statement in statements_of(iam, role.rpartition("/")[2])
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }

    assert not {action for action in actions if action.startswith(("s3:Put", "s3:Delete", "iam:"))}
    simulated = iam.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=["dynamodb:DeleteItem", "s3:PutObject", "kms:Sign", "lambda:InvokeFunction"],
        ResourceArns=["*"],
    )["EvaluationResults"]
    assert {result["EvalDecision"] for result in simulated} == {"implicitDeny"}
