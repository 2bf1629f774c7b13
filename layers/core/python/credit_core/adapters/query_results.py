"""Reads the CSV that an Athena query left in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from credit_core.adapters.clients import AWS_ERRORS
from credit_core.errors import StoreUnavailableError, TrainingDataError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read_query_result(s3: S3Client, output_location: str, *, bucket: str) -> bytes:
    """Return the CSV of a finished query.

    The key is found by listing the reported location: on AWS the CSV lies exactly there, beside
    its ``.metadata``; on the local cloud it lies one level below.

    Args:
        s3: Client for the results bucket.
        output_location: ``ResultConfiguration.OutputLocation`` of the query, an s3:// address.
        bucket: The results bucket; an address elsewhere is refused.

    Raises:
        TrainingDataError: There is not exactly one CSV, or it lies in another bucket.
        StoreUnavailableError: S3 did not answer.
    """
    address = urlsplit(output_location)
    if address.scheme != "s3" or address.netloc != bucket:
        raise TrainingDataError(f"{output_location} is not in the results bucket {bucket}")
    try:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=address.path.lstrip("/"))
        keys = [item["Key"] for item in listed.get("Contents", []) if item["Key"].endswith(".csv")]
        if len(keys) != 1:
            raise TrainingDataError(f"{len(keys)} CSV files at {output_location}; expected one")
        return s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read()
    except AWS_ERRORS as error:
        message = f"{output_location} cannot be read: {type(error).__name__}"
        raise StoreUnavailableError(message) from None
