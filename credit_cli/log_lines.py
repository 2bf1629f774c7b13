"""Lines of a log group, each once, from a moment on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_logs import CloudWatchLogsClient

PAGE_LINES = 10_000
"""Lines in one FilterLogEvents. Source: CloudWatch Logs API Reference, "FilterLogEvents"."""

TRACEBACK = "Traceback (most recent call last):"
FRAME = re.compile(r'File "(?:.*/)?([^/"]+/[^/"]+)", line (\d+)')


def whole_tracebacks(events: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield lines, each traceback that lies there in many of them as one: the error and its place.

    Lambda writes what a function does not catch as one line of JSON. The local cloud writes it as
    Python prints it, where the cause comes last.
    """
    begun: dict[str, tuple[Mapping[str, Any], str]] = {}
    for event in events:
        stream, text = str(event.get("logStreamName", "")), str(event["message"])
        if text.strip() == TRACEBACK:
            begun[stream] = (event, "")
        elif stream not in begun:
            yield event
        elif text[:1].isspace():
            first, place = begun[stream]
            frame = FRAME.search(text)
            begun[stream] = (first, f" ({frame[1]}:{frame[2]})" if frame else place)
        else:
            _, place = begun.pop(stream)
            yield {**event, "message": f"Traceback: {text.strip()}{place}"}
    yield from (first for first, _ in begun.values())


def lines_since(
    logs: CloudWatchLogsClient, group: str, since_ms: int, *, pattern: str = ""
) -> Iterator[Mapping[str, Any]]:
    """Yield the lines of a log group.

    Args:
        logs: Where it is.
        group: Its name.
        since_ms: The first moment, in milliseconds since 1970.
        pattern: A filter pattern of CloudWatch Logs; by default every line.
    """
    token: dict[str, Any] = {}
    while True:
        page = logs.filter_log_events(
            logGroupName=group,
            startTime=since_ms,
            filterPattern=pattern,
            limit=PAGE_LINES,
            **token,
        )
        events = page["events"]
        if page.get("nextToken"):
            yield from events
            token = {"nextToken": page["nextToken"]}
            continue
        last = events[-1]["timestamp"] if len(events) == PAGE_LINES else since_ms
        if last == since_ms:
            yield from events
            return
        # The local cloud names no next page. The last moment of a full one may be cut: it begins
        # the next.
        yield from (event for event in events if event["timestamp"] < last)
        since_ms, token = last, {}
