"""`credit load`: load on the deployed API, and what it made of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from credit_cli import api
from credit_cli.deployment import deployed
from credit_cli.errors import UnreachableError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.load import Load, Plan, arrivals
from credit_cli.terminal import Json, print_json, progress_for, say
from credit_cli.translation import where_to_look


def load(
    *,
    rate: Annotated[float, typer.Option(help="Applications a second, whatever the answers.")] = 20,
    clients: Annotated[int, typer.Option(help="How many may be under way at once.")] = 8,
    seconds: Annotated[float, typer.Option(help="How long applications arrive.")] = 30,
    product: DeployedProduct = DEFAULT_PRODUCT,
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same instants, people and values.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Send varied applications to the deployed API and say how it coped.

    They arrive at random at the rate given, whether or not earlier ones are answered, and latency
    counts from when each was due: if all clients are busy, waiting for one is part of it. Each gets
    an id of its own and leaves a receipt. Ctrl-C ends it with what was seen so far.

    Examples:
        credit load --rate 10 --seconds 20

    Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the token endpoint, 4 not running or
    no answer at all, 130 interrupted.
    """
    from credit_cli.load_applications import (  # noqa: PLC0415 (NumPy and DuckDB take their time)
        applications,
        lake_applications,
    )
    from credit_cli.load_report import (  # noqa: PLC0415 (as above)
        decided_ids,
        latest,
        lines,
        receipts_stages,
        sampled,
        summary,
        with_receipts,
    )

    plan = Plan(rate=rate, clients=clients, seconds=seconds, seed=seed)
    chosen = known_product(product)
    change = f"decide {plan.count:,} made-up applications, each with a receipt that is kept"
    aws, deployment = deployed(product, change=change, ask=True)
    progress = progress_for(as_json=as_json)
    name = f"load-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    with progress.step("Applications") as step:
        known = lake_applications(aws.client("s3"), deployment["LakeBucket"], chosen)
        bodies = list(applications(chosen, known, count=plan.count, run=name, seed=plan.seed))
        token = api.fetch_token(aws, deployment).access_token
        step.result = f"{len(bodies):,}, of {len(known):,} in the lake; ids {name}-…"
    sending = Load(
        deployment.api_url + api.DECISIONS_PATH,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        bodies=bodies,
        due=arrivals(plan),
        clients=plan.clients,
    )
    with progress.step("Load") as step:
        run = sending.run(lambda replies: step.update(latest(replies, plan.count)))
        step.result = latest(run.replies, plan.count)
    with progress.step("Receipts") as step:
        asked = sampled(decided_ids(run, name))
        stages = receipts_stages(aws.client("dynamodb"), deployment["DecisionsTable"], asked)
        step.result = f"{len(stages):,} of {len(asked):,} read"
    document = with_receipts(summary(plan, run), len(asked), stages)
    if as_json:
        print_json({"product": chosen.name, "run": name, **document})
    else:
        say("")
        for line in lines(document):
            say(line)
    if run.interrupted:
        raise KeyboardInterrupt
    if not any(reply.status.isdigit() for reply in run.replies):
        raise UnreachableError("no application was answered", hint=where_to_look())
