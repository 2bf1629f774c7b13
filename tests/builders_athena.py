"""A training set as Athena returns it, from a lake that lies in a local folder."""

from __future__ import annotations

import csv
import io
import math
import time
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from credit_core.adapters.query_results import read_query_result
from credit_core.domain.lake_tables import ColumnType, lake_tables
from credit_core.domain.point_in_time import training_set_sql, view_event_column

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from credit_core.domain.product import CreditProduct
    from tests.integration.conftest import LocalCloud

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
QUERY_SECONDS = 120


def athena_csv(cloud: LocalCloud, product: CreditProduct, folder: Path) -> bytes:
    """Return the CSV of the product's query, run by Athena over a copy of the folder in S3."""
    name = uuid.uuid4().hex[:8]
    database, bucket = f"credit_{name}", f"lake-{name}"
    s3, glue, athena = (cloud.client(service) for service in ("s3", "glue", "athena"))
    s3.create_bucket(Bucket=bucket)
    for path in sorted(folder.rglob("*.*")):
        s3.upload_file(str(path), bucket, path.relative_to(folder).as_posix())
    glue.create_database(DatabaseInput={"Name": database})
    for table in lake_tables(product):
        columns = [{"Name": name, "Type": type_} for name, type_ in table.columns.items()]
        glue.create_table(
            DatabaseName=database,
            TableInput={
                "Name": table.name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
                "StorageDescriptor": {
                    "Location": f"s3://{bucket}/{table.prefix}",
                    "Columns": columns,
                    "InputFormat": f"{PARQUET}.MapredParquetInputFormat",
                    "OutputFormat": f"{PARQUET}.MapredParquetOutputFormat",
                    "SerdeInfo": {"SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe"},
                },
            },
        )
    query = athena.start_query_execution(
        QueryString=training_set_sql(product),
        QueryExecutionContext={"Database": database},
        ResultConfiguration={"OutputLocation": f"s3://{bucket}/results/"},
    )["QueryExecutionId"]
    deadline = time.monotonic() + QUERY_SECONDS
    while time.monotonic() < deadline:
        execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
        if execution["Status"]["State"] not in {"QUEUED", "RUNNING"}:
            break
        time.sleep(0.1)
    assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
    location = execution["ResultConfiguration"]["OutputLocation"]
    return read_query_result(s3, location, bucket=bucket)


def parsed(product: CreditProduct, body: bytes) -> list[dict[str, Any]]:
    """Return the rows of a training set's CSV, numbers and times as such, nulls as None.

    NaN, which equals nothing, is its name.
    """
    types: dict[str, Any] = {
        name: type_ for table in lake_tables(product) for name, type_ in table.columns.items()
    }
    types |= {view_event_column(view): ColumnType.INSTANT for view in product.feature_views}
    readers: dict[ColumnType, Callable[[str], Any]] = {
        ColumnType.TEXT: str,
        ColumnType.INTEGER: int,
        ColumnType.FLOAT: _number,
        ColumnType.INSTANT: datetime.fromisoformat,
    }
    return [
        {name: readers[types[name]](text) if text else None for name, text in row.items()}
        for row in csv.DictReader(io.StringIO(body.decode(), newline=""))
    ]


def _number(text: str) -> float | str:
    number = float(text)
    return "nan" if math.isnan(number) else number
