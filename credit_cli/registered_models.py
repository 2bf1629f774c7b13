"""What is registered of a product, verified and read for a person."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_cli.errors import CliError, DeploymentError
from credit_core.domain.model_manifest import report_key, verify_sha256
from credit_core.errors import CreditScoringError, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_core.adapters.model_registry import S3DynamoModelRegistry
    from credit_core.adapters.signing import KmsSigner
    from credit_core.domain.model_manifest import ModelManifest, RolloutPointer
    from credit_core.ports import RegisteredModel


@dataclass(frozen=True)
class RegisteredModels:
    """The registry of a product, and the objects that lie behind it."""

    product: str
    registry: S3DynamoModelRegistry
    signer: KmsSigner
    read: Callable[[str], bytes]

    @classmethod
    def of(cls, aws: Aws, deployment: Deployment, product: str) -> RegisteredModels:
        """Return what is registered of a product where it is deployed."""
        from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in  # noqa: PLC0415 (boto3 takes its time)
        from credit_core.adapters.signing import KmsSigner  # noqa: PLC0415 (as above)

        s3, bucket = aws.client("s3"), deployment["ModelsBucket"]
        signer = KmsSigner(aws.client("kms"), deployment["SigningKey"])
        registry = S3DynamoModelRegistry(
            product,
            s3=s3,
            bucket=bucket,
            dynamodb=aws.client("dynamodb"),
            table=deployment["RegistryTable"],
            signer=signer,
        )
        return cls(product, registry, signer, objects_in(s3, bucket))

    def pointer(self) -> RolloutPointer | None:
        """Return which models answer, None where nothing was promoted.

        Raises:
            DeploymentError: The pointer can't be read.
            CliError: The registry did not answer.
        """
        with registry_errors():
            try:
                return self.registry.pointer()
            except (KeyError, ValueError) as error:
                raise DeploymentError(
                    f"the rollout pointer of {self.product} can't be read: {type(error).__name__}",
                    hint="where it stood: credit models history",
                ) from None

    def champion(self) -> RolloutPointer:
        """Return which models answer.

        Raises:
            CliError: None does yet.
        """
        pointer = self.pointer()
        if pointer is None:
            raise CliError(
                f"{self.product} has no champion yet", hint="run: credit retrain, or make demo"
            )
        return pointer

    def models(self) -> list[RegisteredModel]:
        """Return every version, the newest first.

        Raises:
            CliError: The registry did not answer.
        """
        with registry_errors():
            return sorted(self.registry.models(), key=lambda model: model.created_at, reverse=True)

    def find(self, version: str) -> RegisteredModel:
        """Return a version.

        Raises:
            CliError: There is none, or the registry did not answer.
        """
        with registry_errors():
            return self.registry.find(version)

    def manifest(self, model: RegisteredModel) -> ModelManifest:
        """Return the manifest of a version, its hash and signature verified.

        Raises:
            CliError: It is not what was registered, or can't be read.
        """
        from credit_core.adapters.model_artifacts import verified_manifest  # noqa: PLC0415 (NumPy takes its time)

        with registry_errors():
            return verified_manifest(
                self.read,
                self.product,
                version=model.reference.version,
                manifest_sha256=model.reference.manifest_sha256,
                is_signed=self.signer.is_signed,
            )

    def report(self, model: RegisteredModel) -> bytes:
        """Return the report of a version, its hash verified.

        Raises:
            CliError: It is not what was registered, or can't be read.
        """
        key = report_key(self.product, model.reference.version)
        with registry_errors():
            body = self.read(key)
            verify_sha256(key, body, model.report_sha256)
        return body


@contextmanager
def registry_errors() -> Iterator[None]:
    """Translate the registry's errors into those of this command.

    Raises:
        CliError: In the place of one of the registry's.
    """
    try:
        yield
    except ModelUnavailableError as error:
        hint = "see: credit models list" if "is not registered" in str(error) else None
        raise CliError(str(error), hint=hint) from None
    except CreditScoringError as error:
        raise CliError(str(error)) from None
