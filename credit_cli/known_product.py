"""The product that a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

DEFAULT_PRODUCT = "personal_loan"
DeployedProduct = Annotated[str, typer.Option("--product", help="The product that is deployed.")]


def known_product(name: str) -> CreditProduct:
    """Return the product of that name.

    Raises:
        InvalidProductError: There is none, or its definition is broken.
    """
    from credit_core.domain.product import load_product  # noqa: PLC0415 (NumPy takes its time)

    return load_product(name)
