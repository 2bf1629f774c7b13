"""State machines as the templates hold them: their definitions, and the states in these."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.infrastructure.templates import properties, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.templates import Deployment

MACHINE = "AWS::StepFunctions::StateMachine"

type State = dict[str, Any]


def definition(deployment: Deployment, path: str) -> dict[str, Any]:
    """Return the definition of the state machine at a path."""
    text = properties(deployment.at(path, MACHINE))["DefinitionString"]
    return dict(json.loads(deployment.text(text, stack_of(path))))


def states(machine: dict[str, Any]) -> Iterator[tuple[str, State]]:
    """Yield each state by name, those inside of a Map included."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])
