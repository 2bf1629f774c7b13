"""Reference: every alarm of the stacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_cli.watched import NAME_IN_RULE, RUNBOOK, measures
from docs_site.markdown import code, names_unbroken, page, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docs_site.stacks import Stacks

KINDS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")


def alarms_page(stacks: Stacks) -> str:
    """Return the page of the alarms, those that page first."""
    found = sorted(_rows(stacks))
    return page(
        "Alarms",
        "What rings in `prod`, from the stacks as they are synthesized for `personal_loan`; a view "
        "of features, a function and a queue have theirs each. "
        "[Alarms](../alarms.md) says how they reach you, and why these limits; `credit alarms show "
        "NAME` shows one as it is now. Limits are settings: [stages](stages.md#alarms).",
        "## What wakes somebody",
        "The composite alarm `page` goes off with any of them, so that one outage is one page.",
        _table(found, pages=True),
        "## What informs",
        _table(found, pages=False),
    )


def _table(rows: list[tuple[str, bool, str, str, str]], *, pages: bool) -> str:
    rows_of_kind = (
        (code(name), condition, means, runbook)
        for name, waking, condition, means, runbook in rows
        if waking == pages
    )
    return names_unbroken(table(("Alarm", "Rings on", "Means", "Runbook"), rows_of_kind))


def _rows(stacks: Stacks) -> Iterator[tuple[str, bool, str, str, str]]:
    """Yield name, whether it pages, condition, meaning and link to the runbook of each alarm."""
    found = {
        str(properties["AlarmName"]): (stack, _as_cloudwatch_has_it(stacks, stack, properties))
        for stack, _, properties in stacks.of_type(*KINDS)
    }
    waking = {
        name
        for _, alarm in found.values()
        for name in NAME_IN_RULE.findall(alarm.get("AlarmRule", ""))
    }
    for name, (stack, alarm) in found.items():
        topics = stacks.texts(stack, alarm.get("AlarmActions", []))
        pages = name in waking or any(topic.endswith("/Page") for topic in topics)
        description = str(alarm["AlarmDescription"])
        runbook = RUNBOOK.search(description)
        stem = runbook[1].rpartition("/")[2].removesuffix(".md") if runbook else ""
        yield (
            name.removeprefix(f"{stacks.prefix}-"),
            pages,
            measures(alarm),
            RUNBOOK.sub("", description),
            f"[{stem}](../runbooks/{stem}.md)" if stem else "",
        )


def _as_cloudwatch_has_it(stacks: Stacks, stack: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Return an alarm as CloudWatch describes it: a composite's rule names the others."""
    if "AlarmRule" not in properties:
        return properties
    names = {
        path: str(alarm["AlarmName"]) for _, path, alarm in stacks.of_type("AWS::CloudWatch::Alarm")
    }
    rule = stacks.text(stack, properties["AlarmRule"])
    for path, name in names.items():
        rule = rule.replace(path, name)
    return properties | {"AlarmRule": rule}
