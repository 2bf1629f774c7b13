"""`credit api`: the API's OpenAPI document, and the recorded calls that it shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 (Typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.checkout import Checkout
from credit_cli.deployment import deployed
from credit_cli.errors import UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.target import require_local
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

openapi = typer.Typer(
    no_args_is_help=True,
    help="""The API's OpenAPI document, and the calls that are its examples.

    Examples:
        credit api openapi --out openapi.json
    """,
)


def examples_folder(product: str) -> Path:
    """Return where a product's recorded calls lie; the deployed document shows them, too."""
    return Checkout().root / "docs" / "api" / "examples" / product


def document_of(product: CreditProduct) -> dict[str, Any]:
    """Return the document of a product's API, with its recorded calls."""
    from credit_core.adapters.api_document import recorded_examples  # noqa: PLC0415 (as below)
    from credit_core.domain.openapi import openapi_document  # noqa: PLC0415 (pydantic takes a while)

    return openapi_document(product, examples=recorded_examples(examples_folder(product.name)))


@openapi.command("openapi")
def print_document(
    *,
    product: Annotated[str, typer.Option(help="The module under products/.")] = DEFAULT_PRODUCT,
    out: Annotated[Path | None, typer.Option(help="Write it there and print nothing.")] = None,
) -> None:
    """Print the OpenAPI 3.1 document of a product's API. Nothing has to run.

    For client generators and for the page of the API. It is made of the product's definition.

    Examples:
        credit api openapi --out openapi.json
        credit api openapi --product credit_card

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """
    document = document_of(known_product(product))
    if out is None:
        print_json(document)
        return
    try:
        out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}") from None


@openapi.command("record-examples")
def record_examples(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """Call the deployed API and keep what was asked and answered, as its document's examples.

    Each call leaves its records, as any other does. Earlier recordings of the product are replaced.

    Examples:
        credit api record-examples

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.openapi_calls import ApiCalls, made_calls  # noqa: PLC0415 (NumPy and DuckDB)

    require_local("recording")
    chosen = known_product(product)
    aws, deployment = deployed(product)
    folder = examples_folder(product)
    progress = progress_for(as_json=as_json)
    with progress.step("Calls") as step:
        api = ApiCalls(aws, deployment)
        calls = made_calls(api, aws, deployment, chosen, as_of=datetime.now(UTC))
        step.result = f"{len(calls)} of {len({call['operation'] for call in calls})} operations"
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("*.json"):
        earlier.unlink()
    for number, call in enumerate(calls, 1):
        path = folder / f"{number:02}-{call['name']}.json"
        path.write_text(json.dumps(call, indent=2) + "\n", encoding="utf-8")
    written = Checkout().relative(folder)
    if as_json:
        print_json({"folder": written, "calls": [call["name"] for call in calls]})
    else:
        say(f"Written to {written}; the document has to be made anew.")
