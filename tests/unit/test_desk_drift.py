"""The pages of monitored days."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from credit_cli.desk.drift import day_content, drift_content
from credit_cli.desk.framed import POLICY, framed
from credit_cli.desk.moments import day_in
from credit_cli.errors import UsageError
from tests.builders import PRODUCT
from tests.builders_desk_evidence import FakeEvidence, a_run, monitored_days, text_of
from tests.builders_monitoring import A_DAY, MonitoredDays

if TYPE_CHECKING:
    from credit_cli.desk.evidence import UnderWay


def drift(evidence: FakeEvidence) -> str:
    return text_of(drift_content(PRODUCT, evidence, today=A_DAY + timedelta(days=1)))


def test_every_monitored_day_is_listed_with_its_figures_and_what_chance_makes() -> None:
    evidence = FakeEvidence(kept=monitored_days())
    figures = monitored_days()[A_DAY]["figures"]
    (model,) = figures["models"]
    worst = model["drift"]["inputs"][0]

    said = drift(evidence)

    assert f"{A_DAY} {len(figures['findings'])} findings 300" in said
    assert f"{model['drift']['score']['index']:.3f} {model['drift']['score']['by_chance']:.3f}" in (
        said
    )
    assert f"{worst['index']:.3f} {worst['name']} {worst['by_chance']:.3f} by chance" in said


def test_a_gap_between_days_is_a_gap_in_the_line() -> None:
    """Four days, of which the second has no neighbour: two lines of two days, and dots."""
    content = "".join(drift_content(PRODUCT, FakeEvidence(kept=monitored_days()), today=A_DAY))

    # Two series, drawn wide and narrow; the lone day has a dot, and no line.
    assert content.count('<polyline class="line"') == 2
    assert content.count('<circle class="dot"') == 2 * 4


def test_before_the_first_day_the_page_says_how_one_is_monitored() -> None:
    said = drift(FakeEvidence())

    assert "No day was monitored yet" in said
    assert "credit monitor --day YYYY-MM-DD" in said


def test_too_few_decisions_are_said_to_be_too_few() -> None:
    found = MonitoredDays()
    found.decide(A_DAY, 10, model=found.trained())
    kept = {A_DAY: found.monitor(A_DAY)}

    assert "The drift of no day was judged yet: 10 decisions with a score; 100 are needed" in drift(
        FakeEvidence(kept=kept)
    )
    assert "Not judged: 10 decisions" in text_of(day_content(PRODUCT, A_DAY, kept[A_DAY]))


def test_a_day_without_decisions_has_a_page() -> None:
    found = MonitoredDays()
    summary = found.summary([], A_DAY)

    said = text_of(day_content(PRODUCT, A_DAY, summary))

    assert "No model was asked on this day" in said
    assert drift(FakeEvidence(kept={A_DAY: summary}))


@pytest.mark.parametrize(
    ("watch", "said"),
    [
        (a_run("RUNNING", workflow="monitoring", state="TallyParts"), "A day is being monitored"),
        (a_run("FAILED", workflow="monitoring", cause="no archive"), "failed: no archive"),
    ],
)
def test_what_the_monitoring_does_is_said(watch: UnderWay, said: str) -> None:
    assert said in drift(replace(FakeEvidence(), watch=watch))


def test_a_day_says_what_is_beyond_limits_and_shows_each_input() -> None:
    summary = monitored_days()[A_DAY]

    said = text_of(day_content(PRODUCT, A_DAY, summary))

    assert "Thursday, 19 November 2026" in said
    assert f"{len(summary['figures']['findings'])} findings beyond limits" in said
    for each in summary["figures"]["models"][0]["drift"]["inputs"]:
        assert each["name"] in said


def test_a_summary_of_another_release_hides_no_other_day() -> None:
    evidence = FakeEvidence(kept={**monitored_days(), A_DAY: {"product": "personal_loan"}})

    said = drift(evidence)

    assert f"{A_DAY} cannot be read" in said
    assert str(A_DAY - timedelta(days=1)) in said
    with pytest.raises(UsageError, match="can't be read"):
        list(day_content(PRODUCT, A_DAY, evidence.kept[A_DAY]))


def test_what_is_no_day_is_an_error_in_words() -> None:
    with pytest.raises(UsageError, match="no day"):
        day_in("yesterday")


def test_a_document_of_others_runs_nothing_and_acts_as_nobody() -> None:
    answer = framed(b"<p>")

    assert answer.headers["content-security-policy"] == POLICY
    assert POLICY.startswith("sandbox; default-src 'none'")
    assert "allow-scripts" not in POLICY
    assert "allow-same-origin" not in POLICY
    # The door's own policy would be set beside it otherwise, and a browser may refuse both at once.
    assert answer.headers["cross-origin-opener-policy"] == "unsafe-none"
