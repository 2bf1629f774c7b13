"""The daily monitoring as it lies in the results bucket.

::

    monitoring/<product>/runs/<run_id>/plan.json          a day in parts; done again, overwritten
    monitoring/<product>/runs/<run_id>/tallies/<n>.json   what was counted in part n, likewise
    monitoring/<product>/day=2026-11-21/summary.json      the day's tally and figures
    monitoring/<product>/day=2026-11-21/report.html       the same for people

A day that is monitored again has the same two files, whichever run they are from.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from credit_core.adapters.clients import AWS_ERRORS, NO_OBJECT, error_code
from credit_core.adapters.model_artifacts import verified_manifest
from credit_core.domain.decision_monitoring import DecisionTally
from credit_core.domain.places import MONITORING
from credit_core.errors import DamagedReceiptError, ModelUnavailableError, StoreUnavailableError
from credit_core.use_cases.monitor import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from mypy_boto3_s3 import S3Client

    from credit_core.domain.decision_monitoring import ModelKey
    from credit_core.domain.model_manifest import ModelManifest

READ_AT_ONCE = 16


class S3MonitoringRecord:
    """Keeps and reads what the monitoring of a product leaves.

    Args:
        s3: Client for the results bucket, with ``READ_AT_ONCE`` connections.
        bucket: The results bucket.
        product: Whose decisions are monitored.
    """

    def __init__(self, s3: S3Client, bucket: str, *, product: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = f"{MONITORING}{product}/"

    def keep_plan(self, run_id: str, parts: Sequence[Part]) -> None:
        """Keep the parts of a run; each one's number is its index.

        Raises:
            StoreUnavailableError: They could not be kept.
        """
        self._put(f"{self._run(run_id)}plan.json", parts)

    def part(self, run_id: str, number: int) -> Part:
        """Return a part of a run.

        Raises:
            StoreUnavailableError: It could not be read.
        """
        return Part(*json.loads(self._get(f"{self._run(run_id)}plan.json"))[number])

    def keep_tally(self, run_id: str, number: int, tally: DecisionTally) -> None:
        """Keep what was counted in a part, in place of an earlier try's.

        Raises:
            StoreUnavailableError: It could not be kept.
        """
        self._put(self._tally(run_id, number), tally.as_document())

    def tallies(self, run_id: str, parts: int) -> list[DecisionTally]:
        """Return the tallies of all parts of a run.

        Raises:
            DamagedReceiptError: One is no tally.
            StoreUnavailableError: One could not be read.
        """
        keys = [self._tally(run_id, number) for number in range(parts)]
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            return [
                DecisionTally.of_document(json.loads(body)) for body in pool.map(self._get, keys)
            ]

    def days(self, first: date, last: date) -> dict[date, DecisionTally]:
        """Return the tallies of the days from first to last, as far as there are any.

        One that cannot be read, as another release may have left it, counts as none.

        Raises:
            StoreUnavailableError: It is not known whether there are.
        """
        wanted = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            found = pool.map(self._day_tally, wanted)
            return {day: tally for day, tally in zip(wanted, found, strict=True) if tally}

    def keep_day(self, day: date, summary: Mapping[str, Any], page: bytes) -> tuple[str, str]:
        """Keep a day's summary and its page; return where they lie, the page last written.

        Raises:
            StoreUnavailableError: One of them is not known to be kept.
        """
        summary_key, page_key = f"{self._day(day)}summary.json", f"{self._day(day)}report.html"
        self._put(summary_key, summary)
        self._put_bytes(page_key, page, "text/html; charset=utf-8")
        return f"s3://{self._bucket}/{summary_key}", f"s3://{self._bucket}/{page_key}"

    def _run(self, run_id: str) -> str:
        return f"{self._prefix}runs/{run_id}/"

    def _tally(self, run_id: str, number: int) -> str:
        return f"{self._run(run_id)}tallies/{number}.json"

    def _day(self, day: date) -> str:
        return f"{self._prefix}day={day}/"

    def _day_tally(self, day: date) -> DecisionTally | None:
        key = f"{self._day(day)}summary.json"
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            return DecisionTally.of_document(json.loads(body)["tally"])
        except (DamagedReceiptError, KeyError, TypeError, ValueError):
            return None
        except AWS_ERRORS as error:
            if error_code(error) in NO_OBJECT:
                return None
            raise StoreUnavailableError(f"{key} could not be read: {error_code(error)}") from None

    def _put(self, key: str, document: object) -> None:
        text = json.dumps(document, separators=(",", ":"), allow_nan=False)
        self._put_bytes(key, text.encode(), "application/json")

    def _put_bytes(self, key: str, body: bytes, content_type: str) -> None:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=content_type)
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be kept: {error_code(error)}") from None

    def _get(self, key: str) -> bytes:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"{key} could not be read: {error_code(error)}") from None


def manifests_in(s3: S3Client, bucket: str, *, product: str) -> Callable[[ModelKey], ModelManifest]:
    """Return what reads the manifest that a receipt names.

    The hash in the receipt is beyond doubt, so no signature is asked for. What is returned raises
    ModelUnavailableError where there is no such manifest, and StoreUnavailableError where the
    bucket did not answer, which may be another time.
    """

    def read(key: str) -> bytes:
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            message = f"{key} cannot be read: {error_code(error)}"
            if error_code(error) in NO_OBJECT:
                raise ModelUnavailableError(message) from None
            raise StoreUnavailableError(message) from None

    def manifest_of(model: ModelKey) -> ModelManifest:
        return verified_manifest(
            read, product, version=model.version, manifest_sha256=model.manifest_sha256
        )

    return manifest_of
