"""A lender's file, whatever wrote it, as a table of text.

What DuckDB says of a file repeats what stands in it, which may be a person's; none is passed on.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zipfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import duckdb

from credit_cli.errors import CliError, UsageError
from credit_cli.new_product.values import UNKNOWN, is_plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TABLE = "loans"
BLOCK_BYTES = 1 << 20
SAMPLE_LINES = 500
"""Of a file, to see how its lines are made."""
LONGEST_LINE = 10_000_000
DELIMITERS = (",", ";", "\t", "|")
BLANKS = " "
"""Stands for one or more blanks, as old research files have between fields."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
PARQUET = b"PAR1"
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"
OLD_EXCEL = b"\xd0\xcf\x11\xe0"
SUMS = r"^(grand |sub|sub-)?(totale?s?|su(m|mme|ma|mas)|gesamt(summe)?|zwischensumme|somme)\b"
MOST_REFUSED = 0.02
"""Share of lines that may be unlike the others: more is a file that was not understood."""
FEWEST_NAMED = 0.5
MOST_NUMERIC_HEADINGS = 0.2
"""A first line of which more than a fifth are numbers is a row, not the column names."""
LEAST_NUMERIC = 0.9


@dataclass(frozen=True, slots=True)
class LenderFile:
    """A file's columns as c0, c1, ... of the table ``loans``, all text, and notes on the file."""

    path: Path
    connection: duckdb.DuckDBPyConnection
    names: tuple[str, ...]
    rows: int
    notes: tuple[str, ...]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            CliError: It failed; a value of the file is not repeated.
        """
        try:
            return self.connection.execute(sql).fetchall()
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise CliError(f"{self.path} cannot be read: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text file is made: its delimiter, its names, and how many lines come before rows."""

    delimiter: str
    names: tuple[str, ...]
    skipped: int
    notes: tuple[str, ...]


@contextmanager
def opened(
    path: Path, *, encoding: str | None, progress: Callable[[str], None]
) -> Iterator[LenderFile]:
    """Open a CSV, TSV or Parquet file, zipped or not, in any encoding.

    Raises:
        UsageError: It is not there, or no table.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="name one file; join several to one first")
    if not path.exists():
        raise UsageError(f"there is no file {path}")
    with (
        TemporaryDirectory() as folder,
        duckdb.connect(
            str(Path(folder) / "loans.duckdb"), config={"autoinstall_known_extensions": False}
        ) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        try:
            with path.open("rb") as stream:
                start = stream.read(4)
            if not start:
                raise UsageError(f"{path} is empty")
            notes: tuple[str, ...] = ()
            if start == PARQUET:
                names = _parquet(connection, path)
            else:
                plain = Path(folder) / "loans.csv"
                progress("reading it as text")
                told = _to_utf8(path, start, plain, encoding)
                layout = layout_of(plain, path)
                progress(f"{len(layout.names)} columns")
                names, notes = layout.names, (*told, *layout.notes)
                notes = (*notes, *_load(connection, plain, layout, path))
        except OSError as error:
            raise UsageError(f"{path} can't be read: {error.strerror}") from None
        ((rows,),) = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchall()  # noqa: S608 (our own name)
        if not rows:
            raise UsageError(f"{path} has no rows below its column names")
        yield LenderFile(path, connection, names, int(rows), notes)


def _parquet(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, ...]:
    source = f"read_parquet({_quoted(path)}, hive_partitioning = false)"
    try:
        described = connection.execute(f"DESCRIBE FROM {source}").fetchall()
        columns = ", ".join(
            f'CAST("{str(row[0]).replace('"', '""')}" AS VARCHAR) AS c{place}'
            for place, row in enumerate(described)
        )
        connection.execute(f"CREATE TABLE {TABLE} AS SELECT {columns} FROM {source}")  # noqa: S608 (names are quoted)
    except duckdb.Error as error:
        raise UsageError(f"{path}: no whole, readable Parquet ({type(error).__name__})") from None
    return tuple(str(row[0]) for row in described)


@contextmanager
def _unpacked(path: Path, start: bytes) -> Iterator[BinaryIO]:
    """Open the bytes of a text file, unzipped."""
    if start == OLD_EXCEL or (start == ZIP and path.suffix.lower() in {".xlsx", ".xlsm", ".ods"}):
        raise UsageError(f"{path} is a spreadsheet", hint="save the sheet as CSV, then name that")
    try:
        if start[:2] == GZIP:
            with gzip.open(path, "rb") as stream:
                yield cast("BinaryIO", stream)
        elif start == ZIP:
            with zipfile.ZipFile(path) as folder:
                files = [it for it in folder.infolist() if not it.is_dir()]
                files = [it for it in files if "__MACOSX" not in it.filename]
                if len(files) != 1:
                    hint = "unzip it, and name one file"
                    raise UsageError(f"{path} holds {len(files)} files", hint=hint)
                with folder.open(files[0]) as inside:
                    yield cast("BinaryIO", inside)
        else:
            with path.open("rb") as plain:
                yield plain
    except (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UsageError(f"{path} cannot be unzipped whole ({type(error).__name__})") from None


def _to_utf8(path: Path, start: bytes, plain: Path, encoding: str | None) -> tuple[str, ...]:
    """Write a file as UTF-8 with plain line ends; return what a person should know of that."""
    mark = None
    with _unpacked(path, start) as stream:
        head = stream.read(BLOCK_BYTES)
    for sign, meant in MARKS:
        if head.startswith(sign):
            mark = meant
    if mark is None and b"\0" in head[:2000]:
        mark = _wide(head[:2000])
        if mark is None:
            raise UsageError(f"{path} is no text", hint="name a CSV or Parquet file")
    for attempt in [encoding] if encoding else [mark or "utf-8", "cp1252", "latin-1"]:
        try:
            codecs.lookup(attempt)
            _recode(path, start, plain, attempt)
        except LookupError:
            raise UsageError(
                f"--encoding {attempt} is not known", hint="utf-8, cp1252 ..."
            ) from None
        except UnicodeDecodeError:
            continue
        if encoding or attempt in {"utf-8", mark}:
            return ()
        note = (
            "its text is no UTF-8 and was read as Western European (Windows-1252); if letters look"
            " wrong, name its encoding: --encoding"
        )
        return (note,)
    raise UsageError(f"{path} is no text in {encoding or mark}")


def _wide(head: bytes) -> str | None:
    """Return which UTF-16 bytes with zeros are that have no mark, None where they are no text."""
    evens, odds = head[::2].count(0), head[1::2].count(0)
    if max(evens, odds) < len(head) / 4:
        return None
    return "utf-16-be" if evens > odds else "utf-16-le"


def _recode(path: Path, start: bytes, plain: Path, encoding: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)()
    ends = io.IncrementalNewlineDecoder(None, translate=True)
    with _unpacked(path, start) as stream, plain.open("w", encoding="utf-8", newline="") as out:
        while block := stream.read(BLOCK_BYTES):
            text = ends.decode(decoder.decode(block))
            out.write(text.replace("\0", "").replace("\ufeff", ""))
        out.write(ends.decode(decoder.decode(b"", final=True), final=True))


def layout_of(plain: Path, path: Path) -> Layout:
    """Return how the lines of a text file are made.

    Raises:
        UsageError: It is no table.
    """
    with plain.open(encoding="utf-8", newline="") as stream:
        lines = list(islice(stream, SAMPLE_LINES))
    full = [line for line in lines if line.strip()]
    if not full:
        raise UsageError(f"{path} holds blank lines only")
    delimiter, width = _delimiter(full)
    if delimiter is None:
        raise UsageError(
            f"{path} has one column only, or lines that are not alike",
            hint="expected fields between commas, semicolons, tabs, bars or blanks",
        )
    if delimiter == BLANKS:
        _without_blanks(plain)
        lines, delimiter = ["\t".join(line.split()) + "\n" for line in lines], "\t"
    rows = [(line, _fields(line, delimiter)) for line in lines]
    first = next(place for place, (_, fields) in enumerate(rows) if len(fields) >= width)
    notes = []
    if sum(bool(line.strip()) for line, _ in rows[:first]):
        notes.append(f"{first} line(s) above the column names were passed over")
    short = _one_short(rows[first - 1][1] if first else [], [it for _, it in rows[first:]], width)
    if short:
        return Layout(delimiter, short, first, ())
    body = [fields for _, fields in rows[first + 1 :] if len(fields) >= width]
    headings, skipped = rows[first][1], first + 1
    numeric = [_is_numeric([row[place] for row in body]) for place in range(width)]
    if body and _is_row(headings[:width], numeric):
        notes.append(
            f"its first line holds values, not names: the columns are column_1 to column_{width}"
        )
        names = [f"column_{place}" for place in range(1, width + 1)]
        return Layout(delimiter, tuple(names), first, tuple(notes))
    if len(body) > 1 and _is_heading_again(body[0], numeric):
        notes.append("it has two lines of column names: the second one counts")
        headings, skipped = body[0], skipped + 1
    names = [name.strip().strip('"') for name in headings]
    while len(names) > width and not names[-1]:
        names.pop()
    return Layout(delimiter, tuple(names), skipped, tuple(notes))


def _delimiter(lines: Sequence[str]) -> tuple[str | None, int]:
    """Return the sign that gives most lines the same number of fields, and that number."""
    best: tuple[float, int, str | None] = (0.0, 0, None)
    for sign in (*DELIMITERS, BLANKS):
        counts = Counter(len(_fields(line, sign)) for line in lines)
        counts.pop(1, None)
        if not counts:
            continue
        width, alike = max(counts.items(), key=lambda it: (it[1], it[0]))
        share = alike / len(lines)
        # Blanks within names and texts part lines too; they count where nothing else does.
        if sign == BLANKS and (best[2] is not None or share < LEAST_NUMERIC):
            continue
        if (round(share, 1), width) > (round(best[0], 1), best[1]):
            best = (share, width, sign)
    return (best[2], best[1]) if best[0] >= FEWEST_NAMED else (None, 0)


def _fields(line: str, sign: str) -> list[str]:
    if sign == BLANKS:
        return line.split()
    return next(csv.reader([line.rstrip("\n")], delimiter=sign), [])


def _without_blanks(plain: Path) -> None:
    """Put tabs where blanks part the fields."""
    parted = plain.with_suffix(".tsv")
    with plain.open(encoding="utf-8") as stream, parted.open("w", encoding="utf-8") as out:
        out.writelines("\t".join(line.split()) + "\n" for line in stream)
    parted.replace(plain)


def _one_short(
    above: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> tuple[str, ...] | None:
    """Return names where the line of names has one field fewer than the rows, else None.

    R leaves out the name of row names; others end each row with a delimiter.
    """
    whole = [row for row in rows if len(row) == width]
    if len(above) != width - 1 or width < 3 or any(map(is_plain_number, above)):  # noqa: PLR2004 (a title)
        return None
    at_the_end = all(not row[-1].strip() for row in whole)
    return (*above, "") if at_the_end else ("row", *above)


def _is_numeric(values: Sequence[str]) -> bool:
    known = [value for value in values if value.strip().lower() not in UNKNOWN]
    return bool(known) and sum(map(is_plain_number, known)) >= LEAST_NUMERIC * len(known)


def _is_row(headings: Sequence[str], numeric: Sequence[bool]) -> bool:
    """Whether a first line is a row like the others, with numbers where they have numbers."""
    alike = [is_plain_number(it) for it, number in zip(headings, numeric, strict=False) if number]
    return len(alike) > MOST_NUMERIC_HEADINGS * len(headings) and all(alike)


def _is_heading_again(row: Sequence[str], numeric: Sequence[bool]) -> bool:
    """Whether a second line has words where nearly all that follow have numbers."""
    words = [
        not is_plain_number(it) and it.strip().lower() not in UNKNOWN
        for it, number in zip(row, numeric, strict=False)
        if number
    ]
    return len(words) > 1 and all(words)


def _load(
    connection: duckdb.DuckDBPyConnection, plain: Path, layout: Layout, path: Path
) -> Iterator[str]:
    """Put the rows into the table; yield what a person should know of them."""
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(layout.names)))
    sign = "\\t" if layout.delimiter == "\t" else layout.delimiter
    source = (
        f"read_csv({_quoted(plain)}, auto_detect = false, header = false, skip = {layout.skipped},"
        f" delim = {'E' * (sign == '\\t')}'{sign}', quote = '\"', escape = '\"',"
        f" null_padding = true, ignore_errors = true, store_rejects = true,"
        f" parallel = false, max_line_size = {LONGEST_LINE}, columns = {{{columns}}})"
    )
    try:
        connection.execute(f"CREATE TABLE {TABLE} AS FROM {source}")
        refused = connection.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchall()
        rows = connection.execute(f"SELECT count(*) FROM {TABLE}").fetchall()  # noqa: S608 (our own name)
    except duckdb.Error as error:
        line = re.search(r"[Ll]ine:? (\d+)", str(error))
        where = f", near line {line[1]}" if line else ""
        raise UsageError(f"{path}{where}: its lines can't be parted into fields") from None
    lost, kept = int(refused[0][0]), int(rows[0][0])
    if lost > MOST_REFUSED * (lost + kept):
        raise UsageError(
            f"{path}: {lost:,} of {lost + kept:,} lines have more fields than column names",
            hint="a text with the delimiter in it has to stand in quotes",
        )
    told = []
    if lost:
        told.append(f"{lost:,} line(s) with more fields than column names were left out")
    empty = " AND ".join(f"c{place} IS NULL" for place in range(len(layout.names)))
    connection.execute(f"DELETE FROM {TABLE} WHERE {empty}")  # noqa: S608 (made of positions)
    if len(layout.names) > 3:  # noqa: PLR2004 (a row of three may well lack two)
        others = " AND ".join(f"c{place} IS NULL" for place in range(1, len(layout.names)))
        notes = connection.execute(
            f"DELETE FROM {TABLE} WHERE c0 IS NOT NULL AND {others}"  # noqa: S608 (as above)
        ).fetchall()
        if notes and notes[0][0]:
            told.append(f"{notes[0][0]:,} line(s) with nothing but a first field were left out")
        told += _without_sums(connection, len(layout.names))
    return iter(told)


def _without_sums(connection: duckdb.DuckDBPyConnection, width: int) -> Iterator[str]:
    """Leave out rows of sums: they say so, and have half of the fields at most."""
    first = ", ".join(f"c{place}" for place in range(width))
    there = " + ".join(f"(c{place} IS NOT NULL)::INTEGER" for place in range(width))
    deleted = connection.execute(
        f"DELETE FROM {TABLE} WHERE regexp_matches(lower(trim(coalesce({first}))), ?)"  # noqa: S608 (made of positions)
        f" AND {there} <= {width // 2}",
        [SUMS],
    ).fetchall()
    if deleted and deleted[0][0]:
        yield f"{deleted[0][0]:,} line(s) of sums were left out"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
