"""The page of champion and challenger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_cli.desk.comparison import comparison_content
from credit_core.use_cases.compare_models import compare_models
from tests.builders import NOW, PRODUCT
from tests.builders_desk_evidence import a_comparison, text_of
from tests.builders_evidence import Trial, a_version

if TYPE_CHECKING:
    from collections.abc import Mapping

TODAY = NOW.date()


def said(document: Mapping[str, Any] | None) -> str:
    return text_of(comparison_content(document, today=TODAY)).replace("\N{NO-BREAK SPACE}", " ")


def compared(trial: Trial) -> dict[str, Any]:
    return compare_models(PRODUCT, trial.decisions(), as_of=NOW)


def test_before_the_first_comparison_the_page_says_how_one_is_made() -> None:
    page = said(None)

    assert "They were not compared yet" in page
    assert "Compare now" in page


def test_where_nobody_was_on_trial_the_page_says_how_one_is_tried() -> None:
    trial = Trial(challenger=None)
    trial.decide("a1")

    page = said(compared(trial))

    assert "nobody was on trial" in page
    assert "credit models shadow VERSION" in page


def test_outcomes_of_both_stand_beside_each_other() -> None:
    trial = Trial(
        champion=a_version("v1", loan_amount=2e-5), challenger=a_version("v2", term_months=0.06)
    )
    for number in range(30):
        trial.decide(f"a{number}", term_months=36 if number % 2 else 60)
    document = compared(trial)
    (pair,) = document["pairs"]

    page = said(document)

    assert "Champion v1 , challenger v2" in page
    assert "Outcomes of both, of 30 applications" in page
    assert f"Champion approves {pair['agreement']['matrix']['approve']['approve']}" in page
    assert "Not measured: 0 defaults" in page


def test_who_was_right_is_said_with_the_test() -> None:
    document = a_comparison()
    (pair,) = document["pairs"]

    page = said(document)

    assert pair["quality"]["delong_p_value"] < 0.05
    assert "The challenger ranks better (DeLong p < 0.001)" in page
    auc = pair["quality"]["champion"]["auc"]
    assert f"AUC {auc['value']:.4f} ({auc['low']:.4f} to {auc['high']:.4f})" in page
    assert "those that both would have approved" in page
