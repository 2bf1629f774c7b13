"""A lake in a folder of this machine, and the training set that the product's query makes of it.

The folder is laid out like the lake's bucket, and the query is the very one that Athena runs.
DuckDB stays within a limit of memory and keeps what does not fit in temporary files.
"""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from credit_core.adapters.feature_files import (
    DUCKDB_TYPES,
    column_faults,
    column_types,
    instant_sql,
)
from credit_core.domain.lake_tables import ColumnType, lake_tables
from credit_core.domain.point_in_time import (
    training_set_columns,
    training_set_sql,
    view_event_column,
)
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError
from credit_core.use_cases.materialize import is_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from credit_core.domain.lake_tables import LakeTable
    from credit_core.domain.product import CreditProduct

PARQUET_OPTIONS = "FORMAT parquet, COMPRESSION zstd"
CSV_OPTIONS = "FORMAT csv, HEADER, TIMESTAMPFORMAT '%Y-%m-%d %H:%M:%S.%g'"
"""Times as in Athena's CSV, so that training reads either."""

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ViewShares:
    """How many applications had a fresh, a stale and no row of a view."""

    fresh: int
    stale: int
    missing: int


@dataclass(frozen=True, slots=True)
class WrittenTrainingSet:
    """What was written: rows, those of them that defaulted, and what each view gave."""

    rows: int
    defaults: int
    columns: tuple[str, ...]
    views: Mapping[str, ViewShares]


class LocalLake:
    """A product's lake in a folder.

    Args:
        product: Whose tables lie there.
        folder: Root of the layout, which holds ``<product>/applications/`` and the like.
        memory_mb: What DuckDB may use; what needs more goes through temporary files.
        scratch: Where temporary files lie, the system's own place by default.
        progress: Told now and then what is being done.
    """

    def __init__(
        self,
        product: CreditProduct,
        folder: Path,
        *,
        memory_mb: int = 4_096,
        scratch: Path | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._product = product
        self._folder = folder
        self._memory_mb = memory_mb
        self._scratch = scratch
        self._progress = progress

    def files(self, table: LakeTable) -> list[Path]:
        """Return a table's files, those that Athena would read, in order of their names.

        Raises:
            InvalidFeatureFileError: One of them does not end in ``.parquet``.
        """
        root = self._folder / table.prefix
        found = [
            path
            for path in sorted(root.rglob("*"))
            if path.is_file() and not is_hidden(path.relative_to(root).as_posix())
        ]
        for path in found:
            if path.suffix != ".parquet":
                raise InvalidFeatureFileError(
                    f"{path}: the name of a file of the lake ends in .parquet"
                )
        return found

    def write_training_set(self, target: Path, *, query: str | None = None) -> WrittenTrainingSet:
        """Write the training set to a file, Parquet or, by its name, CSV.

        The file appears when it is complete, or not at all.

        Args:
            target: The file; one that is there is replaced.
            query: Another text of the query than the product's own, to compare the two.

        Raises:
            InvalidFeatureFileError: There are no applications, or a file is not what the product
                defines; the message names file, column and expectation.
            StoreUnavailableError: The query needs more memory or temporary storage.
            OSError: The target cannot be written.
        """
        query = query or training_set_sql(self._product)
        with (
            TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside,
            TemporaryDirectory(dir=self._scratch) as scratch,
            self._connected(scratch) as connection,
        ):
            self._create_views(connection)
            parquet = Path(beside) / "rows.parquet"
            with self._watched(connection, "joining"):
                _copy(connection, query, parquet, PARQUET_OPTIONS)
            finished, written = parquet, self._summary(connection, parquet)
            if target.suffix == ".csv":
                finished = Path(beside) / "rows.csv"
                with self._watched(connection, "writing CSV"):
                    _copy(connection, f"FROM {_parquet([parquet])}", finished, CSV_OPTIONS)
            finished.replace(target)
        return written

    @contextmanager
    def _connected(self, scratch: str) -> Iterator[duckdb.DuckDBPyConnection]:
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": scratch,
            "memory_limit": f"{self._memory_mb}MB",
            "autoinstall_known_extensions": False,
        }
        with duckdb.connect(config=config) as connection:
            # A timestamp with a zone counts as what it is in UTC.
            connection.execute("SET TimeZone = 'UTC'")
            # How far a query is can be asked for then, but DuckDB itself prints nothing.
            connection.execute("SET enable_progress_bar = true")
            connection.execute("SET enable_progress_bar_print = false")
            try:
                yield connection
            except duckdb.InterruptException:
                raise KeyboardInterrupt from None
            except duckdb.OutOfMemoryException:
                message = (
                    f"the training set needs more than {self._memory_mb} MB of memory,"
                    " or more room for temporary files than there is"
                )
                raise StoreUnavailableError(message) from None
            except duckdb.Error as error:
                # DuckDB's own message may repeat values; of a file only the name is passed on.
                named = re.search(r"[^\s'\"]+\.parquet", str(error))
                raise _unreadable(named[0] if named else str(self._folder), error) from None

    def _create_views(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Check every file's columns, then make the product's tables views of the files."""
        for table in lake_tables(self._product):
            files = self.files(table)
            by_types: dict[tuple[str | None, ...], list[Path]] = {}
            if table.view is None and not files:
                place = self._folder / table.prefix
                raise InvalidFeatureFileError(f"{place}: there are no Parquet files in this folder")
            for number, path in enumerate(files, start=1):
                self._progress(f"{table.name}: file {number} of {len(files)}")
                expected_by = table.view.name if table.view else table.name
                types = _types(connection, path)
                absent = table.optional - set(types)
                expected = {name: it for name, it in table.columns.items() if name not in absent}
                faults = column_faults(expected_by, expected, types)
                if faults:
                    raise InvalidFeatureFileError(f"{path}: " + "; ".join(faults))
                # Files of one schema are read together. Of mixed ones DuckDB would take the
                # widest types, nanoseconds say, in which not every date exists.
                by_types.setdefault(tuple(map(types.get, table.columns)), []).append(path)
            # Names in it are checked by the product's definition.
            selects = [
                _select(table, paths, dict(zip(table.columns, types, strict=True)))
                for types, paths in by_types.items()
            ]
            union = " UNION ALL ".join(selects) or f"{_select(table, [], {})} WHERE FALSE"
            connection.execute(f'CREATE TEMP VIEW "{table.name}" AS {union}')

    @contextmanager
    def _watched(self, connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
        """Report how far the connection's query is while the block lasts."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(POLL_SECONDS):
                percent = connection.query_progress()
                self._progress(f"{what}, {percent:.0f} %" if percent > 0 else what)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _summary(self, connection: duckdb.DuckDBPyConnection, parquet: Path) -> WrittenTrainingSet:
        counts = ["count(*)", f'count(*) FILTER ("{self._product.label.name}" = 1)']
        for view in self._product.feature_views:
            event = f'"{view_event_column(view)}"'
            fresh = f"{event} >= event_timestamp - to_seconds({int(view.ttl_seconds)})"
            counts += [
                f"count(*) FILTER ({condition})"
                for condition in (fresh, f"NOT ({fresh})", f"{event} IS NULL")
            ]
        (found,) = connection.execute(
            f"SELECT {', '.join(counts)} FROM {_parquet([parquet])}"  # noqa: S608 (see _create_views)
        ).fetchall()
        rows, defaults, *of_views = found
        shares = [ViewShares(*of_views[start : start + 3]) for start in range(0, len(of_views), 3)]
        names = [view.name for view in self._product.feature_views]
        columns = training_set_columns(self._product)
        return WrittenTrainingSet(rows, defaults, columns, dict(zip(names, shares, strict=True)))


def _select(table: LakeTable, paths: Sequence[Path], types: Mapping[str, str | None]) -> str:
    """Return the query for a table's columns from files of these types, None for no column."""

    def column(name: str, type_: ColumnType) -> str:
        known = types.get(name) is not None
        value = f'"{name}"' if known else "NULL"
        if type_ is ColumnType.INSTANT and known:
            value = instant_sql(name)
        return f'CAST({value} AS {DUCKDB_TYPES[type_]}) AS "{name}"'

    columns = ", ".join(column(name, type_) for name, type_ in table.columns.items())
    source = f" FROM {_parquet(paths)}" if paths else ""
    return f"SELECT {columns}{source}"


def _types(connection: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    try:
        return column_types(connection, path)
    except duckdb.Error as error:
        raise _unreadable(str(path), error) from None


def _unreadable(place: str, error: duckdb.Error) -> InvalidFeatureFileError:
    return InvalidFeatureFileError(
        f"{place}: expected whole, readable Parquet ({type(error).__name__})"
    )


def _parquet(paths: Sequence[Path]) -> str:
    listed = ", ".join(map(_text, paths))
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path, options: str) -> None:
    connection.execute(f"COPY ({query}) TO {_text(path)} ({options})")


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
