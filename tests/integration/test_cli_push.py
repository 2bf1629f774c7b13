"""`credit push`: what it sends, and what it refuses to send."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import main
from credit_cli import push as credit_push
from credit_core.domain.feature_event import DETAIL_TYPE, MAXIMUM_EVENT_BYTES
from tests.pushes import a_detail

if TYPE_CHECKING:
    from pathlib import Path

A_MINUTE_AGO = datetime.now(UTC) - timedelta(minutes=1)


@dataclass
class Bus:
    """An event bus in memory that takes each entry but the refused ones."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    refused: frozenset[int] = frozenset()

    def client(self, service: str) -> Bus:
        assert service == "events"
        return self

    def put_events(self, *, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 (boto3's)
        self.calls += 1
        answers = []
        for entry in Entries:
            self.entries.append(entry)
            number = len(self.entries)
            refused = number in self.refused
            answers.append({"ErrorCode": "Busy"} if refused else {"EventId": f"event-{number}"})
        return {"Entries": answers}

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(entry["Detail"]) for entry in self.entries]


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = Bus()
    monkeypatch.setattr(
        credit_push, "deployed", lambda _, **__: (bus, {"FeatureBus": "credit-local"})
    )
    return bus


def a_row(applicant_id: str = "applicant-1", **changes: Any) -> dict[str, Any]:
    return a_detail(applicant_id, event=A_MINUTE_AGO, **changes)


def test_a_row_is_sent_to_the_bus_of_the_deployment(
    bus: Bus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps(a_row(), indent=2))

    assert main.run(["push", str(path)]) == 0

    (entry,) = bus.entries
    assert (entry["EventBusName"], entry["DetailType"]) == ("credit-local", DETAIL_TYPE)
    assert bus.sent() == [a_row()]
    said = capsys.readouterr().out
    assert "bureau, event of " in said
    assert "sent as event-1" in said
    assert said.endswith("1 row sent to the bus credit-local.\n")


def test_rows_come_one_a_line_and_from_standard_input(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [a_row(f"applicant-{number}") for number in range(23)]
    text = "\n\n".join(json.dumps(row) for row in rows) + "\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert main.run(["push", "-", "--json"]) == 0

    assert bus.sent() == rows
    assert bus.calls == 3
    document = json.loads(capsys.readouterr().out)
    assert document["bus"] == "credit-local"
    assert document["sent"][22] == {
        "row": 23,
        "view": "bureau",
        "event_timestamp": rows[22]["event_timestamp"],
        "event_id": "event-23",
    }


def test_a_bad_row_is_refused_with_all_its_faults_and_nothing_is_sent(
    bus: Bus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    bad = a_row("applicant 4711", inq_fi=-98_765) | {"created_timestamp": "yesterday"}
    path.write_text("\n".join(json.dumps(row) for row in (a_row(), bad, {"view": "bureau"})))

    assert main.run(["push", str(path)]) == 2

    assert bus.entries == []
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        "error: row 2: created_timestamp is not an ISO 8601 date and time with a time zone; "
        "applicant_id does not match [A-Za-z0-9_.:-]{1,64}; inq_fi is not from 0 to 1000"
    )
    assert said[1].startswith("row 3: keys is missing; event_timestamp is missing; ")
    assert said[-1] == "  nothing was sent"
    assert not any("4711" in line or "98765" in line for line in said)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "a JSON object is expected; the body is empty"),
        ("{", "the body is not JSON (line 1, column 2)"),
        ('{"view": "bureau", "view": "bureau"}', "is given more than once"),
        ("[]", "a JSON object is expected"),
        ('{"view": NaN}', "NaN is not JSON"),
    ],
)
@pytest.mark.usefixtures("bus")
def test_what_is_no_row_is_used_wrongly(
    content: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "row.json"
    path.write_text(content)

    assert main.run(["push", str(path)]) == 2

    assert capsys.readouterr().err == f"error: {path}: {reason}\n"


@pytest.mark.usefixtures("bus")
def test_a_broken_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{json.dumps(a_row())}\n{{\n")

    assert main.run(["push", str(path)]) == 2

    assert capsys.readouterr().err.startswith(f"error: {path}, line 2: the body is not JSON")


@pytest.mark.usefixtures("bus")
def test_a_file_or_product_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps(a_row()))

    assert main.run(["push", str(tmp_path / "no.json")]) == 2
    assert main.run(["push", str(path), "--product", "payday_loan"]) != 0

    said = capsys.readouterr().err
    assert f"{tmp_path}/no.json can't be read: No such file or directory" in said
    assert "there is no file products/payday_loan.py" in said


def test_a_bus_that_does_not_take_a_row_is_a_failure(
    bus: Bus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bus.refused = frozenset({2})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(a_row(f"applicant-{n}")) for n in range(3)))

    assert main.run(["push", str(path)]) == 1

    said = capsys.readouterr().err
    assert said.startswith("error: 1 of 3 rows were not accepted: row 2: Busy\n")


def test_one_call_never_holds_more_than_event_bridge_takes() -> None:
    entry = credit_push.MAXIMUM_ROW_BYTES + 256
    assert credit_push.ENTRIES_A_CALL * entry <= MAXIMUM_EVENT_BYTES
