"""`credit local`: the local cloud of this checkout, started, deployed to, shown and stopped."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from credit_cli.aws import LocalAws
from credit_cli.checkout import Checkout
from credit_cli.deployment import CdkCli, Deployment
from credit_cli.errors import CliError, ExitCode
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.local_cloud import REGION, LocalCloud, wanted_port
from credit_cli.terminal import Json, print_json, progress_for, say

local = typer.Typer(
    no_args_is_help=True,
    help="""The local cloud of this checkout.

    The same stacks as on AWS, in an emulator on this machine, deployed by the CDK CLI. It costs
    nothing and no account is touched.

    Examples:
        credit local up
        credit local status
        credit local down
    """,
)

Port = Annotated[
    int | None,
    typer.Option(help="Port of 127.0.0.1; else CREDIT_LOCAL_PORT, else 4566.", show_default=False),
]


@local.command()
def up(
    *, product: DeployedProduct = DEFAULT_PRODUCT, port: Port = None, as_json: Json = False
) -> None:
    """Start the local cloud and deploy a product to it. Again, it brings that up to date.

    Products lie beside each other, each in stacks of its own.

    It takes minutes the first time: the functions' layers are built and the CDK CLI deploys as it
    would on AWS.

    Examples:
        credit local up
        credit local up --product credit_card  # beside what is there

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """
    from credit_cli.demo import bring_up  # noqa: PLC0415 (NumPy and DuckDB take half a second)

    checkout = Checkout()
    with LocalCloud(checkout).exclusively():
        deployment = bring_up(
            checkout,
            progress_for(as_json=as_json),
            port=chosen_port(checkout, port),
            product=known_product(product).name,
        )
    show_status(status_document(checkout, product), as_json=as_json)
    if not as_json:
        say(f"Next: {next_command(checkout, deployment)}")


@local.command()
def down(*, as_json: Json = False) -> None:
    """Stop the local cloud with all it started, and remove everything it wrote.

    Its data, decisions and models are gone with it; the next start begins with nothing.

    Examples:
        credit local down

    Exit codes: 0 done or nothing was running, 1 failed, 2 used wrongly.
    """
    cloud = LocalCloud(Checkout())
    with cloud.exclusively():
        stopped = cloud.stop()
    if as_json:
        print_json({"stopped": stopped})
    else:
        say("The local cloud is stopped and removed." if stopped else "Nothing was running.")


@local.command()
def status(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """Show where things are.

    For scripts and other tools: the addresses, and the names of all that is deployed. Whether it is
    well says: credit status

    Examples:
        credit local status
        credit local status --json

    Exit codes: 0 running, 1 failed, 2 used wrongly, 4 not running.
    """
    document = status_document(Checkout(), product)
    show_status(document, as_json=as_json)
    if not document["running"]:
        raise typer.Exit(ExitCode.UNREACHABLE)


@local.command()
def metrics(*, as_json: Json = False) -> None:
    """Make metrics of what functions wrote into their logs since the last time.

    AWS does so by itself; the local cloud's alarms on such metrics ring after this command only.

    Examples:
        credit local metrics

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.emf import LogMetrics  # noqa: PLC0415 (only here)

    cloud = LocalCloud(Checkout())
    aws = LocalAws(cloud.require_running().endpoint_url)
    taken = LogMetrics(aws, cloud.folder / "metrics.json").take()
    if as_json:
        found = {"lines": taken.lines, "values": taken.values, "metrics": sorted(taken.metrics)}
        print_json(found)
    else:
        say(f"{taken.values:,} values of {len(taken.metrics)} metrics, from {taken.lines:,} lines")


@local.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def cdk(context: typer.Context) -> None:
    """Run the pinned CDK CLI against the local cloud.

    What follows is the CDK CLI's own: its words, its options, its exit code.

    Examples:
        credit local cdk diff
        credit local cdk ls

    Exit codes: 0 done, 1 failed, 4 not running.
    """
    checkout = Checkout()
    running = LocalCloud(checkout).require_running()
    raise typer.Exit(CdkCli(checkout, running.endpoint_url).pass_through(context.args))


def chosen_port(checkout: Checkout, option: int | None) -> int:
    """Return the port asked for, else the one in use, else the default."""
    running = LocalCloud(checkout).running()
    return running.port if running and option is None else wanted_port(option)


def status_document(checkout: Checkout, product: str) -> dict[str, Any]:
    """Return what `credit local status --json` prints."""
    cloud = LocalCloud(checkout)
    running = cloud.running()
    if running is None:
        return {"running": False, "deployed": False}
    deployment = Deployment.read(LocalAws(running.endpoint_url), product)
    return {
        "running": True,
        "deployed": deployment is not None,
        "pid": running.pid,
        "endpoint_url": running.endpoint_url,
        "region": REGION,
        "log": checkout.relative(cloud.log),
        **(deployment.resources() if deployment else {}),
    }


def next_command(checkout: Checkout, deployment: Deployment) -> str:
    """Return what leads from a deployed product to a decision: a model first, then a request.

    Args:
        checkout: Where a model may lie that was trained of a lender's file.
        deployment: What was deployed.
    """
    from credit_cli.new_product.command import Written  # noqa: PLC0415 (only here)
    from credit_cli.registered_models import RegisteredModels  # noqa: PLC0415 (NumPy takes its time)

    product = deployment.product
    files = Written.of(checkout, product)
    try:
        pointer = RegisteredModels.of(deployment.aws, deployment, product).pointer()
    except CliError:
        # What was asked for is done; that command says what is wrong with the pointer.
        return f"credit models history --product {product}"
    if pointer is not None:
        own = files.application.exists()
        default = "examples/application.json" if product == DEFAULT_PRODUCT else "FILE"
        example = checkout.relative(files.application) if own else default
        return f"credit score {example} --product {product}"
    if (files.model / "manifest.json").exists():
        return f"credit models register {checkout.relative(files.model)} --product {product}"
    if product == DEFAULT_PRODUCT:
        return "credit demo (it loads a sample and has a model trained of it)"
    return (
        f"credit models register FOLDER --product {product}, and promote it; with data in the"
        f" lake, credit retrain --product {product}"
    )


def show_status(document: dict[str, Any], *, as_json: bool) -> None:
    """Print the status for a machine or a person."""
    if as_json:
        print_json(document)
    elif not document["running"]:
        say("The local cloud is not running. Start it with: make demo")
    else:
        for name, value in document.items():
            say(f"{name:<32}{value}")
