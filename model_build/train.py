"""The whole training: from a training set to a model, its manifest, its evidence and its report."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import scipy
import sklearn
from threadpoolctl import threadpool_limits

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.measures import distribution_of
from credit_core.domain.model_manifest import CandidateRecord, ModelManifest, categories_of
from credit_core.errors import ModelUnavailableError
from model_build.baselines import baselines_of, golden_vectors, model_input, reference_applicant
from model_build.candidates import CANDIDATES
from model_build.code_version import code_sha256
from model_build.data_gates import data_gates
from model_build.evaluation import evaluate, event_text
from model_build.gates import Contender, judge
from model_build.report import ReportInputs, render
from model_build.select import select
from model_build.side_by_side import fit_all
from model_build.split import split_loans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.product import CreditProduct
    from model_build.candidates import Candidate
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSplit, TrainingSet
    from model_build.previous import PreviousModel

SEED = 20_161


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model as it will be registered: what is said of it, its bytes, and its report in HTML."""

    manifest: ModelManifest
    onnx: bytes
    report: bytes


def train(
    product: CreditProduct,
    training_set: TrainingSet,
    *,
    lineage: Mapping[str, str],
    started_at: datetime,
    seed: int = SEED,
    candidates: Sequence[Candidate] = CANDIDATES,
    previous: PreviousModel | None = None,
    progress: Callable[[str], None] = lambda _text: None,
    workers: int = 1,
) -> TrainedModel:
    """Fit all candidates, choose one without a look at the tested loans, and judge it.

    The same training set, ``started_at`` and seed give the same bytes. What is judged is what is
    served: the model is not fitted again on the tested loans.

    Args:
        product: The product to train for.
        training_set: Its labelled loans.
        lineage: Where the training set came from, kept in the manifest.
        started_at: When the run started, with time zone; part of the version.
        seed: Of folds, trees and resamples.
        candidates: Who competes, from the simplest up.
        previous: The champion, to compare with; None where there is none.
        progress: Told what is being done.
        workers: Processes that fit candidates side by side, see ``model_build.side_by_side``.

    Raises:
        TrainingDataError: The loans cannot support a model.
    """
    split = split_loans(product, training_set.loans, seed=seed)
    fitted = fit_all(product, split, candidates, seed=seed, progress=progress, workers=workers)
    progress("judging")
    return judge_candidates(
        product,
        training_set,
        split,
        fitted,
        previous=previous,
        lineage=lineage,
        started_at=started_at,
        seed=seed,
    )


def judge_candidates(
    product: CreditProduct,
    training_set: TrainingSet,
    split: LoanSplit,
    fitted: Sequence[FittedCandidate],
    *,
    previous: PreviousModel | None,
    lineage: Mapping[str, str],
    started_at: datetime,
    seed: int,
) -> TrainedModel:
    """Choose one of the fitted candidates, judge it, and write down what was found.

    Args:
        product: The product they were trained for.
        training_set: The loans they were trained on, and what was left out.
        split: How those were divided.
        fitted: The candidates, from the simplest up.
        previous: The champion, to compare with; None where there is none.
        lineage: Where the training set came from, kept in the manifest.
        started_at: When the run started, with time zone; part of the version.
        seed: Of the resamples.
    """
    # Threads of linear algebra wait for each other by spinning, see ``model_build.fit``.
    with threadpool_limits(limits=1):
        evaluations = {it.name: evaluate(split, it, seed=seed) for it in fitted}
        selection = select(fitted)
        chosen = selection.candidate
        inputs = tuple(feature.name for feature in product.model_features)
        reference = reference_applicant(product, split.fitted)
        try:
            model = OnnxClassifier(chosen.onnx, input_count=len(inputs))
        except ModelUnavailableError:
            # A gate says so, and the report shows it.
            model = None
        golden = () if model is None else golden_vectors(product, split.fitted, model, seed=seed)
        contender = Contender(
            product=product,
            candidate=chosen,
            selection=selection.evidence,
            inputs=inputs,
            reference=reference,
            golden=golden,
            split=split,
            evaluation=evaluations[chosen.name],
            previous=previous,
            training_set_sha256=training_set.sha256,
            seed=seed,
        )
        gates = (*data_gates(product, training_set, split, previous), *judge(contender))
        fingerprint = hashlib.sha256(chosen.onnx).hexdigest()
        manifest = ModelManifest(
            product=product.name,
            version=f"{started_at:%Y%m%dT%H%M%SZ}-{fingerprint[:12]}",
            created_at=started_at,
            onnx_sha256=fingerprint,
            onnx_bytes=len(chosen.onnx),
            algorithm=chosen.name,
            pairwise=chosen.pairwise,
            parameters=dict(chosen.parameters),
            inputs=inputs,
            categories=categories_of(product),
            reference=model_input(reference),
            golden=golden,
            evaluation=evaluations[chosen.name],
            candidates={
                it.name: CandidateRecord(
                    pairwise=it.pairwise,
                    parameters=dict(it.parameters),
                    cross_validated_log_loss=float(it.fold_losses.mean()),
                    evaluation=evaluations[it.name],
                )
                for it in fitted
            },
            selection=selection.evidence,
            gates=gates,
            baseline=baselines_of(product, split.fitted),
            baseline_probability=distribution_of(chosen.fitted_probability),
            training_set={**lineage, **_lineage_of(training_set, split), "seed": seed},
            libraries={
                "python": platform.python_version(),
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
                "scipy": scipy.__version__,
                "onnx": onnx.__version__,
                "onnxruntime": onnxruntime.__version__,
            },
            code_sha256=code_sha256(),
        )
        report = render(
            ReportInputs(
                product=product,
                manifest=manifest,
                split=split,
                fitted={it.name: it for it in fitted},
                model=model,
                training_set=training_set,
            )
        )
        return TrainedModel(manifest, chosen.onnx, report)


def _lineage_of(training_set: TrainingSet, split: LoanSplit) -> dict[str, str | int | None]:
    fitted, tested = split.fitted, split.tested
    return {
        "sha256": training_set.sha256,
        "rows": training_set.rows,
        "rows_labelled": training_set.rows - training_set.not_labelled,
        "rows_referred": training_set.referred,
        "rows_unservable": training_set.unservable_rows,
        "rows_trained": len(fitted),
        "rows_tested": len(tested),
        "defaults_trained": fitted.defaults,
        "defaults_tested": tested.defaults,
        "first_event": event_text(fitted.event_timestamps, 0),
        "out_of_time_from": event_text(tested.event_timestamps, 0) if split.out_of_time else None,
        "last_event": event_text(tested.event_timestamps, -1),
    }
