"""The product that a command is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli import completion

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

DEFAULT_PRODUCT = "personal_loan"
DeployedProduct = Annotated[
    str,
    typer.Option(
        "--product", help="The product that is deployed.", autocompletion=completion.products
    ),
]


def known_product(name: str) -> CreditProduct:
    """Return the product of that name.

    Raises:
        InvalidProductError: There is none, or its definition is broken.
    """
    from credit_core.domain.product import load_product  # noqa: PLC0415 (NumPy takes its time)

    return load_product(name)


def product_or_file(name: str) -> CreditProduct:
    """Return the product of that name, or of a definition file where it ends in .py.

    Raises:
        InvalidProductError: There is none, or its definition is broken.
    """
    from credit_core.domain.product import load_product_file  # noqa: PLC0415 (as above)

    return load_product_file(Path(name)) if name.endswith(".py") else known_product(name)
