"""One retraining as its state machine runs it: check, fit each candidate, judge, register.

Each step stands alone: it reads what the steps before it left, and may be done again at any time
with the same result. The champion that the new model is measured against is settled by the check,
so that a step that is repeated later judges against the same one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from credit_core.domain.model_manifest import MANIFEST, MODEL, REPORT, ModelManifest
from credit_core.domain.places import FITTED
from model_build.data_gates import data_gates
from model_build.fit import fit
from model_build.fitted import FittedCandidate
from model_build.split import split_loans
from model_build.train import SEED, judge_candidates
from model_build.training_set import read_training_set

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.model_manifest import Gate
    from credit_core.domain.product import CreditProduct
    from model_build.learning import Candidate
    from model_build.previous import PreviousModel

PROGRESS_SECONDS = 0.5
"""A step says at most this often how far it has got; each time is a request to S3."""


class TrainingRunRecord(Protocol):
    """What the steps of a run leave for each other."""

    def keep(self, name: str, body: bytes) -> None:
        """Keep a file, in place of an earlier try's."""

    def read(self, name: str) -> bytes:
        """Return a file."""

    def tell(self, step: str, words: str) -> None:
        """Say how far a step has got."""


class Registry(Protocol):
    """Where models are registered for good."""

    def register(
        self, manifest: ModelManifest, onnx: bytes, report: bytes, *, registered_by: str
    ) -> None:
        """Keep a model, its manifest and its report."""


@dataclass(frozen=True, slots=True)
class Retraining:
    """The steps of one run.

    Args:
        product: Whose model is trained.
        record: What its steps leave for each other.
        previous: Returns the model of a version, or the present champion for None; None where there
            is none.
        candidates: Who competes, from the simplest up.
    """

    product: CreditProduct
    record: TrainingRunRecord
    previous: Callable[[str | None], PreviousModel | None]
    candidates: Sequence[Candidate]

    def check(self, body: bytes) -> dict[str, Any]:
        """Judge the loans alone; say who is to be fitted on them, and who is the champion.

        Raises:
            TrainingDataError: The loans cannot support a model.
            ModelUnavailableError: The champion cannot be loaded.
        """
        training_set = read_training_set(self.product, body)
        split = split_loans(self.product, training_set.loans, seed=SEED)
        previous = self.previous(None)
        gates = data_gates(self.product, training_set, split, previous)
        return {
            "rows": training_set.rows,
            "loans_fitted": len(split.fitted),
            "loans_tested": len(split.tested),
            "defaults": training_set.loans.defaults,
            "sha256": training_set.sha256,
            "champion": None if previous is None else previous.manifest.version,
            "candidates": [candidate.name for candidate in self.candidates],
            **passed_and_failed(gates),
        }

    def fit(self, body: bytes, name: str) -> dict[str, Any]:
        """Fit one candidate and keep it for the judgement.

        Raises:
            KeyError: There is no such candidate.
        """
        started = time.monotonic()
        candidate = {candidate.name: candidate for candidate in self.candidates}[name]
        split = split_loans(self.product, read_training_set(self.product, body).loans, seed=SEED)
        fitted = fit(self.product, split, candidate, seed=SEED, progress=self._progress(name))
        self.record.keep(f"{name}.npz", fitted.to_bytes())
        self.record.tell(name, FITTED)
        return {
            "candidate": name,
            "log_loss": float(fitted.fold_losses.mean()),
            "seconds": round(time.monotonic() - started, 1),
        }

    def judge(
        self,
        body: bytes,
        *,
        champion: str | None,
        lineage: Mapping[str, str],
        started_at: datetime,
    ) -> dict[str, Any]:
        """Choose among the fitted candidates, judge the chosen one, and keep it.

        Raises:
            ModelUnavailableError: The champion cannot be loaded.
        """
        training_set = read_training_set(self.product, body)
        fitted = [
            FittedCandidate.from_bytes(self.record.read(f"{candidate.name}.npz"))
            for candidate in self.candidates
        ]
        model = judge_candidates(
            self.product,
            training_set,
            split_loans(self.product, training_set.loans, seed=SEED),
            fitted,
            previous=None if champion is None else self.previous(champion),
            lineage=lineage,
            started_at=started_at,
            seed=SEED,
        )
        self.record.keep(MODEL, model.onnx)
        self.record.keep(REPORT, model.report)
        self.record.keep(MANIFEST, model.manifest.to_json())
        return outcome_of(model.manifest)

    def register(self, registry: Registry, *, registered_by: str) -> dict[str, Any]:
        """Register what was judged, good or not: why it was refused is kept as well.

        Raises:
            ArtifactIntegrityError: Other bytes are registered under this version.
        """
        manifest = ModelManifest.from_json(self.record.read(MANIFEST))
        registry.register(
            manifest,
            self.record.read(MODEL),
            self.record.read(REPORT),
            registered_by=registered_by,
        )
        return outcome_of(manifest)

    def _progress(self, step: str) -> Callable[[str], None]:
        last = -PROGRESS_SECONDS

        def tell(words: str) -> None:
            nonlocal last
            if time.monotonic() - last >= PROGRESS_SECONDS:
                last = time.monotonic()
                self.record.tell(step, words)

        return tell


def outcome_of(manifest: ModelManifest) -> dict[str, Any]:
    """Return what became of a training, small enough to travel through a state machine."""
    return {
        "version": manifest.version,
        "algorithm": manifest.algorithm,
        "selection": manifest.selection,
        "auc": manifest.evaluation.auc.model_dump(),
        "gates_passed": manifest.gates_passed,
        **passed_and_failed(manifest.gates),
    }


def passed_and_failed(gates: Sequence[Gate]) -> dict[str, Any]:
    """Return the names of the gates that passed, and all that is known of those that did not."""
    return {
        "passed_gates": [gate.name for gate in gates if gate.passed],
        "failed_gates": [
            {"name": gate.name, "evidence": gate.evidence, "look_at": gate.look_at}
            for gate in gates
            if not gate.passed
        ],
    }
