"""`credit erase`: whom it takes, what it asks, and how it says what was done."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import erase, main

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE: dict[str, Any] = {
    "certificate": "erasure",
    "product": "personal_loan",
    "stage": "local",
    "applicant": "c0ffee",
    "erased_at": "2026-11-22T10:00:00.000Z",
    "issued_at": "2026-11-22T10:00:01.000Z",
    "features": {"bureau": "removed"},
    "materialization": "nothing brings them back",
    "kept": {
        "receipts": 0,
        "reviews": 0,
        "outcomes": 0,
        "until": None,
        "days_each": 5,
        "by": "the law",
        "then": "they end",
    },
    "lake": {
        "searched_files": 3,
        "unreadable_files": 1,
        "pushed_rows_removed": 0,
        "files_with_the_applicant": 0,
        "rows_in_them": 0,
        "files": [],
    },
    "not_removed": ["Backups."],
}
DONE: dict[str, Any] = {
    "complete": True,
    "already": False,
    "new": True,
    "on_their_way": 0,
    "searched_files": 3,
    "lake_searched": True,
    "certificate": json.dumps(CERTIFICATE),
    "seal": "5ea1",
}
SEARCHING = DONE | {"complete": False, "lake_searched": False, "certificate": ""}
WAITING = DONE | {"complete": False, "on_their_way": 2, "certificate": ""}


@dataclass
class Eraser:
    """The function, with its answers in turn; the last one stays."""

    answers: list[dict[str, Any]] = field(default_factory=lambda: [DONE])
    failed: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def client(self, service: str) -> Eraser:
        assert service == "lambda"
        return self

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 (boto3's)
        assert FunctionName == "the-eraser"
        self.asked.append(json.loads(Payload))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        document: dict[str, Any] = {"Payload": io.BytesIO(json.dumps(answer).encode())}
        return document | ({"FunctionError": "Unhandled"} if self.failed else {})


@pytest.fixture
def eraser(monkeypatch: pytest.MonkeyPatch) -> Eraser:
    eraser = Eraser()
    outputs = {"EraserFunction": "the-eraser"}
    monkeypatch.setattr(erase, "deployed", lambda _, **__: (eraser, outputs))
    monkeypatch.setattr(erase, "PAUSE_SECONDS", 0)
    return eraser


def test_an_applicant_is_erased_and_the_certificate_printed(
    eraser: Eraser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["erase", "applicant_id=a-1", "--yes"]) == 0

    (asked,) = eraser.asked
    assert asked["keys"] == {"applicant_id": "a-1"}
    said = capsys.readouterr().out
    assert "Certificate of erasure: personal_loan, local, applicant c0ffee" in said
    assert "Features: bureau removed; nothing brings them back" in said
    assert "a-1" not in said


def test_it_calls_until_all_is_done(eraser: Eraser) -> None:
    eraser.answers = [SEARCHING, SEARCHING, WAITING, DONE]

    assert main.run(["erase", "applicant_id=a-1", "--yes"]) == 0

    assert len(eraser.asked) == 4


def test_receipts_that_never_reach_the_archive_are_told(
    eraser: Eraser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(erase, "ARCHIVE_SECONDS", -1)
    eraser.answers = [WAITING]

    assert main.run(["erase", "applicant_id=a-1", "--yes"]) == 1

    assert capsys.readouterr().err == (
        "error: 2 receipts are not in the archive yet, so that their end could not be set;"
        " the features are erased\n  run: credit archive redrive, then this again\n"
    )


def test_for_machines_it_is_one_document(
    eraser: Eraser, capsys: pytest.CaptureFixture[str]
) -> None:
    eraser.answers = [DONE | {"already": True, "new": False}]

    assert main.run(["erase", "applicant_id=a-1", "--yes", "--json"]) == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed["certificate"] == CERTIFICATE
    assert (printed["already"], printed["seal"]) == (True, "5ea1")
    assert printed["text"] == json.dumps(CERTIFICATE)


def test_keys_may_come_by_standard_input(eraser: Eraser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("applicant_id=a-1\n\n"))

    assert main.run(["erase", "-", "--yes"]) == 0

    assert eraser.asked[0]["keys"] == {"applicant_id": "a-1"}


def test_without_a_person_to_ask_nothing_is_done(
    eraser: Eraser, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    assert main.run(["erase", "applicant_id=a-1"]) == 2

    assert eraser.asked == []
    assert capsys.readouterr().err.endswith(
        "error: this asks before it acts, and nobody is at a terminal\n  add --yes\n"
    )


@pytest.mark.parametrize(("answer", "calls"), [("y\n", 1), ("n\n", 0)])
def test_a_person_is_asked(
    eraser: Eraser, monkeypatch: pytest.MonkeyPatch, answer: str, calls: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))

    assert main.run(["erase", "applicant_id=a-1"]) == (0 if calls else 2)

    assert len(eraser.asked) == calls


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "applicant_id is missing"),
        (["secret-7"], "expected name=value for each key"),
        (["applicant_id=secret 7"], "applicant_id does not match [A-Za-z0-9_.:-]{1,64}"),
        (["applicant_id=a", "applicant_id=secret"], "a key is there twice"),
        (["secret=a"], "applicant_id is missing; 1 other key than applicant_id"),
    ],
)
def test_keys_that_are_none_are_refused_without_their_values(
    eraser: Eraser, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["erase", *words, "--yes"]) == 2

    assert capsys.readouterr().err == (
        f"error: {message}\n  an applicant is named by: credit erase applicant_id=...\n"
    )
    assert eraser.asked == []


def test_an_eraser_that_fails_is_told_in_its_own_words(
    eraser: Eraser, capsys: pytest.CaptureFixture[str]
) -> None:
    eraser.answers, eraser.failed = [{"errorMessage": "a tombstone could not be put"}], True

    assert main.run(["erase", "applicant_id=a-1", "--yes"]) == 1

    said = capsys.readouterr().err
    assert "error: the eraser failed: a tombstone could not be put\n" in said


@pytest.mark.parametrize(("genuine", "exit_code"), [(True, 0), (False, 1)])
def test_a_certificate_is_verified(
    eraser: Eraser,
    tmp_path: Path,
    *,
    genuine: bool,
    exit_code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "certificate.json"
    file.write_text(json.dumps({"text": "{}", "seal": "5ea1"}))
    eraser.answers = [{"genuine": genuine}]

    assert main.run(["erase", "--verify", str(file)]) == exit_code

    assert eraser.asked == [{"verify": {"text": "{}", "seal": "5ea1"}}]
    assert ("NOT" in capsys.readouterr().out) is not genuine


def test_a_file_without_a_certificate_is_used_wrongly(eraser: Eraser, tmp_path: Path) -> None:
    file = tmp_path / "certificate.json"
    file.write_text("[]")

    assert main.run(["erase", "--verify", str(file)]) == 2
    assert main.run(["erase", "--verify", str(tmp_path / "none")]) == 2

    assert eraser.asked == []
