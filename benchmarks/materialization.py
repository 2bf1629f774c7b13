"""How many guarded writes a second the materialization makes, and what limits them.

    .venv/bin/python benchmarks/materialization.py --rows 5000

An emulator without anything deployed is started for the purpose, on a port of its own. Workers are
processes, as Lambda functions are; each brings a Parquet file of its own into the online store, by
the code that the materializer runs, three times: into an empty table, once more (all is stale), and
with newer events (all is updated). Beside it stands what the emulator itself takes: plain PutItem
and PartiQL batches whose requests were made before the clock started, sent over bare HTTP.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import batched
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from credit_core.adapters.batch_client import batch_client
from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.feature_files import opened
from credit_core.adapters.online_store_writer import (
    STATEMENTS_A_BATCH,
    PartiqlOnlineStoreWriter,
    stored_attributes,
)
from credit_core.domain.product import load_product
from credit_core.ports import FilePart
from credit_core.use_cases.materialize import RowInspection, materialize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.synchronize import Barrier

    from credit_core.adapters.feature_files import ParquetFeatureFile
    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import FeatureView
    from credit_core.ports import RejectedRow

PRODUCT = "personal_loan"
VIEW = "bureau"
SECRET = b"0123456789abcdef0123456789abcdef"
CONNECTIONS = 4
"""As many as the materializer has."""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCENARIOS = ("first load", "all stale", "all newer")

CLOUD_PYTHON = Path(__file__).parents[1] / ".cloud-venv" / "bin" / "python"
START_SECONDS = 60
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    # The emulator takes the account from the key and checks no signature.
    "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261120/us-east-1/dynamodb/aws4_request,"
    " SignedHeaders=host, Signature=0",
}


class Done(NamedTuple):
    """What a worker did: rows that were written, when it began and ended, its CPU seconds."""

    written: int
    started: float
    ended: float
    cpu_seconds: float


class LocalFiles:
    """Feature files of this machine's disk: what S3 takes is no part of this measurement."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def open(self, part: FilePart, view: FeatureView) -> Iterator[ParquetFeatureFile]:
        """Open a file."""
        with duckdb.connect(config={"threads": 1}) as connection:
            path = self._folder / part.key.rpartition("/")[2]
            yield opened(connection, path, view, part=part)


class NoRejections:
    """Fails for a rejected row: there are none here."""

    @contextmanager
    def open(self, name: str) -> Iterator[Callable[[RejectedRow], None]]:  # noqa: ARG002 (the port's)
        """Return what notes a row."""
        yield fail


def fail(row: RejectedRow) -> None:
    """Stop the measurement."""
    raise ValueError(f"row {row.position}: {row.faults}")


def file_name(worker: int, *, newer: bool) -> str:
    """Return the name of a worker's file."""
    return f"worker-{worker}-{'newer' if newer else 'first'}.parquet"


def write_files(folder: Path, *, rows: int, workers: int) -> None:
    """Write each worker's two files: entities of its own, one row each."""
    view = load_product(PRODUCT).view(VIEW)
    features = ", ".join(
        f"round({feature.minimum} + (hash(n, '{feature.name}') % 1000) / 7, 2)"
        f'::{"BIGINT" if feature.dtype == "integer" else "DOUBLE"} AS "{feature.name}"'
        for feature in view.features
    )
    with duckdb.connect() as connection:
        for worker in range(workers):
            for newer in (False, True):
                event = NOW - timedelta(days=1 if newer else 2)
                connection.execute(
                    f"""COPY (SELECT 'applicant-{worker}-' || n AS applicant_id,
                        TIMESTAMP '{event:%Y-%m-%d %H:%M:%S}' + to_milliseconds(n)
                            AS event_timestamp,
                        event_timestamp + to_hours(1) AS created_timestamp, {features}
                    FROM range({rows}) AS numbers(n))
                    TO '{folder / file_name(worker, newer=newer)}' (FORMAT parquet)"""  # noqa: S608 (names of the product and numbers)
                )


def a_writer(table: str) -> PartiqlOnlineStoreWriter:
    """Return the writer as the materializer has it."""
    dynamodb = batch_client(connections=CONNECTIONS)
    return PartiqlOnlineStoreWriter(dynamodb, table, connections=CONNECTIONS)


def work(
    worker: int, folder: Path, table: str, barrier: Barrier, answers: multiprocessing.Queue[Any]
) -> None:
    """Do each scenario when all workers are ready for it; the entry point of a process."""
    product = load_product(PRODUCT)
    store, lake = a_writer(table), LocalFiles(folder)
    for scenario in SCENARIOS:
        name = file_name(worker, newer=scenario == "all newer")
        part = FilePart(product.view_prefix(product.view(VIEW)) + name)
        barrier.wait()
        started, cpu = time.monotonic(), time.process_time()
        done = materialize(
            product,
            part,
            lake=lake,
            store=store,
            rejected_rows=NoRejections(),
            secret=SECRET,
            as_of=NOW,
            wait=time.sleep,
        )
        seconds = time.process_time() - cpu
        answers.put((scenario, Done(done.written, started, time.monotonic(), seconds)))


class Emulator:
    """A running emulator with nothing deployed."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.pid = process.pid

    @property
    def endpoint_url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float | None:
        """Return the CPU time that it has used, where the system tells."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def create_table(self, name: str) -> str:
        """Create an online store; return its name."""
        client("dynamodb", pipeline_config()).create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "entity_key", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "entity_key", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name


@contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """Start one on a free port, point this process's clients at it, and stop it in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": "us-east-1",
    }
    arguments = [str(CLOUD_PYTHON), "-m", "ministack"]
    with (
        (folder / "emulator.log").open("wb") as log,
        subprocess.Popen(
            arguments, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            running = Emulator(port, process)
            wait_until_healthy(running)
            os.environ |= {
                "AWS_ENDPOINT_URL": running.endpoint_url,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }
            yield running
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_until_healthy(running: Emulator) -> None:
    """Return when the emulator answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)) as sent:
                sent.request("GET", "/_ministack/health")
                sent.getresponse().read()
        except (ConnectionError, TimeoutError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def guarded_writes(
    running: Emulator, folder: Path, *, rows: int, workers: int
) -> dict[str, dict[str, Any]]:
    """Return the figures of each scenario with so many workers on a table of their own."""
    table = running.create_table(f"guarded-{workers}")
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(workers + 1), spawn.Queue()
    processes = [
        spawn.Process(target=work, args=(worker, folder, table, barrier, answers))
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    found = {}
    for scenario in SCENARIOS:
        barrier.wait()
        before = running.cpu_seconds()
        done = [answers.get() for _ in processes]
        after = running.cpu_seconds()
        used = None if before is None or after is None else after - before
        expected = 0 if scenario == "all stale" else rows
        if any(name != scenario or one.written != expected for name, one in done):
            raise RuntimeError(f"{scenario}: {done}")
        found[scenario] = figures([one for _, one in done], rows=rows, emulator_cpu=used)
    for process in processes:
        process.join()
    return found


def figures(done: Sequence[Done], *, rows: int, emulator_cpu: float | None) -> dict[str, Any]:
    """Return rates of workers that ran at the same time, and CPU microseconds a row."""
    seconds = max(one.ended for one in done) - min(one.started for one in done)
    total = rows * len(done)
    return {
        "rows_a_second": round(total / seconds),
        "rows_a_second_a_worker": round(total / seconds / len(done)),
        "client_cpu_us_a_row": round(sum(one.cpu_seconds for one in done) / total * 1e6),
        "emulator_cpu_us_a_row": emulator_cpu and round(emulator_cpu / total * 1e6),
    }


def prepared_rows(folder: Path) -> list[FeatureRow]:
    """Return the rows of the first worker's first file, ready to write."""
    product = load_product(PRODUCT)
    view = product.view(VIEW)
    with LocalFiles(folder).open(FilePart(file_name(0, newer=False)), view) as file:
        inspection = RowInspection(product, view, secret=SECRET, as_of=NOW, reject=fail)
        return list(inspection.valid_rows(file.rows_by_entity()))


def ceilings(running: Emulator, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the emulator takes of requests that are ready-made."""
    view = load_product(PRODUCT).view(VIEW)
    rows = prepared_rows(folder)
    items = [
        {"entity_key": {"S": row.entity_key}, **stored_attributes(row, view.ttl)} for row in rows
    ]
    table = running.create_table("plain")
    puts = [json.dumps({"TableName": table, "Item": item}) for item in items]
    table = running.create_table("batches")
    names = ", ".join(f"'{name}': ?" for name in items[0])
    insert = f'INSERT INTO "{table}" VALUE {{{names}}}'
    batches = [
        json.dumps(
            {
                "Statements": [
                    {"Statement": insert, "Parameters": list(item.values())} for item in batch
                ]
            }
        )
        for batch in batched(items, STATEMENTS_A_BATCH, strict=False)
    ]
    return {
        "PutItem": sent(running, "PutItem", puts, rows=len(rows)),
        "INSERT in batches": sent(running, "BatchExecuteStatement", batches, rows=len(rows)),
    }


def sent(running: Emulator, operation: str, bodies: Sequence[str], *, rows: int) -> dict[str, Any]:
    """Send requests over a few connections at once; return the figures."""
    headers = HEADERS | {"X-Amz-Target": f"DynamoDB_20120810.{operation}"}
    failed: list[str] = []

    def send(own: Sequence[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port)
        for body in own:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.HTTPStatus.OK or b'"Error"' in text:
                failed.append(text.decode()[:200])
        connection.close()

    threads = [Thread(target=send, args=(bodies[n::CONNECTIONS],)) for n in range(CONNECTIONS)]
    before, started, cpu = running.cpu_seconds(), time.monotonic(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done = Done(rows, started, time.monotonic(), time.process_time() - cpu)
    if failed:
        raise RuntimeError(f"{operation}: {len(failed)} requests failed: {failed[0]}")
    after = running.cpu_seconds()
    used = None if before is None or after is None else after - before
    return figures([done], rows=rows, emulator_cpu=used)


def client_alone(folder: Path) -> dict[str, int]:
    """Return the CPU microseconds a row of each step of the client."""
    view = load_product(PRODUCT).view(VIEW)
    product = load_product(PRODUCT)
    with LocalFiles(folder).open(FilePart(file_name(0, newer=False)), view) as file:
        cpu = time.process_time()
        lake_rows = list(file.rows_by_entity())
        read = time.process_time() - cpu
    inspection = RowInspection(product, view, secret=SECRET, as_of=NOW, reject=fail)
    cpu = time.process_time()
    rows = list(inspection.valid_rows(lake_rows))
    inspected = time.process_time() - cpu
    cpu = time.process_time()
    for row in rows:
        stored_attributes(row, view.ttl)
    laid_out = time.process_time() - cpu
    steps = {"read Parquet": read, "check and hash": inspected, "lay out": laid_out}
    return {name: round(seconds / len(rows) * 1e6) for name, seconds in steps.items()}


def measure(scratch: Path, *, rows: int, workers: Sequence[int]) -> dict[str, Any]:
    """Start the emulator and return all figures."""
    write_files(scratch, rows=rows, workers=max(workers))
    with emulator(scratch) as running:
        return {
            "rows_a_worker": rows,
            "view": f"{PRODUCT}.{VIEW}",
            "client_cpu_us_a_row": client_alone(scratch),
            "emulator_alone": ceilings(running, scratch),
            "guarded": {
                str(count): guarded_writes(running, scratch, rows=rows, workers=count)
                for count in workers
            },
        }


def lines(measured: dict[str, Any]) -> list[str]:
    """Return the table for a person."""
    steps = measured["client_cpu_us_a_row"]
    shown = [
        f"{measured['rows_a_worker']:,} rows of {measured['view']} a worker",
        "client's CPU before a row is sent: "
        + ", ".join(f"{name} {us} us" for name, us in steps.items()),
        "",
        "{:<34}{:>10}{:>14}{:>18}{:>20}".format(
            "", "rows/s", "per worker", "client CPU us/row", "emulator CPU us/row"
        ),
    ]
    named = [(f"emulator alone: {name}", of) for name, of in measured["emulator_alone"].items()]
    for count, scenarios in measured["guarded"].items():
        named += [(f"{count} worker(s): {name}", of) for name, of in scenarios.items()]
    for name, of_run in named:
        rate, of_worker, of_client, of_emulator = of_run.values()
        shown.append(
            f"{name:<34}{rate:>10,}{of_worker:>14,}{of_client:>18,}{of_emulator or '-':>20}"
        )
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000, help="rows a worker")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        measured = measure(Path(scratch), rows=options.rows, workers=options.workers)
    print(json.dumps(measured, indent=2) if options.json else "\n".join(lines(measured)))


if __name__ == "__main__":
    main()
