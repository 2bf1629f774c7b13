"""The product that a command is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.errors import UsageError

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

DEFAULT_PRODUCT = "personal_loan"
Deployed = Annotated[str, typer.Option("--product", help="The product that is deployed.")]


def known_product(name: str) -> CreditProduct:
    """Return the product of that name.

    Raises:
        UsageError: There is none, or its definition is broken.
    """
    from credit_core.domain.product import (  # noqa: PLC0415 (NumPy takes its time)
        load_product,
        product_names,
    )
    from credit_core.errors import InvalidProductError  # noqa: PLC0415 (as above)

    try:
        return load_product(name)
    except InvalidProductError as error:
        hint = f"products: {', '.join(product_names())}"
        raise UsageError(" ".join(str(error).split()), hint=hint) from None
