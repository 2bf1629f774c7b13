"""What holds of every command of `credit`, those included that nobody has written yet."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest
import typer

from credit_cli import deployment, local_commands, main
from credit_cli.checkout import Checkout
from credit_cli.command_reference import Command, exit_codes, reference, understood
from credit_cli.command_tree import Panel
from credit_cli.errors import ExitCode, UsageError
from credit_cli.words import WORDS

if TYPE_CHECKING:
    from pathlib import Path

ALL = reference()
COMMANDS = [command for command in ALL if not command.is_group]
WITHOUT_JSON = {
    "credit local cdk": "what it prints is the CDK CLI's",
    "credit api openapi": "it prints a JSON document and nothing else",
    "credit prometheus dashboard": "it prints a JSON document and nothing else",
    "credit desk": "it serves pages until it is stopped, and prints their address",
}
"""Commands without --json, and why."""

EACH = pytest.mark.parametrize("command", ALL, ids=lambda command: command.name)
EACH_COMMAND = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test of this file sees the local cloud of the checkout it runs in."""
    for module in (deployment, local_commands):
        monkeypatch.setattr(module, "Checkout", lambda: Checkout(tmp_path))


@EACH
def test_a_command_says_in_a_sentence_what_it_does(command: Command) -> None:
    assert command.summary.endswith(".")
    assert len(command.summary) <= 100


@EACH
def test_its_examples_can_be_typed(command: Command) -> None:
    assert command.examples
    for example in command.examples:
        assert understood(example.command).name.startswith(
            command.name if not command.is_group else "credit"
        )


@pytest.mark.parametrize(
    "line",
    [
        "credit modls",
        "credit models list --jsn",
        "credit monitor --day today",
        "credit models",
        "credit score",
        "credit --stage",
        "curl credit",
    ],
)
def test_what_can_not_be_typed_would_be_noticed(line: str) -> None:
    with pytest.raises(UsageError):
        understood(line)


@EACH
def test_its_exit_codes_are_those_of_the_table(command: Command) -> None:
    assert {0, 2} <= set(command.exit_codes) or command.name == "credit local cdk"
    assert set(command.exit_codes) <= {int(code) for code in ExitCode}


def test_each_exit_code_has_words() -> None:
    for code in exit_codes():
        assert code.meaning
        assert code.description.endswith(".")


@EACH_COMMAND
def test_it_prints_json_or_there_is_a_reason(command: Command) -> None:
    has_json = "--json" in {option.name for option in command.options}

    assert has_json != (command.name in WITHOUT_JSON)


@EACH_COMMAND
def test_each_argument_and_option_is_explained(command: Command) -> None:
    for parameter in (*command.arguments, *command.options):
        assert parameter.help, parameter.name


@EACH
def test_help_fits_80_columns_and_is_plain_text(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if command.name == "credit local cdk":
        return  # its --help is the CDK CLI's
    monkeypatch.setenv("COLUMNS", "80")

    assert main.run([*command.path[1:], "--help"]) == 0

    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80 or "credit " in max(shown.splitlines(), key=len)
    assert not re.search("[─-╿\x1b]", shown)
    assert "Examples:" in shown
    assert "Exit codes:" in shown


def test_the_sentences_of_the_table_are_the_commands_own() -> None:
    own = {command.path[1]: command.summary for command in ALL if len(command.path) == 2}

    assert {word.name: word.summary for word in WORDS} == own


def test_each_heading_has_commands() -> None:
    assert {word.panel for word in WORDS} == set(Panel)


def test_the_reference_can_be_written_as_json() -> None:
    documents = json.loads(json.dumps([command.as_document() for command in ALL]))

    assert documents[0]["name"] == "credit"
    assert len({document["name"] for document in documents}) == len(ALL)


@EACH
def test_a_misspelt_option_is_two_lines_with_what_was_meant(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.name == "credit local cdk":
        return  # each option is the CDK CLI's
    assert main.run([*command.path[1:], "--hlep"]) == ExitCode.USAGE

    shown = capsys.readouterr()
    assert shown.out == ""
    first, second = shown.err.splitlines()
    assert first.startswith("error: ")
    assert "--help" in second


HELP_IMPORTS = """
import sys
from credit_cli.main import run
run(["--help"])
heavy = {"numpy", "pandas", "botocore", "boto3", "duckdb", "pydantic", "rich", "starlette"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_help_does_not_wait_for_what_it_does_not_need() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP_IMPORTS], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "Start here:" in done.stdout


WORDS_FOR = {
    "ADDRESS": "http://127.0.0.1:9",
    "DAY": "2026-11-22",
    "FOLDER": "nowhere",
    "ID": "a-1",
    "NAME": "a_loan",
}
"""What the placeholders of examples are replaced with; others stand for themselves."""
AT_WORK = {"credit sample generate": "it needs nothing, and takes its time"}
EXAMPLES = [
    example.command
    for command in COMMANDS
    if command.name not in AT_WORK
    for example in command.examples
]
LOGGED_OUT = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID")


def typed(example: str) -> list[str]:
    words = [WORDS_FOR.get(word, word) for word in example.split(" <", maxsplit=1)[0].split()[1:]]
    return words[: words.index("#")] if "#" in words else words


@pytest.fixture
def _logged_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LOGGED_OUT, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_logged_out")
@pytest.mark.parametrize("example", EXAMPLES)
def test_where_nobody_is_logged_in_each_example_ends_in_two_lines_at_most(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    code = main.run(["--stage", "dev", *[word for word in typed(example) if word != "--stage"]])

    said = [line for line in capsys.readouterr().err.splitlines() if line[:1] not in "✓✗"]
    assert code in set(ExitCode)
    assert bool(said) == bool(code)
    assert len(said) <= 2, said
    assert "Traceback" not in "".join(said)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("score {missing}", 2, "can't be read: No such file or directory"),
        ("score {folder}", 2, "can't be read: Is a directory"),
        ("score {binary}", 2, "is not JSON"),
        ("push {missing}", 2, "can't be read: No such file or directory"),
        ("push {folder}", 2, "can't be read: Is a directory"),
        ("push {binary}", 2, "{binary}"),
        ("products check {missing}.py", 1, "has 1 fault"),
        ("train --product personal_loan --data {missing} --out {new}", 2, "{missing}"),
        ("train --product personal_loan --data {binary} --out {new}", 2, "{binary}"),
        ("archive check --from 2026-02-02 --to 2026-01-01", 2, "lies before --from"),
        ("models share v1 -0.1", 2, "has no option -0"),
        ("--stage prod status", 1, "no AWS region is configured"),
        ("--stage dev score {application}", 1, "no AWS region is configured"),
        ("train --product {folder}.py --data {missing} --out {new}", 2, "there is no file"),
        ("dataset build --data {missing}", 2, "is not a folder"),
        ("dataset build --data {binary}", 2, "is not a folder"),
        ("dataset served --receipts {missing}", 2, "can't be read: No such file or directory"),
        ("dataset served --receipts {binary}", 2, "{binary}"),
        ("models compare --receipts {missing}", 2, "can't be read: No such file or directory"),
        ("models register {missing}", 2, "{missing}"),
        ("models register {binary}", 2, "{binary}"),
        ("decisions replay --all --receipts {missing} --models {folder}", 2, "can't be read"),
        ("decisions replay --all --receipts {folder} --models {missing}", 2, "is no folder"),
        ("decisions replay", 2, "name application ids, or --all of them"),
        ("erase --verify {missing}", 2, "{missing}"),
        ("erase --verify {binary}", 2, "{binary}"),
        ("monitor --out {folder}", 2, "does not end in .html"),
        ("monitor --day 2999-01-01", 2, "has not begun"),
        ("api openapi --out {folder}", 2, "can't be written: Is a directory"),
        ("sample generate --applicants 1 --out {binary}", 2, "{binary}"),
        ("capacity --requests-per-second x", 2, "--requests-per-second"),
        ("capacity --requests-per-second 1 --like prd", 2, "there is no stage 'prd'"),
        ("score {application} --api-url http://127.0.0.1:9 --token x", 4, "nothing answers at"),
        ("score {application} --api-url nowhere --token x", 2, "is not an http(s) address"),
        ("score {application} --token x", 2, "--api-url and --token go together"),
        ("logs --query slowst", 2, "there is no query 'slowst'"),
        ("--stage PROD status", 2, "'PROD' is no name of a stage"),
        ("--stage dev local status", 2, "is about the local cloud"),
        ("local up --port 99999", 2, "99999"),
    ],
)
@pytest.mark.usefixtures("_logged_out")
def test_wrong_use_is_said_in_two_lines_at_most(
    words: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {name: str(tmp_path / name) for name in ("missing", "folder", "binary", "new")}
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\x00\xff\xfe{")
    (tmp_path / "application.json").write_text("{}")
    paths["application"] = str(tmp_path / "application.json")

    assert main.run(words.format(**paths).split()) == code

    shown = [line for line in capsys.readouterr().err.splitlines() if line[:1] not in "✓✗"]
    assert said.format(**paths) in shown[0]
    assert shown[0].startswith("error: ")
    assert len(shown) <= 2


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("modls", "models"),
        ("models lst", "list"),
        ("models list --jsn", "--json"),
        ("alarms shw", "show"),
        ("status --debg", "--debug"),
        ("status --stge dev", "--stage"),
        ("--stage prdo status", "prod"),
        ("products check personal_loan --show shema", "schema"),
        ("logs --query slowst", "slowest"),
        ("--stage PROD status", "prod"),
        ("train --product persnal_loan --data x --out y", "personal_loan"),
        ("products check persnal_loan", "personal_loan"),
        ("capacity --requests-per-second 1 --like prd", "prod"),
    ],
)
@pytest.mark.usefixtures("_logged_out")
def test_what_was_meant_is_named(
    words: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words.split()) != 0

    said = capsys.readouterr().err
    assert "did you mean" in said.lower()
    assert meant in said


def test_an_option_of_credit_itself_is_said_to_stand_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["models", "promote", "v1", "--yes"]) == ExitCode.USAGE

    first, second = capsys.readouterr().err.splitlines()
    assert first == "error: credit models promote has no option --yes"
    assert second == "  it stands first: credit --yes models promote ..."


def test_an_option_of_the_command_is_meant_before_one_of_credit_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["models", "list", "--jsn"]) == ExitCode.USAGE

    second = capsys.readouterr().err.splitlines()[1]
    assert second == "  did you mean --json?; see: credit models list --help"


@pytest.mark.usefixtures("_logged_out")
def test_a_stage_of_a_name_that_nobody_misspelt_is_not_corrected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["--stage", "acme", "status"]) == ExitCode.FAILED

    assert "did you mean" not in capsys.readouterr().err


def test_arguments_are_not_named_among_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["models", "share", "v1", "-0.1"]) == ExitCode.USAGE

    hint = capsys.readouterr().err.splitlines()[1]
    assert hint.strip() == ("options: --by, --product, --json; see: credit models share --help")


def test_a_fault_of_its_own_is_told_without_what_it_was_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> NoReturn:
        raise KeyError("Ada Lovelace")

    monkeypatch.setattr(local_commands, "status_document", fail)

    assert main.run(["local", "status"]) == 1

    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: a fault of this program: KeyError in test_cli_commands.py")
    assert "Ada" not in first
    assert "--debug" in second


@pytest.mark.parametrize("words", [["--debug", "local", "status"], ["local", "status", "--debug"]])
def test_debug_may_stand_anywhere(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise KeyError("x")

    monkeypatch.setattr(local_commands, "status_document", fail)

    with pytest.raises(KeyError):
        main.run(words)


def test_no_at_a_question_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(*_: object) -> NoReturn:
        raise typer.Abort

    monkeypatch.setattr(local_commands, "status_document", leave)

    assert main.run(["local", "status"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "error: nothing was done\n"
