"""`credit alarms`: what rings and why, one alarm in detail, and whether a page arrives."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from credit_cli.alarm_trial import (
    require_no_new_model,
    require_no_rollout,
    require_quiet,
    tried,
    who_tells,
)
from credit_cli.completion import alarm_names
from credit_cli.default_command import ListsByDefault
from credit_cli.deployment import deployed
from credit_cli.errors import ExitCode
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.target import announce, target
from credit_cli.terminal import Json, print_json, progress_for, say
from credit_cli.watched import Watched, details, listing

SETTLE_SECONDS = 5
"""Until a new subscription of AWS's is in effect everywhere."""

alarms = typer.Typer(
    cls=ListsByDefault,
    help="""Alarms: what rings, why, and whether it reaches on-call.

    Without another word they are listed.

    Examples:
        credit alarms
        credit alarms show scorer-latency
        credit alarms test  # does a page arrive?
    """,
)


@alarms.command("list")
def list_alarms(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """List the alarms, those that ring first: since when, why, and where their runbook is.

    The first look of on-call. `credit alarms` does the same.

    Examples:
        credit alarms
        credit --stage prod alarms --json

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    found = Watched(*deployed(product)).all()
    if as_json:
        print_json({"alarms": [alarm.as_document() for alarm in found]})
    else:
        for line in listing(found, now=datetime.now(UTC)):
            say(line)


@alarms.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="The alarm, as `credit alarms list` names it.", autocompletion=alarm_names
        ),
    ],
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Show one alarm: what it measures, its state and why, its last changes, its runbook.

    Examples:
        credit alarms show scorer-latency

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    watched = Watched(*deployed(product))
    alarm = watched.one(name)
    history = watched.history(alarm)
    if as_json:
        changes = [
            {
                "at": change.at.astimezone(UTC).isoformat(),
                "before": change.before,
                "after": change.after,
                "reason": change.reason,
            }
            for change in history
        ]
        print_json(alarm.as_document() | {"history": changes})
    else:
        for line in details(alarm, history, now=datetime.now(UTC)):
            say(line)


@alarms.command("test")
def try_alarm(
    name: Annotated[
        str | None,
        typer.Argument(
            help="By default the one of the scorer's latency.",
            show_default=False,
            autocompletion=alarm_names,
        ),
    ] = None,
    *,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for the message.", min=1, max=900)
    ] = 120,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Make one alarm ring, and report whether its message arrives at a queue, and how fast.

    Whoever is subscribed to the same topic gets it too: an alarm that pages wakes somebody. Its
    state is set back at the end, and nothing is left behind.

    Examples:
        credit alarms test
        credit alarms test scorer-errors --wait 300

    Exit codes: 0 the message arrived, 1 it did not or something failed, 2 used wrongly, 4 not
    running or unreachable.
    """
    aws, deployment = deployed(product)
    watched = Watched(aws, deployment)
    alarm = watched.one(name or deployment["LatencyAlarm"])
    told_by = who_tells(alarm, watched.all())
    require_quiet(told_by, alarm)
    if alarm.pages:
        require_no_rollout(aws, deployment)
    require_no_new_model(aws, deployment, alarm)
    whom = "page on-call, as a test," if alarm.pages else "inform on-call, as a test,"
    announce(aws, f"{whom} by the alarm {alarm.name}", ask=alarm.pages)
    with progress_for(as_json=as_json).step("Alarm") as step:
        trial = tried(
            aws,
            deployment,
            watched,
            alarm,
            told_by,
            wait_seconds=wait,
            settle_seconds=0 if target().is_local else SETTLE_SECONDS,
            told=step.update,
        )
        step.result = f"{alarm.name} rang; it is set back"
    if as_json:
        print_json(trial.as_document())
    elif trial.seconds is not None:
        word = "The page" if alarm.pages else "The message"
        say(f"{word} arrived after {trial.seconds:.1f} s, told by {trial.told_by}")
        others = "nobody else is" if not trial.subscribers else f"{trial.subscribers} others are"
        say(f"{others} subscribed to {trial.topic}")
    else:
        say(f"Nothing arrived within {wait:g} s at {trial.topic}")
        say("look at the alarm's actions, at the topic's policy, and at its key's")
    if not trial.arrived:
        raise typer.Exit(ExitCode.FAILED)
