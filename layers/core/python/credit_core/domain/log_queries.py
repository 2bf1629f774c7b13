"""Questions that on-call asks of the logs, each in one place.

CloudWatch Logs Insights answers their ``text``; ``answer`` answers the same from lines that were
read otherwise, where Insights cannot be asked.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ACCESS = "access"
"""The API's access log, among the functions' logs; these bear the functions' names."""

TIMESTAMP, MESSAGE, LOG = "@timestamp", "@message", "@log"
"""What Insights itself says of a line: when it was written, its text, and where it lies."""

MOST_ROWS = 1_000
A_VALUE = re.compile(r"[A-Za-z0-9_.:/=@+-]{1,200}")
"""What may be asked for: ids of requests and of applications, and nothing that ends a string."""

type Row = dict[str, object]


class Asks(StrEnum):
    """What a condition asks of a field."""

    IS = "="
    AT_LEAST = ">="
    ABOVE = ">"
    IS_THERE = "ispresent"
    HOLDS = "like"
    LISTS = "lists"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a field of a line has to be.

    ``HOLDS`` takes a regular expression. ``IS`` and ``LISTS`` take the query's own parameter where
    ``value`` is None; a list is one text, with a space before and after each item.
    """

    field: str
    asks: Asks
    value: str | float | None = None

    def text(self, wanted: str) -> str:
        """Return it as Insights reads it; ``wanted`` stands for the parameter."""
        match self.asks:
            case Asks.IS_THERE:
                return f"ispresent({self.field})"
            case Asks.HOLDS:
                return f"{self.field} like /{self.value}/"
        value = wanted if self.value is None else self.value
        if self.asks is Asks.LISTS:
            return f"{self.field} like {json.dumps(f' {value} ')}"
        return f"{self.field} {self.asks} {json.dumps(value)}"

    def holds(self, line: Mapping[str, object], wanted: str) -> bool:
        """Tell whether a line's field is so."""
        found = line.get(self.field)
        if found is None or self.asks is Asks.IS_THERE:
            return found is not None
        value = wanted if self.value is None else self.value
        match self.asks:
            case Asks.HOLDS:
                return re.search(str(value), str(found)) is not None
            case Asks.IS:
                return str(found) == str(value)
            case Asks.LISTS:
                return f" {value} " in str(found)
        number = _number(found)
        if number is None:
            return False
        return number > float(value) if self.asks is Asks.ABOVE else number >= float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """One question.

    Args:
        name: As a person types it.
        summary: What it tells.
        logs: Functions by name, and ``ACCESS``; none are all.
        where: A line counts if of each group at least one condition holds.
        show: Fields of each line; none where lines are counted.
        count_by: Lines are counted by these fields, the most frequent first.
        percentiles_of: Milliseconds of which the median, p99 and the highest are told.
        sort: Field by which lines are sorted, the highest first.
        limit: Most rows.
        parameter: What has to be asked for, if anything.
    """

    name: str
    summary: str
    logs: tuple[str, ...] = ()
    where: tuple[tuple[Condition, ...], ...]
    show: tuple[str, ...] = ()
    count_by: tuple[str, ...] = ()
    percentiles_of: tuple[str, ...] = ()
    sort: str = TIMESTAMP
    limit: int = 100
    parameter: str | None = None

    def text(self, wanted: str | None = None) -> str:
        """Return the query in the language of Logs Insights.

        Args:
            wanted: Value of the parameter; without, its placeholder, for a query that is saved.

        Raises:
            ValueError: It is no id that a line could hold.
        """
        if self.parameter and wanted is None:
            wanted = f"{{{{{self.parameter}}}}}"
        else:
            self._check(wanted)
        stages = [
            "filter "
            + " and ".join(
                f"({' or '.join(condition.text(wanted or '') for condition in group)})"
                for group in self.where
            )
        ]
        if self.count_by:
            by = ", ".join(self.count_by)
            stages += [f"stats count(*) as lines by {by}", "sort lines desc"]
        elif self.percentiles_of:
            figures = (
                f"pct({field}, 50) as {field}_p50, pct({field}, 99) as {field}_p99, "
                f"max({field}) as {field}_max"
                for field in self.percentiles_of
            )
            stages.append(f"stats count(*) as lines, {', '.join(figures)}")
        else:
            stages = [f"fields {', '.join(self.show)}", *stages, f"sort {self.sort} desc"]
        return "\n| ".join([*stages, f"limit {self.limit}"])

    def answer(self, lines: Iterable[Mapping[str, object]], wanted: str | None = None) -> list[Row]:
        """Return the rows that Insights would.

        Args:
            lines: As ``read_line`` returns them.
            wanted: Value of the parameter.

        Raises:
            ValueError: The parameter is missing, or no id that a line could hold.
        """
        self._check(wanted)
        found = [
            line
            for line in lines
            if all(
                any(condition.holds(line, wanted or "") for condition in group)
                for group in self.where
            )
        ]
        if self.count_by:
            return self._counted(found)
        if self.percentiles_of:
            return self._percentiles(found)
        # Of lines written at the same moment the last comes first, as of any others.
        found.sort(key=lambda line: _order(line.get(self.sort)))
        found.reverse()
        return [
            {field: line[field] for field in self.show if line.get(field) is not None}
            for line in found[: self.limit]
        ]

    def _check(self, wanted: str | None) -> None:
        if (wanted is None) is not (self.parameter is None):
            takes = f"takes a {self.parameter}" if self.parameter else "takes no value"
            message = f"{self.name} {takes}"
            raise ValueError(message)
        if wanted is not None and not A_VALUE.fullmatch(wanted):
            message = f"{self.parameter} must match {A_VALUE.pattern}"
            raise ValueError(message)

    def _counted(self, found: list[Mapping[str, object]]) -> list[Row]:
        counts: dict[tuple[object, ...], int] = defaultdict(int)
        for line in found:
            counts[tuple(line.get(field) for field in self.count_by)] += 1
        most = sorted(counts.items(), key=lambda count: -count[1])[: self.limit]
        return [
            {
                field: value
                for field, value in zip(self.count_by, values, strict=True)
                if value is not None
            }
            | {"lines": count}
            for values, count in most
        ]

    def _percentiles(self, found: list[Mapping[str, object]]) -> list[Row]:
        row: Row = {"lines": len(found)}
        for field in self.percentiles_of:
            values = sorted(
                number for line in found if (number := _number(line.get(field))) is not None
            )
            if values:
                row[f"{field}_p50"] = _nearest_rank(values, 0.50)
                row[f"{field}_p99"] = _nearest_rank(values, 0.99)
                row[f"{field}_max"] = values[-1]
        return [row] if found else []


def read_line(message: str, *, timestamp: str, log: str) -> dict[str, object]:
    """Return a line's fields as Insights discovers them: nested ones with dots, true as 1.

    Source: CloudWatch Logs User Guide, "Supported logs and discovered fields".

    >>> read_line('{"outcome": "refer", "record": {"status": "timeout"}}', timestamp="", log="")[
    ...     "record.status"
    ... ]
    'timeout'
    """
    line: dict[str, object] = {TIMESTAMP: timestamp, MESSAGE: message, LOG: log}
    try:
        document = json.loads(message)
    except ValueError:
        return line
    if isinstance(document, dict):
        _flatten(document, "", line)
    return line


def _flatten(document: Mapping[str, object], prefix: str, line: dict[str, object]) -> None:
    for name, value in document.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{name}.", line)
        elif value is not None:
            line[f"{prefix}{name}"] = int(value) if isinstance(value, bool) else value


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever it is, it is tried
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _order(value: object) -> tuple[bool, float, str]:
    number = _number(value)
    return value is not None, number if number is not None else math.inf, str(value)


def _nearest_rank(values: list[float], share: float) -> float:
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _is(field: str, *values: str) -> tuple[Condition, ...]:
    return tuple(Condition(field, Asks.IS, value) for value in values)


DECIDED = _is("message", "decided")
DECIDING = ("scorer", "batch")
STAGES = ("StageParse", "StageRead", "StageInfer", "StageExplain", "StageShadow", "StageWrite")
"""What a decision's line says of its time, in order."""

FAILED = (
    *_is("level", "ERROR", "CRITICAL"),
    *_is("record.status", "error", "failure", "timeout"),
    Condition("errorType", Asks.IS_THERE),
    Condition("status", Asks.AT_LEAST, 500),
    Condition(MESSAGE, Asks.HOLDS, "Task timed out|Traceback"),
)
"""A function said so, or Lambda did of it: an exception, the end of its time or of its memory."""

QUERIES: Mapping[str, LogQuery] = {
    query.name: query
    for query in (
        LogQuery(
            name="request",
            summary="All that was logged of a request, by the id in its answer or the access log",
            where=(
                tuple(
                    Condition(field, Asks.IS)
                    for field in (
                        *("request_id", "function_request_id", "requestId"),
                        "record.requestId",
                    )
                ),
            ),
            show=(TIMESTAMP, LOG, MESSAGE),
            parameter="request_id",
        ),
        LogQuery(
            name="application",
            summary="All that was logged of an application, by its id",
            where=(
                (
                    Condition("application_id", Asks.IS),
                    # Of a batch.
                    Condition("application_ids", Asks.LISTS),
                ),
            ),
            show=(TIMESTAMP, LOG, MESSAGE),
            parameter="application_id",
        ),
        LogQuery(
            name="slowest",
            summary="The slowest decisions, with the milliseconds of each stage",
            logs=("scorer",),
            where=(DECIDED,),
            show=(TIMESTAMP, "total_ms", *STAGES, "outcome", "request_id"),
            sort="total_ms",
            limit=25,
        ),
        LogQuery(
            name="stages",
            summary="Median, p99 and highest milliseconds of each stage of a decision",
            logs=("scorer",),
            where=(DECIDED,),
            percentiles_of=STAGES,
        ),
        LogQuery(
            name="refused",
            summary="Requests that got no decision, by status and reason",
            logs=DECIDING,
            where=(_is("message", "refused"),),
            count_by=("status", "reason"),
        ),
        LogQuery(
            name="referrals",
            summary="Applications referred to a person, by cause and model",
            logs=("scorer",),
            where=(DECIDED, _is("outcome", "refer")),
            count_by=("cause", "model"),
        ),
        LogQuery(
            name="errors",
            summary="What failed, in any function, the newest first",
            where=(FAILED,),
            show=(TIMESTAMP, LOG, MESSAGE),
        ),
        LogQuery(
            name="model-loads",
            summary="Models that could not be fetched, verified or loaded, by reason",
            logs=DECIDING,
            where=(_is("message", "model load failed"),),
            count_by=("reason",),
        ),
        LogQuery(
            name="challenger",
            summary="Why the challenger gave no answer when it was asked",
            logs=("scorer",),
            where=((Condition("challenger_fault", Asks.IS_THERE),),),
            count_by=("challenger_fault", "shadow_model"),
        ),
        LogQuery(
            name="disagreements",
            summary="Decisions of which champion and challenger thought otherwise",
            logs=("scorer",),
            where=((Condition("ShadowDisagreements", Asks.ABOVE, 0),),),
            show=(TIMESTAMP, "application_id", "outcome", "model", "role", "shadow_model"),
        ),
        LogQuery(
            name="callers",
            summary="Who called what, and with which status",
            logs=(ACCESS,),
            where=((Condition("status", Asks.IS_THERE),),),
            count_by=("client", "method", "resource", "status"),
        ),
        LogQuery(
            name="server-errors",
            summary="Calls answered 5xx, the newest first",
            logs=(ACCESS,),
            where=((Condition("status", Asks.AT_LEAST, 500),),),
            show=(
                *(TIMESTAMP, "status", "method", "resource", "client", "latency_ms"),
                *("error", "function_error", "request_id", "function_request_id"),
            ),
        ),
        LogQuery(
            name="cold-starts",
            summary="Environments that had to be started, by how long it took",
            logs=("scorer", "records", "batch"),
            where=((Condition("record.metrics.initDurationMs", Asks.ABOVE, 0),),),
            show=(TIMESTAMP, LOG, "record.metrics.initDurationMs", "record.requestId"),
            sort="record.metrics.initDurationMs",
            limit=25,
        ),
    )
}
"""By name."""
