"""`credit referrals` and `credit decisions review` over HTTP, behind it the records function."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import main, referrals, review
from credit_cli.api import Token
from credit_core.domain.product import load_product
from credit_core.domain.review import adverse_action_codes
from tests.builders import PRODUCT
from tests.gateway import Gateway, served
from tests.integration.test_records_handler import Deployment, deployment

if TYPE_CHECKING:
    from collections.abc import Iterator

DESK = "decisions/read decisions/review"
CODE = adverse_action_codes(PRODUCT)[0]
APPROVE = ("--outcome", "approve", "--reviewer", "r.meyer", "--reason", "Income confirmed")
DECLINE = ("--outcome", "decline", "--reviewer", "r.meyer", "--reason", "Income not confirmed")

__all__ = ["deployment"]


@dataclass(frozen=True)
class Deployed:
    """What is deployed, as far as these commands look."""

    api_url: str


@pytest.fixture
def desk(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """The records function behind HTTP; a token is its scopes there."""
    gateway = Gateway({"records": deployment.function.handler})
    with served(gateway) as url:
        aws = SimpleNamespace(place="here")
        for module in (referrals, review):
            monkeypatch.setattr(module, "deployed", lambda _: (aws, Deployed(url)))
            monkeypatch.setattr(module.api, "fetch_token", lambda *_: Token(DESK, 3600, DESK))
        yield deployment


def decide(deployment: Deployment, outcome: str = "refer", name: str = "application-1") -> None:
    deployment.decide(outcome, application_id=name)
    key = {"application_id": {"S": name}, "record": {"S": "decision"}}
    item: Any = deployment.dynamodb.get_item(TableName="decisions", Key=key)["Item"]
    text = {
        "application_id": name,
        "outcome": outcome,
        "revision": 1,
        "decided_at": item["decided_at"]["S"],
        "cause": {"code": "between_cutoffs", "detail": "between", "retryable": False},
        "decided_by": {"kind": "cutoff", "code": "between_cutoffs"},
        "probability_of_default": 0.0939,
        "points": 557.96,
        "risk_band": "D",
        "reasons": [],
    }
    deployment.dynamodb.put_item(
        TableName="decisions", Item=item | {"response": {"S": json.dumps(text)}}
    )


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("desk")
def test_an_empty_queue_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["referrals"]) == 0

    assert capsys.readouterr().out == "Nothing waits for a person.\n"


def test_the_queue_is_a_table_of_eighty_columns(
    desk: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(desk)
    decide(desk, "approve", "application-2")

    assert main.run(["referrals"]) == 0

    head, line, hint = capsys.readouterr().out.splitlines()
    assert head.split() == ["Waits", "Risk", "Points", "Band", "Because", "Application"]
    assert line.split() == [
        *("1", "d", "9.39", "%", "558", "D", "between_cutoffs", "application-1"),
    ]
    assert "credit decisions review" in hint
    assert max(map(len, (head, line, hint))) <= 80


def test_all_pages_make_the_whole_queue(
    desk: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"application-{number:03}" for number in range(referrals.LARGEST_PAGE + 3)]
    for name in names:
        desk.decide("refer", application_id=name)

    assert main.run(["referrals", "--all", "--json"]) == 0

    found = document(capsys)
    assert [told["application_id"] for told in found["referrals"]] == names
    assert found["next"] is None


def test_a_page_says_how_to_go_on(desk: Deployment, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        decide(desk, name=f"application-{number}")

    main.run(["referrals", "--limit", "2"])
    *_, last = capsys.readouterr().out.splitlines()
    main.run(["referrals", "--json", *last.partition("credit referrals ")[2].split()])

    assert [told["application_id"] for told in document(capsys)["referrals"]] == ["application-2"]


@pytest.mark.usefixtures("desk")
def test_a_cursor_that_is_none_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["referrals", "--after", "x"]) == 3

    error = capsys.readouterr().err.splitlines()[-1]
    assert "after must be the `next` of an earlier answer" in error


def test_a_review_shows_what_was_decided_and_is_recorded_once(
    desk: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(desk)

    first = main.run(["decisions", "review", "application-1", *APPROVE])
    shown = capsys.readouterr().out
    again = main.run(["decisions", "review", "application-1", *APPROVE])
    repeated = capsys.readouterr().out

    assert (first, again) == (0, 0)
    assert "Referred to a person: probability of default 9.39 %, 558 points" in shown
    assert "Revision  1, " in shown
    assert "Reviewed  approve by r.meyer, " in shown
    assert "as it was before" in repeated
    assert main.run(["referrals", "--json"]) == 0
    assert document(capsys)["referrals"] == []


def test_a_second_review_says_what_stood(
    desk: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(desk)
    main.run(["decisions", "review", "application-1", *APPROVE])
    capsys.readouterr()

    main.run(["decisions", "review", "application-1", *DECLINE, "--code", CODE])

    shown = capsys.readouterr().out
    assert "Before    approve by r.meyer, " in shown
    assert "Reviewed  decline by r.meyer, " in shown


def test_a_review_is_one_json_document(
    desk: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(desk)

    main.run(["decisions", "review", "application-1", *DECLINE, "--code", CODE, "--json"])

    found = document(capsys)
    assert found["adverse_action_codes"] == [CODE]
    assert found["revision"] == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["application-1", *DECLINE], 2, "a decline needs its reasons"),
        (["application-1", *APPROVE, "--code", CODE], 2, "--code is of a decline"),
        (["application-1", *DECLINE, "--code", "NONE"], 3, "adverse_action_codes"),
        (["application-1", *APPROVE, "--revision", "2"], 3, "it was decided again meanwhile"),
        (["application-9", *APPROVE], 3, "there is no decision under application_id"),
        (["a b", *APPROVE], 3, "application_id must match"),
        (["application-1", *APPROVE[:-1], " "], 3, "reason must not be blank"),
        (["application-1", "--outcome", "refer", *APPROVE[2:]], 2, "refer"),
    ],
)
def test_what_can_not_be_recorded_is_told_and_nothing_is(
    desk: Deployment,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    decide(desk)

    assert main.run(["decisions", "review", *words]) == code

    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    main.run(["referrals", "--json"])
    assert len(document(capsys)["referrals"]) == 1


def test_a_decline_without_codes_names_those_that_there_are(
    desk: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    decide(desk)

    main.run(["decisions", "review", "application-1", *DECLINE])

    error = capsys.readouterr().err
    for known in adverse_action_codes(load_product("personal_loan")):
        assert known in error
