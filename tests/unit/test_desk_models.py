"""The pages of models: who answers, what each version is, and what moves it."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

from credit_cli.desk.models import model_content, models_content
from credit_cli.errors import CliError
from credit_core.ports import ModelState
from tests.builders import PRODUCT
from tests.builders_desk_evidence import (
    FAILED_GATE,
    FakeEvidence,
    a_pointer,
    a_registered,
    a_run,
    some_evidence,
    text_of,
)

if TYPE_CHECKING:
    from credit_cli.desk.evidence import UnderWay

VOID = {"input", "wbr", "br", "line", "rect", "circle", "polyline", "polygon"}


class Whole(HTMLParser):
    """Fails where an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [str(value) for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def models(evidence: FakeEvidence) -> str:
    return text_of(models_content(PRODUCT, evidence))


def test_every_version_is_listed_with_its_state_and_leads_to_its_page() -> None:
    evidence = some_evidence()

    page = Whole("".join(models_content(PRODUCT, evidence)))

    for model, _ in evidence.found:
        assert f"/models/{model.reference.version}" in page.links
    said = models(evidence)
    assert "0.700 (0.650 to 0.750) 2,500, 130 defaulted" in said
    assert "✗" not in said
    assert "failed calibration" in said


def test_a_version_that_is_not_what_was_registered_hides_no_other() -> None:
    said = models(some_evidence())

    assert "its manifest is not what was registered" in said
    assert "champion answers" in said


def test_who_answers_which_share_is_said() -> None:
    said = models(some_evidence())

    assert "Champion v1 : 75 % of the applicants" in said.replace("\N{NO-BREAK SPACE}", " ")
    assert ": 25 %; whoever applies again meets the same model" in said.replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_a_challenger_in_the_shadow_is_said_to_be_unheard() -> None:
    evidence = replace(some_evidence(), where=a_pointer(challenger="v2"))

    assert "nobody hears it" in models(evidence)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (a_run("RUNNING", state="AskApproval"), "waits for a person's approval"),
        (a_run("RUNNING", state="Watch"), "watches the alarms"),
        (a_run("SUCCEEDED"), "went through"),
        (a_run("FAILED", cause="ScorerErrors is in alarm"), "failed: ScorerErrors is in alarm"),
        (a_run("TIMED_OUT"), "ended timed out."),
    ],
)
def test_what_the_last_rollout_came_to_is_said(run: UnderWay, said: str) -> None:
    assert said in models(replace(some_evidence(), run=run))


def test_without_models_the_page_says_how_one_comes_to_be() -> None:
    said = models(FakeEvidence())

    assert "No model is registered yet" in said
    assert "credit retrain" in said
    assert "every application is referred to a person" in said


def test_a_product_with_models_and_no_champion_says_so() -> None:
    evidence = FakeEvidence(found=[a_registered(state=ModelState.REGISTERED)])

    assert "Nothing was promoted yet" in models(evidence)


def shown(evidence: FakeEvidence, version: str) -> str:
    found = evidence.model(version)
    assert found is not None
    return text_of(model_content(*found, evidence))


def test_a_version_is_shown_with_its_gates_candidates_and_lineage() -> None:
    said = shown(some_evidence(), "v1")

    assert "All 1 gates passed" in said
    assert "0 of 100 differ" in said
    assert "Candidates side by side" in said
    assert "scikit-learn 1.9.1" in said
    assert f"SHA-256 {'a' * 64}" in said


def test_a_failed_gate_comes_first_with_what_to_look_at() -> None:
    said = shown(some_evidence(), "v0")

    assert "1 gate failed: it can't be promoted" in said
    assert FAILED_GATE.evidence in said
    assert "Look at: the curve" in said
    assert "It failed a gate and never answers" in said


def test_another_version_is_set_beside_the_champion() -> None:
    said = shown(some_evidence(), "v0")

    assert "In what it differs from v1" in said
    assert "gates.calibration" in said


@pytest.mark.parametrize(
    ("state", "champion", "challenger", "previous", "said"),
    [
        (ModelState.CHAMPION, "v1", None, None, "there is none to go back to"),
        (ModelState.CHAMPION, "v1", None, "v0", "credit models rollback"),
        (ModelState.SHADOW, "v9", "v1", None, "credit models withdraw"),
        (ModelState.REGISTERED, "v9", None, None, "credit models promote v1"),
        (ModelState.RETIRED, "v9", None, None, "out of use for good"),
    ],
)
def test_what_moves_a_version_from_here_is_said(
    state: ModelState, champion: str, challenger: str | None, previous: str | None, said: str
) -> None:
    evidence = FakeEvidence(
        found=[a_registered("v1", state)],
        where=a_pointer(champion, challenger=challenger, previous=previous),
    )

    assert said in shown(evidence, "v1")


def test_a_damaged_version_is_an_error_in_words() -> None:
    with pytest.raises(CliError, match="not what was registered"):
        some_evidence().model("v-damaged")


def test_hostile_names_are_escaped() -> None:
    evidence = FakeEvidence(found=[(a_registered()[0], CliError("<script>alert(1)</script>"))])

    assert "<script>" not in "".join(models_content(PRODUCT, evidence))
