from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.product import RiskDirection
from credit_core.errors import ConfigurationError
from model_build import boosting, scorecard
from model_build.candidates import CANDIDATES, CHALLENGERS
from model_build.fit import calibration_of, fit
from model_build.fitted import FittedCandidate
from tests.builders import PRODUCT
from tests.builders_training import QUICK, a_split, some_loans

if TYPE_CHECKING:
    from model_build.candidates import Candidate
    from model_build.loans import LoanSplit

FEATURES = PRODUCT.model_features
POSITIONS = {feature.name: place for place, feature in enumerate(FEATURES)}
BY_NAME = {candidate.name: candidate for candidate in CANDIDATES}
ALL = {**BY_NAME, **CHALLENGERS}
LOANS = some_loans()
SPLIT = a_split(LOANS)


def quick(candidate: Candidate) -> Candidate:
    """Return the candidate without a search."""
    return replace(candidate, searched=candidate.searched[:1])


def without_time(split: LoanSplit) -> LoanSplit:
    """Return the fitted loans as what measures as well, as where the data has no time."""
    return replace(split, tested=split.fitted, out_of_time=False)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_candidate_ranks_answers_and_repeats_to_the_byte(candidate: Candidate) -> None:
    one = fit(PRODUCT, SPLIT, quick(candidate), seed=3)
    again = fit(PRODUCT, SPLIT, quick(candidate), seed=3)

    assert one.to_bytes() == again.to_bytes()
    assert roc_auc_score(SPLIT.tested.defaulted, one.tested_probability) > 0.6
    assert one.fold_losses.shape == (len(SPLIT.folds),)
    answered = OnnxClassifier(one.onnx, input_count=len(FEATURES)).probabilities(
        SPLIT.tested.matrix
    )
    assert np.abs(answered[:, 1] - one.served_probability).max() < 1e-6


@pytest.mark.parametrize("name", [*BY_NAME, *CHALLENGERS])
def test_a_candidate_is_a_scikit_learn_classifier(name: str) -> None:
    for package in ALL[name].packages:
        pytest.importorskip(package)
    loans = LOANS.where(np.arange(600))
    settings = {"slope": 2.0, "intercept": -0.5, "stages": 1}
    model = ALL[name].model(PRODUCT, 3, ALL[name].searched[0], **settings)
    copied = clone(model)

    assert is_classifier(model)
    assert copied.get_params() == model.get_params()
    assert copied.get_params().items() >= {**settings, **ALL[name].searched[0]}.items()
    assert list(copied.get_params()) == sorted(inspect.signature(type(model)).parameters)
    with pytest.raises(NotFittedError):
        model.predict_proba(loans.matrix)
    before = model.get_params()
    assert model.fit(loans.matrix, loans.defaulted) is model
    assert model.get_params() == before
    assert (model.classes_.tolist(), model.n_features_in_) == ([0, 1], len(FEATURES))
    probabilities = model.predict_proba(loans.matrix)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(600))
    assert (model.predict(loans.matrix) == (probabilities[:, 1] > 0.5)).all()
    again = copied.fit(loans.matrix, loans.defaulted).predict_proba(loans.matrix)
    assert again.tolist() == probabilities.tolist()
    areas = cross_val_score(model, loans.matrix, loans.defaulted, cv=3, scoring="roc_auc")
    assert np.isfinite(areas).all()
    assert 0.5 < model.score(loans.matrix, loans.defaulted) <= 1


def test_what_was_fitted_survives_its_own_bytes() -> None:
    fitted = fit(PRODUCT, SPLIT, QUICK, seed=3)

    read = FittedCandidate.from_bytes(fitted.to_bytes())

    assert read.to_bytes() == fitted.to_bytes()
    assert read.points_table == fitted.points_table
    assert read.parameters == fitted.parameters


def test_out_of_time_what_is_served_is_what_is_measured() -> None:
    fitted = fit(PRODUCT, SPLIT, QUICK, seed=3)

    assert fitted.tested_probability.tolist() == fitted.served_probability.tolist()


def test_without_time_no_loan_is_answered_by_a_model_that_has_seen_it() -> None:
    """Labels of pure noise: what was learned by heart must not show."""
    noise = replace(
        SPLIT.fitted,
        defaulted=np.random.default_rng(0).permutation(SPLIT.fitted.defaulted),
    )
    split = without_time(replace(SPLIT, fitted=noise))

    fitted = fit(PRODUCT, split, quick(BY_NAME["unrestricted"]), seed=3)

    assert roc_auc_score(noise.defaulted, fitted.tested_probability) == pytest.approx(0.5, abs=0.06)
    assert fitted.served_probability.tolist() != fitted.tested_probability.tolist()


def test_a_candidate_is_calibrated_on_loans_it_had_not_seen() -> None:
    fitted = fit(PRODUCT, SPLIT, quick(BY_NAME["pairwise"]), seed=3)

    expected, observed = fitted.tested_probability.sum(), SPLIT.tested.defaults
    assert observed / expected == pytest.approx(1, abs=0.25)


def test_each_step_is_told() -> None:
    told: list[str] = []

    fit(
        PRODUCT,
        SPLIT,
        replace(QUICK, searched=scorecard.SEARCHED[:2]),
        seed=3,
        progress=told.append,
    )

    assert "setting 2 of 2, fold 3 of 5" in told
    assert told[-1] == "fitting to all loans"


def test_the_search_takes_the_setting_that_did_best_on_the_folds() -> None:
    """Trees of so many loans that none can split learn nothing."""
    blind = {"leaves": 2, "learning_rate": 0.1, "fewest_loans_per_leaf": 1_700}
    sound = boosting.SEARCHED[0]

    fitted = fit(PRODUCT, SPLIT, replace(BY_NAME["additive"], searched=(blind, sound)), seed=3)

    assert fitted.parameters["leaves"] == sound["leaves"]
    assert 1 <= int(fitted.parameters["trees"]) < boosting.MOST_TREES


def test_a_calibration_undoes_what_was_done_to_the_log_odds() -> None:
    random = np.random.default_rng(0)
    log_odds = random.normal(-2, 1, 100_000)
    defaulted = (random.random(100_000) < 1 / (1 + np.exp(-log_odds))).astype(np.int64)

    found = calibration_of(2 * log_odds + 1, defaulted)

    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.intercept == pytest.approx(-0.5, abs=0.03)


def test_a_calibration_never_turns_a_model_around() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=2_000)
    defaulted = (random.random(2_000) < 1 / (1 + np.exp(scores))).astype(np.int64)

    found = calibration_of(scores, defaulted)

    assert found.slope == 0
    assert 1 / (1 + np.exp(-found.intercept)) == pytest.approx(defaulted.mean(), abs=1e-3)


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_no_declared_direction_is_contradicted(candidate: Candidate) -> None:
    """Outcomes are turned around, so that every feature pulls against its direction."""
    model = candidate.model(PRODUCT, 0, candidate.searched[0], stages=4)
    model.fit(LOANS.matrix, 1 - LOANS.defaulted)
    rows = LOANS.matrix[:200]
    for feature, position in ((it, POSITIONS[it.name]) for it in FEATURES if it.risk):
        sign = 1 if feature.risk is RiskDirection.INCREASING else -1
        scores = []
        for value in np.nanquantile(LOANS.matrix[:, position], np.linspace(0, 1, 9)):
            moved = rows.copy()
            moved[:, position] = value
            scores.append(model.scores(moved))
        assert (sign * np.diff(scores, axis=0) >= -1e-9).all(), feature.name


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_feature_that_is_never_known_has_no_part(candidate: Candidate) -> None:
    loans = some_loans(400)
    loans.matrix[:, POSITIONS["employment_years"]] = np.nan
    model = candidate.model(PRODUCT, 0, candidate.searched[0], stages=4)
    model.fit(loans.matrix, loans.defaulted)
    moved = loans.matrix.copy()
    moved[:, POSITIONS["employment_years"]] = 7

    assert model.scores(moved).tolist() == model.scores(loans.matrix).tolist()


def test_a_scorecard_s_lines_sum_to_its_log_odds() -> None:
    fitted = fit(PRODUCT, SPLIT, QUICK, seed=3)
    model = OnnxClassifier(fitted.onnx, input_count=len(FEATURES))
    by_feature: dict[str, list[float]] = {}
    for line in fitted.points_table:
        by_feature.setdefault(line.feature, []).append(line.log_odds)
    log_odds = model.log_odds(SPLIT.fitted.matrix)

    spread = sum(max(values) - min(values) for values in by_feature.values())
    assert 0 < np.ptp(log_odds) <= spread + 1e-4
    assert set(by_feature) <= set(POSITIONS)
    assert fitted.parameters["features"] == len(by_feature)


def test_a_scorecard_s_bins_share_out_the_loans() -> None:
    table = fit(PRODUCT, SPLIT, QUICK, seed=3).points_table

    for name in {line.feature for line in table}:
        lines = [line for line in table if line.feature == name]
        assert sum(line.share for line in lines) == pytest.approx(1)
        rate = sum(line.share * line.default_rate for line in lines)
        assert rate == pytest.approx(SPLIT.fitted.defaulted.mean())


def test_a_scorecard_s_bins_follow_the_declared_direction() -> None:
    table = fit(PRODUCT, SPLIT, QUICK, seed=3).points_table

    inquiries = [
        line.log_odds
        for line in table
        if line.feature == "inq_last_6mths" and line.label != "unknown"
    ]
    assert len(inquiries) > 1
    assert inquiries == sorted(inquiries)


def test_bins_of_integers_are_labelled_as_integers() -> None:
    table = fit(PRODUCT, SPLIT, QUICK, seed=3).points_table

    labels = [line.label for line in table if line.feature == "inq_last_6mths"]
    assert all("above" not in label for label in labels)
    assert any(label.endswith("or more") for label in labels)


def test_an_extreme_income_counts_no_more_than_a_high_one() -> None:
    model = QUICK.model(PRODUCT, 0, QUICK.searched[0], stages=4)
    model.fit(LOANS.matrix, LOANS.defaulted)
    rich, richer = LOANS.matrix[:1].copy(), LOANS.matrix[:1].copy()
    rich[0, POSITIONS["annual_income"]] = LOANS.matrix[:, POSITIONS["annual_income"]].max()
    richer[0, POSITIONS["annual_income"]] = 1e7

    assert model.scores(rich) == model.scores(richer)


@pytest.mark.parametrize("name", CHALLENGERS)
def test_a_challenger_is_measured_like_a_candidate(name: str) -> None:
    for package in CHALLENGERS[name].packages:
        pytest.importorskip(package)

    fitted = fit(PRODUCT, SPLIT, quick(CHALLENGERS[name]), seed=3)

    assert not fitted.pairwise
    assert roc_auc_score(SPLIT.tested.defaulted, fitted.tested_probability) > 0.58
    assert fit(PRODUCT, SPLIT, quick(CHALLENGERS[name]), seed=3).to_bytes() == fitted.to_bytes()


def test_a_challenger_whose_package_is_missing_says_what_to_install() -> None:
    absent = replace(CHALLENGERS["xgboost"], packages=("no_such_package",))

    with pytest.raises(ConfigurationError, match="install the optional extra challengers"):
        fit(PRODUCT, SPLIT, absent, seed=3)
