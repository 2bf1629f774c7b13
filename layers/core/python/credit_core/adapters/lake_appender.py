"""Single rows for the lake, each a small Parquet file of its own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.feature_files import DUCKDB_TYPES
from credit_core.domain.lake_tables import FEATURE_TYPES, INSTANTS, KEY_TYPES, ColumnType
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

    from credit_core.domain.product import FeatureView, Value
    from credit_core.ports import LakeRow


class S3LakeAppender:
    """Appends to the lake's bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        # Kept, because to open one takes longer than to write a row; more threads have no use.
        self._connection = duckdb.connect(
            config={
                "threads": 1,
                # A function has no network to fetch extensions from.
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )

    def append(self, key: str, row: LakeRow, view: FeatureView) -> None:
        """Put a valid row of a view under that key, in exactly the columns of the view's table.

        Raises:
            StoreUnavailableError: It is not known to be there; doing it again is safe.
        """
        body = parquet(self._connection, row, view)
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        except AWS_ERRORS as error:
            message = f"a row could not be appended to the lake: {error_code(error)}"
            raise StoreUnavailableError(message) from None


def parquet(connection: duckdb.DuckDBPyConnection, row: LakeRow, view: FeatureView) -> bytes:
    """Return a Parquet file that holds one row of a view."""
    columns = list(_columns(row, view))
    selected = ", ".join(f'?::{DUCKDB_TYPES[type_]} AS "{name}"' for name, type_, _ in columns)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "row.parquet"
        # Names are checked by the product's definition, and the path is ours.
        connection.execute(
            f"COPY (SELECT {selected}) TO '{path}' (FORMAT parquet)",
            [value for _, _, value in columns],
        )
        return path.read_bytes()


def _columns(row: LakeRow, view: FeatureView) -> Iterator[tuple[str, ColumnType, Value | datetime]]:
    """Yield name, type and value of each column, in the order of the view's table."""
    for key, value in zip(view.entity.keys, row.keys, strict=True):
        yield key.name, KEY_TYPES[key.dtype], value
    for name, type_ in INSTANTS.items():
        moment: datetime | None = getattr(row, name)
        yield name, type_, moment and moment.replace(tzinfo=None)
    for feature, known in zip(view.features, row.values, strict=True):
        yield feature.name, FEATURE_TYPES[feature.dtype], known
