"""Documents for people and machines, in the results bucket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mypy_boto3_s3 import S3Client


class S3Reports:
    """Keeps documents under a prefix of a bucket."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def keep(self, key: str, body: bytes, *, content_type: str) -> str:
        """Keep an object and return its address; again replaces it.

        Raises:
            StoreUnavailableError: It is not known to be kept.
        """
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be kept: {error_code(error)}") from None
        return f"s3://{self._bucket}/{key}"

    def keep_report(self, name: str, document: Mapping[str, object], lines: Iterable[str]) -> str:
        """Keep a document as ``name.json`` and its words as ``name.txt``; return the former.

        Raises:
            StoreUnavailableError: One of them is not known to be kept.
        """
        text = "".join(f"{line}\n" for line in lines)
        self.keep(f"{name}.txt", text.encode(), content_type="text/plain; charset=utf-8")
        body = json.dumps(document, indent=2, allow_nan=False).encode()
        return self.keep(f"{name}.json", body, content_type="application/json")
