"""What the pages of models and of days are made of: the registry, and the results bucket.

It is read by the functions that `credit models` and `credit monitor` use. Nothing of it is kept
here: each page shows what is there when it is asked for.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from credit_cli import pipelines
from credit_cli.errors import CliError
from credit_cli.invocation import invoked
from credit_cli.monitor import MACHINE
from credit_cli.registered_models import RegisteredModels, registry_errors
from credit_cli.runs import latest, with_cause
from credit_core.adapters.clients import NO_OBJECT
from credit_core.domain.places import COMPARISONS, MONITORING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_cli.runs import Run
    from credit_core.domain.model_manifest import ModelManifest, RolloutPointer
    from credit_core.ports import PointerMove, RegisteredModel

READ_AT_ONCE = 8
ROLLOUT_MACHINE = "RolloutStateMachine"


@dataclass(frozen=True)
class UnderWay:
    """A run of a workflow: the last one, or the one that goes on. ``state`` is where it is."""

    run: Run
    state: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.run.status == "RUNNING"


class Evidence(Protocol):
    """Models and days of a product. Each method may raise CliError, or an error of AWS's clients.

    ``manifest`` of a version that is not what was registered is a CliError, too; ``summary`` and
    ``page`` of a day that was not monitored are None, and so is what does not exist yet.
    """

    def models(self) -> Sequence[tuple[RegisteredModel, ModelManifest | CliError]]:
        """Return every version, the newest first, with its manifest or why it can't be had."""

    def model(self, version: str) -> tuple[RegisteredModel, ModelManifest] | None:
        """Return a version with its manifest, None where it is not registered."""

    def report(self, version: str) -> bytes | None:
        """Return the report of a version, its hash verified; None where it is not registered."""

    def pointer(self) -> RolloutPointer | None:
        """Return which models answer, None where nothing was promoted."""

    def moves(self, most: int) -> Sequence[PointerMove]:
        """Return the last moves of the pointer, the latest first."""

    def rollout(self) -> UnderWay | None:
        """Return the latest rollout."""

    def comparison(self) -> Mapping[str, Any] | None:
        """Return the latest comparison of champion and challenger."""

    def compare(self, days: Mapping[str, str]) -> None:
        """Compare champion and challenger over the days ``from`` and ``to``; keep the result."""

    def days(self) -> Sequence[date]:
        """Return the days that were monitored, the latest first."""

    def summary(self, day: date) -> Mapping[str, Any] | None:
        """Return the summary of a day, as ``summarize_day`` made it."""

    def summaries(self, days: Sequence[date]) -> Sequence[Mapping[str, Any] | None]:
        """Return the summaries of days, in their order."""

    def page(self, day: date) -> bytes | None:
        """Return the page of a day."""

    def monitor(self, day: date) -> None:
        """Start to monitor a day."""

    def monitoring(self) -> UnderWay | None:
        """Return the latest run of the monitoring."""


@dataclass(frozen=True)
class DeployedEvidence:
    """What is kept where a product is deployed."""

    aws: Aws
    deployment: Deployment
    registered: RegisteredModels
    s3: S3Client

    @classmethod
    def of(cls, aws: Aws, deployment: Deployment, product: str) -> DeployedEvidence:
        """Return what is kept of a product; nothing is asked yet."""
        registered = RegisteredModels.of(aws, deployment, product)
        return cls(aws, deployment, registered, aws.client("s3"))

    def models(self) -> list[tuple[RegisteredModel, ModelManifest | CliError]]:
        """Return every version, the newest first, with its manifest or why it can't be had."""
        found = self.registered.models()
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            return list(zip(found, pool.map(self._manifest_or_fault, found), strict=True))

    def model(self, version: str) -> tuple[RegisteredModel, ModelManifest] | None:
        """Return a version with its manifest, None where it is not registered."""
        found = self._find(version)
        return None if found is None else (found, self.registered.manifest(found))

    def report(self, version: str) -> bytes | None:
        """Return the report of a version, its hash verified; None where it is not registered."""
        found = self._find(version)
        return None if found is None else self.registered.report(found)

    def pointer(self) -> RolloutPointer | None:
        """Return which models answer, None where nothing was promoted."""
        return self.registered.pointer()

    def moves(self, most: int) -> list[PointerMove]:
        """Return the last moves of the pointer, the latest first."""
        with registry_errors():
            return list(islice(self.registered.registry.moves(), most))

    def rollout(self) -> UnderWay | None:
        """Return the latest rollout."""
        return self._latest("rollout", self.deployment[ROLLOUT_MACHINE])

    def comparison(self) -> Mapping[str, Any] | None:
        """Return the latest comparison of champion and challenger."""
        prefix = f"{COMPARISONS}{self.registered.product}/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._results, Prefix=prefix
        )
        # Names are times, so that they sort as text.
        made = [
            item["Key"]
            for page in pages
            for item in page.get("Contents", [])
            if item["Key"].endswith(".json")
        ]
        body = self._object(max(made)) if made else None
        return None if body is None else _read(body, max(made))

    def compare(self, days: Mapping[str, str]) -> None:
        """Compare champion and challenger over the days ``from`` and ``to``; keep the result."""
        invoked(self.aws, self.deployment, "ComparerFunction", days, called="comparer")

    def days(self) -> list[date]:
        """Return the days that were monitored, the latest first."""
        prefix = f"{MONITORING}{self.registered.product}/day="
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._results, Prefix=prefix, Delimiter="/"
        )
        named = [
            item["Prefix"].removeprefix(prefix).rstrip("/")
            for page in pages
            for item in page.get("CommonPrefixes", [])
        ]
        return sorted(map(date.fromisoformat, named), reverse=True)

    def summary(self, day: date) -> Mapping[str, Any] | None:
        """Return the summary of a day, as ``summarize_day`` made it."""
        key = f"{self._day(day)}summary.json"
        body = self._object(key)
        return None if body is None else _read(body, key)

    def summaries(self, days: Sequence[date]) -> list[Mapping[str, Any] | None]:
        """Return the summaries of days, in their order."""
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            return list(pool.map(self.summary, days))

    def page(self, day: date) -> bytes | None:
        """Return the page of a day."""
        return self._object(f"{self._day(day)}report.html")

    def monitor(self, day: date) -> None:
        """Start to monitor a day."""
        asked = {"day": str(day), "trigger": "credit desk"}
        pipelines.start(self.aws, self.deployment[MACHINE], asked)

    def monitoring(self) -> UnderWay | None:
        """Return the latest run of the monitoring."""
        return self._latest("monitoring", self.deployment[MACHINE])

    @property
    def _results(self) -> str:
        return self.deployment["ResultsBucket"]

    def _day(self, day: date) -> str:
        return f"{MONITORING}{self.registered.product}/day={day}/"

    def _find(self, version: str) -> RegisteredModel | None:
        known = {model.reference.version: model for model in self.registered.models()}
        return known.get(version)

    def _manifest_or_fault(self, model: RegisteredModel) -> ModelManifest | CliError:
        """Return the manifest of a version, or its fault: one must not hide the others."""
        try:
            return self.registered.manifest(model)
        except CliError as fault:
            return fault

    def _object(self, key: str) -> bytes | None:
        try:
            return self.s3.get_object(Bucket=self._results, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in NO_OBJECT:
                return None
            raise

    def _latest(self, workflow: str, arn: str) -> UnderWay | None:
        stepfunctions: SFNClient = self.aws.client("stepfunctions")
        run = next(latest(stepfunctions, workflow, arn), None)
        if run is None:
            return None
        if run.status != "RUNNING":
            return UnderWay(with_cause(stepfunctions, run))
        return UnderWay(run, pipelines.state_under_way(stepfunctions, run.arn))


def _read(body: bytes, key: str) -> dict[str, Any]:
    """Return a kept document.

    Raises:
        CliError: It is none.
    """
    try:
        document = json.loads(body)
    except ValueError:
        raise CliError(f"{key} of the results bucket can't be read: it is no JSON") from None
    if not isinstance(document, dict):
        raise CliError(f"{key} of the results bucket can't be read: it is no JSON object")
    return document
