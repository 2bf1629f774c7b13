"""Copies of the receipts' archive and of the models bucket, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.receipt_archive import APPLICATION, archived_record, day_of, record_in
from credit_core.errors import DamagedReceiptError, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.receipt_archive import Days


def archived_records(path: Path) -> Iterator[StoredRecord]:
    """Yield the records in a folder of the archive, or in one file with a record a line.

    A line that is none yields what says where it stands, so that it shows as unreadable.

    Raises:
        DamagedReceiptError: A folder holds what no archive does; nothing of it was read.
        OSError: There is no such path, or it can't be read.
    """
    for file in sorted(_objects(path)) if path.is_dir() else [path]:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield record_in(line) or {"application_id": f"{file}, line {number}"}


class LocalArchive:
    """A copy of the archive, held in memory: a folder of it, or a file with a record a line.

    Args:
        path: Where it lies.
        product: Whose records are wanted.

    Raises:
        DamagedReceiptError: A folder holds what no archive does, or a record doesn't say what it is
            or when it was made.
        OSError: There is no such path, or it can't be read.
    """

    def __init__(self, path: Path, *, product: str) -> None:
        found = archived_records(path)
        self._records = {
            archived_record(record, product=product).key: record
            for record in found
            if record.get("product", product) == product
        }

    def keys(self, days: Days) -> Iterator[str]:
        """Yield the key of each record of these days, in their order."""
        yield from (key for key in sorted(self._records) if day_of(key) in days)

    def records(self, keys: Iterable[str]) -> Iterator[StoredRecord | None]:
        """Yield the record under each key."""
        yield from map(self._records.__getitem__, keys)


def _objects(folder: Path) -> Iterator[Path]:
    """Yield the archive's objects below a folder; the first file that is none ends it."""
    for parent, _, names in folder.absolute().walk(on_error=_raised):
        files = [parent / name for name in names if name.endswith(".json")]
        if files and not any(part.startswith(APPLICATION) for part in parent.parts):
            raise DamagedReceiptError(f"{min(files)} is no record of an archive")
        yield from files


def _raised(error: OSError) -> None:
    """Let a folder that can't be listed end the walk, which else leaves it out in silence."""
    raise error


def objects_below(folder: Path) -> Callable[[str], bytes]:
    """Return how the objects of a bucket are read from a folder that holds a copy of it."""

    def read(key: str) -> bytes:
        try:
            return (folder / key).read_bytes()
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or type(error).__name__
            raise ModelUnavailableError(f"{key} cannot be read: {cause}") from None

    return read
