"""What `credit train` does between reading its options and printing what came of it."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from credit_cli.errors import CliError, PreconditionError, UsageError
from credit_cli.trained_folder import TrainedFolder
from credit_core.adapters.local_lake import LocalLake
from credit_core.domain.model_manifest import MANIFEST, MODEL, REPORT
from credit_core.domain.places import APPLICATIONS_FOLDER
from credit_core.domain.point_in_time import training_set_sql
from credit_core.errors import ConfigurationError, CreditScoringError
from model_build.candidates import CANDIDATES, CHALLENGERS
from model_build.challengers import require_packages
from model_build.mlflow_log import TRACKING_VARIABLE, Tracker
from model_build.previous import PreviousModel
from model_build.tables import read_flat_table
from model_build.train import SEED, TrainedModel, train
from model_build.training_set import read_training_set

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.domain.product import CreditProduct
    from model_build.loans import TrainingSet
    from model_build.tables import FlatTable, LeftOut

FILES = (MODEL, MANIFEST, REPORT, "summary.json")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked for, beside product and data."""

    data: Path
    out: Path
    challengers: tuple[str, ...] = ()
    champion: Path | None = None
    seed: int = SEED
    previous: PreviousModel | None = None
    tracker: Tracker | None = None


@dataclass(frozen=True, slots=True)
class FoundData:
    """The loans, where they come from, and what a person should know about them."""

    training_set: TrainingSet
    lineage: Mapping[str, str]
    left_out: tuple[LeftOut, ...] = ()
    renamed: Mapping[str, str] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """The loans in a few words."""
        loans = self.training_set.loans
        share = loans.defaults / max(1, len(loans))
        return (
            f"{len(loans):,} loans of {self.lineage['source']},"
            f" {loans.defaults:,} defaulted ({share:.1%})"
        )


def prepared(product: CreditProduct, wishes: Wishes, *, seed: int | None) -> Wishes:
    """Check what can be checked before any work, and open what is needed.

    Raises:
        UsageError: A challenger is unknown, a folder cannot be used, or the champion's holds none.
        PreconditionError: An optional package is missing, or MLflow does not answer.
    """
    unknown = [name for name in wishes.challengers if name not in CHALLENGERS]
    if unknown:
        raise UsageError(
            f"--challenger {unknown[0]} is not known", hint=f"one of {', '.join(CHALLENGERS)}"
        )
    for name in wishes.challengers:
        try:
            require_packages(CHALLENGERS[name])
        except ConfigurationError as error:
            raise PreconditionError(str(error)) from None
    if not wishes.data.exists():
        raise UsageError(f"--data {wishes.data} does not exist")
    if wishes.out.exists() and not wishes.out.is_dir():
        raise UsageError(f"--out {wishes.out} is a file; name a folder")
    if seed is not None and not 0 <= seed < 2**32:
        raise UsageError(f"--seed {seed} is not from 0 to 2**32 - 1")
    previous = None
    if wishes.champion is not None:
        if wishes.champion.resolve() == wishes.out.resolve():
            raise UsageError("--champion and --out are the same folder; the champion would be lost")
        trained = TrainedFolder.read(wishes.champion, product.name)
        previous = PreviousModel(trained.manifest, trained.onnx)
    wishes.out.mkdir(parents=True, exist_ok=True)
    return replace(
        wishes,
        seed=SEED if seed is None else seed,
        previous=previous,
        tracker=opened_tracker(product),
    )


def opened_tracker(product: CreditProduct) -> Tracker | None:
    """Return where the run is logged, None where no MLflow is named.

    Raises:
        PreconditionError: It is named, but its package is not there or it does not answer.
    """
    uri = os.environ.get(TRACKING_VARIABLE)
    if not uri:
        return None
    if importlib.util.find_spec("mlflow") is None:
        raise PreconditionError(
            f"{TRACKING_VARIABLE} is set, but MLflow is not installed",
            hint=f"install the extra mlflow (mlflow-skinny), or unset {TRACKING_VARIABLE}",
        )
    try:
        return Tracker.opened(product.name, uri)
    except Exception as error:
        message = " ".join(str(error).split())[:200]
        raise PreconditionError(
            f"MLflow at {TRACKING_VARIABLE} cannot be used: {message}",
            hint=f"mend it, or unset {TRACKING_VARIABLE}",
        ) from error


def read_data(product: CreditProduct, data: Path, *, progress: Callable[[str], None]) -> FoundData:
    """Read the loans from a lake in a folder, or from a table.

    Raises:
        UsageError: It is no such folder or table; the message says which file, column and line.
        CliError: The loans in it are not such that a model can be made of them.
    """
    try:
        if (data / product.name / APPLICATIONS_FOLDER).is_dir():
            return _of_lake(product, data, progress)
        if data.is_dir() and (data / APPLICATIONS_FOLDER).is_dir():
            hint = f"did you mean the folder above, with {product.name}/{APPLICATIONS_FOLDER}/?"
            raise UsageError(f"--data {data} is no table", hint=hint)
        table = _flat_table(product, data, progress)
        training_set = table.training_set(product)
    except CreditScoringError as error:
        raise CliError(str(error)) from None
    return FoundData(
        training_set,
        {"source": ", ".join(file.name for file in table.files)},
        table.left_out(product),
        table.renamed,
        table.remarks,
    )


def _flat_table(product: CreditProduct, data: Path, progress: Callable[[str], None]) -> FlatTable:
    try:
        return read_flat_table(product, data, progress=progress)
    except CreditScoringError as error:
        raise UsageError(str(error)) from None


def _of_lake(product: CreditProduct, data: Path, progress: Callable[[str], None]) -> FoundData:
    with TemporaryDirectory() as folder:
        rows = Path(folder) / "training-set.csv"
        LocalLake(product, data, progress=progress).write_training_set(rows)
        training_set = read_training_set(product, rows.read_bytes())
    return FoundData(
        training_set, {"source": f"lake {data.name}", "query": training_set_sql(product)}
    )


def fitted_and_judged(
    product: CreditProduct, found: FoundData, wishes: Wishes, *, progress: Callable[[str], None]
) -> TrainedModel:
    """Return the model of the run.

    Raises:
        CliError: The loans cannot support a model.
    """
    try:
        return train(
            product,
            found.training_set,
            lineage=found.lineage,
            started_at=datetime.now(UTC).replace(microsecond=0),
            seed=wishes.seed,
            candidates=(*CANDIDATES, *(CHALLENGERS[name] for name in wishes.challengers)),
            previous=wishes.previous,
            progress=progress,
            workers=os.process_cpu_count() or 1,
        )
    except CreditScoringError as error:
        raise CliError(str(error)) from None


def write_files(out: Path, model: TrainedModel, summary: Mapping[str, Any]) -> None:
    """Write the run's files; each appears when it is complete, the summary last."""
    bodies = (
        model.onnx,
        model.manifest.to_json(),
        model.report,
        (json.dumps(summary, indent=2) + "\n").encode(),
    )
    for name, body in zip(FILES, bodies, strict=True):
        partial = out / f".{name}.partial"
        partial.write_bytes(body)
        partial.replace(out / name)


def tracked(tracker: Tracker, out: Path, manifest: ModelManifest) -> dict[str, str]:
    """Log the run, and return where.

    Raises:
        CliError: MLflow did not take it; the files are written all the same.
    """
    try:
        return tracker.log(manifest, [out / name for name in FILES])
    except Exception as error:
        message = " ".join(str(error).split())[:200]
        raise CliError(
            f"the files are in {out}, but MLflow did not take them: {message}"
        ) from error
