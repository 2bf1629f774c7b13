"""Commands of the documents that need an AWS account: not run here, but they exist as written."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

from credit_cli.checkout import Checkout
from tests.documents import Command, commands, pages, simple_commands

FOR_ALL = {
    *("--cli-binary-format", "--cli-input-json", "--endpoint-url", "--no-cli-pager", "--output"),
    *("--profile", "--query", "--region"),
}
"""Options of every command of the AWS CLI."""
OF_ITS_OWN = {
    ("s3", "cp"): {"--recursive", "--sse", "--quiet"},
    ("s3", "ls"): {"--recursive"},
    ("s3", "sync"): {"--delete", "--exact-timestamps", "--exclude", "--include"},
    ("sso", "login"): {"--sso-session"},
    ("cloudformation", "deploy"): {"--stack-name", "--template-file", "--parameter-overrides"},
}
"""Commands that no service has, and the AWS CLI does.

Source: AWS CLI Command Reference, version 2: s3, sso and cloudformation.
"""
SERVICES = {"deploy": "codedeploy", "s3api": "s3"}
RENAMED = {("sns", "subscribe"): {"--notification-endpoint"}}
"""What the AWS CLI calls otherwise than the service does.

Source: AWS CLI, awscli/customizations: argrename.py, codedeploy and s3.
"""
NEEDING_AWS = [command for page in pages() for command in commands(page) if command.needs_aws]


@cache
def operations(service: str) -> dict[str, Any]:
    """Return the operations of a service by the name that the AWS CLI gives them."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name, "-"): model.operation_model(name) for name in model.operation_names}


def fault_of_aws(words: list[str]) -> str | None:
    """Return what is wrong with a command of the AWS CLI, or None."""
    while words[0].startswith("--"):  # one of all, with its value
        words = words[2:]
    service, operation, *rest = words
    options = {word.partition("=")[0] for word in rest if word.startswith("--")} - FOR_ALL
    if (service, operation) in OF_ITS_OWN:
        unknown = options - OF_ITS_OWN[service, operation]
        return f"{service} {operation} has no {min(unknown)}" if unknown else None
    try:
        known = operations(SERVICES.get(service, service))
    except UnknownServiceError:
        return f"there is no service {service}"
    if operation not in known:
        return f"{service} has no {operation}"
    shape = known[operation].input_shape
    members = shape.members if shape else {}
    names = {f"--{xform_name(name, '-')}" for name in members}
    flags = {f"--no-{name.removeprefix('--')}" for name in names}
    unknown = options - names - flags - RENAMED.get((service, operation), set())
    return f"{service} {operation} has no {min(unknown)}" if unknown else None


BIN = Path(sys.executable).parent


@cache
def help_of_cdk(name: str) -> str:
    """Return what the pinned CDK CLI says of one of its commands."""
    root = Checkout().root
    done = subprocess.run(
        [str(BIN / "node"), str(root / "node_modules" / ".bin" / "cdk"), name, "--help"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def fault_of_cdk(words: list[str]) -> str | None:
    """Return what is wrong with a command of the CDK CLI, or None."""
    name = next((word for word in words if not word.startswith("-")), "")
    if not name.isalpha() or f"cdk {name}" not in help_of_cdk(name):
        return f"the CDK CLI has no command {name}"
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and not re.search(
            rf"(^|[\s,]){option}\b", help_of_cdk(name), re.MULTILINE
        ):
            return f"cdk {name} has no option {option}"
    return None


def fault(command: Command) -> str | None:
    """Return what is wrong with the commands of a line, or None."""
    for program, *words in simple_commands(command.text):
        found = None
        if program == "aws":
            found = fault_of_aws(words)
        elif program in {"cdk", "node_modules/.bin/cdk"}:
            found = fault_of_cdk(words)
        if found:
            return found
    return None


@pytest.mark.parametrize("command", NEEDING_AWS, ids=lambda command: command.place)
def test_a_command_that_needs_an_account_is_one(command: Command) -> None:
    assert fault(command) is None


@pytest.mark.parametrize(
    "line",
    [
        "aws sns shout --topic-arn A",
        "aws sns subscribe --topic A",
        "aws nothing describe",
        "aws s3 sync a b --fast",
        "node_modules/.bin/cdk fly --all",
        "node_modules/.bin/cdk deploy --everything",
    ],
)
def test_a_command_that_is_none_would_be_noticed(line: str) -> None:
    (command,) = commands("docs/page.md", f"```sh aws\n{line}\n```\n")
    assert fault(command)
