"""The option --receipts: a copy of the archive, in place of what the cloud has."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from credit_core.use_cases.served_decisions import ServedDecisions

EVERYTHING = 10**9

ReceiptsFolder = Annotated[
    Path | None,
    typer.Option(
        help="A folder of the archive, or a file with a record a line, in place of the cloud's.",
        show_default=False,
    ),
]


def decisions_in(receipts: Path, product: str, days: Mapping[str, str]) -> ServedDecisions:
    """Return the decisions in a copy of the archive, all of these days.

    Raises:
        UsageError: The path can't be read, or is no archive.
    """
    from credit_core.adapters.local_archive import LocalArchive  # noqa: PLC0415 (NumPy takes its time)
    from credit_core.domain.receipt_archive import Days  # noqa: PLC0415 (as above)
    from credit_core.use_cases.served_decisions import ServedDecisions  # noqa: PLC0415 (as above)

    with archive_errors(receipts):
        archive = LocalArchive(receipts, product=product)
    return ServedDecisions(archive, Days.named(days), EVERYTHING)


@contextmanager
def archive_errors(receipts: Path) -> Iterator[None]:
    """Translate what may be wrong with a copy of the archive.

    Raises:
        UsageError: The path can't be read, or is no archive.
    """
    from credit_core.errors import DamagedReceiptError  # noqa: PLC0415 (as above)

    try:
        yield
    except OSError as error:
        where = error.filename or receipts
        raise UsageError(f"{where} can't be read: {error.strerror}") from None
    except DamagedReceiptError as error:
        hint = "--receipts is the archive, a folder of it, or a file with a record a line"
        # Of a folder, the error names the file.
        where = "" if receipts.is_dir() else f"{receipts}: "
        raise UsageError(f"{where}{error}", hint=hint) from None
