from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from credit_core.domain.loan_outcome import LoanOutcome
from credit_core.domain.measures import area_under_curve, delong_p_value
from credit_core.domain.metrics import Metric
from credit_core.use_cases.compare_models import (
    FEWEST_OF_A_CLASS,
    compare_models,
    comparison_lines,
    publish_comparison,
)
from tests.builders import NOW, PRODUCT
from tests.builders_evidence import A_YEAR_AGO, Trial, a_version
from tests.pushes import FakeMetrics


def compared(trial: Trial, **options: Any) -> dict[str, Any]:
    return compare_models(PRODUCT, trial.decisions(**options), as_of=NOW)


def the_pair(trial: Trial, **options: Any) -> dict[str, Any]:
    (pair,) = compared(trial, **options)["pairs"]
    return dict(pair)


def a_trial(count: int = 120, *, share: float = 0.0, seed: int = 0, weight: float = 0.06) -> Trial:
    """Return a trial whose challenger knows what makes loans default, and the champion doesn't."""
    chance = random.Random(seed)  # noqa: S311 (variety, no secret)
    trial = Trial(
        champion=a_version("v1", loan_amount=2e-5),
        challenger=a_version("v2", term_months=weight),
        share=share,
    )
    for number in range(count):
        name, term = f"a{number}", chance.choice([36, 60])
        amount = chance.randrange(500, 20_000)
        receipt = trial.decide(name, loan_amount=amount, term_months=term)
        if receipt["outcome"] != "approve":
            continue
        if chance.random() < (0.1 if term == 36 else 0.7):
            trial.report(name, LoanOutcome.DEFAULTED)
        elif chance.random() < 0.9:
            trial.report(name, LoanOutcome.REPAID)
    return trial


def test_who_agrees_on_everything_is_said_to() -> None:
    trial = Trial(challenger=a_version("v2", inq_last_6mths=0.3, loan_amount=2e-5))
    for number in range(20):
        trial.decide(f"a{number}")

    pair = the_pair(trial)

    assert pair["agreement"]["share"]["value"] == 1.0
    assert pair["scores"]["log_odds_shift"]["value"] == 0.0
    assert pair["scores"]["stability"] == 0.0


def test_the_matrix_counts_the_outcomes_of_both_by_role_whoever_answered() -> None:
    in_shadow, live = a_trial(40, weight=0.08), a_trial(40, share=1.0, weight=0.08)

    one, other = the_pair(in_shadow), the_pair(live)

    assert one["agreement"] == other["agreement"]
    assert one["answered_by"] == {"champion": 40, "challenger": 0}
    assert other["answered_by"] == {"champion": 0, "challenger": 40}
    assert sum(map(sum, (row.values() for row in one["agreement"]["matrix"].values()))) == 40
    assert one["agreement"]["same"] < 40


def test_a_challenger_that_always_answers_higher_is_shifted_by_just_that() -> None:
    champion = a_version("v1")
    challenger = a_version("v2")
    challenger.intercept = champion.intercept + 0.5
    trial = Trial(champion=champion, challenger=challenger)
    for number in range(20):
        trial.decide(f"a{number}")

    shift = the_pair(trial)["scores"]["log_odds_shift"]

    assert [shift[part] for part in ("value", "low", "high")] == pytest.approx([0.5] * 3, abs=1e-9)


def test_both_are_measured_on_the_same_loans() -> None:
    trial = a_trial()
    defaulted, probabilities = [], []
    for found in trial.decisions():
        if found.reported:
            defaulted.append(int(LoanOutcome.DEFAULTED in found.reported))
            response, shadow = (
                json.loads(str(found.receipt[name])) for name in ("response", "shadow")
            )
            probabilities.append([each["probability_of_default"] for each in (response, shadow)])
    outcomes, (champion, challenger) = np.array(defaulted), np.array(probabilities).T

    quality = the_pair(trial)["quality"]

    assert quality["loans"] == len(outcomes)
    assert quality["champion"]["auc"]["value"] == area_under_curve(outcomes, champion)
    assert quality["challenger"]["auc"]["value"] == area_under_curve(outcomes, challenger)
    assert quality["delong_p_value"] == delong_p_value(outcomes, challenger, champion)
    assert quality["delong_p_value"] < 0.05
    assert quality["difference"]["auc"]["low"] > 0
    assert quality["champion"]["calibration"]["observed"] == outcomes.mean()


def test_loans_that_one_of_them_would_not_have_granted_measure_neither() -> None:
    """The champion chose among them; by its own ranking the worst are gone already."""
    trial = Trial(
        champion=a_version("v1", loan_amount=2e-4), challenger=a_version("v2", term_months=0.1)
    )
    chance = random.Random(0)  # noqa: S311 (variety, no secret)
    for number in range(160):
        name = f"a{number}"
        amount, term = chance.randrange(500, 20_000), chance.choice([36, 60])
        if trial.decide(name, loan_amount=amount, term_months=term)["outcome"] == "approve":
            defaulted = chance.random() < 0.4
            trial.report(name, LoanOutcome.DEFAULTED if defaulted else LoanOutcome.REPAID)

    document = compared(trial)
    (pair,) = document["pairs"]
    both = pair["agreement"]["matrix"]["approve"]["approve"]

    assert both < pair["loans"]["reported"]
    assert pair["quality"]["loans"] == both
    assert pair["quality"]["left_out"] == pair["loans"]["reported"] - both
    assert "one of them would not have granted" in "\n".join(comparison_lines(document))


def test_loans_without_an_outcome_are_counted_as_missing() -> None:
    loans = the_pair(a_trial())["loans"]

    assert loans["reported"] + loans["missing"] == loans["granted"]
    assert loans["missing"] > 0
    assert loans["horizon_passed"] == loans["reported"]


def test_too_few_outcomes_are_no_measure() -> None:
    trial = Trial()
    for number in range(30):
        trial.decide(f"a{number}")
        trial.report(f"a{number}", LoanOutcome.REPAID)

    quality = the_pair(trial)["quality"]

    assert not quality["measured"]
    assert f"{FEWEST_OF_A_CLASS} of each" in quality["why"]


def test_decisions_of_one_model_are_no_pair() -> None:
    trial = Trial(challenger=None)
    trial.decide("a")

    found = compared(trial)

    assert (found["alone"], found["pairs"]) == (1, [])
    assert "nobody was on trial" in "\n".join(comparison_lines(found))


def test_each_trial_is_compared_by_itself() -> None:
    first, second = Trial(), Trial(challenger=a_version("v3"))
    first.decide("a")
    second.decide("b", at=A_YEAR_AGO + timedelta(days=1))
    first.archive.objects |= second.archive.objects

    versions = [(pair["champion"], pair["challenger"]) for pair in compared(first)["pairs"]]

    assert versions == [("v1", "v2"), ("v1", "v3")]


def test_agreement_is_of_a_sample_where_not_all_are_read_and_quality_of_all_that_is_known() -> None:
    trial = a_trial(60)

    pair = the_pair(trial, most=20)

    assert pair["agreement"]["of"] == 20
    assert pair["loans"]["reported"] > 20


@pytest.mark.parametrize("shadow", ["{", "[]", '{"role":"nobody"}', "1"])
def test_a_shadow_that_cannot_be_read_is_counted(shadow: str) -> None:
    trial = Trial()
    record = trial.decide("a")
    trial.archive.objects.clear()
    trial.archive.add({**record, "shadow": shadow})

    assert compared(trial)["damaged"] == 1


def test_a_model_that_said_nothing_is_counted_and_not_compared() -> None:
    trial = Trial()
    record = trial.decide("a")
    shadow = json.loads(str(record["shadow"])) | {
        "fault": "it said nothing",
        "probability_of_default": None,
        "points": None,
        "outcome": None,
    }
    trial.archive.objects.clear()
    trial.archive.add({**record, "shadow": json.dumps(shadow)})

    pair = the_pair(trial)

    assert pair["silent"] == {"champion": 0, "challenger": 1}
    assert pair["decisions"] == 0
    assert list(comparison_lines(compared(trial)))


def test_the_words_name_both_versions_the_verdict_and_who_is_missing() -> None:
    said = "\n".join(comparison_lines(compared(a_trial())))

    assert "Champion v1, challenger v2" in said
    assert "the challenger ranks better" in said
    assert "without one yet" in said
    assert "who were declined nobody knows" in said


def test_agreement_and_shift_of_the_newest_trial_are_published() -> None:
    metrics = FakeMetrics()

    publish_comparison(compared(a_trial(30)), stage="test", metrics=metrics, as_of=NOW)
    publish_comparison(compared(Trial()), stage="test", metrics=metrics, as_of=NOW)

    named = {each.metric for each in metrics.measurements}
    assert named == {Metric.MODEL_AGREEMENT, Metric.SCORE_SHIFT}
