"""The roles of a repository's workflows, and what these deploy."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import App
from cfnlint import api as cfnlint  # type: ignore[import-untyped]  # it ships no types

from cdk_app import app as cdk_app
from cdk_app.app import DELIVERY, add_delivery
from cdk_app.components.github_roles import (
    AUDIENCE,
    ISSUER,
    InvalidDeliveryError,
    Repository,
)
from cdk_app.stages import STAGES
from tests.infrastructure.templates import (
    ROOT,
    Deployment,
    Resource,
    command_line_context,
    findings_in,
    properties,
    statements,
)
from tests.infrastructure.test_assembly import ACCOUNT_NUMBER
from tests.workflow_runs import line, run, workflows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REPOSITORY = "acme@1234/lending@5678"
SUBJECTS = {
    "Dev": f"repo:{REPOSITORY}:environment:dev",
    "Prod": f"repo:{REPOSITORY}:environment:prod",
    "Diff": f"repo:{REPOSITORY}:pull_request",
}
PROVIDER, ROLE, POLICY = "AWS::IAM::OIDCProvider", "AWS::IAM::Role", "AWS::IAM::Policy"
HERE = "<Region>:<AccountId>"


@dataclass(frozen=True)
class Delivery:
    """The stack's template, its one stack named ``delivery``, and what cdk-nag found."""

    deployment: Deployment

    def role(self, name: str) -> Resource:
        return self.deployment.at(f"delivery/GitHub/{name}", ROLE)

    def roles(self) -> set[str]:
        return {path.rpartition("/")[2] for path in self.deployment.of_type(ROLE)}

    def permissions(self, name: str) -> dict[str, list[tuple[str, Any]]]:
        """Return on what a role may do each action, and on which conditions."""
        found: dict[str, list[tuple[str, Any]]] = {}
        policy = self.deployment.at(f"delivery/GitHub/{name}/DefaultPolicy", POLICY)
        for statement in statements(properties(policy)["PolicyDocument"]):
            assert statement["Effect"] == "Allow"
            for action in statement["Action"]:
                for resource in self.deployment.texts(statement["Resource"], "delivery"):
                    found.setdefault(action, []).append((resource, statement.get("Condition")))
        return found


def synthesize(folder: Path, repository: str = REPOSITORY, **context: str) -> Delivery:
    app = App(
        outdir=str(folder),
        context={
            **command_line_context(),
            **{name.replace("_", "-"): value for name, value in context.items()},
        },
    )
    add_delivery(app, repository=repository)
    app.synth()
    template = json.loads((folder / f"{DELIVERY}.template.json").read_text())
    for found in template["Resources"].values():
        path = found.get("Metadata", {}).get("aws:cdk:path", "")
        found.setdefault("Metadata", {})["aws:cdk:path"] = path.replace(DELIVERY, "delivery", 1)
    deployment = Deployment(
        stage=STAGES["dev"], templates={"delivery": template}, findings=findings_in(folder)
    )
    return Delivery(deployment)


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Delivery:
    return synthesize(tmp_path_factory.mktemp("delivery"))


def assert_only_the_subject_is_trusted(role: Resource, subject: str) -> None:
    """One statement, for GitHub's tokens alone, made for AWS, with this very subject."""
    found = properties(role)
    (trust,) = found["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": trust["Principal"]["Federated"]},
        "Condition": {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
    }
    assert "*" not in subject
    assert list(trust["Principal"]["Federated"]) == ["Fn::GetAtt"]
    assert found["MaxSessionDuration"] == 3_600
    # Nothing that is not written out in its own policy.
    assert not {"ManagedPolicyArns", "Policies"} & set(found)


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_role_trusts_one_subject_and_nobody_else(delivery: Delivery, name: str) -> None:
    assert_only_the_subject_is_trusted(delivery.role(name), SUBJECTS[name])


def test_each_environment_has_a_role_of_its_own_and_pull_requests_one(delivery: Delivery) -> None:
    assert delivery.roles() == set(SUBJECTS)


type Trust = dict[str, Any]


def conditions(changes: dict[str, Any], *, test: str = "StringEquals") -> Callable[[Trust], None]:
    """Put other conditions on the subject and the audience; None removes one."""

    def change(trust: Trust) -> None:
        kept = {**trust["Condition"].pop("StringEquals"), **changes}
        trust["Condition"][test] = {name: value for name, value in kept.items() if value}

    return change


SUB, AUD = f"{ISSUER}:sub", f"{ISSUER}:aud"
BREACHES: dict[str, Callable[[Trust], object]] = {
    "anybody on GitHub": conditions({SUB: None}),
    "any audience": conditions({AUD: None}),
    "another audience": conditions({AUD: "https://github.com/acme"}),
    "every workflow of the repository": conditions(
        {SUB: f"repo:{REPOSITORY}:*"}, test="StringLike"
    ),
    "every repository of the owner": conditions(
        {SUB: "repo:acme/*:environment:prod"}, test="StringLike"
    ),
    "a fork": conditions({SUB: "repo:stranger@9/lending@8:environment:prod"}),
    "whoever takes the name over": conditions({SUB: "repo:acme/lending:environment:prod"}),
    "a branch, which anybody who pushes has": conditions(
        {SUB: f"repo:{REPOSITORY}:ref:refs/heads/main"}
    ),
    "another environment": conditions({SUB: SUBJECTS["Dev"]}),
    "a pull request": conditions({SUB: SUBJECTS["Diff"]}),
    "two subjects": conditions({SUB: [SUBJECTS["Prod"], SUBJECTS["Dev"]]}),
    "only if there is a subject": conditions({}, test="StringEqualsIfExists"),
    "no condition": lambda trust: trust.pop("Condition"),
    "everybody": lambda trust: trust.update(Principal="*"),
    "the account": lambda trust: trust.update(Principal={"AWS": "*"}, Action="sts:AssumeRole"),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_wider_trust_would_be_noticed(delivery: Delivery, name: str) -> None:
    role = copy.deepcopy(delivery.role("Prod"))
    (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]

    BREACHES[name](trust)

    with pytest.raises((AssertionError, KeyError, TypeError)):
        assert_only_the_subject_is_trusted(role, SUBJECTS["Prod"])


@pytest.mark.parametrize(
    "changes",
    [
        {"MaxSessionDuration": 43_200},
        {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/AdministratorAccess"]},
        {"Policies": [{"PolicyName": "More", "PolicyDocument": {"Statement": []}}]},
    ],
)
def test_a_longer_session_or_another_policy_would_be_noticed(
    delivery: Delivery, changes: dict[str, Any]
) -> None:
    role = copy.deepcopy(delivery.role("Prod"))
    role["Properties"].update(changes)

    with pytest.raises(AssertionError):
        assert_only_the_subject_is_trusted(role, SUBJECTS["Prod"])


def test_the_identity_provider_is_githubs_and_for_aws_alone(delivery: Delivery) -> None:
    (provider,) = delivery.deployment.of_type(PROVIDER).values()

    assert properties(provider)["Url"] == f"https://{ISSUER}"
    assert properties(provider)["ClientIdList"] == [AUDIENCE]


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_who_deploys_a_stage_may_take_on_the_cdks_roles_and_look_at_that_stage(
    delivery: Delivery, stage: str
) -> None:
    """Written out: a permission more or less is a change here."""
    begin = f"credit-{stage}-*"
    stacks = f"arn:<Partition>:cloudformation:{HERE}:stack/{begin}"
    tag = {"aws:ResourceTag/stage": stage}
    executions = f"arn:<Partition>:states:{HERE}:execution:{begin}"
    through = {
        "Fn::Join": ["", ["dynamodb.", {"Ref": "AWS::Region"}, ".", {"Ref": "AWS::URLSuffix"}]]
    }
    assert delivery.permissions(stage.capitalize()) == {
        "sts:AssumeRole": [
            (
                f"arn:<Partition>:iam::<AccountId>:role/cdk-hnb659fds-{name}-<AccountId>-<Region>",
                None,
            )
            for name in ("deploy-role", "file-publishing-role")
        ],
        "cloudformation:DescribeStacks": [(stacks, None)],
        "cloudformation:ListStackResources": [(stacks, None)],
        "states:ListExecutions": [(f"arn:<Partition>:states:{HERE}:stateMachine:{begin}", None)],
        "states:DescribeExecution": [(executions, None)],
        "states:GetExecutionHistory": [(executions, None)],
        "sqs:GetQueueAttributes": [(f"arn:<Partition>:sqs:{HERE}:{begin}", None)],
        "dynamodb:GetItem": [
            (f"arn:<Partition>:dynamodb:{HERE}:table/{begin}-storage-TablesRegistry*", None)
        ],
        "cognito-idp:DescribeUserPoolClient": [
            (f"arn:<Partition>:cognito-idp:{HERE}:userpool/*", {"StringEquals": tag})
        ],
        "kms:Decrypt": [
            (
                f"arn:<Partition>:kms:{HERE}:key/*",
                {"StringEquals": tag | {"kms:ViaService": through}},
            )
        ],
        "cloudwatch:DescribeAlarms": [("*", None)],
        "cloudwatch:GetMetricStatistics": [("*", None)],
    }


def test_a_pull_request_reads_templates_and_nothing_that_is_in_the_stacks(
    delivery: Delivery,
) -> None:
    stacks = f"arn:<Partition>:cloudformation:{HERE}:stack/credit-dev-*"
    assert delivery.permissions("Diff") == {
        "cloudformation:DescribeStacks": [(stacks, None)],
        "cloudformation:GetTemplate": [(stacks, None)],
    }


def test_what_is_looked_at_has_the_names_that_the_roles_are_held_to(prod: Deployment) -> None:
    """Names are CloudFormation's: the stack's, then the logical id."""
    storage = prod.templates["storage"]["Resources"]

    tables = [id_ for id_, found in storage.items() if found["Type"] == "AWS::DynamoDB::Table"]
    assert [id_ for id_ in tables if id_.startswith("TablesRegistry")]
    assert all("TableName" not in storage[id_].get("Properties", {}) for id_ in tables)
    for type_ in ("AWS::Cognito::UserPool", "AWS::KMS::Key"):
        for found in prod.of_type(type_).values():
            tags = properties(found).get("UserPoolTags") or {
                tag["Key"]: tag["Value"] for tag in properties(found)["Tags"]
            }
            assert tags["stage"] == "prod"


def test_the_stack_is_free_of_findings_and_of_account_numbers(delivery: Delivery) -> None:
    template = delivery.deployment.templates["delivery"]

    assert delivery.deployment.findings == ()
    assert ACCOUNT_NUMBER.findall(json.dumps(template)) == []
    found = cfnlint.lint(json.dumps(template), regions=["us-east-1", "eu-central-1"])
    assert [str(match) for match in found] == []


def test_an_output_names_each_role_for_githubs_settings(delivery: Delivery) -> None:
    outputs = delivery.deployment.templates["delivery"]["Outputs"]

    assert set(outputs) == {"DevRole", "ProdRole", "DiffRole"}


def test_an_account_of_one_stage_has_the_roles_of_that_stage(tmp_path: Path) -> None:
    assert synthesize(tmp_path, stages="prod").roles() == {"Prod"}


def test_an_account_that_knows_github_keeps_its_provider(tmp_path: Path) -> None:
    arn = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"

    found = synthesize(tmp_path, oidc_provider=arn)

    assert found.deployment.of_type(PROVIDER) == {}
    (trust,) = properties(found.role("Prod"))["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Federated": arn}


def test_another_bootstrap_stack_has_other_roles(tmp_path: Path) -> None:
    app = App(
        outdir=str(tmp_path),
        context={**command_line_context(), "@aws-cdk/core:bootstrapQualifier": "lending"},
    )
    add_delivery(app, repository=REPOSITORY)
    app.synth()

    template = (tmp_path / f"{DELIVERY}.template.json").read_text()
    assert "role/cdk-lending-deploy-role-" in template
    assert "hnb659fds" not in template


@pytest.mark.parametrize("name", ["acme/lending", "a-b/c.d_e", "acme@1/lending@2"])
def test_a_repository_is_written_as_github_writes_it(name: str) -> None:
    assert Repository(name).pull_request == f"repo:{name}:pull_request"


@pytest.mark.parametrize(
    "name",
    [
        *("acme", "acme/", "/lending", "acme/lending/more", "acme lending", ""),
        *("*/lending", "acme/*", "acme/lend?ng", "acme/lending:environment:prod"),
        *("acme@1/lending", "acme/lending@2", "acme@/lending@", "acme@x/lending@y"),
        *("-acme/lending", "acme/lending\n"),
    ],
)
def test_what_is_no_repository_is_refused(name: str) -> None:
    with pytest.raises(InvalidDeliveryError, match="is no repository: owner/name, or owner@ID"):
        Repository(name)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"repository": "lending"}, "error: 'lending' is no repository: owner/name"),
        ({"repository": "a/b", "stages": "local"}, "error: no stage 'local' is deployed by"),
        ({"repository": "a/b", "stages": "dev,staging"}, "error: no stage 'staging' is deployed"),
    ],
)
def test_a_delivery_that_can_not_be_ends_with_one_line(
    context: dict[str, str], message: str
) -> None:
    with pytest.raises(SystemExit, match=rf"\A{re.escape(message)}[^\n]*\Z"):
        cdk_app.main({**command_line_context(), **context})


@pytest.fixture(scope="module")
def assembled() -> Path:
    """What the workflow's own line makes for both stages."""
    text = line("deploy.yml: Build the layers and synthesize")
    # A pull request is synthesized in no other way.
    assert text == line("pull-request.yml: Synthesize")
    done = run(text, ROOT, {"PRODUCTS": '["personal_loan"]'})
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / ".build" / "assembly"


def archives(assembly: Path) -> set[str]:
    return {path.name for path in assembly.glob("asset.*.zip")}


def test_prod_gets_the_very_code_that_dev_got(assembled: Path) -> None:
    """The names of archives are hashes of their contents."""
    dev, prod = (assembled / stage / "personal_loan" for stage in ("dev", "prod"))

    assert archives(prod) < archives(dev)
    assert len(archives(prod)) > 20
    # What empties buckets when a stage is removed: prod keeps its data.
    assert len(archives(dev) - archives(prod)) == 1
    assert len(list(prod.glob("*.template.json"))) == 6


def test_the_templates_that_are_handed_over_suffice_to_compare_them(
    assembled: Path, tmp_path: Path
) -> None:
    steps = workflows()["pull-request.yml"]["jobs"]["synth"]["steps"]
    (patterns,) = (step["with"]["path"] for step in steps if "upload" in step.get("uses", ""))
    for pattern in patterns.split():
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(assembled)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)

    done = run(
        f'{ROOT}/node_modules/.bin/cdk ls --app "$FOLDER" --no-notices',
        tmp_path,
        {
            "FOLDER": str(tmp_path / "dev" / "personal_loan"),
            "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        },
    )

    assert not list(tmp_path.rglob("asset.*"))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 6


def test_the_cdks_command_line_is_installed_from_its_lock_alone(tmp_path: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(ROOT / name, tmp_path)

    done = run(line("pull-request.yml: Install the CDK's command line"), tmp_path, {})

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "node_modules" / ".bin" / "cdk").exists()


def test_installing_what_is_there_costs_nothing() -> None:
    done = run(line("deploy-stage.yml: Install"), ROOT, {})

    assert done.returncode == 0, done.stderr
