"""Fits a candidate: searches its parameters on folds, calibrates it, and exports it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from model_build.challengers import require_packages
from model_build.directions import with_implied_directions
from model_build.fitted import FittedCandidate
from model_build.learning import Calibration
from model_build.onnx_export import to_onnx
from model_build.probes import threshold_probes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from model_build.learning import Candidate, CreditModel, Parameters
    from model_build.loans import LoanSplit

type Progress = Callable[[str], None]


def fit(
    product: CreditProduct,
    split: LoanSplit,
    candidate: Candidate,
    *,
    seed: int,
    progress: Progress | None = None,
) -> FittedCandidate:
    """Search, calibrate and fit a candidate on the fitted loans, and export it.

    The same split and seed give the same bytes.

    Args:
        product: Whose loans these are.
        split: Which loans it is fitted on and measured with.
        candidate: What is fitted.
        seed: Of what it draws.
        progress: Is told what is being done.

    Raises:
        ConfigurationError: A package that the candidate needs is not installed.
    """
    require_packages(candidate)
    # OpenMP's threads wait for each other by spinning. On a function's two shared cores, or a busy
    # laptop's, training with two of them took eight times as long as with one.
    with threadpool_limits(limits=1):
        product = with_implied_directions(product, split.fitted)
        return _fit(product, split, candidate, seed, progress or (lambda _: None))


def _fit(
    product: CreditProduct, split: LoanSplit, candidate: Candidate, seed: int, progress: Progress
) -> FittedCandidate:
    learner = _Folds(product, split, candidate, seed)
    everything = range(len(split.folds))
    parameters, stage = learner.search(everything, frozenset(), progress)
    scores = learner.held_out(everything, frozenset(), parameters, stage)
    calibration = learner.calibration(everything, scores)
    progress("fitting to all loans")
    model = candidate.model(
        product,
        seed,
        parameters,
        stages=stage + 1,
        slope=calibration.slope,
        intercept=calibration.intercept,
    ).fit(split.fitted.matrix, split.fitted.defaulted)

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return model.predict_proba(matrix)[:, 1]

    served = probability(split.tested.matrix)
    tested = served
    if split.out_of_time:
        by_fold = {
            fold: calibrated(learner.calibration(_less(everything, fold), scores), scores[fold])
            for fold in everything
        }
    else:
        by_fold = {}
        for fold in everything:
            progress(f"measuring on fold {fold + 1} of {len(everything)}")
            by_fold[fold] = learner.unseen(fold)
        tested = np.empty(len(split.tested))
        for fold, answers in by_fold.items():
            tested[split.folds[fold][1]] = answers
    losses = [
        log_loss(split.fitted.defaulted[held_out], by_fold[fold])
        for fold, (_, held_out) in enumerate(split.folds)
    ]
    onnx = to_onnx(model)
    probes = threshold_probes(onnx, split.tested.matrix)
    return FittedCandidate(
        name=candidate.name,
        pairwise=candidate.pairwise,
        parameters={**parameters, **model.found},
        onnx=onnx,
        fold_losses=np.array(losses),
        fitted_probability=probability(split.fitted.matrix),
        tested_probability=tested,
        served_probability=served,
        points_table=model.points_table(split.fitted),
        probes=probes,
        probed_probability=probability(probes) if len(probes) else np.empty(0),
    )


class _Folds:
    """Models of the same loans less one fold or two, each learned once."""

    def __init__(
        self, product: CreditProduct, split: LoanSplit, candidate: Candidate, seed: int
    ) -> None:
        self._product, self._split, self._candidate, self._seed = product, split, candidate, seed
        self._learned: dict[tuple[int, frozenset[int]], CreditModel] = {}

    def search(
        self, folds: Sequence[int], without: frozenset[int], progress: Progress
    ) -> tuple[Parameters, int]:
        """Return the parameters and the stage that are best for the folds held out in turn."""
        found = []
        for setting, parameters in enumerate(self._candidate.searched):
            curves = []
            for count, fold in enumerate(folds, start=1):
                progress(
                    f"setting {setting + 1} of {len(self._candidate.searched)}, "
                    f"fold {count} of {len(folds)}"
                )
                held_out = self._split.folds[fold][1]
                labels = self._split.fitted.defaulted[held_out]
                scores = self._model(setting, without | {fold}).staged_scores(
                    self._split.fitted.matrix[held_out]
                )
                curves.append([log_loss(labels, expit(score)) for score in scores])
            mean = np.mean(curves, axis=0)
            stage = int(np.argmin(mean))
            found.append((float(mean[stage]), setting, parameters, stage))
        # Of equal losses the first.
        _, _, parameters, stage = min(found, key=lambda it: it[:2])
        return parameters, stage

    def held_out(
        self, folds: Iterable[int], without: frozenset[int], parameters: Parameters, stage: int
    ) -> dict[int, NDArray[np.float64]]:
        """Return the scores of each fold by the model of the other loans."""
        setting = self._candidate.searched.index(parameters)
        held_out = {fold: self._split.fitted.matrix[self._split.folds[fold][1]] for fold in folds}
        return {
            fold: next(
                islice(self._model(setting, without | {fold}).staged_scores(matrix), stage, None)
            )
            for fold, matrix in held_out.items()
        }

    def unseen(self, fold: int) -> NDArray[np.float64]:
        """Return the answers for a fold of what was searched and calibrated on the others alone."""
        others = _less(range(len(self._split.folds)), fold)
        parameters, stage = self.search(others, frozenset([fold]), lambda _: None)
        scores = self.held_out(others, frozenset([fold]), parameters, stage)
        (outer,) = self.held_out([fold], frozenset(), parameters, stage).values()
        return calibrated(self.calibration(others, scores), outer)

    def calibration(
        self, folds: Sequence[int], scores: dict[int, NDArray[np.float64]]
    ) -> Calibration:
        """Return the calibration of scores of loans that their model had not seen."""
        labels = [self._split.fitted.defaulted[self._split.folds[fold][1]] for fold in folds]
        return calibration_of(
            np.concatenate([scores[fold] for fold in folds]), np.concatenate(labels)
        )

    def _model(self, setting: int, without: frozenset[int]) -> CreditModel:
        key = (setting, without)
        if key not in self._learned:
            loans = self._split.fitted
            kept = np.ones(len(loans), dtype=bool)
            for fold in without:
                kept[self._split.folds[fold][1]] = False
            model = self._candidate.model(
                self._product, self._seed, self._candidate.searched[setting]
            )
            self._learned[key] = model.fit(loans.matrix[kept], loans.defaulted[kept])
        return self._learned[key]


def _less(folds: Sequence[int], fold: int) -> list[int]:
    return [other for other in folds if other != fold]


def calibration_of(scores: NDArray[np.float64], defaulted: NDArray[np.int64]) -> Calibration:
    """Return the sigmoid that fits outcomes best, both of shape (n,).

    Its slope is not negative: turning a model around would contradict every declared direction.

    Source: Platt (1999), Probabilistic outputs for support vector machines, with his targets.
    """
    bads = int(defaulted.sum())
    goods = len(defaulted) - bads
    targets = np.where(defaulted == 1, (bads + 1) / (bads + 2), 1 / (goods + 2))

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        log_odds = at[0] * scores + at[1]
        excess = expit(log_odds) - targets
        value = float(np.mean(np.logaddexp(0, log_odds) - targets * log_odds))
        return value, np.array([np.mean(excess * scores), np.mean(excess)])

    found = minimize(
        loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    return Calibration(slope=float(found.x[0]), intercept=float(found.x[1]))


def calibrated(calibration: Calibration, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of default, shape (n,)."""
    found: NDArray[np.float64] = expit(calibration.slope * scores + calibration.intercept)
    return found


def log_loss(defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]) -> float:
    """Return the mean surprise in nats, both of shape (n,)."""
    sure = np.clip(probability_of_default, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(defaulted == 1, np.log(sure), np.log1p(-sure))))
