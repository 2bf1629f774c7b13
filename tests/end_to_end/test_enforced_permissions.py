"""The service on a local cloud that enforces IAM: each function with its own role, and no more.

How far that goes is in ``docs/security.md``. All of this folder's tests run there, too:
``CREDIT_LOCAL_ENFORCE=1 pytest tests/end_to_end``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from credit_cli import api
from credit_cli.aws import LocalAws
from credit_cli.checkout import ENFORCE_VARIABLE, Checkout, enforces
from credit_cli.deployment import Deployment, stack_outputs
from credit_cli.status import looked_at
from tests.delivery_app import REPOSITORY
from tests.end_to_end.conftest import DEMO_VARIABLE, Client, Credit
from tests.end_to_end.enforcement import as_the_emulator_asks, statements_of
from tests.end_to_end.workflow_roles import (
    NOT_KNOWN_BY_TAG,
    SUBJECTS,
    RoleAws,
    a_token,
    variables,
)
from tests.ports import a_free_port
from tests.workflow_runs import line, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
    "test_referrals.py": ("test_a_referral_is_listed_until_a_person_has_reviewed_it",),
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


@pytest.fixture(scope="module")
def roles(enforcing: Credit, aws: LocalAws) -> dict[str, str]:
    """The roles of a repository's workflows, by the outputs that name them."""
    app = f"{sys.executable} -m tests.delivery_app"
    enforcing("local", "cdk", "deploy", "--all", "--require-approval", "never", "--app", app)
    return stack_outputs(aws.client("cloudformation"), "credit-delivery")


@pytest.fixture(scope="module")
def sessions(aws: LocalAws, roles: dict[str, str]) -> dict[str, dict[str, str]]:
    """What the steps of a workflow find once it has taken a role on."""
    return {
        name: variables(aws, roles[name], a_token(subject)) for name, subject in SUBJECTS.items()
    }


@pytest.fixture(scope="module")
def assembly() -> str:
    """The local stage as workflows assemble the others; where the diff line finds it."""
    text = line("deploy.yml: Build the layers and synthesize")
    done = run(f"{text} STAGES=local", Checkout().root, {"PRODUCTS": '["personal_loan"]'})
    assert done.returncode == 0, done.stdout + done.stderr
    return ".build/assembly/local"


@pytest.mark.parametrize(
    ("role", "subject", "claims"),
    [
        ("LocalRole", f"repo:{REPOSITORY}:environment:prod", {}),
        ("LocalRole", f"repo:{REPOSITORY}:ref:refs/heads/main", {}),
        ("LocalRole", SUBJECTS["DiffRole"], {}),
        ("LocalRole", SUBJECTS["LocalRole"], {"aud": "https://github.com/acme"}),
        ("LocalRole", SUBJECTS["LocalRole"], {"aud": ""}),
        ("LocalRole", SUBJECTS["LocalRole"], {"iss": "https://tokens.example"}),
        ("LocalRole", "repo:acme/lending:environment:local", {}),
        ("DiffRole", SUBJECTS["LocalRole"], {}),
        ("DiffRole", "repo:stranger@9/lending@8:pull_request", {}),
    ],
)
def test_a_token_that_is_not_for_a_role_does_not_get_it(
    aws: LocalAws, roles: dict[str, str], role: str, subject: str, claims: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="Not authorized to perform sts:AssumeRoleWithWeb"):
        variables(aws, roles[role], a_token(subject, **claims))


def test_a_pull_request_is_compared_by_a_role_that_reads_templates(
    aws: LocalAws, sessions: dict[str, dict[str, str]], assembly: str, tmp_path: Path
) -> None:
    text = line("pull-request.yml: Compare")
    assert ".build/assembly/dev/*" in text
    summary = tmp_path / "summary.md"
    environment = sessions["DiffRole"] | {"GITHUB_STEP_SUMMARY": str(summary)}
    here = text.replace(".build/assembly/dev", assembly)

    compared = run(here, Checkout().root, environment)

    assert compared.returncode == 0, compared.stderr
    assert "## local: personal_loan" in summary.read_text()
    assert "Number of stacks with differences: 0" in summary.read_text()
    reading = RoleAws(aws.endpoint_url, session=sessions["DiffRole"])
    for service, operation in (("dynamodb", "list_tables"), ("s3", "list_buckets")):
        with pytest.raises(ClientError, match="not authorized to perform"):
            getattr(reading.client(service), operation)()
    # Nor does the comparison pass where it can't read what is deployed.
    nothing = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    denied = {"Version": "2012-10-17", "Statement": [nothing]}
    iam: Any = aws.client("iam")
    name = {"RoleName": role_name(aws, "DiffRole"), "PolicyName": "Missed"}
    iam.put_role_policy(**name, PolicyDocument=json.dumps(denied))
    try:
        assert run(here, Checkout().root, environment).returncode != 0
    finally:
        iam.delete_role_policy(**name)


def role_name(aws: LocalAws, output: str) -> str:
    found = stack_outputs(aws.client("cloudformation"), "credit-delivery")[output]
    return found.rpartition("/")[2]


@pytest.mark.usefixtures("assembly")
def test_a_stage_is_deployed_by_a_role_that_takes_on_the_cdks(
    sessions: dict[str, dict[str, str]],
) -> None:
    stage = {"STAGE": "local", "PRODUCT": "personal_loan"}
    text = line("deploy-stage.yml: Deploy")

    deployed = run(text, Checkout().root, sessions["LocalRole"] | stage)
    refused = run(f"{text} --force", Checkout().root, sessions["DiffRole"] | stage)

    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert deployed.stdout.count("✅") == 6
    assert refused.returncode != 0
    assert "not authorized" in refused.stdout + refused.stderr


def test_who_deployed_a_stage_may_look_whether_it_is_well(
    aws: LocalAws,
    deployment: Deployment,
    sessions: dict[str, dict[str, str]],
) -> None:
    """Every question of `credit status`, asked by the role."""
    iam: Any = aws.client("iam")
    name = role_name(aws, "LocalRole")
    allowed = {
        action
        for statement in statements_of(iam, name)
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }
    assert NOT_KNOWN_BY_TAG in allowed
    statement = {"Effect": "Allow", "Action": NOT_KNOWN_BY_TAG, "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_role_policy(
        RoleName=name, PolicyName="NamesOfTheEmulator", PolicyDocument=json.dumps(policy)
    )
    looking = RoleAws(aws.endpoint_url, session=sessions["LocalRole"])

    parts = list(looked_at(looking, replace(deployment, aws=looking), "personal_loan"))

    assert [part.line for part in parts if "can't be looked at" in part.line] == []
    assert {part.name for part in parts} >= {"API", "Models", "Alarms", "Features", "Queues"}


@pytest.mark.usefixtures("decided")
def test_the_last_step_says_whether_the_stage_is_well(enforcing: Credit) -> None:
    stage = {"STAGE": "local", "PRODUCT": "personal_loan"}

    done = run(
        line("deploy-stage.yml: Look whether it is well"),
        Checkout().root,
        enforcing.environment | stage,
    )

    assert done.returncode == (1 if "\n!" in done.stdout else 0), done.stderr
    assert "API" in done.stdout
