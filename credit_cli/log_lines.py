"""Lines of a log group, each once, from a moment on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_logs import CloudWatchLogsClient

PAGE_LINES = 10_000
"""Lines in one FilterLogEvents. Source: CloudWatch Logs API Reference, "FilterLogEvents"."""


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
