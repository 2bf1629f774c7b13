"""How the desk finds its deployment: when a page first needs it, and again after an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any

from credit_cli.deployment import deployed
from credit_cli.desk.desk import Rooms
from credit_cli.desk.evidence import DeployedEvidence
from credit_cli.desk.office import DeployedOffice
from credit_cli.target import target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_core.domain.product import CreditProduct


@dataclass
class Connection:
    """Finds what is deployed of a product, and keeps it until it is forgotten.

    ``place`` says where it is, from the first time on.
    """

    product: CreditProduct
    place: str = "the local cloud"
    _rooms: Rooms | None = None
    _lock: Lock = field(default_factory=Lock)

    def __call__(self) -> Rooms:
        """Return whom the pages ask.

        Raises:
            CliError: Nothing is deployed, or the cloud can't be reached.
        """
        with self._lock:
            if self._rooms is None:
                self._rooms = self._find()
            return self._rooms

    def forget(self) -> None:
        """Look for the deployment anew at the next page: the cloud may have been made anew."""
        with self._lock:
            self._rooms = None

    def _find(self) -> Rooms:
        aws, deployment = deployed(self.product.name)
        self.place = aws.place
        return Rooms(
            DeployedOffice(aws, deployment, samples=self._samples(aws, deployment)),
            DeployedEvidence.of(aws, deployment, self.product.name),
        )

    def _samples(self, aws: Aws, deployment: Deployment) -> Any:
        if not target().is_local:  # people apply there
            return tuple

        def read() -> Sequence[Mapping[str, Any]]:
            from credit_cli.load_applications import lake_applications  # noqa: PLC0415 (DuckDB takes its time)

            s3: S3Client = aws.client("s3")
            return lake_applications(s3, deployment["LakeBucket"], self.product)

        return read
