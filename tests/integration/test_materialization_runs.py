"""Whole runs of the materialization, as the state machine makes them, on the real functions.

The state machine itself is tested where it is deployed, see ``tests/end_to_end``; here a few lines
play it, so that runs can be killed, raced and repeated many times in little time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.run_record import S3RunRecord
from credit_core.adapters.watermark import DynamoWatermark
from credit_core.settings import MaterializerSettings, PlannerSettings, ReconcilerSettings
from tests.builders import PRODUCT, SECRET
from tests.builders_aws import create_table
from tests.feature_rows import BUREAU, a_lake_row, bureau_key, bureau_types, write_parquet
from tests.integration.materialization_worker import load_handler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from credit_core.ports import LakeRow, Tally
    from tests.integration.conftest import LocalCloud

LAMBDAS = Path(__file__).parents[2] / "lambdas"
ROOT = "personal_loan/features/"
PREFIX = PRODUCT.view_prefix(BUREAU)
NOW = datetime.now(UTC).replace(microsecond=0)
ROWS_A_GROUP = 2_048
"""The fewest that DuckDB writes."""
SPLIT_BYTES = 40_000
"""Less than two such row groups, so that each becomes a part."""
SPLIT_ROWS = 5_000
"""More than two such row groups: only a longer one is cut into pieces."""
KILLS, MOST_KILLS = 20, 200
"""As many as it takes to meet a run half done: the time that one takes is known but roughly."""


class Machine:
    """The three functions, with buckets, tables and a secret of their own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mark = uuid.uuid4().hex[:8]
        self.lake, self.results = f"lake-{mark}", f"results-{mark}"
        self.table, self.registry = f"online-store-{mark}", f"registry-{mark}"
        self.s3, self.dynamodb = cloud.client("s3"), cloud.client("dynamodb")
        for bucket in (self.lake, self.results):
            self.s3.create_bucket(Bucket=bucket)
        create_table(self.dynamodb, "online-store", name=self.table)
        create_table(self.dynamodb, "registry", name=self.registry)
        secret = f"entity-key-{mark}"
        cloud.client("secretsmanager").create_secret(Name=secret, SecretString=SECRET.decode())
        buckets = {"lake_bucket": self.lake, "results_bucket": self.results}
        for settings in (
            PlannerSettings(
                product=PRODUCT.name,
                registry_table=self.registry,
                split_bytes=SPLIT_BYTES,
                split_rows=SPLIT_ROWS,
                sweep_overlap_hours=0,
                **buckets,
            ),
            MaterializerSettings(
                product=PRODUCT.name,
                online_store_table=self.table,
                registry_table=self.registry,
                entity_key_secret=secret,
                **buckets,
            ),
            ReconcilerSettings(
                stage="test",
                product=PRODUCT.name,
                results_bucket=self.results,
                registry_table=self.registry,
                rejected_rows_share=0.1,
                failed_files_share=0,
            ),
        ):
            for name, value in settings.to_environment().items():
                monkeypatch.setenv(name, value)
        self.watermark = DynamoWatermark(self.dynamodb, self.registry, product=PRODUCT.name)
        self._planner, self._materializer, self._reconciler = (
            load_handler(str(LAMBDAS / name / "handler.py")).handler
            for name in ("planner", "materializer", "reconciler")
        )

    def plan(self, run_id: str, prefix: str | None = ROOT) -> dict[str, Any]:
        """Plan a prefix, or a sweep without one."""
        asked = {"prefix": prefix} if prefix else {"sweep": True}
        return dict(self._planner({"run_id": run_id, "input": asked}, None))

    def parts(self, run_id: str, *, key: str | None = None) -> list[dict[str, Any]]:
        """Return the plan, or what is missing of it, as the Distributed Map reads it."""
        key = key or f"runs/{run_id}/plan.json"
        body = self.s3.get_object(Bucket=self.results, Key=key)["Body"]
        return list(json.loads(body.read()))

    def materialize(self, run_id: str, parts: Sequence[dict[str, Any]]) -> None:
        for part in parts:
            assert self._materializer({"run_id": run_id, "part": part}, None) == {}

    def reconcile(
        self, run_id: str, plan: dict[str, Any], *, before: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Reconcile, after what ``before`` had left missing was repeated."""
        asked = {name: plan[name] for name in ("prefix", "hidden", "watermark")}
        asked["missing_before"] = before["missing"] if before else None
        asked["repeated_in_bulk"] = bool(before and before["missing_key"])
        return dict(self._reconciler({"run_id": run_id, **asked}, None))

    def run(self, run_id: str, prefix: str | None = ROOT) -> dict[str, Any]:
        """Play the state machine; return what the reconciler said."""
        plan = self.plan(run_id, prefix)
        self.materialize(run_id, self.parts(run_id))
        return self.reconcile(run_id, plan)

    def tallies(self, run_id: str) -> dict[int, Tally]:
        return S3RunRecord(self.s3, self.results, run_id=run_id).tallies()

    def upload(self, path: Path, name: str) -> str:
        key = f"{PREFIX}{name}"
        self.s3.upload_file(str(path), self.lake, key)
        return key

    def items(self) -> dict[str, dict[str, Any]]:
        """Return the whole table."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table, ConsistentRead=True
        )
        return {item["entity_key"]["S"]: item for page in pages for item in page["Items"]}

    def empty(self) -> None:
        """Make the online store anew."""
        self.dynamodb.delete_table(TableName=self.table)
        create_table(self.dynamodb, "online-store", name=self.table)


@pytest.fixture
def machine(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    yield Machine(local_cloud_bare, monkeypatch)
    entity_key_secret.cache_clear()


def rows_of(count: int, *, entities: int, seed: int) -> list[LakeRow]:
    """Return rows of random entities at random times of the last ten days, in any order."""
    chance = random.Random(seed)  # noqa: S311 (an example)
    rows = []
    for position in range(count):
        event = NOW - timedelta(seconds=chance.randrange(60, 864_000))
        rows.append(
            a_lake_row(
                position,
                applicant_id=f"applicant-{chance.randrange(entities)}",
                event=event,
                created=event + timedelta(seconds=chance.randrange(60)),
                revol_util=float(chance.randrange(100)),
            )
        )
    return rows


def a_file_of_many_row_groups(
    path: Path, rows: Sequence[LakeRow], *, rows_a_group: int = ROWS_A_GROUP
) -> Path:
    whole = write_parquet(path.with_name(f"whole-{path.name}"), rows)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT * FROM '{whole}') TO '{path}'"  # noqa: S608 (the test's own path)
            f" (FORMAT parquet, ROW_GROUP_SIZE {rows_a_group}, COMPRESSION uncompressed)"
        )
    return path


def newest(*files: Sequence[LakeRow]) -> dict[str, tuple[datetime, datetime]]:
    """Return the times of each entity's newest row, found the slow and obvious way."""
    found: dict[str, tuple[datetime, datetime]] = {}
    for row in (row for rows in files for row in rows):
        assert row.event_timestamp
        assert row.created_timestamp
        key = bureau_key(str(row.keys[0]))
        times = row.event_timestamp, row.created_timestamp
        found[key] = max(found.get(key, times), times)
    return found


def stored_times(items: dict[str, dict[str, Any]]) -> dict[str, tuple[datetime, datetime]]:
    found = {}
    for key, item in items.items():
        if not key.endswith("#newest"):
            event, created, _ = item["recency"]["S"].split("/", 2)
            found[key] = datetime.fromisoformat(event), datetime.fromisoformat(created)
    return found


# --- Parts ----------------------------------------------------------------------------------


def test_a_large_file_is_brought_in_by_its_row_groups_each_row_once(
    machine: Machine, tmp_path: Path
) -> None:
    rows = rows_of(3 * ROWS_A_GROUP + 500, entities=300, seed=1)
    machine.upload(a_file_of_many_row_groups(tmp_path / "big.parquet", rows), "big.parquet")

    outcome = machine.run("run-1")

    tallies = machine.tallies("run-1")
    assert len(tallies) > 1
    assert all(tally.read < len(rows) for tally in tallies.values())
    assert outcome["counts"]["files"] == 1
    assert outcome["counts"]["parts"] == len(tallies)
    assert outcome["counts"]["read"] == len(rows)
    assert outcome["verdict"] is None
    assert stored_times(machine.items()) == newest(rows)


def test_a_worker_fetches_the_bytes_of_its_part_and_the_footer_alone(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(4 * ROWS_A_GROUP, entities=10, seed=1)
    path = a_file_of_many_row_groups(tmp_path / "big.parquet", rows)
    machine.upload(path, "big.parquet")
    machine.plan("run-1")
    part = machine.parts("run-1")[1]
    ranges: list[str] = []
    s3 = machine._materializer.__globals__["s3"]
    get_object = s3.get_object

    def noting_the_range(**names: str) -> Any:
        ranges.append(names["Range"])
        return get_object(**names)

    monkeypatch.setattr(s3, "get_object", noting_the_range)
    monkeypatch.setattr("credit_core.adapters.feature_files.FOOTER_BYTES", 8)

    machine.materialize("run-1", [part])

    first, past_last = part["span"]
    assert ranges[0] == "bytes=-8"
    assert ranges[-1] == f"bytes={first}-{past_last - 1}"
    assert len(ranges) == 3
    assert past_last - first < path.stat().st_size / 2
    assert machine.tallies("run-1")[1].read == part["rows"][1] - part["rows"][0]


def test_a_row_group_of_too_many_rows_is_brought_in_by_pieces_each_row_once(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes alone are fetched for each piece; elsewhere the worker's copy is empty."""
    long, short = 6 * ROWS_A_GROUP, 100
    rows = rows_of(2 * long + short, entities=300, seed=1)
    path = a_file_of_many_row_groups(tmp_path / "big.parquet", rows, rows_a_group=long)
    machine.upload(path, "big.parquet")
    machine.plan("run-1")
    parts = machine.parts("run-1")
    ranges: list[str] = []
    s3 = machine._materializer.__globals__["s3"]
    get_object = s3.get_object

    def noting_the_range(**names: str) -> Any:
        ranges.append(names["Range"])
        return get_object(**names)

    monkeypatch.setattr(s3, "get_object", noting_the_range)
    monkeypatch.setattr("credit_core.adapters.feature_files.FOOTER_BYTES", 8)

    outcome = machine.run("run-1")

    assert [part["rows"] for part in parts] == [
        *([0, 4_096], [4_096, 8_192], [8_192, 12_288]),
        *([12_288, 16_384], [16_384, 20_480], [20_480, 24_576]),
        [24_576, 24_676],
    ]
    assert len({tuple(part["span"]) for part in parts}) == 3
    fetched = [asked for asked in ranges if asked != "bytes=-8"][1::2]
    assert fetched == [f"bytes={first}-{past - 1}" for first, past in (p["span"] for p in parts)]
    assert [tally.read for _, tally in sorted(machine.tallies("run-1").items())] == [
        part["rows"][1] - part["rows"][0] for part in parts
    ]
    assert outcome["verdict"] is None
    assert outcome["counts"]["read"] == len(rows)
    assert stored_times(machine.items()) == newest(rows)


def test_damage_in_one_part_keeps_no_other_out(machine: Machine, tmp_path: Path) -> None:
    rows = rows_of(4 * ROWS_A_GROUP, entities=100, seed=1)
    path = a_file_of_many_row_groups(tmp_path / "big.parquet", rows)
    key = machine.upload(path, "big.parquet")
    machine.plan("run-1")
    bad = machine.parts("run-1")[1]
    first = bad["span"][0]
    body = bytearray(path.read_bytes())
    body[first : first + 200] = b"\xff" * 200
    path.write_bytes(body)
    machine.upload(path, "big.parquet")

    outcome = machine.run("run-2")

    refused = {tally.part: tally.refused for tally in machine.tallies("run-2").values()}
    assert [part for part, why in refused.items() if why] == [
        f"{key}[{bad['rows'][0]}-{bad['rows'][1]}]"
    ]
    assert outcome["verdict"]["error"] == "FilesFailed"
    assert f"{key}[{bad['rows'][0]}-{bad['rows'][1]}]: " in outcome["verdict"]["cause"]
    unharmed = [row for row in rows if not bad["rows"][0] <= row.position < bad["rows"][1]]
    assert stored_times(machine.items()) == newest(unharmed)


def test_a_file_that_was_replaced_since_the_plan_is_refused(
    machine: Machine, tmp_path: Path
) -> None:
    rows = rows_of(4 * ROWS_A_GROUP, entities=10, seed=1)
    machine.upload(a_file_of_many_row_groups(tmp_path / "1.parquet", rows), "big.parquet")
    machine.plan("run-1")
    later = a_file_of_many_row_groups(tmp_path / "2.parquet", rows, rows_a_group=2 * ROWS_A_GROUP)
    machine.upload(later, "big.parquet")

    machine.materialize("run-1", machine.parts("run-1"))

    refused = [tally.refused or "" for tally in machine.tallies("run-1").values()]
    assert len(refused) == 4
    assert all("replaced after this run had planned it" in why for why in refused)
    assert machine.items() == {}


# --- Sweeps ---------------------------------------------------------------------------------


def test_a_sweep_takes_what_no_event_announced_and_only_that(
    machine: Machine, tmp_path: Path
) -> None:
    one, two = rows_of(10, entities=5, seed=1), rows_of(20, entities=5, seed=2)
    machine.upload(write_parquet(tmp_path / "1.parquet", one), "1.parquet")
    first = machine.run("sweep-1", None)
    time.sleep(1.1)  # S3's times are whole seconds
    machine.upload(write_parquet(tmp_path / "2.parquet", two), "2.parquet")

    second = machine.run("sweep-2", None)
    time.sleep(1.1)
    third = machine.run("sweep-3", None)

    assert [found["counts"]["read"] for found in (first, second, third)] == [10, 20, 0]
    assert third["verdict"] is None
    assert stored_times(machine.items()) == newest(one, two)


def test_a_sweep_with_a_bad_file_leaves_the_watermark_and_the_next_goes_over_it_again(
    machine: Machine, tmp_path: Path
) -> None:
    rows = rows_of(10, entities=5, seed=1)
    machine.upload(write_parquet(tmp_path / "good.parquet", rows), "good.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing else")
    key = machine.upload(tmp_path / "bad.parquet", "bad.parquet")

    failed = machine.run("sweep-1", None)

    assert failed["verdict"]["error"] == "FilesFailed"
    assert failed["verdict"]["cause"].startswith(f"1 of 2 files failed: {key}: expected a whole")
    assert machine.watermark.read() is None
    assert stored_times(machine.items()) == newest(rows)
    machine.s3.delete_object(Bucket=machine.lake, Key=key)
    before = datetime.now(UTC)
    mended = machine.run("sweep-2", None)
    assert (mended["counts"]["read"], mended["verdict"]) == (10, None)
    moved_to = machine.watermark.read()
    assert moved_to is not None
    assert moved_to >= before


def test_the_watermark_only_moves_forward(machine: Machine) -> None:
    assert machine.watermark.move(NOW) is True
    assert machine.watermark.move(NOW) is False
    assert machine.watermark.move(NOW - timedelta(hours=1)) is False
    assert machine.watermark.read() == NOW
    assert machine.watermark.move(NOW + timedelta(microseconds=1)) is True


# --- Rejected rows --------------------------------------------------------------------------


def test_above_the_allowed_share_of_rejects_the_run_fails_and_the_good_rows_are_there(
    machine: Machine, tmp_path: Path
) -> None:
    good = rows_of(8, entities=5, seed=1)
    bad = [
        a_lake_row(8 + n, applicant_id="x", event=NOW, created=NOW, revol_util=-1) for n in (0, 1)
    ]
    machine.upload(write_parquet(tmp_path / "x.parquet", [*good, *bad]), "x.parquet")

    outcome = machine.run("run-1")

    assert outcome["verdict"]["error"] == "TooManyRejected"
    assert outcome["verdict"]["cause"].startswith("2 of 10 rows were rejected; the limit is a sh")
    assert stored_times(machine.items()) == newest(good)


def test_a_file_with_none_of_our_columns_is_refused_and_its_neighbours_are_not(
    machine: Machine, tmp_path: Path
) -> None:
    rows = rows_of(10, entities=5, seed=1)
    machine.upload(write_parquet(tmp_path / "good.parquet", rows), "good.parquet")
    types = {name: type_ for name, type_ in bureau_types().items() if name == "applicant_id"}
    key = machine.upload(write_parquet(tmp_path / "b.parquet", rows, types=types), "bad.parquet")

    outcome = machine.run("run-1")

    assert (
        f"{key}: column event_timestamp is missing; bureau expects a timestamp"
        in (outcome["verdict"]["cause"])
    )
    assert stored_times(machine.items()) == newest(rows)


# --- Parts whose workers failed -------------------------------------------------------------


def test_what_is_missing_in_bulk_is_a_plan_for_the_map_to_go_on_with(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credit_core.use_cases.reconcile.REPEATED_AT_ONCE", 2)
    monkeypatch.setitem(machine._reconciler.__globals__, "REPEATED_AT_ONCE", 2)
    files = [rows_of(5, entities=5, seed=seed) for seed in range(5)]
    for number, rows in enumerate(files):
        machine.upload(write_parquet(tmp_path / f"{number}.parquet", rows), f"{number}.parquet")
    plan = machine.plan("run-1")
    parts = machine.parts("run-1")
    machine.materialize("run-1", parts[1:2])

    many = machine.reconcile("run-1", plan)

    assert (many["missing"], many["repeat"], many["verdict"]) == (4, [], None)
    left = machine.parts("run-1", key=many["missing_key"])
    assert left == [parts[0], *parts[2:]]

    helpless = machine.reconcile("run-1", plan, before=many)

    assert (helpless["missing_key"], helpless["repeat"]) == (None, left[:2])

    machine.materialize("run-1", left[:2])
    few = machine.reconcile("run-1", plan, before=helpless)

    assert (few["missing"], few["missing_key"], few["repeat"]) == (2, None, left[2:])

    machine.materialize("run-1", few["repeat"])
    outcome = machine.reconcile("run-1", plan, before=few)

    assert (outcome["missing"], outcome["verdict"]) == (0, None)
    assert stored_times(machine.items()) == newest(*files)


# --- Crashes and races ----------------------------------------------------------------------


class Workers:
    """Starts processes that materialize, and kills them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, run_id: str, parts: Sequence[dict[str, Any]]) -> int:
        """Start a process on these parts and return its id."""
        return int(self._ask({"run_id": run_id, "parts": parts}))

    def wait(self, pid: int) -> int:
        """Return how it ended: 0, or the negative number of the signal that killed it."""
        return int(self._ask({"wait": pid}))

    def _ask(self, order: dict[str, Any]) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


@contextmanager
def workers() -> Iterator[Workers]:
    script = Path(__file__).with_name("materialization_worker.py")
    handler = LAMBDAS / "materializer" / "handler.py"
    with subprocess.Popen(
        [sys.executable, str(script), str(handler)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            started = Workers(process)
            # It answers once all is imported.
            assert started.wait(started.start("nothing", [])) == 0
            yield started
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait(10)


def a_lake_of_a_large_and_a_small_file(
    machine: Machine, folder: Path
) -> tuple[list[LakeRow], list[LakeRow]]:
    """Return the rows of both; most entities are in every part."""
    large = rows_of(ROWS_A_GROUP + 400, entities=300, seed=1)
    small = rows_of(300, entities=400, seed=2)
    machine.upload(a_file_of_many_row_groups(folder / "large.parquet", large), "large.parquet")
    machine.upload(write_parquet(folder / "small.parquet", small), "small.parquet")
    return large, small


def test_killed_at_any_moment_and_redriven_it_ends_in_the_same_table(
    machine: Machine, tmp_path: Path
) -> None:
    """What a redrive tries again are the parts without a tally; see the state RepeatParts."""
    files = a_lake_of_a_large_and_a_small_file(machine, tmp_path)
    chance = random.Random(20)  # noqa: S311 (an example)
    half_done = 0
    with workers() as worker:
        plan = machine.plan("undisturbed")
        started = time.monotonic()
        assert worker.wait(worker.start("undisturbed", machine.parts("undisturbed"))) == 0
        seconds = time.monotonic() - started
        assert machine.reconcile("undisturbed", plan)["verdict"] is None
        undisturbed = machine.items()
        assert stored_times(undisturbed) == newest(*files)

        for number in range(MOST_KILLS):
            if number >= KILLS and half_done:
                break
            machine.empty()
            run_id = f"killed-{number}"
            plan = machine.plan(run_id)
            pid = worker.start(run_id, machine.parts(run_id))
            time.sleep(chance.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
            killed = worker.wait(pid) == -signal.SIGKILL
            left = machine.reconcile(run_id, plan)
            half_done += killed and 0 < len(machine.items()) < len(undisturbed)

            assert worker.wait(worker.start(run_id, left["repeat"])) == 0

            outcome = machine.reconcile(run_id, plan)
            assert outcome["verdict"] is None
            assert outcome["counts"]["read"] == sum(map(len, files))
            assert machine.items() == undisturbed, f"kill {number}"
    assert half_done, "no kill has met a run that had written some rows and not all"


def test_two_backfills_in_different_orders_at_once_end_in_the_newest_rows(
    machine: Machine, tmp_path: Path
) -> None:
    files = a_lake_of_a_large_and_a_small_file(machine, tmp_path)
    orders: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
        "forward": lambda parts: parts,
        "backward": lambda parts: parts[::-1],
    }
    with workers() as worker:
        plans = {run_id: machine.plan(run_id) for run_id in orders}
        pids = [
            worker.start(run_id, order(machine.parts(run_id))) for run_id, order in orders.items()
        ]
        assert [worker.wait(pid) for pid in pids] == [0, 0]

    outcomes = [machine.reconcile(run_id, plan) for run_id, plan in plans.items()]
    items = machine.items()
    assert stored_times(items) == newest(*files)
    for outcome in outcomes:
        assert outcome["verdict"] is None
        counts = outcome["counts"]
        assert counts["read"] == sum(map(len, files))
        assert counts["read"] == counts["written"] + counts["stale"] + counts["rejected"]
    assert sum(outcome["counts"]["written"] for outcome in outcomes) >= len(newest(*files))
