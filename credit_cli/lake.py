"""The embedded sample, put into the deployed lake."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from credit_cli.sample import write_sample
from credit_cli.terminal import interruptible_queries

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import Aws
    from credit_core.domain.product import CreditProduct


@dataclass(frozen=True, kw_only=True)
class LoadedSample:
    """What the lake holds after a load, and how many of its files had to be sent."""

    last_day: date
    files: int
    rows: int
    bytes: int
    uploaded: int


def load_sample(
    aws: Aws,
    bucket: str,
    product: CreditProduct,
    *,
    last_day: date,
    scratch: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> LoadedSample:
    """Make the sample that ends on a day lie in the lake; files already there are not sent again.

    Args:
        aws: Where it is deployed.
        bucket: The lake.
        product: The product whose tables the sample fills.
        last_day: Day of the newest rows, UTC.
        scratch: Folder to write the Parquet files to.
        progress: Told what is being done.
    """
    s3: S3Client = aws.client("s3")
    progress("writing Parquet")
    with interruptible_queries():
        paths = write_sample(scratch, last_day=last_day, product=product)
    there = {
        entry["Key"]: entry["ETag"].strip('"')
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=f"{product.name}/"
        )
        for entry in page.get("Contents", [])
    }
    uploaded = 0
    for number, path in enumerate(paths, start=1):
        key, body = path.relative_to(scratch).as_posix(), path.read_bytes()
        # The same day gives the same bytes, and S3's entity tag of a small object is its MD5.
        if there.get(key) != hashlib.md5(body, usedforsecurity=False).hexdigest():
            progress(f"file {number} of {len(paths)}")
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            uploaded += 1
    return LoadedSample(
        last_day=last_day,
        files=len(paths),
        rows=rows_in(paths),
        bytes=sum(path.stat().st_size for path in paths),
        uploaded=uploaded,
    )


def rows_in(paths: list[Path]) -> int:
    """Return the rows that Parquet files hold together, from their footers."""
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)",
            [[str(path) for path in paths]],
        ).fetchone()
    return int(found[0]) if found else 0
