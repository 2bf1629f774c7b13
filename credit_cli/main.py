"""The `credit` command.

Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the API, 4 not running or unreachable.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from credit_cli import api
from credit_cli.aws import LocalAws
from credit_cli.checkout import Checkout
from credit_cli.dataset import dataset
from credit_cli.deployment import CdkCli, Deployment
from credit_cli.errors import CliError, ExitCode, UnreachableError, UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, Deployed, known_product
from credit_cli.local_cloud import REGION, LocalCloud, wanted_port
from credit_cli.materialize import materialize
from credit_cli.products import products
from credit_cli.progress import Progress
from credit_cli.push import push
from credit_cli.rendering import decision_lines
from credit_cli.sample_commands import sample
from credit_cli.translation import translated

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_CODES = """
Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the API, 4 not running or unreachable.
"""

INTERRUPTED = 128 + signal.SIGINT
"""What Typer returns when a person pressed Ctrl-C; the shells' convention."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Credit decisions on a local cloud: start it, deploy to it, score an application."
    + EXIT_CODES,
)
local = typer.Typer(no_args_is_help=True, help="The local cloud of this checkout." + EXIT_CODES)
app.add_typer(local, name="local")
app.add_typer(products, name="products")
app.add_typer(sample, name="sample")
app.add_typer(dataset, name="dataset")
app.command()(materialize)
app.command()(push)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
Port = Annotated[
    int | None,
    typer.Option(help="Port of 127.0.0.1; else CREDIT_LOCAL_PORT, else 4566.", show_default=False),
]


@app.callback()
def options(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback when something fails.")
    ] = False,
) -> None:
    """Take the options that stand before every command; `run` reads --debug itself."""


@local.command()
def up(*, product: Deployed = DEFAULT_PRODUCT, port: Port = None, as_json: Json = False) -> None:
    """Start the local cloud and deploy a product to it. Again, it brings that up to date.

    Products lie beside each other, each in stacks of its own.
    """
    from credit_cli.demo import bring_up  # noqa: PLC0415 (NumPy and DuckDB take half a second)

    checkout = Checkout()
    with LocalCloud(checkout).exclusively():
        bring_up(
            checkout,
            progress_for(as_json=as_json),
            port=chosen_port(checkout, port),
            product=known_product(product).name,
        )
    show_status(status_document(checkout, product), as_json=as_json)


@local.command()
def down(*, as_json: Json = False) -> None:
    """Stop the local cloud with all it started, and remove everything it wrote."""
    cloud = LocalCloud(Checkout())
    with cloud.exclusively():
        stopped = cloud.stop()
    if as_json:
        print_json({"stopped": stopped})
    else:
        say("The local cloud is stopped and removed." if stopped else "Nothing was running.")


@local.command()
def status(*, product: Deployed = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """Show where things are. Exits with 4 when the local cloud is not running."""
    document = status_document(Checkout(), product)
    show_status(document, as_json=as_json)
    if not document["running"]:
        raise typer.Exit(ExitCode.UNREACHABLE)


@local.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def cdk(context: typer.Context) -> None:
    """Run the pinned CDK CLI against the local cloud: credit local cdk diff."""
    checkout = Checkout()
    running = LocalCloud(checkout).require_running()
    raise typer.Exit(CdkCli(checkout, running.endpoint_url).pass_through(context.args))


@app.command()
def demo(
    *,
    port: Port = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train even if there is a champion.")
    ] = False,
    as_json: Json = False,
) -> None:
    """From nothing to a decided application on the local cloud."""
    from credit_cli.demo import quality_lines, run_demo  # noqa: PLC0415 (as above)

    checkout, progress = Checkout(), progress_for(as_json=as_json)
    started = time.monotonic()
    with LocalCloud(checkout).exclusively():
        done = run_demo(checkout, progress, port=chosen_port(checkout, port), retrain=retrain)
    seconds = time.monotonic() - started
    if as_json:
        print_json(done.as_document(progress) | {"seconds": round(seconds, 1)})
        return
    say("")
    for line in decision_lines(done.answer, done.decision) + quality_lines(done.champion):
        say(line)
    say(f"\nThe same over HTTP:\n{curl(done.deployment.api_url)}")
    say(f"\nDone in {seconds:.1f} s. Stop it with: make local-down")


@app.command()
def token(*, product: Deployed = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """Print a bearer token for the deployed API, and nothing else."""
    aws, deployment = deployed(product)
    issued = api.fetch_token(aws, deployment)
    if as_json:
        print_json(
            {
                "access_token": issued.access_token,
                "token_type": "Bearer",
                "expires_in_seconds": issued.expires_in_seconds,
                "scope": issued.scope,
            }
        )
    else:
        say(issued.access_token)


@app.command()
def score(
    file: Annotated[str, typer.Argument(help="The application, JSON; - reads standard input.")],
    *,
    product: Deployed = DEFAULT_PRODUCT,
    api_url: Annotated[
        str | None, typer.Option(help="Another deployment's API; needs --token.")
    ] = None,
    bearer: Annotated[
        str | None, typer.Option("--token", help="Bearer token for --api-url.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the API's own JSON, byte for byte.")
    ] = False,
) -> None:
    """Ask for the decision on an application.

    Exit codes: 0 answered, 1 failed, 2 used wrongly, 3 refused by the API (400, 401, 409 and the
    like), 4 not running or unreachable.
    """
    application = read_application(file)
    if (api_url is None) != (bearer is None):
        raise UsageError("--api-url and --token go together")
    if api_url is None or bearer is None:
        aws, deployment = deployed(product)
        api_url, bearer = deployment.api_url, api.fetch_token(aws, deployment).access_token
    answer = api.request_decision(api_url, bearer, application)
    if as_json:
        sys.stdout.buffer.write(answer.body + b"\n")
        sys.stdout.flush()
        api.require_decided(answer)
        return
    for line in decision_lines(answer, api.require_decided(answer)):
        say(line)


def progress_for(*, as_json: bool) -> Progress:
    """Return where steps are shown: out of the way of a JSON object."""
    return Progress(sys.stderr if as_json else sys.stdout)


def chosen_port(checkout: Checkout, option: int | None) -> int:
    """Return the port asked for, else the one in use, else the default."""
    running = LocalCloud(checkout).running()
    return running.port if running and option is None else wanted_port(option)


def deployed(product: str) -> tuple[LocalAws, Deployment]:
    """Return the running local cloud and what is deployed on it of a product.

    Raises:
        UnreachableError: It is not running, or nothing is deployed.
    """
    running = LocalCloud(Checkout()).require_running()
    aws = LocalAws(running.endpoint_url)
    deployment = Deployment.read(aws, product)
    if deployment is None:
        raise UnreachableError(
            f"nothing of {product} is deployed on the local cloud",
            hint="run: make demo"
            if product == DEFAULT_PRODUCT
            else f"run: credit local up --product {product}",
        )
    return aws, deployment


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


def show_status(document: dict[str, Any], *, as_json: bool) -> None:
    """Print the status for a machine or a person."""
    if as_json:
        print_json(document)
    elif not document["running"]:
        say("The local cloud is not running. Start it with: make demo")
    else:
        for name, value in document.items():
            say(f"{name:<32}{value}")


def read_application(file: str) -> bytes:
    """Return the bytes of an application after checking that they are a JSON object.

    Raises:
        UsageError: The file can't be read or holds something else.
    """
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    try:
        document = json.loads(body)
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{file} is not JSON: it is nested too deeply") from None
    if not isinstance(document, dict):
        raise UsageError(f"{file} holds no JSON object")
    return body


def curl(api_url: str) -> str:
    """Return the command that asks for the example's decision."""
    proxied = "http" in urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1")
    return (
        f"curl --silent {"--noproxy '*' " if proxied else ''}{api_url}{api.DECISIONS_PATH} \\\n"
        '  --header "Authorization: Bearer $(.venv/bin/credit token)" \\\n'
        "  --header 'Content-Type: application/json' \\\n"
        "  --data @examples/application.json"
    )


def say(line: str) -> None:
    """Print a line on standard output, as it is."""
    typer.echo(line)


def print_json(document: dict[str, Any]) -> None:
    """Print a JSON object on standard output."""
    typer.echo(json.dumps(document, indent=2, default=str))


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
        show_error(CliError("interrupted; run it again to go on"))
    return ended if isinstance(ended, int) else ExitCode.OK
