"""Whether a new model does at least as well as the champion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.measures import delong_p_value, differences
from credit_core.domain.model_manifest import Split, categories_of
from credit_core.errors import ModelUnavailableError
from model_build.data_gates import FEWEST_TESTED_DEFAULTS, gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Evaluation, Gate, ModelManifest
    from credit_core.domain.product import CreditProduct
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSet, LoanSplit
    from model_build.previous import PreviousModel

LARGEST_AUC_LOSS = 0.05
"""A drop that matters, whatever its interval: too few defaults must not excuse it.

With 50 to 70 defaults two models fitted on nearly the same loans are 0.018 apart by chance (one
standard deviation): of 50 retrainings on a book that stayed as it was 0.02 would stop 5, 0.05 none.
"""

LARGEST_AUC_LOSS_ON_SAME_LOANS = 0.02
"""Where both were cross-validated on one table: other folds alone move an AUC by about 0.005."""

EQUAL = 1e-6
"""Smaller differences are those between float32, as served, and float64, as fitted."""

LOOK_AT = (
    "the candidates side by side in the model report, drift, and whether the champion learned from "
    "some of these loans, which favours it; what is surely worse is not promoted"
)


def beats_champion(
    product: CreditProduct,
    candidate: FittedCandidate,
    split: LoanSplit,
    evaluation: Evaluation,
    previous: PreviousModel | None,
    *,
    training_set_sha256: str,
    seed: int,
) -> Gate:
    """Compare with the champion on the same loans; doing as well is enough.

    Loans that the champion was fitted on are left out where that can be told and enough remain.
    Where it learned from the very loans that are held out in turn, or cannot answer them, its own
    figures stand in, without pairs.

    Args:
        product: The product as it is defined now.
        candidate: The new model.
        split: The loans that measure it.
        evaluation: How it did on them.
        previous: The champion, or None.
        training_set_sha256: Fingerprint of the table that the loans were read from.
        seed: Of the resamples.
    """
    name = "beats_champion"
    if previous is None:
        return gate(name, "there is no champion yet", passed=True, look_at="")
    then, tested = previous.manifest, split.tested
    same_table = then.training_set.get("sha256") == training_set_sha256
    if not split.out_of_time and then.evaluation.split is Split.CROSS_VALIDATED:
        why = "learned from this very table" if same_table else "may have learned from these loans"
        return _by_its_own_figures(then, evaluation, f"it {why}", same_loans=same_table)
    try:
        champion = _answers(product, previous, tested)
    except ModelUnavailableError as error:
        return _by_its_own_figures(then, evaluation, str(error))
    kept, remark = _unseen(then, split)
    defaulted, ours = tested.defaulted[kept], candidate.tested_probability[kept]
    theirs = champion[kept]
    apart = differences(defaulted, ours, theirs, seed=seed, applicants=tested.applicants[kept])
    auc, loss = apart["auc"], apart["log_loss"]
    faults = []
    if auc.high < -EQUAL:
        faults.append("it surely ranks worse")
    elif auc.value < -LARGEST_AUC_LOSS:
        faults.append(f"its AUC is lower by {-auc.value:.3f} (at most {LARGEST_AUC_LOSS})")
    if loss.low > EQUAL:
        faults.append("its log loss is surely higher")
    return gate(
        name,
        f"against {then.version} on {len(defaulted)} loans with {int(defaulted.sum())} defaults: "
        f"AUC {auc.value:+.4f}, 95 % interval {auc.low:+.4f} to {auc.high:+.4f} (DeLong p "
        f"{delong_p_value(defaulted, ours, theirs):.2f}), log loss {loss.value:+.5f}, "
        f"{loss.low:+.5f} to {loss.high:+.5f}; {remark}" + "".join(f"; {it}" for it in faults),
        passed=not faults,
        look_at=LOOK_AT,
    )


def _answers(
    product: CreditProduct, previous: PreviousModel, loans: LoanSet
) -> NDArray[np.float64]:
    """Return the champion's probabilities, shape (n,).

    Raises:
        ModelUnavailableError: It takes inputs that the product has no longer, or does not load.
    """
    then = previous.manifest
    positions = {feature.name: at for at, feature in enumerate(product.model_features)}
    gone = [name for name in then.inputs if name not in positions]
    now = categories_of(product)
    changed = [name for name, codes in then.categories.items() if now.get(name) != codes]
    if gone or changed:
        missing = ", ".join(dict.fromkeys([*gone, *changed]))
        raise ModelUnavailableError(f"it takes inputs as they are defined no longer: {missing}")
    model = OnnxClassifier(previous.onnx, input_count=len(then.inputs))
    columns = np.ascontiguousarray(loans.matrix[:, [positions[name] for name in then.inputs]])
    answers: NDArray[np.float64] = model.probabilities(columns)[:, 1].astype(np.float64)
    return answers


def _unseen(then: ModelManifest, split: LoanSplit) -> tuple[NDArray[np.bool_], str]:
    """Return which tested loans the champion was not fitted on, and what to say of the others."""
    tested = split.tested
    everything = np.ones(len(tested), dtype=bool)
    if then.evaluation.split is Split.OUT_OF_TIME:
        border = then.training_set.get("out_of_time_from")
    else:
        border = then.training_set.get("last_event")
    if tested.event_timestamps is None or not isinstance(border, str):
        return everything, "the champion may have been fitted on some of these loans"
    begins = np.datetime64(border.removesuffix("Z"))
    unseen = tested.event_timestamps >= begins
    if then.evaluation.split is Split.CROSS_VALIDATED:
        # It was fitted on its last loans too.
        unseen = tested.event_timestamps > begins
    seen = int((~unseen).sum())
    if not seen:
        return everything, "the champion was fitted on none of these loans"
    if tested.defaulted[unseen].sum() >= FEWEST_TESTED_DEFAULTS:
        return unseen, f"{seen} more are left out: the champion was fitted on them"
    return everything, f"the champion was fitted on {seen} of these loans, which favours it"


def _by_its_own_figures(
    then: ModelManifest, evaluation: Evaluation, why: str, *, same_loans: bool = False
) -> Gate:
    """Compare two AUCs that were each measured by itself.

    Both are uncertain: a champion that was lucky with its loans lies above an equal model's whole
    interval in one case of twelve, above what both intervals allow in one of forty. Where the loans
    were the same, chance is the same too, and only as much is forgiven as in a paired comparison.

    Source: Zou and Donner, Statistics in Medicine 27 (2008), the interval of a difference from the
    intervals of its parts.
    """
    auc, champion = evaluation.auc, then.evaluation.auc
    allowed = math.hypot(auc.high - auc.value, champion.value - champion.low)
    if same_loans:
        allowed = min(allowed, LARGEST_AUC_LOSS_ON_SAME_LOANS)
    worse = champion.value - auc.value > allowed
    return gate(
        "beats_champion",
        f"{then.version} cannot be asked about these loans ({why}); its AUC was "
        f"{champion.value:.4f}, 95 % interval {champion.low:.4f} to {champion.high:.4f}, on "
        f"{then.evaluation.loans} loans of its own, this one's is {auc.value:.4f}, "
        f"{auc.low:.4f} to {auc.high:.4f}; a difference of {allowed:.4f} may be chance"
        + (f"; it is lower by {champion.value - auc.value:.4f}" if worse else ""),
        passed=not worse,
        look_at=LOOK_AT,
    )
