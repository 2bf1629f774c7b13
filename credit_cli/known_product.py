"""The product that a command is about."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

DEFAULT_PRODUCT = "personal_loan"


def product_names() -> list[str]:
    """Return the products, by the names of their files: none is imported."""
    package = import_module("products")
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


DeployedProduct = Annotated[
    str,
    typer.Option("--product", help="The product that is deployed.", autocompletion=product_names),
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
