"""The conditions a model must meet before it may answer an application, each with its evidence.

Those that need no model are in ``model_build.data_gates``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.adapters.onnx_model import FLOAT32, INPUT_NAME, OUTPUT_NAME, OnnxClassifier
from credit_core.domain.fairness import adverse_impact
from credit_core.domain.feature_matrix import with_derived
from credit_core.domain.measures import NORMAL_95
from credit_core.domain.model_manifest import Gate, Split
from credit_core.domain.policy import outcome_of, probability
from credit_core.domain.product import RiskDirection
from credit_core.domain.reasons import efficiency_error, pairwise_shapley, perturbations
from credit_core.errors import ModelOutputError, ModelUnavailableError
from model_build.champion_gate import beats_champion
from model_build.data_gates import gate, named

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Evaluation, GoldenVector
    from credit_core.domain.product import CreditProduct
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSet, LoanSplit
    from model_build.previous import PreviousModel

LARGEST_PROBABILITY_DIFFERENCE = 1e-5
CUTOFF_RESOLUTION = 1e-6
"""Closer to a cut-off than this, float32 cannot tell the sides apart; nor need it."""

LARGEST_REASON_ERROR_LOG_ODDS = 1e-3
SAMPLED_LOANS = 200

SMALLEST_SPREAD_LOG_ODDS = 0.01
LARGEST_SAME_SHARE = 0.99
"""A model that answers nearly all loans alike, or moves by less than this, says nothing."""

LEAST_GINI = 0.10
"""Below it a ranking is of no use, whatever its interval: half a point of AUC per ten of Gini."""

CALIBRATION_RATIO = 1.5
"""Defaults observed may be this many times those expected, or as many times fewer.

Wide enough for 50 defaults (two standard errors are 28 %) and an economy that moves by a fifth;
a model trained on resampled classes is off by far more.
"""
CALIBRATION_SLOPES = (0.5, 2.0)
"""Of the outcome's log-odds on the model's: below one it is too sure of itself, above too timid.

Source: Cox, Biometrika 45 (1958); the limits are loose on purpose, for slopes of few defaults.
"""

LARGEST_DIRECTION_ERROR_LOG_ODDS = 1e-5
DIRECTION_GRID = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""Quantiles of the fitted loans between which each directed feature is moved."""

LARGEST_MODEL_BYTES = 20_000_000
"""A function loads the model on its cold start; this takes it a few hundred milliseconds."""

LARGEST_GOLDEN_DIFFERENCE_LOG_ODDS = 1e-4
"""What the scorer allows between the machine that trained and the one that serves."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A fitted model and what it is judged on.

    ``reference`` is the reference applicant's model input, shape (G,). ``selection`` says by which
    rule and figures this candidate was chosen; ``inputs`` are the names of the columns of its
    matrix. ``training_set_sha256`` tells whether the champion learned from the same table.
    """

    product: CreditProduct
    candidate: FittedCandidate
    selection: str
    inputs: tuple[str, ...]
    reference: NDArray[np.float32]
    golden: tuple[GoldenVector, ...]
    split: LoanSplit
    evaluation: Evaluation
    previous: PreviousModel | None
    training_set_sha256: str
    seed: int


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The model as it will be served, and its answers for the tested loans, shape (n, 2)."""

    model: OnnxClassifier
    answers: NDArray[np.float32]

    @property
    def probability_of_default(self) -> NDArray[np.float64]:
        return self.answers[:, 1].astype(np.float64)


def judge(contender: Contender) -> tuple[Gate, ...]:
    """Return every gate with its evidence.

    Of a model that does not load, the gates that would run it are not reached; they did not pass.
    """
    gates = [_champion_class(contender)]
    try:
        model = OnnxClassifier(contender.candidate.onnx, input_count=len(contender.inputs))
        loaded = _Loaded(model, model.probabilities(contender.split.tested.matrix))
    except ModelUnavailableError as error:
        broken = gate(
            "interface",
            str(error),
            passed=False,
            look_at="model_build.onnx_export, and the number of inputs it was given",
        )
        skipped = (
            gate(name, "not reached: the model does not load", passed=False, look_at="interface")
            for name in ON_LOADED
        )
        return (*gates, broken, *skipped)
    gates.append(_interface(contender, loaded))
    for name, check in ON_LOADED.items():
        try:
            gates.append(check(contender, loaded))
        except ModelOutputError as error:
            gates.append(
                gate(
                    name,
                    f"not measured: {error}",
                    passed=False,
                    look_at="which rows the model answers with no probability between 0 and 1",
                )
            )
    return tuple(gates)


def _champion_class(contender: Contender) -> Gate:
    candidate = contender.candidate
    limit = "at most pairwise interactions" if candidate.pairwise else "interactions of any order"
    return gate(
        "champion_class",
        f"{candidate.name} has {limit}; {contender.selection}",
        passed=candidate.pairwise,
        look_at=(
            "whether a candidate of at most pairwise interactions was among those trained: only "
            "of such a model are the reasons exact"
        ),
    )


def _interface(contender: Contender, loaded: _Loaded) -> Gate:
    size, product = len(contender.candidate.onnx), contender.product
    defined = tuple(feature.name for feature in product.model_features)
    faults = []
    if size > LARGEST_MODEL_BYTES:
        faults.append(f"the file is {size - LARGEST_MODEL_BYTES} bytes too large")
    if contender.inputs != defined:
        faults.append("its inputs are not the product's, in its order")
    answers = loaded.answers
    if answers.shape != (len(contender.split.tested), 2) or answers.dtype != np.float32:
        faults.append(f"it answers {answers.dtype} of shape {answers.shape}")
    elif not np.allclose(answers.sum(axis=1), 1, atol=1e-5):
        faults.append("its two probabilities do not sum to one")
    return gate(
        "interface",
        f"takes {INPUT_NAME}, one {FLOAT32} matrix of {len(contender.inputs)} columns, answers "
        f"{OUTPUT_NAME}, two {FLOAT32} a row; {size} bytes (at most {LARGEST_MODEL_BYTES})"
        + "".join(f"; {fault}" for fault in faults),
        passed=not faults,
        look_at="the candidate's size (trees, leaves), its export, and the definition's inputs",
    )


def _parity(contender: Contender, loaded: _Loaded) -> Gate:
    candidate = contender.candidate
    apart = np.abs(
        np.concatenate(
            [
                loaded.probability_of_default - candidate.served_probability,
                _probed(contender, loaded) - candidate.probed_probability,
            ]
        )
    )
    # A NaN is larger than any limit.
    apart = np.where(np.isnan(apart), np.inf, apart)
    beyond = apart > LARGEST_PROBABILITY_DIFFERENCE
    return gate(
        "parity",
        f"ONNX and the fitted model differ by at most {apart.max():.1e} in probability over "
        f"{_rows(contender)} (limit {LARGEST_PROBABILITY_DIFFERENCE:.0e}), by more in "
        f"{int(beyond.sum())}",
        passed=not beyond.any(),
        look_at=(
            "split thresholds and inputs in float64: ONNX compares float32, so a threshold "
            "rounded to the nearest can send a row the other way; round it down, and fit on the "
            "same float32 matrix that is served"
        ),
    )


def _rows(contender: Contender) -> str:
    probes = len(contender.candidate.probes)
    moved = f" and {probes} rows moved onto split thresholds" if probes else ""
    return f"{len(contender.split.tested)} loans{moved}"


def _probed(contender: Contender, loaded: _Loaded) -> NDArray[np.float64]:
    probes = contender.candidate.probes
    if not len(probes):
        return np.empty(0)
    return loaded.model.probabilities(probes)[:, 1].astype(np.float64)


def _same_decisions(contender: Contender, loaded: _Loaded) -> Gate:
    policy, candidate = contender.product.policy, contender.candidate
    expected = np.concatenate([candidate.served_probability, candidate.probed_probability])
    # The scorer's own way from the model's answer to an outcome.
    rows = [it for it in (contender.split.tested.matrix, candidate.probes) if len(it)]
    log_odds = loaded.model.log_odds(np.concatenate(rows))
    served = [probability(float(value)) for value in log_odds]
    cutoffs = np.array([policy.approve_up_to, policy.decline_from])
    distances = np.min(np.abs(expected[:, np.newaxis] - cutoffs), axis=1)
    differs = np.array(
        [
            outcome_of(policy, ours) is not outcome_of(policy, float(theirs))
            for ours, theirs in zip(served, expected, strict=True)
        ]
    )
    wrong = int((differs & (distances > CUTOFF_RESOLUTION)).sum())
    return gate(
        "same_decisions",
        f"ONNX and the fitted model decide {wrong} of {_rows(contender)} differently; "
        f"{int((distances < 1e-3).sum())} lie within 0.001 of a cut-off, the nearest at "  # noqa: PLR2004 (a figure to show, not a limit)
        f"{distances.min():.1e}; {int(differs.sum()) - wrong} left out as nearer than "
        f"{CUTOFF_RESOLUTION:.0e}",
        passed=wrong == 0,
        look_at="parity: which rows differ, and how far they lie from the cut-offs",
    )


def _not_constant(contender: Contender, loaded: _Loaded) -> Gate:
    log_odds = loaded.model.log_odds(contender.split.tested.matrix)
    spread = float(np.ptp(log_odds))
    _, counts = np.unique(log_odds, return_counts=True)
    same = float(counts.max() / len(log_odds))
    return gate(
        "not_constant",
        f"answers span {spread:.2g} log-odds (at least {SMALLEST_SPREAD_LOG_ODDS}), the most "
        f"frequent is given to {same:.1%} of the loans (at most {LARGEST_SAME_SHARE:.0%})",
        passed=spread >= SMALLEST_SPREAD_LOG_ODDS and same <= LARGEST_SAME_SHARE,
        look_at=(
            "informative_inputs and labels: a model that finds nothing to learn from answers "
            "everybody with the average"
        ),
    )


def _not_inverted(contender: Contender, _loaded: _Loaded) -> Gate:
    auc = contender.evaluation.auc
    inverted = auc.high < 0.5  # noqa: PLR2004 (the AUC of a coin)
    return gate(
        "not_inverted",
        f"AUC {auc.value:.3f}, 95 % interval {auc.low:.3f} to {auc.high:.3f}; an interval wholly "
        "below 0.5 ranks the wrong way round" + ("; the labels look inverted" if inverted else ""),
        passed=not inverted,
        look_at=(
            f"the column {contender.product.label.name} of the loans that were fitted: 1 must mean "
            "default and 0 repaid, in every period alike"
        ),
    )


def _quality_floor(contender: Contender, _loaded: _Loaded) -> Gate:
    evaluation = contender.evaluation
    gini, auc = evaluation.gini, evaluation.auc
    short = LEAST_GINI - gini.value
    chance = auc.low <= 0.5  # noqa: PLR2004 (the AUC of a coin)
    measured = "out-of-time" if evaluation.split is Split.OUT_OF_TIME else "cross-validated"
    return gate(
        "quality_floor",
        f"{measured} Gini {gini.value:.3f} (at least {LEAST_GINI:.2f}), 95 % interval "
        f"{gini.low:.3f} to {gini.high:.3f}, whose lower end must be above 0"
        + (f"; {short:.3f} too low" if short > 0 else "")
        + ("; not surely better than chance" if chance else ""),
        passed=short <= 0 and not chance,
        look_at=(
            "the inputs' own ranking in the model report, the candidates side by side, and whether "
            "the tested period differs from the one trained on (stability)"
        ),
    )


def _calibration(contender: Contender, _loaded: _Loaded) -> Gate:
    """Compare expected with observed defaults; ``parity`` ties these answers to the artifact's."""
    tested, answers = contender.split.tested, contender.candidate.tested_probability
    expected, observed = float(answers.sum()), tested.defaults
    ratio = observed / expected if expected else math.inf
    slope, error = calibration_slope(tested.defaulted, answers)
    low, high = slope - NORMAL_95 * error, slope + NORMAL_95 * error
    fitted = contender.split.fitted
    constant = float(np.mean((fitted.defaults / len(fitted) - tested.defaulted) ** 2))
    faults = []
    if not 1 / CALIBRATION_RATIO <= ratio <= CALIBRATION_RATIO:
        faults.append(f"risk is {'under' if ratio > 1 else 'over'}estimated")
    if high < CALIBRATION_SLOPES[0]:
        faults.append("the model is too sure of itself")
    if low > CALIBRATION_SLOPES[1]:
        faults.append("the model is too timid")
    evaluation = contender.evaluation
    return gate(
        "calibration",
        f"{observed} defaults observed, {expected:.1f} expected, ratio {ratio:.2f} (from "
        f"{1 / CALIBRATION_RATIO:.2f} to {CALIBRATION_RATIO:.2f}); slope {slope:.2f}, 95 % "
        f"interval {low:.2f} to {high:.2f} (must reach into {CALIBRATION_SLOPES[0]} to "
        f"{CALIBRATION_SLOPES[1]}); expected calibration error "
        f"{evaluation.calibration_error.value:.4f}; Brier score {evaluation.brier.value:.5f}, that "
        f"of the training rate {constant:.5f}" + "".join(f"; {fault}" for fault in faults),
        passed=not faults,
        look_at=(
            "the calibration curve in the model report, whether classes were resampled or "
            "weighted, and whether the default rate changed between the periods"
        ),
    )


def calibration_slope(
    defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]
) -> tuple[float, float]:
    """Return slope and standard error of the outcome's log-odds on those of the model.

    Args:
        defaulted: 1 for a default, else 0, shape (n,).
        probability_of_default: Shape (n,).

    Returns:
        1 for a model that is neither too sure nor too timid. Where all answers are equal there is
        no slope: 1, with an error without end.

    Source: Cox, Biometrika 45 (1958).
    """
    sure = np.clip(probability_of_default, 1e-12, 1 - 1e-12)
    log_odds = np.log(sure / (1 - sure))
    centred = log_odds - log_odds.mean()
    if not np.ptp(log_odds):
        return 1.0, math.inf
    design = np.column_stack([np.ones(len(centred)), centred])
    beta = np.array([log_odds.mean(), 1.0])
    for _ in range(25):
        answer = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        information = (design * (answer * (1 - answer))[:, np.newaxis]).T @ design
        information += 1e-9 * np.eye(2)
        step = np.linalg.solve(information, design.T @ (defaulted - answer))
        # A long step from afar overshoots.
        beta += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:  # noqa: PLR2004 (converged)
            break
    return float(beta[1]), float(math.sqrt(np.linalg.inv(information)[1, 1]))


def _beats_champion(contender: Contender, _loaded: _Loaded) -> Gate:
    return beats_champion(
        contender.product,
        contender.candidate,
        contender.split,
        contender.evaluation,
        contender.previous,
        training_set_sha256=contender.training_set_sha256,
        seed=contender.seed,
    )


def _directions(contender: Contender, loaded: _Loaded) -> Gate:
    """Move each directed feature, and with it what is derived from it, as an applicant would.

    A ratio can undo what its numerator does: a model may take a higher income for a higher risk
    although its coefficient for income says otherwise.
    """
    product, rows = contender.product, _sample(contender.split.tested)
    base_count = len(product.base_features)
    wrong: dict[str, float] = {}
    checked = 0
    for position, feature in enumerate(product.model_features):
        if feature.risk is None:
            continue
        checked += 1
        column = contender.split.fitted.matrix[:, position]
        known = column[~np.isnan(column)]
        if not known.size:
            continue
        grid = np.quantile(known, DIRECTION_GRID).astype(np.float32)
        moved = np.repeat(rows, len(grid), axis=0)
        moved[:, position] = np.tile(grid, len(rows))
        if position < base_count:
            moved = with_derived(product, moved[:, :base_count]).astype(np.float32)
        steps = np.diff(loaded.model.log_odds(moved).reshape(len(rows), len(grid)), axis=1)
        against = -steps if feature.risk is RiskDirection.INCREASING else steps
        if against.max() > 0:
            wrong[feature.name] = float(against.max())
    worst = max(wrong, key=wrong.__getitem__, default="none")
    beyond = [name for name, size in wrong.items() if size > LARGEST_DIRECTION_ERROR_LOG_ODDS]
    return gate(
        "directions",
        f"{checked} features with a declared direction of risk, each moved across its range "
        f"for {len(rows)} loans, derived features following; largest step the wrong way "
        f"{wrong.get(worst, 0.0):.1e} log-odds ({worst}; limit "
        f"{LARGEST_DIRECTION_ERROR_LOG_ODDS:.0e})",
        passed=not beyond,
        look_at=(
            f"the shape plots of {named(beyond)} and of what is derived from them: declare risk "
            "for the derived features too, or take the direction back if it is not so"
        ),
    )


def _reasons(contender: Contender, loaded: _Loaded) -> Gate:
    """Compare the contributions with Shapley values found another way.

    Along any order of the features a pair's interaction falls to the later one, along the
    reversed order to the other. So the mean of a random order and its reverse is exact for a
    pairwise model, and shares nothing with the formula that is served.

    Source: Mitchell et al., JMLR 23 (2022), antithetic permutation sampling.
    """
    model, reference = loaded.model, contender.reference
    rows = _sample(contender.split.tested)
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
    return gate(
        "reasons",
        f"contributions of {len(rows)} loans miss f(x) - f(r) by at most {unexplained:.1e} "
        f"log-odds and Shapley values by permutation by at most {difference:.1e} (limit "
        f"{LARGEST_REASON_ERROR_LOG_ODDS:.0e})",
        passed=max(unexplained, difference) <= LARGEST_REASON_ERROR_LOG_ODDS,
        look_at=(
            "interactions of three or more features: the model is not what it says; or answers so "
            "near to 0 or 1 that float32 cannot tell them apart"
        ),
    )


def _adverse_impact(contender: Contender, _loaded: _Loaded) -> Gate:
    product, tested = contender.product, contender.split.tested
    cutoff = product.policy.approve_up_to
    said, failed = [], []
    for monitored in product.monitored_groups:
        stated = tested.groups.get(monitored.name)
        if stated is None:
            continue
        found = adverse_impact(
            monitored,
            stated,
            tested.defaulted,
            contender.candidate.tested_probability,
            cutoff=cutoff,
            seed=contender.seed,
        )
        worst = found.worst
        if worst is None or worst.ratio is None:
            said.append(f"{monitored.name}: too few applicants, or none approved, to compare")
            continue
        limit = f"at least {found.least_ratio:g}" if found.least_ratio else "reported only"
        ratio = worst.ratio
        said.append(
            f"{monitored.name}: {worst.group} are approved {ratio.value:.2f} times as often as "
            f"{found.reference}, 95 % interval {ratio.low:.2f} to {ratio.high:.2f} ({limit})"
        )
        failed += [f"{monitored.name} {group.group}" for group in found.too_low]
        if found.least_ratio and worst.highest is not None and ratio.high < found.least_ratio:
            said[-1] += f"; however many were compared, at most {worst.highest:.2f}"
    if not product.monitored_groups:
        said.append("the definition names no group to monitor")
    elif not said:
        said.append("the data states no monitored group")
    return gate(
        "adverse_impact",
        f"of the tested loans, at the approve cut-off {cutoff:.2%}: " + "; ".join(said),
        passed=not failed,
        look_at=(
            f"the fairness section of the model report for {named(failed)}: which inputs differ "
            "most between the groups, whether a model without them does as well, and whether "
            "defaults are expected rightly in each group"
        ),
    )


def _golden_vectors(contender: Contender, _loaded: _Loaded) -> Gate:
    """Ask a session of its own, one applicant at a time, as the scorer does when it loads."""
    model = OnnxClassifier(contender.candidate.onnx, input_count=len(contender.inputs))
    apart = [
        abs(float(model.log_odds(np.array([vector.model_input], np.float32))[0]) - vector.log_odds)
        for vector in contender.golden
    ]
    worst = max(apart, default=math.inf)
    return gate(
        "golden_vectors",
        f"{len(apart)} made-up applicants answered again, one at a time: off by at most "
        f"{worst:.1e} log-odds (limit {LARGEST_GOLDEN_DIFFERENCE_LOG_ODDS:.0e})",
        passed=worst <= LARGEST_GOLDEN_DIFFERENCE_LOG_ODDS,
        look_at="operators whose answer depends on the batch, and the version of onnxruntime",
    )


ON_LOADED: dict[str, Callable[[Contender, _Loaded], Gate]] = {
    "parity": _parity,
    "same_decisions": _same_decisions,
    "not_constant": _not_constant,
    "not_inverted": _not_inverted,
    "quality_floor": _quality_floor,
    "calibration": _calibration,
    "beats_champion": _beats_champion,
    "directions": _directions,
    "reasons": _reasons,
    "adverse_impact": _adverse_impact,
    "golden_vectors": _golden_vectors,
}
"""What is asked of a model that loads, by name, in order."""


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
