"""Parquet files from arrays: unknown is null, categories are text, times are UTC without a zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import duckdb
import numpy as np

from credit_cli.book.values import undeclared
from credit_cli.errors import CliError
from credit_cli.terminal import interruptible_queries
from credit_core.domain.product import DType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from credit_cli.book.values import Floats
    from credit_core.domain.product import Feature

ROW_GROUP_ROWS = 61_440
"""A multiple of DuckDB's vectors; a group of twenty columns is about 4 MB."""


class ParquetWriter:
    """Writes tables of arrays; one thread, so that the same arrays give the same bytes."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 1})

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the memory."""
        self._connection.close()

    def write(
        self,
        path: Path,
        columns: Mapping[str, NDArray[Any]],
        *,
        categories: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Write one file.

        Args:
            path: Where; folders are made.
            columns: Arrays of one length by name.
            categories: Of columns that hold positions from 1, what they stand for.

        Raises:
            CliError: The file could not be written.
        """
        texts = categories or {}
        selected = ", ".join(
            f'({_list(texts[name])})["{name}"] AS "{name}"' if name in texts else f'"{name}"'
            for name in columns
        )
        target = str(path).replace("'", "''")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection.register("arrays", dict(columns))
        try:
            with interruptible_queries():
                self._connection.execute(
                    f"COPY (SELECT {selected} FROM arrays) TO '{target}'"  # noqa: S608 (checked names)
                    f" (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
                )
        except duckdb.IOException as error:
            raise CliError(
                f"{path.name} could not be written: {' '.join(str(error).split())}"
            ) from (None)
        finally:
            self._connection.unregister("arrays")


def feature_columns(
    features: Sequence[Feature], values: Mapping[str, Floats]
) -> tuple[dict[str, NDArray[Any]], dict[str, list[str]]]:
    """Return features as columns of a file, and what the positions of its categories stand for."""
    columns: dict[str, NDArray[Any]] = {}
    categories = {}
    for feature in features:
        column = values[feature.name]
        unknown = np.isnan(column)
        if feature.dtype is DType.CATEGORY:
            categories[feature.name] = [*feature.categories, undeclared(feature)]
            column = column + 1
        if feature.dtype is not DType.FLOAT:
            whole = np.where(unknown, 0, column).astype(np.int64)
            columns[feature.name] = np.ma.masked_array(whole, unknown) if unknown.any() else whole
        else:
            columns[feature.name] = np.ma.masked_array(column, unknown) if unknown.any() else column
    return columns, categories


def timestamps(microseconds: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Return microseconds since 1970 as timestamps."""
    return microseconds.astype("datetime64[us]")


def nullable(column: NDArray[Any], unknown: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a column that is null where unknown."""
    return np.ma.masked_array(column, unknown)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"
