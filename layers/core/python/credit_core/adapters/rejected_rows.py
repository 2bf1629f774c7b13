"""Rejected rows: one JSON object a line, in the results bucket, until somebody mends them."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.places import REJECTED
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3 import S3Client

    from credit_core.ports import RejectedRow


LONGEST_KEY_BYTES = 1_024
"""Of an object's key in S3."""


def rejected_key(run_id: str, name: str) -> str:
    """Return where the rejected rows of a file or a part of it lie in the results bucket.

    A name that is too long for a part of a key is cut, and made unique again by its hash.
    """
    key = f"{REJECTED}{run_id}/{name}.jsonl"
    if len(key.encode()) <= LONGEST_KEY_BYTES:
        return key
    short = name.encode()[: LONGEST_KEY_BYTES // 2].decode(errors="ignore")
    return f"{REJECTED}{run_id}/{short}-{hashlib.sha256(name.encode()).hexdigest()}.jsonl"


class S3RejectedRows:
    """Keeps the rejected rows of one run.

    They wait in a temporary file, not in memory: all rows of a large file may be wrong.
    """

    def __init__(self, s3: S3Client, bucket: str, *, run_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._run_id = run_id

    @contextmanager
    def open(self, name: str) -> Iterator[Callable[[RejectedRow], None]]:
        """Return a function that notes one row; all are stored when the block ends without error.

        Repeating a file in the same run replaces its lines. Without rejected rows nothing is
        stored.

        Raises:
            StoreUnavailableError: They could not be stored.
        """
        with TemporaryFile() as lines:

            def note(row: RejectedRow) -> None:
                line = {
                    "row": row.position,
                    "entity_key": row.entity_key,
                    "reasons": row.faults,
                }
                lines.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")

            yield note
            if not lines.tell():
                return
            lines.seek(0)
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=rejected_key(self._run_id, name),
                    Body=lines,
                    ContentType="application/x-ndjson",
                )
            except AWS_ERRORS as error:
                message = f"rejected rows of {name} could not be stored: {error_code(error)}"
                raise StoreUnavailableError(message) from None
