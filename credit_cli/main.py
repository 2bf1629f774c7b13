"""The `credit` command: its words, and how it ends.

Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the API, 4 not running or unreachable.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from credit_cli.alarms import alarms
from credit_cli.archive import archive
from credit_cli.capacity import capacity
from credit_cli.dataset import dataset
from credit_cli.decision_commands import score, token
from credit_cli.demo_command import demo
from credit_cli.erase import erase
from credit_cli.errors import EXIT_CODES, CliError, ExitCode
from credit_cli.load_command import load
from credit_cli.local_commands import local
from credit_cli.logs import logs
from credit_cli.materialize import materialize
from credit_cli.models import models
from credit_cli.monitor import monitor
from credit_cli.openapi import openapi
from credit_cli.products import products
from credit_cli.push import push
from credit_cli.queues import queues
from credit_cli.replay import decisions
from credit_cli.retrain import retrain
from credit_cli.runs import runs
from credit_cli.sample_commands import sample
from credit_cli.skew import skew
from credit_cli.status import status
from credit_cli.target import LOCAL, STAGE_VARIABLE, choose
from credit_cli.train import train
from credit_cli.translation import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 128 + signal.SIGINT
"""What Typer returns when a person pressed Ctrl-C; the shells' convention."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Credit decisions: train a model, start a local cloud, deploy to it, score an application."
    f"\n{EXIT_CODES}\n",
)
app.add_typer(local, name="local")
app.add_typer(products, name="products")
app.add_typer(openapi, name="api")
app.add_typer(sample, name="sample")
app.add_typer(dataset, name="dataset")
app.add_typer(decisions, name="decisions")
app.add_typer(archive, name="archive")
app.add_typer(alarms, name="alarms")
app.add_typer(models, name="models")
app.add_typer(skew, name="skew")
app.add_typer(queues, name="queues")
app.add_typer(runs, name="runs")
app.command()(train)
app.command()(materialize)
app.command()(push)
app.command()(erase)
app.command()(demo)
app.command()(token)
app.command()(score)
app.command()(load)
app.command()(retrain)
app.command()(capacity)
app.command()(monitor)
app.command()(logs)
app.command()(status)


@app.callback()
def options(
    context: typer.Context,
    *,
    stage: Annotated[
        str,
        typer.Option(
            envvar=STAGE_VARIABLE,
            help="Which deployment: local, or dev or prod of the AWS account of this shell.",
        ),
    ] = LOCAL,
    yes: Annotated[bool, typer.Option("--yes", help="Go on where a command would ask.")] = False,
    debug: Annotated[  # noqa: ARG001 (as said below)
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Take the options that stand before every command; `run` reads --debug itself."""
    choose(stage, yes=yes, command=context.invoked_subcommand)


def show_error(error: CliError) -> None:
    """Print an error in one line, and in a second what to do."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[red]error:[/] ", end="")
    console.print(error.message, markup=False)
    if error.hint:
        console.print(f"  {error.hint}", markup=False)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; no failure shows a traceback without --debug."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        ended = app(args=words, prog_name="credit", standalone_mode=False)
    except BrokenPipeError:
        return ExitCode.OK
    except Exception as error:
        known = translated(error)
        if known is None or "--debug" in words:
            raise
        if known.message:  # Typer has shown the help in place of one
            show_error(known)
        return known.exit_code
    if ended == INTERRUPTED:
        show_error(CliError("interrupted; it can be run again"))
    return ended if isinstance(ended, int) else ExitCode.OK
