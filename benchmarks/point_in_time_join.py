"""How long the point-in-time join takes on this machine, and how much memory.

    .venv/bin/python benchmarks/point_in_time_join.py --loans 1000000 --events 10000000

Made-up loans and credit reports of the product ``personal_loan`` are written as Parquet: about ten
reports an applicant over 24 months, some of them late, corrected or invalid, weekly rows of 51
regions, and loans of the last 12 months. Then a process of its own, so that its peak memory is the
query's, runs the product's SQL on DuckDB as `credit dataset build` does. Further texts of the query
can be timed beside it, in turns, with ``--against``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from credit_core.adapters.local_lake import LocalLake
from credit_core.domain.product import DType, load_product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_core.domain.product import CreditProduct, Feature

PRODUCT = "personal_loan"
MONTHS = 24
LOAN_MONTHS = 12
REGIONS = 51
EVENTS_AN_APPLICANT = 10
DAYS_A_MONTH = 30

EVERY_NTH_LATE = 20
"""One report in so many arrives days after its event, the others within six hours."""
EVERY_NTH_CORRECTED = 25
"""One report in so many corrects another of the same instant."""
EVERY_NTH_INVALID = 100

MACROS = f"""
CREATE MACRO uniform(number, purpose) AS (hash(number, purpose) >> 11) / (2.0::DOUBLE ** 53);
CREATE MACRO region(number) AS chr((65 + number // 8)::INTEGER) || chr((65 + number % 8)::INTEGER);
CREATE MACRO month_start(month) AS
    TIMESTAMP '2022-01-01' + to_days((month * {DAYS_A_MONTH})::INTEGER);
"""


class Timed(NamedTuple):
    """One run of the query."""

    rows: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: int


def generate(product: CreditProduct, folder: Path, *, loans: int, events: int) -> dict[str, int]:
    """Write the product's tables; return the rows of each.

    The same numbers give the same rows, as long as DuckDB's ``hash`` stays what it is.
    """
    applicants = max(1, events // EVENTS_AN_APPLICANT)
    bureau, market = product.view("bureau"), product.view("region_market")
    applications = folder / product.applications_prefix
    reports, regions = (folder / product.view_prefix(view) for view in (bureau, market))
    for place in (applications, reports, regions):
        place.mkdir(parents=True)
    with duckdb.connect() as connection:
        connection.execute(MACROS)
        for month in range(MONTHS):
            first, past_last = events * month // MONTHS, events * (month + 1) // MONTHS
            _write(
                connection,
                reports / f"month-{month:02}.parquet",
                f"""
                SELECT 'A' || lpad((hash(i, 'who') % {applicants})::VARCHAR, 10, '0')
                        AS applicant_id,
                    event_timestamp, event_timestamp + delay AS created_timestamp,
                    {_features(bureau.features)}
                FROM (SELECT * REPLACE (CASE WHEN n % {EVERY_NTH_CORRECTED} = 0
                        THEN n - 1 ELSE n END AS i),
                    CASE WHEN n % {EVERY_NTH_CORRECTED} = 0 THEN to_days(1)
                        WHEN n % {EVERY_NTH_LATE} = 0
                        THEN to_seconds((uniform(n, 'late') * 20 * 86400)::BIGINT)
                        ELSE to_seconds((uniform(n, 'delay') * 6 * 3600)::BIGINT) END AS delay,
                    month_start({month}) + to_milliseconds(
                        (uniform(i, 'when') * {DAYS_A_MONTH} * 86400000)::BIGINT)
                        AS event_timestamp
                    FROM (SELECT n, n AS i FROM range({first}, {past_last}) AS numbers(n)))
                """,  # noqa: S608 (names of the product and numbers)
            )
        _write(
            connection,
            regions / "weeks.parquet",
            f"""
            SELECT region(r) AS addr_state, event_timestamp,
                event_timestamp + to_hours(2) AS created_timestamp, {_features(market.features)}
            FROM (SELECT r, week * {REGIONS} + r AS n, month_start(0) + to_days((7 * week)::INTEGER)
                AS event_timestamp
                FROM range({REGIONS}) AS regions(r),
                    range({MONTHS * DAYS_A_MONTH // 7 + 1}) AS weeks(week))
            """,  # noqa: S608 (see above)
        )
        _write(
            connection,
            applications / "loans.parquet",
            f"""
            SELECT 'L' || lpad(n::VARCHAR, 10, '0') AS application_id,
                'A' || lpad((hash(n, 'whose') % {applicants})::VARCHAR, 10, '0') AS applicant_id,
                region((hash(n, 'where') % {REGIONS})::INTEGER) AS addr_state,
                event_timestamp,
                event_timestamp + to_seconds({int(product.label.horizon.total_seconds())})
                    AS created_timestamp,
                {_features(product.request_features)},
                (uniform(n, 'default') < 0.06)::BIGINT AS {product.label.name}
            FROM (SELECT n, month_start({MONTHS - LOAN_MONTHS}) + to_milliseconds(
                (uniform(n, 'applied') * {LOAN_MONTHS * DAYS_A_MONTH} * 86400000)::BIGINT)
                AS event_timestamp FROM range({loans}) AS numbers(n))
            """,  # noqa: S608 (see above)
        )
        return {
            place.relative_to(folder).as_posix(): _rows(connection, place)
            for place in (applications, reports, regions)
        }


def _features(features: Sequence[Feature]) -> str:
    return ", ".join(f'{_value(feature)} AS "{feature.name}"' for feature in features)


def _value(feature: Feature) -> str:
    """Return an expression of the row's number ``n`` with values like those of real data."""
    uniform = f"uniform(n, '{feature.name}')"
    if feature.dtype is DType.CATEGORY:
        listed = ", ".join(f"'{category}'" for category in feature.categories)
        return f"[{listed}][1 + floor({uniform} * {len(feature.categories)})::BIGINT]"
    low, high = feature.minimum or 0.0, feature.maximum or 0.0
    if feature.dtype is DType.INTEGER:
        value = f"({low:.0f} + floor({uniform} * {min(high - low, 20.0):.0f}))::BIGINT"
    else:
        value = f"round({low} + {uniform} * {min(high - low, 50_000.0)}, 2)"
    if feature.name == "delinq_2yrs":
        return f"CASE WHEN hash(n) % {EVERY_NTH_INVALID} = 0 THEN -1 ELSE {value} END"
    return f"CASE WHEN {uniform} < 0.05 THEN NULL ELSE {value} END" if feature.nullable else value


def _write(connection: duckdb.DuckDBPyConnection, path: Path, query: str) -> None:
    quoted = str(path).replace("'", "''")
    connection.execute(f"COPY ({query}) TO '{quoted}' (FORMAT parquet, COMPRESSION snappy)")


def _rows(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    found = connection.execute(
        "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)", [f"{folder}/*.parquet"]
    ).fetchone()
    return int(found[0]) if found else 0


def product_with(ttl_days: int | None) -> CreditProduct:
    """Return the product, each view's time to live replaced by another if one is given."""
    product = load_product(PRODUCT)
    if ttl_days is None:
        return product
    views = {
        view.name: replace(view, ttl=timedelta(days=ttl_days)) for view in product.feature_views
    }
    return replace(product, feature_views=tuple(views.values()))


def run_query(
    folder: Path, target: Path, query: str | None, memory_mb: int, ttl_days: int | None
) -> Timed:
    """Write the training set, by another text of the query if one is given."""
    product = product_with(ttl_days)
    lake = LocalLake(product, folder, memory_mb=memory_mb, scratch=target.parent)
    started = time.perf_counter()
    rows = lake.write_training_set(target, query=query).rows
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    # In KiB, but in bytes on macOS.
    peak_memory_mb = used.ru_maxrss // (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return Timed(rows, seconds, used.ru_utime + used.ru_stime, peak_memory_mb)


def in_own_process(*arguments: Any) -> Timed:
    """Run the query in a fresh process: its peak memory is then the query's."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(run_query, *arguments).result()


def measure(
    scratch: Path,
    *,
    loans: int,
    events: int,
    memory_mb: int,
    repeats: int = 1,
    ttl_days: int | None = None,
    against: Sequence[Path] = (),
) -> dict[str, Any]:
    """Generate the tables, time each query on them in turns, and return the figures."""
    folder = scratch / "lake"
    started = time.perf_counter()
    tables = generate(load_product(PRODUCT), folder, loans=loans, events=events)
    generation_seconds = time.perf_counter() - started
    queries: dict[str, str | None] = {"product": None}
    queries |= {path.name: path.read_text(encoding="utf-8") for path in against}
    runs: dict[str, list[Timed]] = {name: [] for name in queries}
    for _ in range(repeats):
        for name, query in queries.items():
            target = scratch / f"{name}.parquet"
            runs[name].append(in_own_process(folder, target, query, memory_mb, ttl_days))
    return {
        "input_rows": tables,
        "generation_seconds": round(generation_seconds, 1),
        "memory_limit_mb": memory_mb,
        "same_rows": same_rows([scratch / f"{name}.parquet" for name in queries]),
        "queries": {name: figures(timed, sum(tables.values())) for name, timed in runs.items()},
    }


def figures(runs: Sequence[Timed], input_rows: int) -> dict[str, int | float]:
    """Return the medians of some runs, and the highest of their peaks."""
    seconds = statistics.median(run.seconds for run in runs)
    return {
        "rows": runs[0].rows,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(statistics.median(run.cpu_seconds for run in runs), 2),
        "input_rows_a_second": round(input_rows / seconds),
        "peak_memory_mb": max(run.peak_memory_mb for run in runs),
    }


def same_rows(paths: Sequence[Path]) -> bool:
    """Whether all files hold the same rows."""
    first = str(paths[0])
    with duckdb.connect() as connection:
        return not any(
            connection.execute(
                "FROM read_parquet(?) EXCEPT ALL FROM read_parquet(?) LIMIT 1", pair
            ).fetchall()
            for path in paths[1:]
            for pair in ([first, str(path)], [str(path), first])
        )


def lines(measured: dict[str, Any]) -> list[str]:
    """Return the table for a person."""
    inputs = ", ".join(f"{rows:,} {name}" for name, rows in measured["input_rows"].items())
    head = ("query", "rows", "seconds", "CPU s", "rows read/s", "peak MB", "time")
    shown = [
        f"input: {inputs}",
        (
            f"generated in {measured['generation_seconds']} s;"
            f" DuckDB's limit of memory is {measured['memory_limit_mb']:,} MB"
        ),
        "",
        "{:<24}{:>12}{:>10}{:>10}{:>14}{:>10}{:>8}".format(*head),
    ]
    product_seconds = measured["queries"]["product"]["seconds"]
    for name, of_query in measured["queries"].items():
        rows, seconds, cpu_seconds, a_second, peak = of_query.values()
        shown.append(
            f"{name:<24}{rows:>12,}{seconds:>10.2f}{cpu_seconds:>10.2f}{a_second:>14,}{peak:>10,}"
            f"{seconds / product_seconds:>7.2f}x"
        )
    if len(measured["queries"]) > 1:
        shown.append(f"the same rows: {'yes' if measured['same_rows'] else 'NO'}")
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loans", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--memory-mb", type=int, default=6_144, help="DuckDB's limit")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--ttl-days", type=int, help="time to live of both views instead of theirs")
    parser.add_argument(
        "--against", type=Path, nargs="*", default=[], help="files with other texts of the query"
    )
    parser.add_argument("--folder", type=Path, help="where temporary files go")
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    with TemporaryDirectory(dir=options.pop("folder")) as scratch:
        measured = measure(Path(scratch), **options)
    print(json.dumps(measured, indent=2) if as_json else "\n".join(lines(measured)))


if __name__ == "__main__":
    main()
