"""All that a scorer needs around it, on an emulator of its own: tables, features, secret, model.

The sample's newest features of some applicants are written by the online store's own writer, and a
model is trained on the sample as the retraining does and kept in ``.build`` for the next time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import duckdb

from credit_cli.load_applications import applications, applications_in
from credit_cli.sample import LOANS, write_sample
from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.local_lake import LocalLake
from credit_core.adapters.model_registry import S3DynamoModelRegistry
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.model_manifest import (
    MANIFEST,
    MODEL,
    REPORT,
    Challenger,
    ModelManifest,
    ModelReference,
    RolloutMode,
    RolloutPointer,
)
from credit_core.domain.online_store import entity_key, feature_row
from credit_core.domain.product import load_product
from credit_core.settings import ScorerSettings
from layers.build import FUNCTION_LAYERS, Platform, build, function_archive
from model_build.candidates import CANDIDATES
from model_build.train import TrainedModel, train
from model_build.training_set import read_training_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_cli.load_applications import Row
    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import CreditProduct, FeatureView

ROOT = Path(__file__).resolve().parents[1]
KEPT_MODELS = ROOT / ".build" / "benchmarks"
PRODUCT = "personal_loan"
ALGORITHM = "pairwise"
SHADOW = RolloutMode.SHADOW
SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105 (the emulator's alone)
DEADLINE_MS = 5_000
"""As on the local cloud: what a run refers because a shared machine paused would be no decision."""

TABLES = {
    "online-store": ("entity_key",),
    "decisions": ("application_id", "record"),
    "registry": ("product", "record"),
}
RUNTIME_PACKAGES = (
    *("awslambdaric", "runtime_client.*", "simplejson", "snapshot_restore_py.py"),
    *("boto3", "botocore", "s3transfer", "jmespath", "urllib3", "dateutil", "six.py"),
)
"""What Lambda's managed Python has beside its standard library."""


@dataclass(frozen=True)
class World:
    """What was made: the model's bytes, whose features there are, where the function lies."""

    product: CreditProduct
    trained: TrainedModel
    known: list[Row]
    paths: tuple[Path, ...]
    environment: dict[str, str]
    settings: ScorerSettings
    registry: S3DynamoModelRegistry

    def try_challenger(self) -> None:
        """Put a challenger in shadow: the champion's model once more, under another version."""
        version = f"{self.trained.manifest.version}-again"
        manifest = self.trained.manifest.model_copy(update={"version": version})
        trial = Challenger(model=registered(self.registry, manifest, self.trained), mode=SHADOW)
        pointer = self.registry.champion()
        changes = {"challenger": trial, "revision": pointer.revision + 1}
        self.registry.move(pointer.model_copy(update=changes))

    def bodies(self, count: int, *, run: str, seed: int = 0) -> Iterator[bytes]:
        """Yield applications of those whose features there are."""
        return applications(self.product, self.known, count=count, run=run, seed=seed)

    def feature_keys(self, application: dict[str, Any]) -> list[str]:
        """Return the keys of the rows that an application's decision reads."""
        return [
            entity_key(self.product, view, application, secret=SECRET.encode())
            for view in self.product.feature_views
        ]


def make_world(scratch: Path, *, applicants: int, trained: TrainedModel | None = None) -> World:
    """Make everything on the emulator that the environment's variables point at.

    Args:
        scratch: Folder for the sample's files and the unzipped function.
        applicants: How many have features.
        trained: The model to promote; else one trained on the sample, or kept from before.
    """
    product = load_product(PRODUCT)
    now = datetime.now(UTC).replace(microsecond=0)
    lake = scratch / "lake"
    write_sample(lake, last_day=now.date() - timedelta(days=1), product=product)
    dynamodb, s3 = client("dynamodb", pipeline_config()), client("s3", pipeline_config())
    for table, keys in TABLES.items():
        dynamodb.create_table(
            TableName=table,
            KeySchema=[
                {"AttributeName": key, "KeyType": role}
                for key, role in zip(keys, ("HASH", "RANGE"), strict=False)
            ],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
    s3.create_bucket(Bucket="models")
    client("secretsmanager", pipeline_config()).create_secret(
        Name="entity-key", SecretString=SECRET
    )
    known = applications_in(sorted((lake / product.applications_prefix).glob("*")), product)
    known = known[:: max(1, len(known) // applicants)][:applicants]
    writer = PartiqlOnlineStoreWriter(dynamodb, "online-store")
    for view in product.feature_views:
        wanted = {tuple(row[name] for name in view.entity.key_names) for row in known}
        writer.write(newest_rows(lake, product, view, wanted), ttl=view.ttl)
    trained = trained or model(product, lake, scratch)
    kms = client("kms", pipeline_config())
    key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    registry = S3DynamoModelRegistry(
        product.name,
        s3=s3,
        bucket="models",
        dynamodb=dynamodb,
        table="registry",
        signer=KmsSigner(kms, key),
    )
    promote(registry, trained, now)
    settings = ScorerSettings(
        stage="local",
        product=product.name,
        online_store_table="online-store",
        decisions_table="decisions",
        registry_table="registry",
        models_bucket="models",
        signing_key=key,
        entity_key_secret="entity-key",  # noqa: S106 (its name)
        receipt_days=7,
        deadline_ms=DEADLINE_MS,
    )
    paths = deployed_function(scratch)
    return World(product, trained, known, paths, settings.to_environment(), settings, registry)


def newest_rows(
    lake: Path, product: CreditProduct, view: FeatureView, wanted: set[tuple[Any, ...]]
) -> list[FeatureRow]:
    """Return the newest row of each entity that is wanted, as the materializer makes it."""
    keys, features = view.entity.key_names, [feature.name for feature in view.features]
    names = [*keys, "event_timestamp", "created_timestamp", *features]
    order = ", ".join(f'"{key}"' for key in keys)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"""SELECT DISTINCT ON ({order}) {", ".join(f'"{name}"' for name in names)}
            FROM read_parquet(?) ORDER BY {order}, event_timestamp DESC""",  # noqa: S608 (names of the product)
            [str(lake / product.view_prefix(view) / "*.parquet")],
        ).fetchall()
    rows = (dict(zip(names, row, strict=True)) for row in found)
    return [
        feature_row(
            view,
            entity_key(product, view, row, secret=SECRET.encode()),
            event_timestamp=row["event_timestamp"].replace(tzinfo=UTC),
            created_timestamp=row["created_timestamp"].replace(tzinfo=UTC),
            features={name: row[name] for name in features},
        )
        for row in rows
        if tuple(row[key] for key in keys) in wanted
    ]


def model(product: CreditProduct, lake: Path, scratch: Path) -> TrainedModel:
    """Return a model of the sample, trained anew only when what it is made of has changed.

    It is the largest that may be champion, boosted trees with pairwise interactions: where the
    gates prefer a simpler one, decisions cost less.
    """
    digest = hashlib.sha256(LOANS.read_bytes())
    for source in (ROOT / "products" / f"{product.name}.py", *(ROOT / "model_build").glob("*.py")):
        digest.update(source.read_bytes())
    kept = KEPT_MODELS / digest.hexdigest()[:16]
    names = (MANIFEST, MODEL, REPORT)
    if all((kept / name).exists() for name in names):
        manifest, onnx, report = ((kept / name).read_bytes() for name in names)
        return TrainedModel(ModelManifest.from_json(manifest), onnx, report)
    target = scratch / "training-set.csv"
    LocalLake(product, lake, scratch=scratch).write_training_set(target)
    trained = train(
        product,
        read_training_set(product, target.read_bytes()),
        lineage={},
        started_at=datetime.now(UTC).replace(microsecond=0),
        candidates=[candidate for candidate in CANDIDATES if candidate.name == ALGORITHM],
    )
    kept.mkdir(parents=True, exist_ok=True)
    bodies = (trained.manifest.to_json(), trained.onnx, trained.report)
    for name, body in zip(names, bodies, strict=True):
        (kept / name).write_bytes(body)
    return trained


def promote(registry: S3DynamoModelRegistry, trained: TrainedModel, now: datetime) -> None:
    """Register the model and point at it."""
    registry.move(
        RolloutPointer(
            product=trained.manifest.product,
            champion=registered(registry, trained.manifest, trained),
            revision=1,
            moved_at=now,
            moved_by="benchmark",
        )
    )


def registered(
    registry: S3DynamoModelRegistry, manifest: ModelManifest, trained: TrainedModel
) -> ModelReference:
    """Register a model under a manifest and return the reference to it."""
    registry.register(manifest, trained.onnx, trained.report, registered_by="benchmark")
    return registry.find(manifest.version).reference


def deployed_function(scratch: Path) -> tuple[Path, ...]:
    """Return the folders that the scorer imports from, unzipped as in Lambda, in its order."""
    task, opt, managed = scratch / "task", scratch / "opt", scratch / "runtime"
    with ZipFile(function_archive("scorer")) as archive:
        archive.extractall(task)
    for layer in build(FUNCTION_LAYERS["scorer"], Platform.HOST):
        with ZipFile(layer.archive) as archive:
            archive.extractall(opt)
    managed.mkdir()
    installed = Path(duckdb.__file__).parents[1]
    for pattern in RUNTIME_PACKAGES:
        for package in installed.glob(pattern):
            (managed / package.name).symlink_to(package)
    measured = Path(__file__).with_name("decisions_measured.py")
    (managed / measured.name).symlink_to(measured)
    return task, opt / "python", managed
