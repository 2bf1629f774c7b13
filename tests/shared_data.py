"""Public data sets that lie beside the checkout, where they lie there at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

FOLDER = Path(__file__).parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """Return a public data set, or skip the test."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{name} is no part of the repository; it is looked for in ../shared/data")
    return path


def view_key(product: CreditProduct, view: str, name: str) -> str:
    """Return the key of a view's file of that name in the lake."""
    return f"{product.view_prefix(product.view(view))}{name}.parquet"


def copy_to_parquet(query: str, path: Path) -> Path:
    """Write a query's rows to a Parquet file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
    return path
