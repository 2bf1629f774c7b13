"""`credit push`: rows of features sent to the event bus, checked beforehand."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.deployment import deployed
from credit_cli.errors import CliError, UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.terminal import Json, print_json, say
from credit_core.domain.strict_json import strict_json_object
from credit_core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_events import EventBridgeClient

    from credit_core.domain.product import CreditProduct

    type Row = dict[str, object]

SOURCE = "credit.push"
ENTRIES_A_CALL = 10
"""Limit of PutEvents."""
MAXIMUM_ROW_BYTES = 24_576
"""With so many bytes each, as many rows as one call takes stay below what it takes in all."""


@dataclass(frozen=True)
class Sent:
    """A row that the bus accepted, by the id under which it can be traced."""

    row: int
    view: str
    event_timestamp: str
    event_id: str


def push(
    file: Annotated[
        str,
        typer.Argument(help="A row as a JSON object, or several, one a line; - is standard input."),
    ],
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Send rows of features to the event bus, for what can't wait for a file.

    All rows are checked first; if one is not what the product defines, none is sent.

    Examples:
        credit push rows.jsonl
        credit push - < rows.jsonl

    Exit codes: 0 sent, 1 failed, 2 used wrongly or a row refused, 4 not running or unreachable.
    """
    rows = list(read_rows(file))
    require_valid(known_product(product), rows, as_of=datetime.now(UTC))
    aws, deployment = deployed(
        product, change=f"push {len(rows):,} {'row' if len(rows) == 1 else 'rows'} of features"
    )
    bus = deployment["FeatureBus"]
    sent = send(aws.client("events"), bus, rows)
    if as_json:
        print_json({"bus": bus, "sent": [vars(row) for row in sent]})
        return
    for row in sent:
        say(f"{row.view}, event of {row.event_timestamp}: sent as {row.event_id}")
    say(f"{len(sent)} {'row' if len(sent) == 1 else 'rows'} sent to the bus {bus}.")


def read_rows(file: str) -> Iterator[Row]:
    """Yield the rows in a file: it is one JSON object, or has one in each line.

    Raises:
        UsageError: The file can't be read, or holds something else.
    """
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    # An object over several lines has a first line that is none by itself.
    several = len(lines) > 1 and lines[0][1].strip().endswith(b"}")
    for number, text in lines if several else [(1, body)]:
        try:
            yield strict_json_object(text, most_bytes=MAXIMUM_ROW_BYTES)
        except InvalidRequestError as error:
            where = f"{file}, line {number}" if several else file
            raise UsageError(f"{where}: {error.faults[0].message}") from None


def require_valid(product: CreditProduct, rows: Sequence[Row], *, as_of: datetime) -> None:
    """Check rows as the service will.

    Raises:
        UsageError: A row is not what the product defines; a line for each such row, with all its
            faults.
    """
    from credit_core.ports import RejectedRow  # noqa: PLC0415 (NumPy takes its time)
    from credit_core.use_cases.push import inspect_event  # noqa: PLC0415 (as above)

    refused = []
    for number, row in enumerate(rows, 1):
        # The key under which entities are hashed is the service's own and not needed here.
        found = inspect_event(product, row, secret=b"", as_of=as_of)
        if isinstance(found, RejectedRow):
            refused.append(f"row {number}: {'; '.join(found.faults)}")
    if refused:
        raise UsageError("\n".join(refused), hint="nothing was sent")


def send(events: EventBridgeClient, bus: str, rows: Sequence[Row]) -> list[Sent]:
    """Send valid rows and return what each was sent as.

    Raises:
        CliError: The bus did not accept each of them.
    """
    from credit_core.domain.feature_event import DETAIL_TYPE  # noqa: PLC0415 (as above)

    sent: list[Sent] = []
    failed: list[str] = []
    for batch in batched(enumerate(rows, 1), ENTRIES_A_CALL, strict=False):
        answer = events.put_events(
            Entries=[
                {
                    "EventBusName": bus,
                    "Source": SOURCE,
                    "DetailType": DETAIL_TYPE,
                    "Detail": json.dumps(row),
                }
                for _, row in batch
            ]
        )
        for (number, row), entry in zip(batch, answer["Entries"], strict=True):
            if "EventId" in entry:
                view, event = str(row["view"]), str(row["event_timestamp"])
                sent.append(Sent(number, view, event, entry["EventId"]))
            else:
                failed.append(f"row {number}: {entry.get('ErrorCode')}")
    if failed:
        raise CliError(
            f"{len(failed)} of {len(rows)} rows were not accepted: {'; '.join(failed)}",
            hint="send all of them again: the same row twice does no harm",
        )
    return sent
