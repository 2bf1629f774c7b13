"""`credit prometheus`: the deployed dashboard's metrics, for those who watch with Prometheus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from botocore.exceptions import ClientError

from credit_cli.deployment import deployed
from credit_cli.errors import DeploymentError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.output_file import require_writable
from credit_cli.prometheus.exporter import about, as_yaml, configuration
from credit_cli.prometheus.grafana import dashboard
from credit_cli.prometheus.graphs import parsed, read_board
from credit_cli.terminal import Json, say

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from credit_cli.prometheus.graphs import Board

Out = Annotated[
    Path | None, typer.Option(help="Write it there and print nothing.", show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Write over a file that is there.")]

prometheus = typer.Typer(
    no_args_is_help=True,
    help="""Metrics for those who watch with Prometheus and Grafana.

    Examples:
        credit prometheus exporter --out yace.yml
        credit prometheus dashboard --out dashboard.json
    """,
)


@prometheus.command()
def exporter(
    *,
    out: Out = None,
    force: Force = False,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Print the exporter's configuration: YACE brings CloudWatch's metrics to Prometheus.

    It asks for all that the deployed dashboard draws.

    Examples:
        credit prometheus exporter --out yace.yml  # for yace -config.file=yace.yml
        credit --stage prod prometheus exporter  # of the AWS account of this shell
    """
    if out is not None:
        require_writable(out, (".yml", ".yaml"), force=force)
    board = deployed_board(product)
    document = configuration(board)
    text = json.dumps(document, indent=2) if as_json else as_yaml(document, about=about(board))
    put(text.rstrip("\n"), out)


@prometheus.command("dashboard")
def print_dashboard(
    *, out: Out = None, force: Force = False, product: DeployedProduct = DEFAULT_PRODUCT
) -> None:
    """Print the deployed dashboard as JSON that Grafana imports.

    Examples:
        credit prometheus dashboard --out dashboard.json  # then in Grafana: New, Import
        credit --stage prod prometheus dashboard  # of the AWS account of this shell
    """
    if out is not None:
        require_writable(out, (".json",), force=force)
    put(json.dumps(dashboard(deployed_board(product)), indent=2), out)


def deployed_board(product: str) -> Board:
    """Return the dashboard of a deployment as CloudWatch has it.

    Raises:
        DeploymentError: There is none, or it holds something that is not known here.
        UnreachableError: Nothing is deployed there.
    """
    aws, deployment = deployed(product)
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")
    name = deployment.prefix
    try:
        found = cloudwatch.get_dashboard(DashboardName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"ResourceNotFound", "DashboardNotFoundError"}:
            raise
        raise DeploymentError(
            f"there is no dashboard {name}", hint="deploy the operations stack again"
        ) from None
    body = parsed(found["DashboardBody"])
    return read_board(name, body, region=cloudwatch.meta.region_name)


def put(text: str, out: Path | None) -> None:
    """Write a text into a file, or print it."""
    if out is None:
        say(text)
    else:
        out.write_text(f"{text}\n", encoding="utf-8")
