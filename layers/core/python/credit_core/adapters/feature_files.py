"""Feature files of the lake: Parquet in S3, read with DuckDB.

The body is copied to a temporary file first. DuckDB then needs no network, and a body that is
not what it should be shows before the first row is used.

Of a part of a large file only the bytes of its row groups and the footer are fetched. They go to
their places in a sparse file of the whole one's size, which DuckDB reads like any other, as long
as it is asked for the rows of these row groups alone.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import accumulate, pairwise, starmap
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, cast

import duckdb

from credit_core.adapters.clients import AWS_ERRORS, NO_OBJECT, error_code
from credit_core.domain.lake_tables import KEY_TYPES, ROW_NUMBER, ColumnType, view_columns
from credit_core.domain.product import DType
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError
from credit_core.ports import FilePart, LakeRow
from credit_core.use_cases.plan_materialization import LakeObject, RowGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_s3 import S3Client

    from credit_core.domain.product import FeatureView, Value

COPY_BYTES = 1 << 20
FOOTER_BYTES = 1 << 16
"""Fetched of a file's end at first; nearly every footer lies within."""
MAGIC = b"PAR1"
END_BYTES = 8
"""The footer's length and the magic are the last bytes of a Parquet file."""

FETCHED_ROWS = 10_000

# Athena reads no other types as the `bigint` and `double` of the catalog, not even the wider one.
WHOLE_NUMBERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT"})
FRACTIONS = frozenset({"FLOAT", "DOUBLE"})
TIMESTAMPS = frozenset(
    {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
)
TEXTS = frozenset({"VARCHAR"})

DUCKDB_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.FLOAT: "DOUBLE",
    # In UTC, without saying so: a timestamp of the catalog has no zone.
    ColumnType.INSTANT: "TIMESTAMP",
}
"""What DuckDB calls the types of the catalog."""

FILE_TYPES = {
    ColumnType.TEXT: (TEXTS, "text"),
    ColumnType.INTEGER: (WHOLE_NUMBERS, "a whole number"),
    ColumnType.FLOAT: (FRACTIONS, "a float or double"),
    ColumnType.INSTANT: (TIMESTAMPS, "a timestamp"),
}
"""What Athena reads as each type of the catalog, and how to say so."""

TWICE = "there twice"

CHANGED_CODES = frozenset({"412", "PreconditionFailed"})
RANGE_CODES = frozenset({"416", "InvalidRange"})


class S3FeatureLake:
    """The feature files in a bucket.

    Args:
        s3: The client.
        bucket: The lake's bucket.
        memory_mb: What DuckDB may use; sorting more than that goes through temporary files.
        threads: How many threads DuckDB may use.
        folder: Where temporary files lie, the system's own place by default. The copy of a file
            may take half of what is free there; the rest is for sorting it.
    """

    def __init__(
        self,
        s3: S3Client,
        bucket: str,
        *,
        memory_mb: int = 256,
        threads: int = 2,
        folder: Path | None = None,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._memory_mb = memory_mb
        self._threads = threads
        self._folder = folder

    @contextmanager
    def open(self, part: FilePart, view: FeatureView) -> Iterator[ParquetFeatureFile]:
        """Copy a file here and check its columns against the view.

        Raises:
            InvalidFeatureFileError: There is no such file, it is too large for this function's
                temporary storage, or it is no Parquet file with the view's columns.
            StoreUnavailableError: S3 did not answer, or not completely.
        """
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "file.parquet"
            self._copy_part(part, path)
            with duckdb.connect(config=self._config(folder)) as connection:
                yield opened(connection, path, view, part=part)

    def objects(self, prefix: str) -> Iterator[LakeObject]:
        """Yield the objects below a prefix in the order of their keys.

        Raises:
            StoreUnavailableError: S3 did not answer.
        """
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            ):
                for entry in page.get("Contents", []):
                    yield LakeObject(entry["Key"], entry["Size"], entry["LastModified"])
        except AWS_ERRORS as error:
            message = f"{prefix} could not be listed in the lake: {error_code(error)}"
            raise StoreUnavailableError(message) from None

    def row_groups(self, key: str) -> list[RowGroup]:
        """Return a file's row groups in order, from its footer alone.

        Raises:
            InvalidFeatureFileError: It is no whole Parquet file.
            StoreUnavailableError: S3 did not answer.
        """
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "footer.parquet"
            self._copy_footer(key, path)
            return row_groups_of(self._footer_reader, path, key=key)

    @cached_property
    def _footer_reader(self) -> duckdb.DuckDBPyConnection:
        # To connect takes ten times as long as to read a footer, of which a plan may need many.
        return duckdb.connect(config=self._config(str(self._folder or gettempdir())))

    def _config(self, folder: str) -> dict[str, str | bool | int | float | list[str]]:
        return {
            # A function has no home and no network to fetch extensions from.
            "home_directory": folder,
            "temp_directory": folder,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": f"{self._memory_mb}MB",
            "threads": self._threads,
        }

    def _copy_part(self, part: FilePart, path: Path) -> None:
        if part.span is None:
            self._copy(part.key, path)
        else:
            self._copy_span(part.key, path, span=part.span)

    def _copy(self, key: str, path: Path) -> None:
        with _s3_errors(key):
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            _require_room(key, path, answer["ContentLength"])
            with path.open("wb") as file:
                shutil.copyfileobj(answer["Body"], file, COPY_BYTES)

    def _copy_span(self, key: str, path: Path, *, span: tuple[int, int]) -> None:
        """Fetch the footer and the bytes from the first up to the second to their places."""
        version = self._copy_footer(key, path)
        first, past_last = span
        if not 0 <= first < past_last <= path.stat().st_size:
            raise _replaced(key)
        _require_room(key, path, past_last - first)
        with _s3_errors(key):
            answer = self._s3.get_object(
                Bucket=self._bucket,
                Key=key,
                Range=f"bytes={first}-{past_last - 1}",
                IfMatch=version,
            )
            with path.open("r+b") as file:
                file.seek(first)
                shutil.copyfileobj(answer["Body"], file, COPY_BYTES)

    def _copy_footer(self, key: str, path: Path) -> str:
        """Make a sparse file that holds the footer in its place; return the file's entity tag."""
        with _s3_errors(key):
            answer = self._s3.get_object(
                Bucket=self._bucket, Key=key, Range=f"bytes=-{FOOTER_BYTES}"
            )
            end = answer["Body"].read()
            # "bytes 900-999/1000"; a file that is shorter than the range comes whole.
            size = int(answer.get("ContentRange", f"/{len(end)}").rpartition("/")[2])
            length = int.from_bytes(end[-END_BYTES : -len(MAGIC)], "little") + END_BYTES
            if not end.endswith(MAGIC) or length > size:
                raise InvalidFeatureFileError(f"{key}: expected a whole, readable Parquet file")
            if length > len(end):
                _require_room(key, path, length)
                end = self._s3.get_object(
                    Bucket=self._bucket,
                    Key=key,
                    Range=f"bytes={size - length}-{size - 1}",
                    IfMatch=answer["ETag"],
                )["Body"].read()
        with path.open("wb") as file:
            file.truncate(size)
            # DuckDB looks at the magic at the beginning, too.
            file.write(MAGIC)
            file.seek(size - len(end))
            file.write(end)
        return answer["ETag"]


@contextmanager
def _s3_errors(key: str) -> Iterator[None]:
    """Translate what S3 answers to a request for a file."""
    try:
        yield
    except AWS_ERRORS as error:
        code = error_code(error)
        if code in NO_OBJECT:
            raise InvalidFeatureFileError(f"{key}: there is no such file in the lake") from None
        if code in CHANGED_CODES:
            raise _replaced(key) from None
        if code in RANGE_CODES:
            # An empty file has no last bytes.
            message = f"{key}: expected a whole, readable Parquet file"
            raise InvalidFeatureFileError(message) from None
        message = f"{key} could not be read from the lake: {code}"
        raise StoreUnavailableError(message) from None


def _require_room(key: str, path: Path, size: int) -> None:
    """Check that so many bytes fit into half of what is free; the rest is for sorting them.

    Raises:
        InvalidFeatureFileError: They don't.
    """
    allowed = shutil.disk_usage(path.parent).free // 2
    if size > allowed:
        raise InvalidFeatureFileError(
            f"{key}: {size / 1e6:.0f} MB, but the temporary storage of this function has "
            f"room for files of {allowed / 1e6:.0f} MB; write it with smaller row groups"
        )


def _replaced(key: str) -> InvalidFeatureFileError:
    return InvalidFeatureFileError(
        f"{key}: the file was replaced after this run had planned it; materialize it again"
    )


@dataclass(frozen=True)
class ParquetFeatureFile:
    """An opened part of a file whose columns are those of its view."""

    part: FilePart
    row_count: int
    _connection: duckdb.DuckDBPyConnection
    _query: str
    _path: Path
    _view: FeatureView

    def rows_by_entity(self) -> Iterator[LakeRow]:
        """Yield every row once, rows with the same keys next to each other.

        The whole part has been decoded, and sorted, before the first row is yielded, so a damaged
        page is found while nothing has been written. Memory stays within DuckDB's limit.

        Raises:
            InvalidFeatureFileError: The body cannot be read.
        """
        yield from self._fetched(self._query)

    def rows_of(
        self,
        is_wanted: Callable[[tuple[str | int, ...]], bool],
        *,
        first_event: datetime,
        last_event: datetime,
    ) -> Iterator[LakeRow]:
        """Yield the rows of some entities whose events lie in a span, both ends included.

        Args:
            is_wanted: Whether the entity with these keys is; it is asked once for each.
            first_event: The begin of the span.
            last_event: Its end.

        Raises:
            InvalidFeatureFileError: The body cannot be read.
        """
        names = ", ".join(f'"{key}"' for key in self._view.entity.key_names)
        rows = _where_rows(whole=self.part.rows is None)
        source = f"FROM read_parquet(?, file_row_number = true) {rows}"
        try:
            found = self._connection.execute(
                f"SELECT DISTINCT {names} {source}",
                [str(self._path), *self._rows()],
            )
            wanted = []
            while batch := found.fetchmany(FETCHED_ROWS):
                wanted += [keys for keys in batch if None not in keys and is_wanted(keys)]
            if not wanted:
                return
            columns = [list(column) for column in zip(*wanted, strict=True)]
            listed = ", ".join(
                f'unnest(?::{DUCKDB_TYPES[KEY_TYPES[key.dtype]]}[]) AS "{key.name}"'
                for key in self._view.entity.keys
            )
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT {listed}",
                columns,
            )
        except duckdb.Error as error:
            raise _unreadable(self.part.name, error) from None
        span = (moment.astimezone(UTC).replace(tzinfo=None) for moment in (first_event, last_event))
        query = (
            f"SELECT * FROM ({self._query}) SEMI JOIN wanted USING ({names})"  # noqa: S608 (as above)
            f" WHERE event_timestamp BETWEEN ? AND ? ORDER BY {names}"
        )
        yield from self._fetched(query, *span)

    def _fetched(self, query: str, *parameters: datetime) -> Iterator[LakeRow]:
        first_value = 3 + len(self._view.entity.keys)

        def lake_row(
            position: int,
            event_timestamp: datetime | None,
            created_timestamp: datetime | None,
            *rest: Value,
        ) -> LakeRow:
            return LakeRow(
                position,
                cast("tuple[str | int | None, ...]", rest[: first_value - 3]),
                event_timestamp and event_timestamp.replace(tzinfo=UTC),
                created_timestamp and created_timestamp.replace(tzinfo=UTC),
                rest[first_value - 3 :],
            )

        try:
            result = self._connection.execute(query, [str(self._path), *self._rows(), *parameters])
            while batch := result.fetchmany(FETCHED_ROWS):
                yield from starmap(lake_row, batch)
        except duckdb.Error as error:
            raise _unreadable(self.part.name, error) from None

    def _rows(self) -> tuple[int, ...]:
        return self.part.rows or ()


def opened(
    connection: duckdb.DuckDBPyConnection, path: Path, view: FeatureView, *, part: FilePart
) -> ParquetFeatureFile:
    """Read a Parquet file's footer and check its columns against the view.

    Args:
        connection: A DuckDB connection; the file uses it for as long as it is open.
        path: The file, whole or at least with its footer and the bytes of the part.
        view: What it should hold.
        part: Which of its rows are wanted, and what errors call it.

    Raises:
        InvalidFeatureFileError: It is no Parquet file, or a column is missing or of another type,
            or the part is none of its row groups.
    """
    key = part.key
    try:
        types = column_types(connection, path)
        counted = connection.execute(
            "SELECT num_rows FROM parquet_file_metadata(?)", [str(path)]
        ).fetchall()
    except duckdb.Error as error:
        raise _unreadable(key, error) from None
    faults = schema_faults(view, types)
    if faults:
        raise InvalidFeatureFileError(f"{key}: " + "; ".join(faults))
    row_count = int(counted[0][0])
    if part.rows is not None:
        require_row_groups(row_groups_of(connection, path, key=key), part)
        row_count = part.rows[1] - part.rows[0]
    query = _query(view, whole=part.rows is None)
    return ParquetFeatureFile(part, row_count, connection, query, path, view)


def row_groups_of(connection: duckdb.DuckDBPyConnection, path: Path, *, key: str) -> list[RowGroup]:
    """Return the row groups that a Parquet file's footer lists, in order.

    Raises:
        InvalidFeatureFileError: The footer cannot be read.
    """
    # A column's dictionary, if it has one, lies before its pages.
    first = "least(data_page_offset, coalesce(nullif(dictionary_page_offset, 0), data_page_offset))"
    try:
        found = connection.execute(
            f"SELECT any_value(row_group_num_rows), min({first}),"  # noqa: S608 (as above)
            f" max({first} + total_compressed_size) FROM parquet_metadata(?)"
            " GROUP BY row_group_id ORDER BY row_group_id",
            [str(path)],
        ).fetchall()
    except duckdb.Error as error:
        raise _unreadable(key, error) from None
    return [RowGroup(*map(int, group)) for group in found]


def require_row_groups(groups: Sequence[RowGroup], part: FilePart) -> None:
    """Check that a part is made of whole row groups, or is a piece of one, and has their span.

    Elsewhere the sparse file is empty, and what DuckDB would make of that is no answer.

    Raises:
        InvalidFeatureFileError: It is not; the file is not the one that was planned.
    """
    first, past_last = part.rows or (0, 0)
    edges = list(accumulate((group.rows for group in groups), initial=0))
    wanted = [
        (group, start, end)
        for group, (start, end) in zip(groups, pairwise(edges), strict=True)
        if group.rows and start < past_last and first < end
    ]
    # Within a single row group a part may begin and end anywhere.
    fits = bool(wanted) and (
        wanted[0][1] <= first < past_last <= wanted[-1][2]
        if len(wanted) == 1
        else (wanted[0][1], wanted[-1][2]) == (first, past_last)
    )
    if not fits or part.span != (
        min(group.first_byte for group, *_ in wanted),
        max(group.past_last_byte for group, *_ in wanted),
    ):
        raise _replaced(part.key)


def column_types(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    """Return DuckDB's name of the type of each column of a Parquet file.

    Names are in lower case, as Athena has them. A name that comes twice is ``TWICE`` in place of a
    type; DuckDB would take the first, and Athena refuses the file.

    Raises:
        duckdb.Error: The footer cannot be read.
    """
    described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    # DuckDB gives the second of two columns another name; the file's own tree has the true ones.
    elements = connection.execute(
        "SELECT name, coalesce(num_children, 0) FROM parquet_schema(?)", [str(path)]
    ).fetchall()
    names, below = [], [int(elements[0][1])]
    for name, children in elements[1:]:
        if len(below) == 1:
            names.append(str(name).lower())
        below[-1] -= 1
        below.append(int(children))
        while len(below) > 1 and not below[-1]:
            below.pop()
    types: dict[str, str] = {}
    for name, (_, type_, *_) in zip(names, described, strict=True):
        types[name] = TWICE if name in types else str(type_)
    return types


def schema_faults(view: FeatureView, types: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a file's columns; columns that the view does not name are ignored.

    Args:
        view: What the file should hold.
        types: As ``column_types`` returns them.
    """
    return column_faults(view.name, view_columns(view), types)


def column_faults(
    table: str, columns: Mapping[str, ColumnType], types: Mapping[str, str]
) -> list[str]:
    """Return what is wrong with a file's columns; those that are not among ``columns`` are ignored.

    Args:
        table: What the messages call whoever expects them.
        columns: What the file should hold.
        types: As ``column_types`` returns them.
    """
    faults = []
    if ROW_NUMBER in types:
        faults.append(f"column {ROW_NUMBER} has a name that reading needs; leave it out")
    for name, type_ in columns.items():
        allowed, words = FILE_TYPES[type_]
        if name not in types:
            faults.append(f"column {name} is missing; {table} expects {words}")
        elif types[name] not in allowed:
            faults.append(f"column {name} is {types[name]}; {table} expects {words}")
    return faults


def instant_sql(name: str) -> str:
    """Return the expression of a column's instant; it is null where Python has no such date.

    It goes through microseconds since 1970, which no time zone can touch, whatever the column's
    type, and rounds to milliseconds as Athena rounds.
    """
    return f"""CASE WHEN isfinite("{name}") AND epoch_us("{name}")
            BETWEEN -62135596800000000 AND 253402300799999499
            THEN CAST(make_timestamp(epoch_us("{name}")) AS TIMESTAMP(3)) END"""


def _query(view: FeatureView, *, whole: bool) -> str:
    """Return the query for all rows, or for those from one parameter up to the next.

    Names in it are checked by the product's definition.
    """
    keys = [f'"{key}"' for key in view.entity.key_names]
    times = [
        f'{instant_sql(name)} AS "{name}"' for name in ("event_timestamp", "created_timestamp")
    ]
    values = [
        f'"{feature.name}"::DOUBLE AS "{feature.name}"'
        if feature.dtype is DType.FLOAT
        else f'"{feature.name}"'
        for feature in view.features
    ]
    return (
        f"SELECT file_row_number, {', '.join([*times, *keys, *values])}"  # noqa: S608 (see above)
        f" FROM read_parquet(?, file_row_number = true) {_where_rows(whole=whole)}"
        f" ORDER BY {', '.join(keys)}"
    )


def _where_rows(*, whole: bool) -> str:
    """Return the condition of a part's rows; DuckDB reads no row group that it leaves out."""
    return "" if whole else "WHERE file_row_number >= ? AND file_row_number < ?"


def _unreadable(key: str, error: duckdb.Error) -> InvalidFeatureFileError | StoreUnavailableError:
    """Return our error for DuckDB's; its own message may repeat values and paths."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreUnavailableError(f"{key}: sorting it needs more memory or temporary storage")
    return InvalidFeatureFileError(
        f"{key}: expected a whole, readable Parquet file ({type(error).__name__})"
    )
