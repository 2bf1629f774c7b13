"""The lake, searched for one entity; what this service wrote of it alone can be removed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

import duckdb

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

    from credit_core.ports import FilePart


class S3ErasableLake(S3FeatureLake):
    """The files in the lake's bucket, of features and of loans alike."""

    def __init__(self, s3: S3Client, bucket: str, *, memory_mb: int = 256) -> None:
        super().__init__(s3, bucket, memory_mb=memory_mb)
        self._engine = duckdb.connect(config=self._config(gettempdir()))

    @property
    def _footer_reader(self) -> duckdb.DuckDBPyConnection:
        # Several threads read; each needs a cursor of its own.
        return self._engine.cursor()

    def count(self, part: FilePart, keys: Mapping[str, str | int]) -> tuple[int, int]:
        """Return how many rows of a part have these keys, and how many it has.

        Raises:
            InvalidFeatureFileError: It is no Parquet file, or has no such columns.
            StoreUnavailableError: S3 did not answer.
        """
        # Compared as text: a key may be a number in one file and text in another.
        same = " AND ".join(f'CAST("{name}" AS VARCHAR) = ?' for name in keys)
        where = "" if part.rows is None else "WHERE file_row_number >= ? AND file_row_number < ?"
        query = (
            f"SELECT count(*) FILTER (WHERE {same}), count(*)"  # noqa: S608 (names are checked)
            f" FROM read_parquet(?, file_row_number = true) {where}"
        )
        with TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "file.parquet"
            self._copy_part(part, path)
            values = [*map(str, keys.values()), str(path), *(part.rows or ())]
            try:
                found = self._footer_reader.execute(query, values).fetchall()
            except duckdb.Error as error:
                # Its own message may repeat values.
                message = f"{part.key} could not be searched ({type(error).__name__})"
                raise InvalidFeatureFileError(message) from None
        matching, rows = found[0]
        return int(matching), int(rows)

    def remove(self, key: str) -> None:
        """Remove every version of an object.

        Raises:
            StoreUnavailableError: It is not known to be removed; doing it again is safe.
        """
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=self._bucket, Prefix=key
        )
        try:
            for page in pages:
                versions: list[ObjectIdentifierTypeDef] = [
                    {"Key": found["Key"], "VersionId": found["VersionId"]}
                    for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                    if found["Key"] == key
                ]
                if not versions:
                    continue
                answer = self._s3.delete_objects(
                    Bucket=self._bucket, Delete={"Objects": versions, "Quiet": True}
                )
                for refused in answer.get("Errors", []):
                    message = f"a pushed row was not removed: {refused.get('Code')}"
                    raise StoreUnavailableError(message)
        except AWS_ERRORS as error:
            message = f"a pushed row was not removed: {error_code(error)}"
            raise StoreUnavailableError(message) from None
