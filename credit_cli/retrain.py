"""`credit retrain`: a model trained on the cloud, judged, registered and rolled out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli import retraining
from credit_cli.deployment import deployed
from credit_cli.errors import PipelineError, UsageError
from credit_cli.gate_lines import failed_gate_lines
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from credit_cli.retraining import Retrained


def retrain(
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    served: Annotated[
        bool,
        typer.Option(
            "--served", help="Train on what decisions were really made with, not on the lake."
        ),
    ] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return once it is under way.")
    ] = False,
    follow: Annotated[
        str | None,
        typer.Option(
            help="Watch the run of that name, which the clock or an upload started.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a model on the cloud; make it champion if it passes its gates.

    The training set is checked, candidates are fitted side by side, the best one is judged and
    registered, and then rolled out step by step. A schedule and the arrival of loans do so by
    themselves; this does it now. One run at a time: where another is under way, this says which.

    Examples:
        credit retrain
        credit retrain --no-wait
        credit retrain --follow RUN

    Exit codes: 0 done, 1 failed or kept out by a gate, 2 used wrongly, 4 not running or
    unreachable.
    """
    if follow is not None and (served or no_wait):
        raise UsageError("--follow only watches, so it goes without --served and --no-wait")
    change = "start a retraining" if follow is None else None
    aws, deployment = deployed(product, change=change)
    execution = (
        retraining.start(aws, deployment, trigger="credit retrain", served=served)
        if follow is None
        else retraining.arn_of(deployment, follow)
    )
    watch = retraining.Watch(aws, deployment, execution, product=product)
    if no_wait:
        retraining.require_begun(watch)
        if as_json:
            print_json({"execution": watch.name, "status": "running"})
        else:
            say(f"{watch.name} is under way; see: credit retrain --follow {watch.name}")
        return
    progress = progress_for(as_json=as_json)
    done = retraining.follow(watch, steps=progress.step)
    if as_json:
        steps = [
            {"name": step.name, "seconds": round(step.seconds, 1), "result": step.result}
            for step in progress.steps
        ]
        print_json(done.as_document() | {"steps": steps})
    else:
        for line in lines(done):
            say(line)
    if not done.succeeded:
        raise PipelineError(done.failure, hint="the champion that was there goes on answering")


def lines(done: Retrained) -> list[str]:
    """Say how good the model is, and what keeps it out if something does."""
    verdict, found = done.verdict, []
    if "auc" in verdict:
        auc = verdict["auc"]
        found += [
            "",
            f"AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})",
            verdict["selection"],
        ]
    if done.failed_gates:
        found += ["", *failed_gate_lines(done.failed_gates)]
    return found
