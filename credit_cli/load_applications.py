"""Varied applications for a load run, made of those that lie in the lake.

Who applies comes from the lake, so that there are features to find; what is asked for is drawn
anew. The same lake, seed and run give the same bytes.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from credit_cli.errors import PreconditionError
from credit_core.adapters.feature_files import DUCKDB_TYPES
from credit_core.domain.lake_tables import lake_tables
from credit_core.domain.product import LARGEST_EXACT_INTEGER, DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_s3 import S3Client

    from credit_core.domain.product import CreditProduct, Feature, Value

    type Row = Mapping[str, str | float | None]

UNKNOWN_SHARE = 0.05
"""Applications of people of whom no store knows anything; the product says what becomes of them."""
RANGE_SHARE = 0.1
"""Values drawn from the whole range that the product allows, not from those of the lake."""
NULL_SHARE = 0.25
"""Of those, of a feature that may be unknown, the ones that are."""

MOST_ROWS = 20_000
MOST_LAKE_BYTES = 64 * 2**20
"""What is fetched of the lake's applications at the most; the last files first."""


def lake_applications(s3: S3Client, bucket: str, product: CreditProduct) -> list[Row]:
    """Return entity keys and request features of applications in the lake, all of them valid.

    Raises:
        PreconditionError: There are none.
    """
    entries = [
        entry
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=product.applications_prefix
        )
        for entry in page.get("Contents", [])
        if entry["Key"].endswith(".parquet")
    ]
    with TemporaryDirectory() as scratch:
        paths: list[Path] = []
        fetched = 0
        for number, entry in enumerate(sorted(entries, key=lambda entry: entry["Key"])[::-1]):
            fetched += entry["Size"]
            if paths and fetched > MOST_LAKE_BYTES:
                break
            path = Path(scratch) / f"{number}.parquet"
            path.write_bytes(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
            paths.append(path)
        rows = applications_in(paths, product) if paths else []
    if not rows:
        raise PreconditionError(
            f"there are no applications of {product.name} in the lake",
            hint=f"put Parquet below s3://{bucket}/{product.applications_prefix}",
        )
    return rows


def applications_in(paths: Sequence[Path], product: CreditProduct) -> list[Row]:
    """Return entity keys and request features of the valid rows of Parquet files."""
    names = [*product.entity_key_names, *(feature.name for feature in product.request_features)]
    table = next(
        table for table in lake_tables(product) if table.prefix == product.applications_prefix
    )
    types = dict(table.columns)
    columns = ", ".join(f'"{name}"::{DUCKDB_TYPES[types[name]]} AS "{name}"' for name in names)
    with duckdb.connect() as connection:
        found = connection.execute(
            # Names come from a checked definition.
            f"SELECT {columns} FROM read_parquet(?) ORDER BY application_id LIMIT {MOST_ROWS}",  # noqa: S608
            [[str(path) for path in paths]],
        ).fetchall()
    rows = (dict(zip(names, row, strict=True)) for row in found)
    return [row for row in rows if is_valid(row, product)]


def is_valid(row: Row, product: CreditProduct) -> bool:
    """Tell whether a client could send this."""
    return not (
        any(key.value_fault(row[key.name]) for key in product.entity_keys)
        or any(feature.value_fault(row[feature.name]) for feature in product.request_features)
    )


def application_id(run: str, number: int) -> str:
    """Return the id of a run's application; no other run has it.

    >>> application_id("load-20261122T110000", 7)
    'load-20261122T110000-000007'
    """
    return f"{run}-{number:06}"


def applications(
    product: CreditProduct, known: Sequence[Row], *, count: int, run: str, seed: int
) -> Iterator[bytes]:
    """Yield the bodies of a run's applications.

    Args:
        product: Whose applications they are.
        known: Entity keys and request features of real ones, at least one.
        count: How many.
        run: Prefix of their ids.
        seed: The same seed gives the same people and values.
    """
    random = Random(seed)  # noqa: S311 (varied, not secret)
    for number in range(count):
        who = random.choice(known)
        document: dict[str, object] = {"application_id": application_id(run, number)}
        document |= {name: who[name] for name in product.entity_key_names}
        if random.random() < UNKNOWN_SHARE:
            document |= unknown_keys(product, random)
        for feature in product.request_features:
            if random.random() < RANGE_SHARE:
                document[feature.name] = drawn(feature, random)
            else:
                document[feature.name] = random.choice(known)[feature.name]
        yield json.dumps(document, separators=(",", ":")).encode()


def unknown_keys(product: CreditProduct, random: Random) -> dict[str, object]:
    """Return a made-up key of the first entity that can have one, by the pattern of its keys."""
    for key in product.entity_keys:
        value: object = f"unknown-{random.getrandbits(40):010x}"
        if key.dtype is KeyType.INTEGER:
            value = random.randrange(LARGEST_EXACT_INTEGER // 2, LARGEST_EXACT_INTEGER)
        if key.value_fault(value) is None:
            return {key.name: value}
    return {}


def drawn(feature: Feature, random: Random) -> Value:
    """Return a value from all that the product allows."""
    if feature.nullable and random.random() < NULL_SHARE:
        return None
    if feature.dtype is DType.CATEGORY:
        return random.choice(feature.categories)
    # A checked definition gives every number its range.
    low, high = feature.minimum or 0.0, feature.maximum or 0.0
    if feature.dtype is DType.INTEGER:
        return random.randint(math.ceil(low), math.floor(high))
    return min(high, max(low, round(random.uniform(low, high), 2)))
