"""The files of a lender's table, CSV or Parquet, opened with DuckDB.

DuckDB's own messages repeat what stands in a file, which may be a person's; none is passed on.
"""

from __future__ import annotations

import csv
import gzip
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from credit_core.errors import TrainingDataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET_ENDINGS = (".parquet",)
ENDINGS = ", ".join((*CSV_ENDINGS, *PARQUET_ENDINGS))
DELIMITERS = (",", ";", "\t", "|")
LONGEST_LINE = 10_000_000
MOST_LISTED = 8


def flat_files(path: Path) -> tuple[Path, ...]:
    """Return the files of a table: the path itself, or those of the folder, in order of names.

    Raises:
        TrainingDataError: There are none, or some of each kind.
    """
    if path.is_file():
        if not _is(path, (*CSV_ENDINGS, *PARQUET_ENDINGS)):
            raise TrainingDataError(f"{path}: its name ends in none of {ENDINGS}")
        return (path,)
    if not path.is_dir():
        raise TrainingDataError(f"there is no file or folder {path}")
    inside = [it for it in sorted(path.iterdir()) if it.is_file() and it.name[0] not in "._"]
    kinds = [tuple(it for it in inside if _is(it, kind)) for kind in (CSV_ENDINGS, PARQUET_ENDINGS)]
    if all(kinds):
        raise TrainingDataError(
            f"{path} holds CSV ({kinds[0][0].name}) and Parquet ({kinds[1][0].name}): name the one "
            "file to train on, or put the other elsewhere"
        )
    if not any(kinds):
        others = ", ".join(it.name for it in inside[:MOST_LISTED])
        raise TrainingDataError(
            f"{path} holds no file that ends in {ENDINGS}" + (f"; it holds {others}" * bool(others))
        )
    return kinds[0] or kinds[1]


class Source:
    """An open file: its columns by position, and DuckDB's relation of them as c0, c1, ..."""

    def __init__(
        self,
        file: Path,
        connection: duckdb.DuckDBPyConnection,
        relation: str,
        names: Sequence[str],
        types: Sequence[str],
    ) -> None:
        self.file = file
        self.names = names
        self.types = types
        self._connection = connection
        self._relation = relation

    def fetch(self, *expressions: str) -> list[NDArray[np.generic]]:
        """Return each expression's values in the file's order; masked where null."""
        named = ", ".join(f"{it} AS e{place}" for place, it in enumerate(expressions))
        query = f"SELECT {named} FROM {self._relation}"  # noqa: S608 (made of positions and our own text)
        try:
            found = self._connection.execute(query).fetchnumpy()
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            # DuckDB's own message repeats what stands in the line.
            line = re.search(r"[Ll]ine:? (\d+)", str(error))
            where = f", line {line[1]}" if line else ""
            what = (
                "the line has more or fewer fields than the header, or a quote that does not end"
                if _is(self.file, CSV_ENDINGS)
                else f"expected whole, readable Parquet ({type(error).__name__})"
            )
            raise TrainingDataError(f"{self.file}{where}: {what}") from None
        return [found[f"e{place}"] for place in range(len(expressions))]


@contextmanager
def opened(file: Path) -> Iterator[Source]:
    """Open a file of a table.

    Raises:
        TrainingDataError: It is not what its name says; the message says in which line.
    """
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        # A timestamp without a zone is one in UTC.
        connection.execute("SET TimeZone = 'UTC'")
        quoted = "'" + str(file).replace("'", "''") + "'"
        if _is(file, PARQUET_ENDINGS):
            plain = f"read_parquet({quoted}, hive_partitioning = false)"
            try:
                described = connection.execute(f"DESCRIBE FROM {plain}").fetchall()
            except duckdb.Error as error:
                message = f"{file}: expected whole, readable Parquet ({type(error).__name__})"
                raise TrainingDataError(message) from None
            names, types = [row[0] for row in described], [row[1] for row in described]
            listed = ", ".join(
                '"' + name.replace('"', '""') + f'" AS c{place}' for place, name in enumerate(names)
            )
            yield Source(file, connection, f"(SELECT {listed} FROM {plain})", names, types)  # noqa: S608 (as above)
            return
        names, delimiter = _header(file)
        columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(names)))
        relation = (
            f"read_csv({quoted}, auto_detect = false, header = true, delim = '{delimiter}',"
            f" quote = '\"', escape = '\"', max_line_size = {LONGEST_LINE},"
            f" columns = {{{columns}}})"
        )
        yield Source(file, connection, relation, names, ["VARCHAR"] * len(names))


def _header(file: Path) -> tuple[list[str], str]:
    """Return a CSV file's column names and its delimiter, the one that gives the most names."""
    opener = gzip.open if file.name.endswith(".gz") else open
    try:
        with opener(file, "rb") as stream:
            line = stream.readline(LONGEST_LINE)
            text = line.decode("utf-8-sig")
            for number, other in enumerate(stream, start=2):
                try:
                    other.decode()
                except UnicodeDecodeError:
                    message = f"{file}, line {number}: it is no UTF-8; save the file as UTF-8"
                    raise TrainingDataError(message) from None
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile):
        message = f"{file}, line 1: it is no text in UTF-8; save the file as CSV in UTF-8"
        raise TrainingDataError(message) from None
    # Of a file whose lines end as those of an old Mac did, it is all that was read.
    text = text.splitlines()[0] if text.strip() else ""
    if not text.strip():
        raise TrainingDataError(f"{file}: line 1 is empty; the column names belong there")
    split = {sign: next(csv.reader([text], delimiter=sign), []) for sign in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda sign: len(split[sign]))
    return [name.strip() for name in split[delimiter]], delimiter


def _is(file: Path, endings: Sequence[str]) -> bool:
    return file.name.lower().endswith(tuple(endings))
