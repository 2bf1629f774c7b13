"""`credit archive`: what it asks the archiver, and how it says the answer."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from credit_cli import archive, main

NOTHING_WRONG = {
    "days": {"2026-11-22": {"recorded": 1_003, "archived": 1_003}},
    "missing": 0,
    "missing_keys": [],
    "unknown": 0,
    "damaged": {},
}
ONE_MISSING = NOTHING_WRONG | {
    "days": {"2026-11-22": {"recorded": 1_003, "archived": 1_002}},
    "missing": 1,
    "missing_keys": ["receipts/a"],
}
REDRIVEN = {
    "batches": 2,
    "complete": True,
    "before": ONE_MISSING,
    "new": 1,
    "known": 0,
    "failed": {},
}


@dataclass
class Archiver:
    """The function, with one answer to everything."""

    answer: dict[str, Any] = field(default_factory=dict)
    failed: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Archiver:
        assert service == "lambda"
        return self

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 (boto3's)
        assert FunctionName == "the-archiver"
        self.asked.append(json.loads(Payload))
        answer: dict[str, Any] = {"Payload": io.BytesIO(json.dumps(self.answer).encode())}
        return answer | ({"FunctionError": "Unhandled"} if self.failed else {})


@pytest.fixture
def archiver(monkeypatch: pytest.MonkeyPatch) -> Archiver:
    archiver = Archiver()
    outputs = {"ArchiverFunction": "the-archiver"}
    monkeypatch.setattr(archive, "deployed", lambda _, **__: (archiver, outputs))
    return archiver


def test_a_check_without_days_is_of_all(
    archiver: Archiver, capsys: pytest.CaptureFixture[str]
) -> None:
    archiver.answer = NOTHING_WRONG

    assert main.run(["archive", "check"]) == 0

    assert archiver.asked == [{"check": {}}]
    said = capsys.readouterr().out
    assert said.endswith("1,003 of 1,003 records are archived, once each\n")


def test_days_are_passed_on(archiver: Archiver) -> None:
    archiver.answer = NOTHING_WRONG

    main.run(["archive", "check", "--from", "2026-11-01", "--to", "2026-11-22"])

    assert archiver.asked == [{"check": {"from": "2026-11-01", "to": "2026-11-22"}}]


@pytest.mark.parametrize(
    "fault", [ONE_MISSING, NOTHING_WRONG | {"unknown": 1}, NOTHING_WRONG | {"damaged": {"a": "b"}}]
)
def test_where_table_and_archive_differ_the_check_fails(
    archiver: Archiver, fault: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    archiver.answer = fault

    assert main.run(["archive", "check", "--json"]) == 1

    assert json.loads(capsys.readouterr().out) == fault


def test_a_redrive_says_what_it_archived(
    archiver: Archiver, capsys: pytest.CaptureFixture[str]
) -> None:
    archiver.answer = REDRIVEN

    assert main.run(["archive", "redrive"]) == 0

    assert archiver.asked == [{"redrive": {}}]
    said = capsys.readouterr().out
    assert said == "2 failed batches; missing before: 1; archived now: 1\n"


def test_a_redrive_that_is_not_complete_fails_and_says_why(
    archiver: Archiver, capsys: pytest.CaptureFixture[str]
) -> None:
    archiver.answer = REDRIVEN | {
        "complete": False,
        "new": 0,
        "failed": {"receipts/a": "AccessDenied"},
    }

    assert main.run(["archive", "redrive"]) == 1

    said = capsys.readouterr().out
    assert "receipts/a: AccessDenied" in said
    assert said.endswith("The failed batches wait to be redriven again.\n")


def test_an_archiver_that_fails_is_told_in_its_own_words(
    archiver: Archiver, capsys: pytest.CaptureFixture[str]
) -> None:
    archiver.answer, archiver.failed = {"errorMessage": "the archive could not be listed"}, True

    assert main.run(["archive", "redrive"]) == 1

    said = capsys.readouterr().err
    assert said.startswith("error: the archiver failed: the archive could not be listed\n")


@pytest.mark.usefixtures("archiver")
@pytest.mark.parametrize("day", ["yesterday", "2026-13-01"])
def test_a_day_that_is_none_is_used_wrongly(day: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["archive", "check", "--from", day]) == 2

    assert capsys.readouterr().err == (
        f"error: Invalid value for '--from': '{day}' is no day; a day is written YYYY-MM-DD\n"
        "  see: credit archive check --help\n"
    )


def test_a_last_day_before_the_first_is_used_wrongly(
    archiver: Archiver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["archive", "check", "--from", "2026-11-22", "--to", "2026-11-01"]) == 2

    assert capsys.readouterr().err == "error: --to 2026-11-01 lies before --from 2026-11-22\n"
    assert archiver.asked == []
