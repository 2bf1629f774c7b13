"""Which deployment a command is about: `credit --stage prod ...`, else the local cloud."""

from __future__ import annotations

import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import typer

from credit_cli.errors import UsageError, suggestion
from credit_cli.live_line import hush

if TYPE_CHECKING:
    from credit_cli.aws import Aws

LOCAL = "local"
STAGE_VARIABLE = "CREDIT_STAGE"
STAGES = (LOCAL, "dev", "prod")
"""Those of `cdk_app/stages.py`; a lender may add others."""
STAGE_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
LOCAL_COMMANDS = frozenset({"local", "demo"})
"""Commands about this checkout's local cloud and no other deployment."""


@dataclass(frozen=True)
class Target:
    """The stage a command is about, and whether its questions are answered beforehand."""

    stage: str = LOCAL
    yes: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it is the local cloud, which no command asks about before it acts."""
        return self.stage == LOCAL


_chosen: ContextVar[Target] = ContextVar("target", default=Target())  # noqa: B039 (it is frozen)


def target() -> Target:
    """Return what this command is about."""
    return _chosen.get()


def choose(stage: str, *, yes: bool, command: str | None = None) -> None:
    """Say what this command is about.

    Args:
        stage: A name of `cdk_app/stages.py`.
        yes: Whether to go on without asking.
        command: The first word after `credit`.

    Raises:
        UsageError: It is no name of a stage, or the command knows the local cloud only.
    """
    if not STAGE_NAME.fullmatch(stage):
        raise UsageError(
            f"{stage!r} is no name of a stage",
            hint=suggestion(stage.lower(), STAGES, kind="stages"),
        )
    if stage != LOCAL and command in LOCAL_COMMANDS:
        raise UsageError(
            f"credit {command} is about the local cloud, and {stage} was asked for",
            hint=f"leave out --stage, and {STAGE_VARIABLE} if it is set",
        )
    _chosen.set(Target(stage, yes=yes))


def unless_misspelt(hint: str) -> str:
    """Return what to do where a stage is not found; of a name that is no usual one, its nearest.

    A lender may add stages, so that an unusual name is no fault by itself.
    """
    stage = target().stage
    alike = get_close_matches(stage, STAGES, n=1)
    return (
        hint if stage in STAGES or not alike else f"did you mean --stage {alike[0]}? Else: {hint}"
    )


def require_local(what: str) -> None:
    """Check that a command is about the local cloud.

    Raises:
        UsageError: It is about another stage.
    """
    if not target().is_local:
        raise UsageError(f"{what} works on the local cloud only, not on {target().stage}")


def announce(aws: Aws, change: str, *, ask: bool = False) -> None:
    """Say on standard error whose deployment is about to be changed, and ask where it matters.

    Of the local cloud nothing is said.

    Args:
        aws: Where.
        change: What is about to be done, as words after a colon.
        ask: Whether a person has to agree, who is at a terminal or gave --yes.

    Raises:
        UsageError: Nobody is there to ask, or the answer was no.
    """
    chosen = target()
    if chosen.is_local:
        return
    hush()
    typer.echo(f"{aws.place}: {change}", err=True)
    if ask and not chosen.yes:
        hint = f"to go on without being asked: credit --stage {chosen.stage} --yes ..."
        require_agreement("Go on?", hint=hint)


def require_agreement(question: str, *, hint: str) -> None:
    """Have a person at a terminal agree.

    Args:
        question: What is asked.
        hint: How to go on where nobody is there.

    Raises:
        UsageError: Nobody is there to ask, or the answer was no.
    """
    if not sys.stdin.isatty():
        raise UsageError("this asks before it acts, and nobody is at a terminal", hint=hint)
    hush()
    if not typer.confirm(question, err=True):
        raise UsageError("nothing was done")
