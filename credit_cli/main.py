"""The `credit` command: its words, and how it ends."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as installed_version
from io import TextIOWrapper
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.command_tree import LazyGroup
from credit_cli.completion import stages
from credit_cli.errors import CliError, ExitCode
from credit_cli.live_line import be_patient, hush
from credit_cli.progress import styled
from credit_cli.target import LOCAL, STAGE_VARIABLE, choose
from credit_cli.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

DEBUG = "--debug"
STAGE = "--stage"
END_OF_OPTIONS = "--"
OWN_WORDS = ["local", "cdk"]
"""What follows these is the CDK CLI's."""
GLOBAL_WORDS = 3
"""How many words those options are at most that stand before the command: --stage NAME --debug."""
STANDARD_INPUT = "-"
TALKING = (["products", "new"], ["desk"])
"""Commands that talk with a person, so that nothing else may be written meanwhile."""


class Credit(LazyGroup):
    """The words after `credit`."""

    words = WORDS


app = typer.Typer(
    cls=Credit,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def show_version(*, asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked:
        typer.echo(f"credit {installed_version('credit-decisions')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    *,
    stage: Annotated[
        str,
        typer.Option(
            envvar=STAGE_VARIABLE,
            help="Which deployment: local, or dev or prod of the AWS account of this shell.",
            autocompletion=stages,
        ),
    ] = LOCAL,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where a command would ask.")] = False,
    debug: Annotated[  # noqa: ARG001 (as said below)
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
    version: Annotated[  # noqa: ARG001 (its callback ends the command)
        bool,
        typer.Option(
            "--version",
            help="Print the version.",
            is_eager=True,
            callback=lambda asked: show_version(asked=asked),
        ),
    ] = False,
) -> None:
    """Credit decisions: train a model, start a local cloud, deploy to it, score an application.

    Each command tells more: credit score --help. The options --stage and --debug may stand
    anywhere.

    Examples:
        credit demo  # from nothing to a decision, on this machine
        credit score examples/application.json  # decide an application
        credit status  # is all well?
        credit --stage prod alarms  # of the AWS account of this shell

    Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the API, 4 not running or
    unreachable, 130 interrupted.
    """
    choose(stage, yes=yes, command=context.invoked_subcommand)


def show_error(error: CliError) -> None:
    """Print an error in one line, and in a second what to do."""
    hush()
    typer.echo(f"{styled('error:', fg=typer.colors.RED)} {error.message}", err=True)
    if error.hint:
        typer.echo(f"  {error.hint}", err=True)


def ordered(words: Sequence[str]) -> list[str]:
    """Return the words with those options first that stand before every command.

    >>> ordered(["models", "list", "--stage", "dev", "--debug"])
    ['--stage', 'dev', '--debug', 'models', 'list']
    >>> ordered(["local", "cdk", "diff", "--debug"])
    ['local', 'cdk', 'diff', '--debug']
    """
    first: list[str] = []
    rest: list[str] = []
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if word == END_OF_OPTIONS or [*rest, word] == OWN_WORDS:
            rest += [word, *waiting]
            break
        if word == DEBUG or word.startswith(f"{STAGE}="):
            first.append(word)
        elif word == STAGE:
            first += [word, *waiting[:1]]
            waiting = waiting[1:]
        else:
            rest.append(word)
    return first + rest


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; no failure shows a traceback without --debug."""
    words = ordered(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter is no failure
            stream.reconfigure(errors="replace")
    if sys.stdout.isatty() and not speaks_for_itself(words):
        be_patient(sys.stderr, " ".join(["credit", *words]))
    try:
        return called(words)
    except BrokenPipeError:
        return left_unread()
    except KeyboardInterrupt:
        show_error(CliError("interrupted; it can be run again"))
        return ExitCode.INTERRUPTED
    except Exception as error:
        if DEBUG in words[:GLOBAL_WORDS]:
            raise
        return failed(error)
    finally:
        hush()


def called(words: list[str]) -> int:
    """Have Typer run the command and return its exit code.

    Raises:
        BrokenPipeError: Nobody reads on.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        ended = app(args=words, prog_name="credit", standalone_mode=False)
    except SystemExit as ended_by:  # Typer's own way where nobody reads on
        if isinstance(ended_by.__context__, BrokenPipeError):
            raise ended_by.__context__ from None
        raise
    if ended == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    sys.stdout.flush()
    return ended if isinstance(ended, int) else ExitCode.OK


def speaks_for_itself(words: Sequence[str]) -> bool:
    """Tell whether a command answers at once, asks, reads what is typed, or hands the terminal on.

    >>> speaks_for_itself(["score", "-"]), speaks_for_itself(["--debug", "status"])
    (True, False)
    """
    spoken = [word for word in words if not word.startswith("-")]
    return (
        not spoken
        or not {STANDARD_INPUT, "--help", "-h", "--json"}.isdisjoint(words)
        or any(spoken[: len(own)] == own for own in (OWN_WORDS, *TALKING))
    )


def failed(error: Exception) -> int:
    """Say what went wrong and return the exit code."""
    from credit_cli.translation import translated  # noqa: PLC0415 (seldom needed)

    known = translated(error)
    try:
        show_error(known)
        sys.stdout.flush()
    except OSError:  # nobody reads it, or what was said before finds no room
        left_unread()
    return known.exit_code


def left_unread() -> int:
    """Send what is still to be written nowhere, so that it is no second failure at the end.

    Who reads in a pipe may have had enough, which is as it should be.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return ExitCode.OK
