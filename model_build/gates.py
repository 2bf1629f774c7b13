"""The conditions a model must meet before it may answer an application, each with its evidence.

Comparing with the champion on the same holdout is not among them yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.feature_matrix import with_derived
from credit_core.domain.model_manifest import Gate
from credit_core.domain.policy import outcome_of, probability
from credit_core.domain.product import RiskDirection
from credit_core.domain.reasons import efficiency_error, pairwise_shapley, perturbations
from credit_core.errors import ModelOutputError, ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Evaluation
    from credit_core.domain.product import CreditProduct
    from model_build.training_set import LoanSet

FEWEST_TRAINING_LOANS = 1_000
FEWEST_TRAINING_DEFAULTS = 100
FEWEST_TEST_DEFAULTS = 50
"""With 50 defaults the standard error of an AUC of 0.7 is about 0.04 (Hanley and McNeil 1982)."""

LARGEST_PROBABILITY_DIFFERENCE = 1e-5
CUTOFF_RESOLUTION = 1e-6
"""Closer to a cut-off than this, float32 cannot tell the sides apart; nor need it."""

LARGEST_REASON_ERROR_LOG_ODDS = 1e-3
SAMPLED_LOANS = 200

CALIBRATION_RATIO = 1.5
"""Defaults observed may be this many times those expected, or as many times fewer.

Wide enough for 50 defaults (two standard errors are 28 %) and an economy that moves by a fifth;
a model trained on resampled classes is off by far more.
"""

LARGEST_DIRECTION_ERROR_LOG_ODDS = 1e-5
DIRECTION_GRID = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""Quantiles of the training loans between which each directed feature is moved."""

LARGEST_MODEL_BYTES = 20_000_000
"""A function loads the model on its cold start; this takes it a few hundred milliseconds."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A trained model and what it is judged on.

    ``expected`` is scikit-learn's probability of default for each test loan, shape (n,);
    ``reference`` the reference applicant's model input, shape (G,). ``selection`` says by which
    rule and figures this candidate was chosen.
    """

    product: CreditProduct
    algorithm: str
    pairwise: bool
    selection: str
    onnx: bytes
    inputs: tuple[str, ...]
    reference: NDArray[np.float32]
    train: LoanSet
    test: LoanSet
    expected: NDArray[np.float64]
    evaluation: Evaluation


def judge(contender: Contender) -> tuple[Gate, ...]:
    """Return every gate with its evidence; a model that does not load gets no further."""
    gates = [_enough_data(contender), _allowed_inputs(contender), _champion_class(contender)]
    try:
        model = OnnxClassifier(contender.onnx, input_count=len(contender.inputs))
    except ModelUnavailableError as error:
        return (*gates, Gate(name="interface", passed=False, evidence=str(error)))
    gates.append(_interface(contender))
    checks: dict[str, Callable[[Contender, OnnxClassifier], Gate]] = {
        "parity": _parity,
        "same_decisions": _same_decisions,
        "better_than_chance": _better_than_chance,
        "calibration": _calibration,
        "directions": _directions,
        "reasons": _reasons,
    }
    for name, check in checks.items():
        try:
            gates.append(check(contender, model))
        except ModelOutputError as error:
            gates.append(Gate(name=name, passed=False, evidence=str(error)))
    return tuple(gates)


def _enough_data(contender: Contender) -> Gate:
    train, test = contender.train, contender.test
    return Gate(
        name="enough_data",
        passed=len(train) >= FEWEST_TRAINING_LOANS
        and train.defaults >= FEWEST_TRAINING_DEFAULTS
        and test.defaults >= FEWEST_TEST_DEFAULTS,
        evidence=(
            f"{len(train)} loans with {train.defaults} defaults to train on (at least "
            f"{FEWEST_TRAINING_LOANS} and {FEWEST_TRAINING_DEFAULTS}), {len(test)} later ones with "
            f"{test.defaults} to test with (at least {FEWEST_TEST_DEFAULTS} defaults)"
        ),
    )


def _allowed_inputs(contender: Contender) -> Gate:
    product = contender.product
    prohibited = [unwanted.name for unwanted in product.prohibited]
    found = [name for name in contender.inputs if name in prohibited]
    defined = tuple(feature.name for feature in product.model_features)
    names = ", ".join(prohibited) or "nothing"
    return Gate(
        name="allowed_inputs",
        passed=not found and contender.inputs == defined,
        evidence=(
            f"prohibited: {names}; {', '.join(found) or 'none'} of them among the "
            f"{len(contender.inputs)} inputs, which "
            f"{'are' if contender.inputs == defined else 'are not'} the product's, in its order"
        ),
    )


def _champion_class(contender: Contender) -> Gate:
    limit = "at most pairwise interactions" if contender.pairwise else "interactions of any order"
    return Gate(
        name="champion_class",
        passed=contender.pairwise,
        evidence=f"{contender.algorithm} has {limit}; {contender.selection}",
    )


def _interface(contender: Contender) -> Gate:
    size = len(contender.onnx)
    return Gate(
        name="interface",
        passed=size <= LARGEST_MODEL_BYTES,
        evidence=(
            f"takes one float32 matrix of {len(contender.inputs)} columns, answers two "
            f"probabilities; {size} bytes (at most {LARGEST_MODEL_BYTES})"
        ),
    )


def _parity(contender: Contender, model: OnnxClassifier) -> Gate:
    answered = model.probabilities(contender.test.matrix)[:, 1].astype(np.float64)
    difference = float(np.max(np.abs(answered - contender.expected)))
    return Gate(
        name="parity",
        # Written so that a NaN fails.
        passed=difference <= LARGEST_PROBABILITY_DIFFERENCE,
        evidence=(
            f"ONNX and scikit-learn differ by at most {difference:.1e} in probability over "
            f"{len(contender.test)} loans (limit {LARGEST_PROBABILITY_DIFFERENCE:.0e})"
        ),
    )


def _same_decisions(contender: Contender, model: OnnxClassifier) -> Gate:
    policy = contender.product.policy
    # The scorer's own way from the model's answer to an outcome.
    served = [probability(float(value)) for value in model.log_odds(contender.test.matrix)]
    cutoffs = np.array([policy.approve_up_to, policy.decline_from])
    distances = np.min(np.abs(contender.expected[:, np.newaxis] - cutoffs), axis=1)
    differs = np.array(
        [
            outcome_of(policy, ours) is not outcome_of(policy, float(theirs))
            for ours, theirs in zip(served, contender.expected, strict=True)
        ]
    )
    wrong = int((differs & (distances > CUTOFF_RESOLUTION)).sum())
    return Gate(
        name="same_decisions",
        passed=wrong == 0,
        evidence=(
            f"ONNX and scikit-learn decide {wrong} of {len(contender.test)} loans differently; "
            f"{int((distances < 1e-3).sum())} lie within 0.001 of a cut-off, the nearest at "  # noqa: PLR2004 (a figure to show, not a limit)
            f"{distances.min():.1e}; {int(differs.sum()) - wrong} left out as nearer than "
            f"{CUTOFF_RESOLUTION:.0e}"
        ),
    )


def _better_than_chance(contender: Contender, _model: OnnxClassifier) -> Gate:
    auc = contender.evaluation.auc
    return Gate(
        name="better_than_chance",
        passed=auc.low > 0.5,  # noqa: PLR2004 (the AUC of a coin)
        evidence=(
            f"out-of-time AUC {auc.value:.3f}, 95 % interval {auc.low:.3f} to {auc.high:.3f}; "
            "its lower end must be above 0.5"
        ),
    )


def _calibration(contender: Contender, model: OnnxClassifier) -> Gate:
    answered = model.probabilities(contender.test.matrix)[:, 1].astype(np.float64)
    expected, observed = float(answered.sum()), contender.test.defaults
    ratio = observed / expected
    base_rate = contender.train.defaults / len(contender.train)
    constant = float(np.mean((base_rate - contender.test.defaulted) ** 2))
    return Gate(
        name="calibration",
        passed=1 / CALIBRATION_RATIO <= ratio <= CALIBRATION_RATIO,
        evidence=(
            f"{observed} defaults observed, {expected:.1f} expected, ratio {ratio:.2f} (from "
            f"{1 / CALIBRATION_RATIO:.2f} to {CALIBRATION_RATIO:.2f}); Brier score "
            f"{contender.evaluation.brier.value:.5f}, that of the training rate {constant:.5f}"
        ),
    )


def _directions(contender: Contender, model: OnnxClassifier) -> Gate:
    """Move each directed feature, and with it what is derived from it, as an applicant would.

    A ratio can undo what its numerator does: a model may take a higher income for a higher risk
    although its coefficient for income says otherwise.
    """
    product, rows = contender.product, _sample(contender.test)
    base_count = len(product.base_features)
    worst, culprit, checked = 0.0, "none", 0
    for position, feature in enumerate(product.model_features):
        if feature.risk is None:
            continue
        checked += 1
        column = contender.train.matrix[:, position]
        known = column[~np.isnan(column)]
        if not known.size:
            continue
        grid = np.quantile(known, DIRECTION_GRID).astype(np.float32)
        moved = np.repeat(rows, len(grid), axis=0)
        moved[:, position] = np.tile(grid, len(rows))
        if position < base_count:
            moved = with_derived(product, moved[:, :base_count]).astype(np.float32)
        steps = np.diff(model.log_odds(moved).reshape(len(rows), len(grid)), axis=1)
        against = -steps if feature.risk is RiskDirection.INCREASING else steps
        if against.max() > worst:
            worst, culprit = float(against.max()), feature.name
    return Gate(
        name="directions",
        passed=worst <= LARGEST_DIRECTION_ERROR_LOG_ODDS,
        evidence=(
            f"{checked} features with a declared direction of risk, each moved across its range "
            f"for {len(rows)} loans, derived features following; largest step the wrong way "
            f"{worst:.1e} log-odds ({culprit})"
        ),
    )


def _reasons(contender: Contender, model: OnnxClassifier) -> Gate:
    """Compare the contributions with Shapley values found another way.

    Along any order of the features a pair's interaction falls to the later one, along the
    reversed order to the other. So the mean of a random order and its reverse is exact for a
    pairwise model, and shares nothing with the formula that is served.

    Source: Mitchell et al., JMLR 23 (2022), antithetic permutation sampling.
    """
    rows, reference = _sample(contender.test), contender.reference
    random = np.random.default_rng(0)
    unexplained, difference = 0.0, 0.0
    for row in rows:
        log_odds = model.log_odds(perturbations(row, reference))
        order = random.permutation(len(row))
        walked = (
            _along(model, row, reference, order) + _along(model, row, reference, order[::-1])
        ) / 2
        contributions = pairwise_shapley(log_odds)
        unexplained = max(unexplained, efficiency_error(log_odds, contributions))
        difference = max(difference, float(np.max(np.abs(contributions - walked))))
    return Gate(
        name="reasons",
        passed=max(unexplained, difference) <= LARGEST_REASON_ERROR_LOG_ODDS,
        evidence=(
            f"contributions of {len(rows)} loans miss f(x) - f(r) by at most {unexplained:.1e} "
            f"log-odds and Shapley values by permutation by at most {difference:.1e} (limit "
            f"{LARGEST_REASON_ERROR_LOG_ODDS:.0e})"
        ),
    )


def _along(
    model: OnnxClassifier,
    row: NDArray[np.float32],
    reference: NDArray[np.float32],
    order: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return each feature's step when the reference becomes the row in that order, shape (G,)."""
    arrived = np.empty(len(order), dtype=np.int64)
    arrived[order] = np.arange(len(order))
    stages = np.arange(len(order) + 1)[:, np.newaxis]
    path = np.where(arrived < stages, row, reference)
    steps = np.empty(len(order))
    steps[order] = np.diff(model.log_odds(path))
    return steps


def _sample(loans: LoanSet) -> NDArray[np.float32]:
    """Return at most ``SAMPLED_LOANS`` rows, evenly spread over time."""
    count = min(SAMPLED_LOANS, len(loans))
    positions = np.linspace(0, len(loans) - 1, count).astype(int)
    sample: NDArray[np.float32] = loans.matrix[positions]
    return sample
