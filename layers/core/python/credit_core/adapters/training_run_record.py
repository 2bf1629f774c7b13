"""A retraining as it lies in the results bucket: what each step leaves for the next.

::

    training-runs/<run_id>/<candidate>.npz      a fitted candidate; fitted again, it is overwritten
    training-runs/<run_id>/model.onnx           the chosen model, not registered yet
    training-runs/<run_id>/manifest.json
    training-runs/<run_id>/report.html
    training-runs/<run_id>/progress/<step>      how far a step has got, in words
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.places import TRAINING_RUNS, progress_key
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3TrainingRunRecord:
    """Keeps and reads the record of one retraining.

    Args:
        s3: Client for the results bucket.
        bucket: The results bucket.
        run_id: Name of the state machine's execution; a redriven one keeps it.
    """

    def __init__(self, s3: S3Client, bucket: str, *, run_id: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._run_id = run_id

    def keep(self, name: str, body: bytes) -> None:
        """Keep a file of this run, in place of an earlier try's.

        Raises:
            StoreUnavailableError: It could not be kept.
        """
        self._put(self._key(name), body)

    def read(self, name: str) -> bytes:
        """Return a file of this run.

        Raises:
            StoreUnavailableError: It could not be read.
        """
        key = self._key(name)
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be read: {error_code(error)}") from None

    def tell(self, step: str, words: str) -> None:
        """Say how far a step has got, to whoever watches.

        Raises:
            StoreUnavailableError: It could not be said.
        """
        self._put(progress_key(self._run_id, step), words.encode())

    def _key(self, name: str) -> str:
        return f"{TRAINING_RUNS}{self._run_id}/{name}"

    def _put(self, key: str, body: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body)
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be kept: {error_code(error)}") from None
