"""Reference: every setting of every stage, from the dataclasses that hold them."""

from __future__ import annotations

import dataclasses
import inspect
from enum import Enum
from typing import Any

from cdk_app import stages
from docs_site.markdown import code, page, prose, table

OWN = "stage"
FUNCTIONS = "functions"


def stages_page() -> str:
    """Return the page of the stages, a table for each group of settings."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for path, values in flattened().items():
        groups.setdefault(_group(path), []).append(_row(path, values))
    head = ("Setting", *stages.STAGES)
    blocks = []
    for group, rows in groups.items():
        blocks += [f"## {_title(group)}", _about(group), table(head, rows)]
    return page(
        "Stages and settings",
        "All that differs between deployments stands in `cdk_app/stages.py`, and nowhere else. A "
        "name in **bold** is a setting that is not the same in all stages. "
        "[Capacity](../capacity.md) says how to find the numbers for your traffic, "
        "[deploying](../deploying.md) how a changed one gets into an account.",
        *filter(None, blocks),
    )


def flattened() -> dict[str, dict[str, str]]:
    """Return each setting by its path, as in ``rollout.evidence.patience_seconds``, and its values.

    A stage that has not what the setting belongs to is missing among the values.
    """
    found: dict[str, dict[str, str]] = {}
    for name, stage in stages.STAGES.items():
        for path, value in _flat(stage):
            found.setdefault(path, {})[name] = value
    # What only some stages have stands where the stage that has it says so.
    whole = {path for path in found if any(other.startswith(f"{path}.") for other in found)}
    return {path: values for path, values in found.items() if path not in whole}


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, stages.FunctionSize):
        reserved = f", {value.reserved:,} reserved" if value.reserved else ""
        return [(path, f"{value.memory_mb:,} MB, {value.timeout_seconds} s{reserved}")]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [
            found
            for field in dataclasses.fields(value)
            for found in _flat(
                getattr(value, field.name), f"{path}.{field.name}" if path else field.name
            )
        ]
    return [(path, _shown(value))]


def _shown(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case Enum():
            return value.name.lower().replace("_", " ")
        case int() | float():
            return f"{value:,}"
        case tuple():
            return ", ".join(_shown(item) for item in value) or "none"
    return str(value)


def _group(path: str) -> str:
    first, _, rest = path.partition(".")
    kinds = {field.name: str(field.type) for field in dataclasses.fields(stages.Stage)}
    if kinds[first].startswith(stages.FunctionSize.__name__):
        return FUNCTIONS
    return first if rest else OWN


def _title(group: str) -> str:
    return {OWN: "The stage itself", FUNCTIONS: "Functions"}.get(
        group, group.replace("_", " ").capitalize()
    )


def _about(group: str) -> str:
    if group == OWN:
        return prose(inspect.getdoc(stages.Stage))
    if group == FUNCTIONS:
        return prose(inspect.getdoc(stages.FunctionSize))
    value = next(
        found for stage in stages.STAGES.values() if (found := getattr(stage, group)) is not None
    )
    text = prose(inspect.getdoc(type(value)))
    head, _, attributes = text.partition("Attributes:")
    if not attributes:
        return head
    return f"{head.strip()}\n\n{_listed(attributes)}"


def _listed(attributes: str) -> str:
    """Return an Attributes section as a list; lines that go on belong to the one before."""
    items: list[str] = []
    for line in attributes.strip().splitlines():
        name, colon, words = line.partition(": ")
        if colon and name.isidentifier():
            items.append(f"- `{name}`: {words}")
        else:
            items[-1] += f" {line}"
    return "\n".join(items)


def _row(path: str, values: dict[str, str]) -> tuple[str, ...]:
    shown = [values.get(stage, "none") for stage in stages.STAGES]
    name = code(path)
    return (f"**{name}**" if len(set(shown)) > 1 else name, *shown)
