"""How the command ends: exit codes, and a line or two on standard error."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, NoReturn

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from credit_cli import deployment, local_commands, main
from credit_cli.api import curl
from credit_cli.checkout import Checkout
from credit_core.errors import InvalidProductError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this file sees the local cloud of the checkout it runs in."""
    for module in (deployment, local_commands):
        monkeypatch.setattr(module, "Checkout", lambda: Checkout(tmp_path))


def fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(local_commands, "status_document", fail)


def test_a_cloud_that_is_not_running_is_exit_code_4_and_still_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["local", "status", "--json"]) == 4

    assert json.loads(capsys.readouterr().out) == {"running": False, "deployed": False}


@pytest.mark.parametrize("words", [["token"], ["local", "cdk", "diff"]])
def test_what_needs_the_cloud_says_that_it_is_not_running(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == 4

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: the local cloud is not running\n  run: make demo\n"


def test_stopping_what_does_not_run_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["local", "down", "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {"stopped": False}


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["frobnicate"], "credit"),
        (["score"], "credit score"),
        (["local", "up", "--port", "http"], "credit local up"),
    ],
)
def test_wrong_use_is_exit_code_2_and_two_lines(
    words: list[str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == 2

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ")
    assert second == f"  see: {command} --help"


@pytest.mark.parametrize(
    "words", [["--help"], ["local", "--help"], ["demo", "--help"], ["score", "--help"]]
)
def test_help_tells_the_exit_codes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(words) == 0

    if words != ["demo", "--help"]:
        assert "3 refused by the" in " ".join(capsys.readouterr().out.replace("│", "").split())


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 2

    shown = capsys.readouterr()
    assert "Usage" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:4566"),
            4,
            "error: the local cloud does not answer\n  its log: .local/cloud.log\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "error: the disk is full\n"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "error: Permission denied: x"),
        (
            ClientError({"Error": {"Code": "Throttled", "Message": "slow"}}, "ListTables"),
            1,
            "error: the local cloud refused a call: An error occurred (Throttled)",
        ),
        (
            InvalidProductError("auto_loan", ["title: expected\na line"]),
            2,
            "error: product 'auto_loan' has 1 fault(s): title: expected a line\n  products: ",
        ),
    ],
)
def test_known_faults_are_said_without_a_traceback(
    error: Exception,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail_with(error, monkeypatch)

    assert main.run(["local", "status"]) == code

    shown = capsys.readouterr().err
    assert shown.startswith(message)
    assert len(shown.splitlines()) <= 2


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(OSError(errno.ENOSPC, "No space left on device"), monkeypatch)

    with pytest.raises(OSError, match="No space left"):
        main.run(["--debug", "local", "status"])


def test_an_interruption_says_no_more_than_is_true_of_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(local_commands, "status_document", interrupt)

    assert main.run(["local", "status"]) == 130

    assert capsys.readouterr().err.strip() == "error: interrupted; it can be run again"


def test_the_printed_curl_steps_around_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "--noproxy" not in curl("http://127.0.0.1:4566/x")

    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert "--noproxy '*'" in curl("http://127.0.0.1:4566/x")
