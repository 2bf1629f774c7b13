"""`credit logs` on the local cloud: which question, of which lines, and how a line is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from credit_cli import log_lines
from credit_cli.aws import LocalAws
from credit_cli.errors import UsageError
from credit_cli.logs import Asked, answered, follow_lines, message_words, question, row_line

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
GROUPS = {"/logs/scorer": "scorer", "/logs/batch": "batch"}


@dataclass
class Logs:
    """Lines by log group; after so many looks a person presses Ctrl-C."""

    lines: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    looks_left: int = 1_000
    pages: int = 0

    def write(self, group: str, seconds: float, **fields: object) -> None:
        self.lines.setdefault(group, []).append((seconds, json.dumps(fields)))

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        if not self.looks_left:
            raise KeyboardInterrupt
        self.looks_left -= 1
        self.pages += 1
        started_ms = NOW.timestamp() * 1_000
        events = [
            {"timestamp": round(started_ms + 1_000 * seconds), "message": message}
            for seconds, message in self.lines.get(asked["logGroupName"], [])
        ]
        found = [event for event in events if event["timestamp"] >= asked["startTime"]]
        return {"events": found[: asked["limit"]]}


@dataclass(frozen=True)
class Aws(LocalAws):
    """The local cloud with those logs."""

    logs: Logs

    def client(self, service: str) -> Logs:
        assert service == "logs"
        return self.logs


@pytest.fixture
def written() -> Logs:
    found = Logs()
    found.write("/logs/scorer", 0, message="decided", outcome="approve", application_id="a-1")
    found.write("/logs/scorer", 1, level="WARNING", message="refused", status=400, reason="bad")
    found.write("/logs/batch", 2, level="WARNING", message="refused", status=400, reason="bad")
    found.write("/logs/batch", 3, level="ERROR", message="broken", request_id="r-1")
    return found


def ask(written: Logs, *, since: datetime = NOW, **words: Any) -> list[dict[str, object]]:
    nothing: dict[str, Any] = {"name": None, "errors": False, "request": None, "application": None}
    named, wanted = question(**(nothing | words))
    return answered(Aws("http://127.0.0.1:9", written), Asked(named, wanted, GROUPS, since))


def test_each_question_finds_its_lines(written: Logs) -> None:
    assert [row["@log"] for row in ask(written, errors=True)] == ["/logs/batch"]
    [found] = ask(written, application="a-1")
    assert "approve" in str(found["@message"])
    assert [row["@log"] for row in ask(written, request="r-1")] == ["/logs/batch"]
    [counted] = ask(written, name="refused")
    assert (counted["lines"], counted["status"]) == (2, 400)


def test_without_a_question_all_lines_come_the_newest_first(written: Logs) -> None:
    rows = ask(written)

    assert [row["@timestamp"] for row in rows] == [
        f"2026-11-22 18:00:0{second}.000" for second in (3, 2, 1, 0)
    ]
    assert len(ask(written, since=NOW + timedelta(seconds=2))) == 2


def test_more_lines_than_a_page_holds_are_all_read(
    written: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "PAGE_LINES", 5)
    for number in range(40):
        written.write("/logs/scorer", 10 + number // 3, message="decided", number=number)

    rows = ask(written)

    assert len(rows) == 44
    assert written.pages > 10


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"name": "nothing"}, "there is no query"),
        ({"name": "request"}, "request takes a request_id"),
        ({"name": "errors", "errors": True}, "at a time"),
        ({"request": 'x" or 1=1'}, "request_id must match"),
    ],
)
def test_a_question_that_is_none_is_said_to_be(
    written: Logs, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        ask(written, **words)


def test_who_follows_sees_each_line_once(
    written: Logs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def more(_: float) -> None:
        seconds = (datetime.now(UTC) - NOW).total_seconds()
        written.write("/logs/scorer", seconds, message="decided", application_id="a-2")

    monkeypatch.setattr("credit_cli.logs.time.sleep", more)
    written.looks_left = 2 * len(GROUPS)
    named, wanted = question(None, errors=False, request=None, application=None)

    with pytest.raises(KeyboardInterrupt):
        follow_lines(Aws("http://127.0.0.1:9", written), Asked(named, wanted, GROUPS, NOW))

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("18:00:00 scorer")
    assert lines[-1].endswith("application_id=a-2")


def test_a_line_of_another_form_is_shown_as_it_is() -> None:
    assert message_words("Task timed out after 5.00 seconds\n") == [
        "Task timed out after 5.00 seconds"
    ]
    assert message_words("[1, 2]") == ["[1, 2]"]
    row = {"@timestamp": "2026-11-22 18:01:22.123", "@log": "123456789012:/logs/batch"}
    assert row_line({**row, "@message": "END"}, GROUPS) == "18:01:22 batch       END"


def test_an_uncaught_error_is_told_with_its_cause_and_place(written: Logs) -> None:
    """The local cloud writes a line of the traceback into each line of the log."""
    lines = (
        "Traceback (most recent call last):",
        '  File "/tmp/worker.py", line 128, in run',
        "    result = handler_fn(event, context)",
        "    ^^^^^^",
        '  File "/opt/python/credit_core/adapters/receipt_archive.py", line 91, in keys',
        "    raise StoreUnavailableError(message) from None",
        "credit_core.errors.StoreUnavailableError: the archive could not be listed: NoSuchBucket",
        "END RequestId: 1",
        "Traceback (most recent call last):",
        "  and it was cut off there",
    )
    written.lines["/logs/batch"] = [(1, line) for line in lines]
    named, _ = question(None, errors=True, request=None, application=None)
    asked = Asked(named, None, {"/logs/batch": "batch"}, NOW)

    told = [row["@message"] for row in answered(Aws("http://127.0.0.1:9", written), asked)]

    cause = f"{lines[6]} (adapters/receipt_archive.py:91)"
    assert sorted(map(str, told)) == [lines[0], f"Traceback: {cause}"]
