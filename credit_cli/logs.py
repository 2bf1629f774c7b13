"""`credit logs`: what functions and the API wrote into their logs, and what on-call asks of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.completion import function_names, queries
from credit_cli.deployment import deployed
from credit_cli.durations import to_span
from credit_cli.errors import CliError, UsageError, suggestion
from credit_cli.inventory import Inventory
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.log_lines import lines_since, whole_tracebacks
from credit_cli.target import target
from credit_cli.terminal import Json, print_json, say
from credit_core.domain.log_queries import (
    ACCESS,
    LOG,
    MESSAGE,
    QUERIES,
    TIMESTAMP,
    Asks,
    Condition,
    LogQuery,
    read_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_logs import CloudWatchLogsClient

    from credit_cli.aws import Aws
    from credit_core.domain.log_queries import Row

QUERY_SECONDS = 60.0
POLL_SECONDS = 0.5
FOLLOW_SECONDS = 2.0
LATE = timedelta(minutes=1)
"""How long after its time a line may come and is followed all the same."""

MOST_GROUPS = 50
"""Log groups in one query. Source: CloudWatch Logs API Reference, "StartQuery"."""

QUIET = frozenset({"_aws", "Stage", "Product", "timestamp", "location", "service", "level"})
"""Fields of a line that tell on-call nothing, or are told before the others."""


@dataclass(frozen=True)
class Asked:
    """A question, what of, and since when."""

    query: LogQuery
    wanted: str | None
    groups: Mapping[str, str]
    """Names of log groups, and the short names under which their lines are shown."""
    since: datetime


def logs(
    function: Annotated[
        str | None,
        typer.Argument(
            help="A function, or `access`; by default all.",
            show_default=False,
            autocompletion=function_names,
        ),
    ] = None,
    *,
    query: Annotated[
        str | None,
        typer.Option(
            help=f"One of: {', '.join(QUERIES)}.", show_default=False, autocompletion=queries
        ),
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="What failed.")] = False,
    request: Annotated[
        str | None, typer.Option(help="All of a request, by its id.", show_default=False)
    ] = None,
    application: Annotated[
        str | None, typer.Option(help="All of an application, by its id.", show_default=False)
    ] = None,
    since: Annotated[
        timedelta, typer.Option(parser=to_span, metavar="SPAN", help="30m, 2h, 1d.")
    ] = "1h",  # type: ignore[assignment]  # Typer parses the default as well
    limit: Annotated[int, typer.Option(help="Most lines.", min=1, max=1_000)] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Show lines of the logs, the newest last, or what a question finds in them.

    Without a question: all lines. Logs hold ids, names, counts and times, and nothing of an
    applicant.

    Examples:
        credit logs --errors
        credit logs --application ID  # all that happened to one
        credit logs scorer --since 15m --follow
        credit logs --query slowest

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    named, wanted = question(query, errors=errors, request=request, application=application)
    if follow and (named.count_by or named.percentiles_of or as_json):
        raise UsageError("--follow shows lines, so it goes without --json and counting questions")
    aws, deployment = deployed(product)
    groups = log_groups(Inventory(aws, deployment), function, named)
    asked = Asked(limited(named, limit), wanted, groups, datetime.now(UTC) - since)
    if follow:
        follow_lines(aws, asked)
        return
    rows = answered(aws, asked)
    if as_json:
        print_json({"query": named.name, "since": asked.since.isoformat(), "rows": rows})
        return
    for row in reversed(rows) if named.show and named.sort == TIMESTAMP else rows:
        say(row_line(row, groups))
    if not rows:
        say(f"Nothing of that in {', '.join(groups.values())} since {asked.since:%Y-%m-%d %H:%M}.")


def question(
    name: str | None, *, errors: bool, request: str | None, application: str | None
) -> tuple[LogQuery, str | None]:
    """Return the query that was asked for, and the value it takes.

    Raises:
        UsageError: There is no such query, several were asked for, or it is about an id.
    """
    asked: list[tuple[str, str | None]] = [(name, None)] if name is not None else []
    asked += [("errors", None)] if errors else []
    asked += [
        (word, id_) for word, id_ in (("request", request), ("application", application)) if id_
    ]
    if len(asked) > 1:
        raise UsageError("one of --query, --errors, --request and --application at a time")
    if not asked:
        everything = ((Condition(MESSAGE, Asks.IS_THERE),),)
        return LogQuery(
            name="lines", summary="All lines", where=everything, show=(TIMESTAMP, LOG, MESSAGE)
        ), None
    word, wanted = asked[0]
    found = QUERIES.get(word)
    if found is None:
        raise UsageError(
            f"there is no query {word!r}", hint=suggestion(word, QUERIES, kind="queries")
        )
    try:
        found.text(wanted)
        found.answer((), wanted)
    except ValueError as error:
        hint = f"credit logs --{word} ID" if found.parameter and not wanted else None
        raise UsageError(str(error), hint=hint) from None
    return found, wanted


def limited(query: LogQuery, limit: int) -> LogQuery:
    """Return the query with another limit, where one was asked for that is not its own."""
    return query if query.limit <= limit else replace(query, limit=limit)


def log_groups(inventory: Inventory, function: str | None, query: LogQuery) -> dict[str, str]:
    """Return the log groups that are asked, each with the short name of who writes there.

    Raises:
        UsageError: There is no such function.
    """
    names = (function,) if function else query.logs or (*inventory.functions, ACCESS)
    return {
        inventory.access_log if name == ACCESS else inventory.log_group(name): name
        for name in names
    }


def answered(aws: Aws, asked: Asked) -> list[Row]:
    """Return the rows that a query finds.

    Raises:
        CliError: Logs Insights gave no answer.
    """
    logs_: CloudWatchLogsClient = aws.client("logs")
    if target().is_local:
        # Its Insights knows a few words of the language, and passes over the others.
        return asked.query.answer(lines_of(logs_, asked.groups, asked.since), asked.wanted)
    started = logs_.start_query(
        logGroupNames=list(asked.groups)[:MOST_GROUPS],
        startTime=int(asked.since.timestamp()),
        endTime=int(time.time()) + 1,
        queryString=asked.query.text(asked.wanted),
        limit=asked.query.limit,
    )
    give_up = time.monotonic() + QUERY_SECONDS
    while time.monotonic() < give_up:
        found = logs_.get_query_results(queryId=started["queryId"])
        if found["status"] == "Complete":
            return [
                {cell["field"]: cell["value"] for cell in row if cell["field"] != "@ptr"}
                for row in found["results"]
            ]
        if found["status"] not in {"Scheduled", "Running", "Unknown"}:
            raise CliError(f"the query of the logs ended as {found['status'].lower()}")
        time.sleep(POLL_SECONDS)
    raise CliError(
        f"the logs gave no answer within {QUERY_SECONDS:.0f} s", hint="ask for less: --since 15m"
    )


def lines_of(
    logs_: CloudWatchLogsClient, groups: Mapping[str, str], since: datetime
) -> Iterator[Row]:
    """Yield the lines of log groups since an instant, as queries read them."""
    for group in groups:
        written = lines_since(logs_, group, int(since.timestamp() * 1_000))
        for event in whole_tracebacks(written):
            at = datetime.fromtimestamp(event["timestamp"] / 1_000, UTC)
            yield read_line(
                event["message"].strip(), timestamp=f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3], log=group
            )


def follow_lines(aws: Aws, asked: Asked) -> None:
    """Show lines as they come, until Ctrl-C."""
    logs_: CloudWatchLogsClient = aws.client("logs")
    shown: set[str] = set()
    since = asked.since
    while True:
        looked = datetime.now(UTC)
        rows = asked.query.answer(lines_of(logs_, asked.groups, since), asked.wanted)
        fresh = {json.dumps(row, default=str): row for row in rows}
        for key in reversed(fresh):
            if key not in shown:
                say(row_line(fresh[key], asked.groups))
        shown = set(fresh)
        since = max(since, looked - LATE)
        time.sleep(FOLLOW_SECONDS)


def row_line(row: Mapping[str, Any], groups: Mapping[str, str]) -> str:
    """Return a row in a line: when, where, and the fields of its message or the row itself.

    >>> message = '{"level": "WARNING", "message": "refused", "status": 400}'
    >>> row = {"@timestamp": "2026-11-22 18:01:22.123", "@log": "g", "@message": message}
    >>> row_line(row, {"g": "scorer"})
    '18:01:22 scorer      WARNING refused status=400'
    >>> row_line({"cause": "features_missing", "lines": 3}, {})
    'cause=features_missing lines=3'
    """
    fields = dict(row)
    words = []
    if TIMESTAMP in fields:
        words.append(str(fields.pop(TIMESTAMP))[11:19])
    if LOG in fields:
        # Insights puts the account before the group's name.
        group = str(fields.pop(LOG)).rpartition(":")[2]
        words.append(f"{groups.get(group, group):<11}")
    if MESSAGE in fields:
        words += message_words(str(fields.pop(MESSAGE)))
    words += [f"{name}={value}" for name, value in fields.items()]
    return " ".join(words)


def message_words(message: str) -> list[str]:
    """Return what a line says, in words: a sentence first, then its fields."""
    try:
        document = json.loads(message)
    except ValueError:
        return [message.strip()]
    if not isinstance(document, dict):
        return [message.strip()]
    said = [document.pop(name, None) for name in ("level", "message")]
    rest = [
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in document.items()
        if name not in QUIET and value is not None
    ]
    return [str(word) for word in said if word] + rest
