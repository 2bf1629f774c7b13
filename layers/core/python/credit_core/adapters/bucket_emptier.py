"""Everything out of a bucket: versions, delete markers, unfinished uploads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

OBJECTS_A_CALL = 1_000
"""DeleteObjects takes no more."""

CALLS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Emptied:
    """What was removed: ``objects`` are versions and delete markers."""

    objects: int
    uploads: int
    is_empty: bool


class BucketEmptier:
    """Removes all that a bucket holds, thousands of versions a second.

    Args:
        s3: Client with at least ``CALLS_AT_ONCE`` connections.
        has_time: Whether another round may begin.
    """

    def __init__(self, s3: S3Client, *, has_time: Callable[[], bool]) -> None:
        self._s3 = s3
        self._has_time = has_time

    def __call__(self, bucket: str) -> Emptied:
        """Remove what the bucket holds; one that is not there is empty.

        Raises:
            StoreUnavailableError: S3 did not answer, or refused; what is gone stays gone.
        """
        try:
            uploads = self._abort_uploads(bucket)
            objects = 0
            with ThreadPoolExecutor(CALLS_AT_ONCE) as pool:
                while self._has_time():
                    # Listed from the beginning each time: what the last page ended with is gone.
                    found = list(islice(self._batches(bucket), CALLS_AT_ONCE))
                    if not found:
                        return Emptied(objects, uploads, is_empty=True)
                    objects += sum(pool.map(lambda batch: self._delete(bucket, batch), found))
        except self._s3.exceptions.NoSuchBucket:
            return Emptied(0, 0, is_empty=True)
        except AWS_ERRORS as error:
            message = f"{bucket} could not be emptied: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        return Emptied(objects, uploads, is_empty=False)

    def _batches(self, bucket: str) -> Iterator[list[ObjectIdentifierTypeDef]]:
        pages = self._s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": OBJECTS_A_CALL}
        )
        for page in pages:
            batch: list[ObjectIdentifierTypeDef] = [
                {"Key": found["Key"], "VersionId": found["VersionId"]}
                for found in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            ]
            if batch:
                yield batch

    def _delete(self, bucket: str, batch: list[ObjectIdentifierTypeDef]) -> int:
        answer = self._s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        refused = answer.get("Errors", [])
        if refused:
            codes = ", ".join(sorted({error.get("Code", "unknown") for error in refused}))
            message = f"{len(refused)} objects of {bucket} were not removed: {codes}"
            raise StoreUnavailableError(message)
        return len(batch)

    def _abort_uploads(self, bucket: str) -> int:
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket)
        uploads = [upload for page in pages for upload in page.get("Uploads", ())]
        for upload in uploads:
            self._s3.abort_multipart_upload(
                Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        return len(uploads)
