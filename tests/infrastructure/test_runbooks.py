"""The pages that on-call opens: one for each alarm, and nothing in them that is not there."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
import typer

from credit_cli.main import app
from credit_core.domain.log_queries import QUERIES
from tests.infrastructure.templates import ROOT, properties
from tests.runbooks import FIRST_COMMANDS, PARTS, Runbook, runbooks

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

ALARMS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
NAMED = re.compile(r"Runbook: (\S+)$")
A_RUNBOOK = pytest.mark.parametrize("runbook", runbooks(), ids=lambda found: found.name)


def pages_by_alarm(deployment: Deployment) -> dict[str, str]:
    """Return the path of its runbook for each alarm, by the alarm's name after the prefix."""
    found = {}
    for type_ in ALARMS:
        for resource in map(properties, deployment.of_type(type_).values()):
            named = NAMED.search(resource["AlarmDescription"])
            assert named, resource["AlarmName"]
            name = resource["AlarmName"].removeprefix(f"{deployment.stage.prefix}-")
            found[name] = named[1]
    return found


def test_each_alarm_leads_to_a_page_that_names_it(deployment: Deployment) -> None:
    for alarm, path in pages_by_alarm(deployment).items():
        page = ROOT / path
        assert page.is_file(), alarm
        assert names(page.read_text(encoding="utf-8"), alarm), f"{path} does not name {alarm}"


def names(text: str, alarm: str) -> bool:
    """Whether a page's first words name an alarm, by itself or by what its kind begins with."""
    first = text.split("## ", 1)[0]
    kinds = re.findall(r"`([a-z-]+)(?:-<view>)?`", first)
    return any(alarm == kind or alarm.startswith(f"{kind}-") for kind in kinds)


def test_each_page_is_some_alarms(prod: Deployment) -> None:
    led_to = {path.rpartition("/")[2] for path in pages_by_alarm(prod).values()}

    assert {f"{runbook.name}.md" for runbook in runbooks()} == led_to


def test_a_page_that_is_not_there_would_be_noticed(prod: Deployment) -> None:
    path, type_ = "operations/Pager/ScorerLatency", "AWS::CloudWatch::Alarm"
    mutant = prod.changed(path, type_, AlarmDescription="Slow. Runbook: docs/runbooks/nowhere.md")

    with pytest.raises(AssertionError):
        test_each_alarm_leads_to_a_page_that_names_it(mutant)


@A_RUNBOOK
def test_each_page_has_its_parts_in_order(runbook: Runbook) -> None:
    assert runbook.parts == PARTS


@A_RUNBOOK
def test_there_are_three_first_commands(runbook: Runbook) -> None:
    assert len(runbook.commands_of(FIRST_COMMANDS)) == 3


@A_RUNBOOK
def test_each_command_is_one(runbook: Runbook) -> None:
    for command in runbook.commands:
        program, *words = shlex.split(command.replace("DAY", "2026-11-22"))
        assert program == "credit", command
        understood(typer.main.get_command(app), words)
        if "--query" in words:
            assert words[words.index("--query") + 1] in QUERIES


def understood(command: Any, words: list[str]) -> None:
    """Fail unless the words are a command of `credit` with options that it has."""
    context = command.make_context(None, list(words))
    if isinstance(command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, below, left = command.resolve_command(context, rest)
        assert name is not None
        assert below is not None
        understood(below, left)


@pytest.mark.parametrize("words", ["alarms sing", "monitor --day today", "models withdraw --hard"])
def test_a_command_that_is_none_would_be_noticed(words: str) -> None:
    with pytest.raises(Exception, match=r".+"):
        understood(typer.main.get_command(app), words.split())


@A_RUNBOOK
def test_links_lead_somewhere(runbook: Runbook) -> None:
    for link in re.findall(r"\]\(([^)#]+)", runbook.text):
        assert (runbook.path.parent / link).resolve().is_file(), link
