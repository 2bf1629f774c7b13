"""A run of the materialization as it lies in the results bucket: plan, tallies, summary.

::

    runs/<run_id>/plan.json            a JSON array, read by the Distributed Map
    runs/<run_id>/tallies/<n>.json     what became of part n; done again, it is overwritten
    runs/<run_id>/missing.json         what is left of the plan, where that is repeated in bulk
    runs/<run_id>/summary.json         the sums and the verdict
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.places import RUNS
from credit_core.errors import StoreUnavailableError
from credit_core.ports import Tally
from credit_core.use_cases.plan_materialization import part_document, part_of_document

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_s3 import S3Client

    from credit_core.ports import FilePart


class S3RunRecord:
    """Keeps and reads the record of one run.

    Args:
        s3: The client, with at least ``connections`` connections.
        bucket: The results bucket.
        run_id: Name of the state machine's execution; a redriven one keeps it.
        connections: How many tallies are read at once.
    """

    def __init__(self, s3: S3Client, bucket: str, *, run_id: str, connections: int = 1) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"{RUNS}{run_id}/"
        self._connections = connections

    @property
    def plan_key(self) -> str:
        """Where the plan lies in the results bucket."""
        return f"{self._prefix}plan.json"

    def keep_plan(self, parts: Sequence[FilePart]) -> None:
        """Keep the planned parts; each one's number is its index.

        Raises:
            StoreUnavailableError: They could not be kept.
        """
        self._put(self.plan_key, [part_document(n, part) for n, part in enumerate(parts)])

    def plan(self) -> tuple[FilePart, ...]:
        """Return the planned parts.

        Raises:
            StoreUnavailableError: They could not be read.
        """
        return tuple(part_of_document(document) for document in self._get(self.plan_key))

    @property
    def missing_key(self) -> str:
        """Where the parts that are repeated in bulk lie in the results bucket."""
        return f"{self._prefix}missing.json"

    def keep_missing(self, parts: Mapping[int, FilePart]) -> None:
        """Keep the parts that are repeated in bulk, with the numbers that they have in the plan.

        Raises:
            StoreUnavailableError: They could not be kept.
        """
        self._put(self.missing_key, [part_document(n, part) for n, part in parts.items()])

    def keep_tally(self, number: int, tally: Tally) -> None:
        """Keep what became of a part, in place of an earlier try's.

        Raises:
            StoreUnavailableError: It could not be kept.
        """
        self._put(f"{self._prefix}tallies/{number}.json", asdict(tally))

    def tallies(self) -> dict[int, Tally]:
        """Return the tallies by the number of their part.

        Raises:
            StoreUnavailableError: They could not be read.
        """
        prefix = f"{self._prefix}tallies/"
        try:
            keys = [
                entry["Key"]
                for page in self._s3.get_paginator("list_objects_v2").paginate(
                    Bucket=self._bucket, Prefix=prefix
                )
                for entry in page.get("Contents", [])
            ]
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{prefix} cannot be listed: {error_code(error)}") from None
        with ThreadPoolExecutor(self._connections) as pool:
            documents = list(pool.map(self._get, keys))
        return {
            int(key.removeprefix(prefix).removesuffix(".json")): Tally(**document)
            for key, document in zip(keys, documents, strict=True)
        }

    def keep_summary(self, document: Mapping[str, Any]) -> None:
        """Keep what the run came to.

        Raises:
            StoreUnavailableError: It could not be kept.
        """
        self._put(f"{self._prefix}summary.json", document)

    def _put(self, key: str, document: object) -> None:
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=json.dumps(document, separators=(",", ":")).encode(),
                ContentType="application/json",
            )
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be kept: {error_code(error)}") from None

    def _get(self, key: str) -> Any:
        try:
            return json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be read: {error_code(error)}") from None
