"""Feature files of the lake: Parquet in S3, read with DuckDB.

The body is copied to a temporary file first. DuckDB then needs no network, and a body that is
not what it should be shows before the first row is used.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import starmap
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import duckdb

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.product import DType
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError
from credit_core.ports import LakeRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3 import S3Client

    from credit_core.domain.online_store import Value
    from credit_core.domain.product import FeatureView

COPY_BYTES = 1 << 20
FETCHED_ROWS = 10_000

WHOLE_NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
)
FRACTIONS = frozenset({"FLOAT", "DOUBLE", "DECIMAL"})
TIMESTAMPS = frozenset(
    {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"}
)
TEXTS = frozenset({"VARCHAR"})

MISSING_CODES = frozenset({"404", "NoSuchKey"})


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
    def open(self, key: str, view: FeatureView) -> Iterator[ParquetFeatureFile]:
        """Copy a file here and check its columns against the view.

        Raises:
            InvalidFeatureFileError: There is no such file, it is too large for this function's
                temporary storage, or it is no Parquet file with the view's columns.
            StoreUnavailableError: S3 did not answer, or not completely.
        """
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "file.parquet"
            self._copy(key, path)
            with duckdb.connect(config=self._config(folder)) as connection:
                yield opened(connection, path, view, key=key)

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

    def _copy(self, key: str, path: Path) -> None:
        allowed = shutil.disk_usage(path.parent).free // 2
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            size = answer["ContentLength"]
            if size > allowed:
                raise InvalidFeatureFileError(
                    f"{key}: {size / 1e6:.0f} MB, but the temporary storage of this function has "
                    f"room for files of {allowed / 1e6:.0f} MB; split the file"
                )
            with path.open("wb") as file:
                shutil.copyfileobj(answer["Body"], file, COPY_BYTES)
        except AWS_ERRORS as error:
            code = error_code(error)
            if code in MISSING_CODES:
                raise InvalidFeatureFileError(f"{key}: there is no such file in the lake") from None
            message = f"{key} could not be read from the lake: {code}"
            raise StoreUnavailableError(message) from None


@dataclass(frozen=True)
class ParquetFeatureFile:
    """An opened file whose columns are those of its view."""

    key: str
    row_count: int
    _connection: duckdb.DuckDBPyConnection
    _query: str
    _path: Path
    _key_count: int

    def rows_by_entity(self) -> Iterator[LakeRow]:
        """Yield every row once, rows with the same keys next to each other.

        The whole file has been decoded, and sorted, before the first row is yielded, so a damaged
        page is found while nothing has been written. Memory stays within DuckDB's limit.

        Raises:
            InvalidFeatureFileError: The body cannot be read.
        """
        first_value = 3 + self._key_count

        def lake_row(
            position: int,
            event_timestamp: datetime | None,
            created_timestamp: datetime | None,
            *rest: Value,
        ) -> LakeRow:
            return LakeRow(
                position,
                cast("tuple[str | None, ...]", rest[: first_value - 3]),
                event_timestamp and event_timestamp.replace(tzinfo=UTC),
                created_timestamp and created_timestamp.replace(tzinfo=UTC),
                rest[first_value - 3 :],
            )

        try:
            result = self._connection.execute(self._query, [str(self._path)])
            while batch := result.fetchmany(FETCHED_ROWS):
                yield from starmap(lake_row, batch)
        except duckdb.Error as error:
            raise _unreadable(self.key, error) from None


def opened(
    connection: duckdb.DuckDBPyConnection, path: Path, view: FeatureView, *, key: str
) -> ParquetFeatureFile:
    """Read a Parquet file's footer and check its columns against the view.

    Args:
        connection: A DuckDB connection; the file uses it for as long as it is open.
        path: The file.
        view: What it should hold.
        key: What errors call it.

    Raises:
        InvalidFeatureFileError: It is no Parquet file, or a column is missing or of another type.
    """
    try:
        types = {
            str(name): str(type_)
            for name, type_, *_ in connection.execute(
                "DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]
            ).fetchall()
        }
        counted = connection.execute(
            "SELECT num_rows FROM parquet_file_metadata(?)", [str(path)]
        ).fetchall()
    except duckdb.Error as error:
        raise _unreadable(key, error) from None
    faults = schema_faults(view, types)
    if faults:
        raise InvalidFeatureFileError(f"{key}: " + "; ".join(faults))
    return ParquetFeatureFile(
        key, int(counted[0][0]), connection, _query(view, types), path, len(view.entity.keys)
    )


def schema_faults(view: FeatureView, types: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a file's columns; columns that the view does not name are ignored.

    Args:
        view: What the file should hold.
        types: DuckDB's name of the type of each column.
    """
    expected: dict[str, tuple[frozenset[str], str]] = {
        **dict.fromkeys(view.entity.keys, (TEXTS, "text")),
        **dict.fromkeys(("event_timestamp", "created_timestamp"), (TIMESTAMPS, "a timestamp")),
        **{
            feature.name: (TEXTS, "text")
            if feature.dtype is DType.CATEGORY
            else (WHOLE_NUMBERS | FRACTIONS, "a number")
            for feature in view.features
        },
    }
    faults = []
    for name, (allowed, words) in expected.items():
        if name not in types:
            faults.append(f"column {name} is missing; {view.name} expects {words}")
        elif _base(types[name]) not in allowed:
            faults.append(f"column {name} is {types[name]}; {view.name} expects {words}")
    return faults


def _base(type_: str) -> str:
    """Return a type without its parameters: DECIMAL(9,2) is a DECIMAL."""
    return type_.partition("(")[0]


def _query(view: FeatureView, types: Mapping[str, str]) -> str:
    """Return the query for all rows; names in it are checked by the product's definition."""
    keys = [f'"{key}"' for key in view.entity.keys]
    times = [
        # Through microseconds since 1970, which no time zone can touch, whatever the column's
        # type; and only what Python has dates for.
        f"""CASE WHEN isfinite("{name}") AND epoch_us("{name}")
            BETWEEN -62135596800000000 AND 253402300799999999
            THEN make_timestamp(epoch_us("{name}")) END"""
        for name in ("event_timestamp", "created_timestamp")
    ]
    values = [
        f'"{feature.name}"::DOUBLE'
        if feature.dtype is DType.FLOAT or _base(types[feature.name]) in FRACTIONS
        else f'"{feature.name}"'
        for feature in view.features
    ]
    return (
        f"SELECT file_row_number, {', '.join([*times, *keys, *values])}"  # noqa: S608 (see above)
        f" FROM read_parquet(?, file_row_number = true) ORDER BY {', '.join(keys)}"
    )


def _unreadable(key: str, error: duckdb.Error) -> InvalidFeatureFileError | StoreUnavailableError:
    """Return our error for DuckDB's; its own message may repeat values and paths."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreUnavailableError(f"{key}: sorting it needs more memory or temporary storage")
    return InvalidFeatureFileError(
        f"{key}: expected a whole, readable Parquet file ({type(error).__name__})"
    )
