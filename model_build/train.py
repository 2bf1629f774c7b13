"""The use case: from a training set to a model, its manifest and its evidence."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.model_manifest import ModelManifest, categories_of
from model_build.candidates import CANDIDATES
from model_build.evaluate import evaluate, event_text
from model_build.gates import Contender, judge
from model_build.onnx_export import to_onnx
from model_build.training_set import split_out_of_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from model_build.candidates import Candidate
    from model_build.training_set import LoanSet, TrainingSet

SEED = 20_161
FOLDS = 5
RULE = (
    f"the simplest candidate whose log loss, cross-validated in {FOLDS} folds of the training "
    "loans, is within one standard error of the best"
)


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model as it will be registered: what is said of it, and its bytes."""

    manifest: ModelManifest
    onnx: bytes


@dataclass(frozen=True, slots=True)
class Selection:
    """The candidate that was chosen, and the figures that chose it."""

    candidate: Candidate
    evidence: str


def train(
    product: CreditProduct,
    training_set: TrainingSet,
    *,
    lineage: Mapping[str, str],
    started_at: datetime,
    candidates: Sequence[Candidate] = CANDIDATES,
    seed: int = SEED,
) -> TrainedModel:
    """Train all candidates, choose one without a look at the test loans, and judge it.

    The same training set, ``started_at`` and seed give the same bytes. What is judged is what is
    served: the model is not fitted again on the test loans.

    Args:
        product: The product to train for.
        training_set: Its labelled loans.
        lineage: Where the training set came from, kept in the manifest.
        started_at: When the run started, with time zone; part of the version.
        candidates: Who competes, from the simplest up.
        seed: Of folds, trees and resamples.

    Raises:
        TrainingDataError: The loans cannot support a model.
    """
    train_loans, test_loans = split_out_of_time(training_set.loans)
    # OpenMP's threads wait for each other by spinning. On a function's two shared cores, or a busy
    # laptop's, training with two of them took eight times as long as with one.
    with threadpool_limits(limits=1):
        selection = select(product, train_loans, candidates, seed=seed)
        fitted = {
            candidate.name: candidate.fit(product, train_loans.matrix, train_loans.defaulted, seed)
            for candidate in candidates
        }
        answers = {
            name: pipeline.predict_proba(test_loans.matrix)[:, 1]
            for name, pipeline in fitted.items()
        }
    evaluations = {
        name: evaluate(test_loans, answer, seed=seed) for name, answer in answers.items()
    }
    chosen = selection.candidate
    inputs = tuple(feature.name for feature in product.model_features)
    body = to_onnx(fitted[chosen.name], input_count=len(inputs))
    reference = reference_applicant(product, train_loans)
    gates = judge(
        Contender(
            product=product,
            algorithm=chosen.name,
            pairwise=chosen.pairwise,
            selection=selection.evidence,
            onnx=body,
            inputs=inputs,
            reference=reference,
            train=train_loans,
            test=test_loans,
            expected=answers[chosen.name],
            evaluation=evaluations[chosen.name],
        )
    )
    fingerprint = hashlib.sha256(body).hexdigest()
    manifest = ModelManifest(
        product=product.name,
        version=f"{started_at:%Y%m%dT%H%M%SZ}-{fingerprint[:12]}",
        created_at=started_at,
        onnx_sha256=fingerprint,
        onnx_bytes=len(body),
        algorithm=chosen.name,
        pairwise=chosen.pairwise,
        inputs=inputs,
        categories=categories_of(product),
        reference=tuple(None if np.isnan(value) else float(value) for value in reference),
        evaluation=evaluations[chosen.name],
        candidates=evaluations,
        gates=gates,
        training_set={
            **lineage,
            "sha256": training_set.sha256,
            "rows": training_set.rows,
            "rows_referred": training_set.referred,
            "rows_unservable": training_set.unservable,
            "rows_trained": len(train_loans),
            "rows_tested": len(test_loans),
            "first_event": event_text(train_loans.event_timestamps[0]),
            "out_of_time_from": event_text(test_loans.event_timestamps[0]),
            "last_event": event_text(test_loans.event_timestamps[-1]),
            "seed": seed,
        },
        libraries={
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "skl2onnx": skl2onnx.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
        },
    )
    return TrainedModel(manifest, body)


def select(
    product: CreditProduct, loans: LoanSet, candidates: Sequence[Candidate], *, seed: int
) -> Selection:
    """Choose among the candidates that may become champion, by ``RULE``.

    The standard error is that of the difference to the best, fold by fold: all candidates meet
    the same folds, so what makes a fold hard for all cancels out.

    Source: Breiman et al., Classification and Regression Trees (1984), the one-SE rule.
    """
    admissible = [candidate for candidate in candidates if candidate.pairwise]
    if not admissible:
        # Nothing to choose from; the gate on the model's class will say so.
        return Selection(candidates[0], "no candidate may become champion")
    folds = list(
        StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(loans.matrix, loans.defaulted)
    )
    losses = {
        candidate.name: np.array(
            [_loss(product, candidate, loans, fold, seed=seed) for fold in folds]
        )
        for candidate in admissible
    }
    best = min(losses.values(), key=np.mean)
    for candidate in admissible:
        worse_by = losses[candidate.name] - best
        if worse_by.mean() <= worse_by.std(ddof=1) / np.sqrt(FOLDS):
            break
    figures = ", ".join(f"{name} {loss.mean():.5f}" for name, loss in losses.items())
    return Selection(candidate, f"chosen as {RULE}: {figures}")


def reference_applicant(product: CreditProduct, loans: LoanSet) -> NDArray[np.float32]:
    """Return the typical good applicant, model input of shape (G,).

    The median of each number and the most frequent category over the loans that did not default.
    Reasons are measured against this applicant.

    Source: 12 CFR 1002, Supplement I, comment 9(b)(2)-5: how far each factor falls below the
    average of other applicants is an acceptable way to select reasons.
    """
    goods = loans.matrix[loans.defaulted == 0]
    reference = np.empty(goods.shape[1], dtype=np.float32)
    for position, feature in enumerate(product.model_features):
        column = goods[:, position]
        if feature.categories:
            known = column[column != UNKNOWN_CATEGORY].astype(int)
            reference[position] = np.bincount(known).argmax() if known.size else UNKNOWN_CATEGORY
        else:
            known_numbers = column[~np.isnan(column)]
            reference[position] = np.median(known_numbers) if known_numbers.size else np.nan
    return reference


def _loss(
    product: CreditProduct,
    candidate: Candidate,
    loans: LoanSet,
    fold: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    seed: int,
) -> float:
    fitted_on, held_out = fold
    fitted = candidate.fit(product, loans.matrix[fitted_on], loans.defaulted[fitted_on], seed)
    answers = fitted.predict_proba(loans.matrix[held_out])[:, 1]
    return float(log_loss(loans.defaulted[held_out], answers))
