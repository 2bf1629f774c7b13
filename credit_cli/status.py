"""`credit status`: whether a deployment is well, in ten lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from credit_cli import api
from credit_cli.deployment import deployed
from credit_cli.durations import span_text
from credit_cli.errors import CliError, ExitCode
from credit_cli.inventory import Inventory
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.queues import waiting
from credit_cli.runs import FAILED, latest, with_cause
from credit_cli.terminal import Json, print_json, say
from credit_cli.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

LABEL_WIDTH = 17
AGE_LOOKED_BACK = timedelta(hours=3)


@dataclass(frozen=True)
class Part:
    """One thing that was looked at: a line for a person, facts for a machine."""

    name: str
    line: str
    well: bool = True
    facts: dict[str, Any] = field(default_factory=dict)


def status(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """Say in ten lines whether a deployment is well: what answers, rings, ages, runs and waits.

    The first command after a deployment, and of on-call. An exclamation mark stands before what is
    not well.

    Examples:
        credit status
        credit --stage prod status --json

    Exit codes: 0 all is well, 1 something is not, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    parts = list(looked_at(aws, deployment, product))
    well = all(part.well for part in parts)
    if as_json:
        named = [{"part": part.name, "well": part.well, **part.facts} for part in parts]
        print_json({"stage": deployment.stage, "product": product, "well": well, "parts": named})
    else:
        say(f"{'':2}{'Deployment':<{LABEL_WIDTH}}{product}, {aws.place}")
        for part in parts:
            say(f"{' ' if part.well else '!'} {part.name:<{LABEL_WIDTH}}{part.line}")
    if not well:
        raise typer.Exit(ExitCode.FAILED)


def looked_at(aws: Aws, deployment: Deployment, product: str) -> Iterator[Part]:
    """Yield every part; one that can't be looked at says so, and hides no other."""
    inventory = Inventory(aws, deployment)
    looks: dict[str, Callable[[], Iterator[Part]]] = {
        "API": lambda: health(aws, deployment),
        "Models": lambda: models(aws, deployment, product),
        "Alarms": lambda: alarms(aws, deployment),
        "Features": lambda: features(aws, deployment, product),
        "Runs": lambda: last_runs(aws, inventory),
        "Queues": lambda: queued(aws, inventory),
    }
    for name, look in looks.items():
        try:
            yield from look()
        except (CliError, ClientError, BotoCoreError) as error:
            why = " ".join(str(error).split())
            yield Part(name, f"can't be looked at: {why}", well=False, facts={"fault": why})


def health(aws: Aws, deployment: Deployment) -> Iterator[Part]:
    """Yield whether the API can decide, and how long it took to say so."""
    token = api.fetch_token(aws, deployment).access_token
    url = f"{deployment.api_url}/v1/health"
    answer = api.send("GET", url, {"Authorization": f"Bearer {token}"})
    found = answer.document()
    ms = round(1_000 * answer.seconds)
    facts = {"status": answer.status, "round_trip_ms": ms}
    if answer.ok:
        line = f"{found.get('status')}, answered in {ms} ms; policy {found.get('policy_version')}"
    else:
        line = f"{answer.status} {api.problem_text(found)}"
    yield Part("API", line, answer.ok, facts)


def models(aws: Aws, deployment: Deployment, product: str) -> Iterator[Part]:
    """Yield who answers."""
    from credit_cli.model_rendering import answered  # noqa: PLC0415 (NumPy takes its time)
    from credit_cli.registered_models import RegisteredModels  # noqa: PLC0415 (as above)
    from credit_core.domain.model_manifest import who_answers  # noqa: PLC0415 (as above)

    found = who_answers(RegisteredModels.of(aws, deployment, product).pointer())
    yield Part("Models", answered(found), found["champion"] is not None, found)


def alarms(aws: Aws, deployment: Deployment) -> Iterator[Part]:
    """Yield which alarms ring."""
    found = Watched(aws, deployment).all()
    ringing = [alarm.name for alarm in found if alarm.rings]
    line = ": ".join(filter(None, (f"{len(ringing)} of {len(found)} ring", ", ".join(ringing))))
    yield Part("Alarms", line, not ringing, {"ringing": ringing, "alarms": len(found)})


def features(aws: Aws, deployment: Deployment, product: str) -> Iterator[Part]:
    """Yield the age of each view's newest event, as it was measured last, beside its limit."""
    from credit_core.domain.metrics import NAMESPACE, Metric, dimensions  # noqa: PLC0415 (as above)

    cloudwatch: CloudWatchClient = aws.client("cloudwatch")
    now = datetime.now(UTC)
    facts: dict[str, Any] = {}
    words, well = [], True
    for view in known_product(product).feature_views:
        named = dimensions(stage=deployment.stage, product=product, view=view.name)
        points = cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=Metric.FEATURE_AGE,
            Dimensions=[{"Name": name, "Value": value} for name, value in named.items()],
            StartTime=now - AGE_LOOKED_BACK,
            EndTime=now,
            Period=300,
            Statistics=["Maximum"],
        )["Datapoints"]
        last = max(points, key=lambda point: point["Timestamp"]) if points else None
        age = last["Maximum"] if last else None
        facts[view.name] = {"age_seconds": age, "ttl_seconds": view.ttl_seconds}
        limit = span_text(view.ttl_seconds)
        said = f"{span_text(age)} old of {limit}" if age is not None else "no age measured yet"
        words.append(f"{view.name} {said}")
        well = well and (age is None or age <= view.ttl_seconds)
    yield Part("Features", "; ".join(words), well, {"views": facts})


def last_runs(aws: Aws, inventory: Inventory) -> Iterator[Part]:
    """Yield how the last run of each workflow ended."""
    stepfunctions: SFNClient = aws.client("stepfunctions")
    for name, arn in inventory.workflows.items():
        run = next(latest(stepfunctions, name, arn), None)
        if run is None:
            yield Part(name, "has not run yet")
            continue
        run = with_cause(stepfunctions, run)
        ago = span_text((datetime.now(UTC) - run.started).total_seconds())
        why = f": {run.cause}" if run.cause else ""
        line = f"{run.status.lower()}, began {ago} ago, took {span_text(run.seconds)}{why}"
        yield Part(name, line, run.status not in FAILED, run.as_document())


def queued(aws: Aws, inventory: Inventory) -> Iterator[Part]:
    """Yield what waits; in a queue for dead letters nothing should."""
    found = [queue for queue in waiting(aws, inventory) if queue.messages]
    dead = [queue for queue in found if queue.dead_letters is None]
    line = "; ".join(f"{queue.messages:,} in {queue.name}" for queue in found) or "nothing waits"
    yield Part("Queues", line, not dead, {queue.name: queue.messages for queue in found})
