"""`credit products`: what a product definition implies, and what is wrong or unwise in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.errors import ExitCode, suggestion
from credit_cli.known_product import product_names, product_or_file
from credit_cli.new_product.command import new
from credit_cli.product_sections import Section  # noqa: TC001 (Typer reads annotations at run time)
from credit_cli.terminal import Json, print_json, say

if TYPE_CHECKING:
    from credit_core.errors import InvalidProductError

NO_SUCH_FILE = "there is no file"

products = typer.Typer(
    no_args_is_help=True,
    help="""The product definitions under products/.

    A definition says what is asked of an applicant, which features are read, how the model is
    trained and what declines. All else is derived from it.

    Examples:
        credit products list
        credit products check personal_loan

    Exit codes: 0 sound, 1 broken or with errors of the lint, 2 used wrongly.
    """,
)

products.command()(new)


@products.command("list")
def list_products(*, as_json: Json = False) -> None:
    """List the products with their views, and whether they are sound.

    A name of this list is what --product takes.

    Examples:
        credit products list
        credit products list --json

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """
    from credit_cli.product_rendering import listed_products, product_list_lines  # noqa: PLC0415 (NumPy takes a while)

    listed = listed_products()
    if as_json:
        print_json({"products": listed})
        return
    for line in product_list_lines(listed):
        say(line)


@products.command()
def check(
    name: Annotated[
        str,
        typer.Argument(
            help="A module under products/, or the path of a definition file.",
            autocompletion=product_names,
        ),
    ],
    *,
    show: Annotated[
        list[Section] | None,
        typer.Option(
            help="Print these parts only, repeatable; schema and sql print in full.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print what a definition implies, and what is wrong or unwise in it.

    A broken definition prints its faults, one a line, on standard error.

    Before a definition is trained or deployed, and after each change of it. It needs no cloud.

    Examples:
        credit products check personal_loan
        credit products check examples/german_credit.py  # a file
        credit products check personal_loan --show schema

    Exit codes: 0 sound, with warnings or without; 1 broken, or the lint found an error; 2 used
    wrongly.
    """
    from credit_cli.product_rendering import check_document, check_lines  # noqa: PLC0415 (as above)
    from credit_core.domain.credit_lint import credit_lint  # noqa: PLC0415
    from credit_core.domain.findings import Severity  # noqa: PLC0415
    from credit_core.errors import InvalidProductError  # noqa: PLC0415

    try:
        product = product_or_file(name)
    except InvalidProductError as error:
        show_faults(error, as_json=as_json)
        raise typer.Exit(ExitCode.FAILED) from None
    findings = credit_lint(product)
    if as_json:
        document: dict[str, Any] = check_document(product, findings)
        kept = {"name", "sound", *(show or document)}
        print_json({key: document[key] for key in document if key in kept})
    else:
        for line in check_lines(product, findings, show):
            say(line)
    if any(finding.severity is Severity.ERROR for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


def show_faults(error: InvalidProductError, *, as_json: bool) -> None:
    """Print what is wrong with a definition."""
    if as_json:
        print_json({"name": error.product, "sound": False, "faults": list(error.faults)})
        return
    count = len(error.faults)
    typer.echo(
        f"error: product {error.product} has {count} fault{'s' if count != 1 else ''}", err=True
    )
    meant = suggestion(error.product, product_names(), kind="products")
    for fault in error.faults:
        is_misspelt = fault.startswith(NO_SUCH_FILE) and meant.startswith("did you mean")
        typer.echo(f"  {fault}{f'; {meant}' if is_misspelt else ''}", err=True)
