"""The materializer as deployed: its handler, on Parquet files in S3."""

from __future__ import annotations

import json
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_cli.lake import rows_in
from credit_cli.sample import write_sample
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.feature_files import (
    column_types,
    opened,
    require_row_groups,
    schema_faults,
)
from credit_core.adapters.run_record import S3RunRecord
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError
from credit_core.ports import FilePart, Tally
from credit_core.settings import MaterializerSettings
from credit_core.use_cases.plan_materialization import RowGroup, part_document
from tests.builders import PRODUCT, SECRET
from tests.builders_aws import create_table
from tests.feature_rows import (
    BUREAU,
    BUREAU_KEY,
    a_lake_row,
    bureau_key,
    bureau_types,
    write_parquet,
)
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credit_core.domain.product import FeatureView
    from credit_core.ports import LakeRow
    from tests.integration.conftest import LocalCloud

RUN = "run-1"
A_MINUTE_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
TOMORROW = A_MINUTE_AGO + timedelta(days=1)


class Materializer:
    """The function with a lake, a results bucket, a table and a secret of its own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mark = uuid.uuid4().hex[:8]
        self.settings = MaterializerSettings(
            product=PRODUCT.name,
            lake_bucket=f"lake-{mark}",
            results_bucket=f"results-{mark}",
            online_store_table=f"online-store-{mark}",
            registry_table=f"registry-{mark}",
            entity_key_secret=f"entity-key-{mark}",
        )
        self.s3 = cloud.client("s3")
        self.dynamodb = cloud.client("dynamodb")
        for bucket in (self.settings.lake_bucket, self.settings.results_bucket):
            self.s3.create_bucket(Bucket=bucket)
        create_table(self.dynamodb, "online-store", name=self.settings.online_store_table)
        create_table(self.dynamodb, "registry", name=self.settings.registry_table)
        cloud.client("secretsmanager").create_secret(
            Name=self.settings.entity_key_secret, SecretString=SECRET.decode()
        )
        for name, value in self.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.module = started("materializer")

    def __call__(self, key: str = BUREAU_KEY, *, part: FilePart | None = None) -> Tally:
        """Materialize a file, or a part of one, and return the tally that it leaves."""
        document = part_document(0, part or FilePart(key))
        assert self.module.handler({"run_id": RUN, "part": document}, None) == {}
        record = S3RunRecord(self.s3, self.settings.results_bucket, run_id=RUN)
        return record.tallies()[0]

    def upload(self, path: Path, key: str = BUREAU_KEY) -> None:
        self.s3.upload_file(str(path), self.settings.lake_bucket, key)

    def items(self) -> dict[str, dict[str, Any]]:
        """Return the rows in the store, but for the notes of which one is a view's newest."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.settings.online_store_table
        )
        items = {item["entity_key"]["S"]: item for page in pages for item in page["Items"]}
        return {key: item for key, item in items.items() if not key.endswith("#newest")}

    def rejected(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket=self.settings.results_bucket, Prefix="rejected/")
        return {
            entry["Key"]: self.s3.get_object(Bucket=self.settings.results_bucket, Key=entry["Key"])[
                "Body"
            ].read()
            for entry in listed.get("Contents", [])
        }


@pytest.fixture
def materializer(
    local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Materializer]:
    yield Materializer(local_cloud_bare, monkeypatch)
    entity_key_secret.cache_clear()


def copy(query: str, path: Path) -> None:
    """Write a query's rows to a Parquet file."""
    with duckdb.connect() as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")


def a_recent_row(position: int = 0, **changes: Any) -> LakeRow:
    """Return a valid row for a handler that reads the real clock."""
    times = {"event": A_MINUTE_AGO, "created": A_MINUTE_AGO}
    return a_lake_row(position, **{**times, **changes})


# --- What it writes -----------------------------------------------------------------------------


def test_a_file_is_brought_into_the_store_and_its_rows_are_accounted_for(
    materializer: Materializer, tmp_path: Path
) -> None:
    rows = [a_recent_row(applicant_id=f"applicant-{number % 40}") for number in range(50)]
    materializer.upload(write_parquet(tmp_path / "x.parquet", rows))

    done = materializer()

    assert done == Tally(BUREAU_KEY, "bureau", read=50, written=40, stale=10, rejected=0)
    assert set(materializer.items()) == {bureau_key(f"applicant-{number}") for number in range(40)}
    assert materializer.rejected() == {}


def test_the_same_file_again_changes_nothing(materializer: Materializer, tmp_path: Path) -> None:
    materializer.upload(write_parquet(tmp_path / "x.parquet", [a_recent_row()]))
    materializer()
    before = materializer.items()

    done = materializer()

    assert (done.written, done.stale) == (0, 1)
    assert materializer.items() == before


def test_the_whole_sample_is_accepted(materializer: Materializer, tmp_path: Path) -> None:
    """Every applicant and every state ends with one row, and it is the newest."""
    last_day: date = datetime.now(UTC).date() - timedelta(days=1)
    paths = [
        path
        for path in write_sample(tmp_path, last_day=last_day, product=PRODUCT)
        if "features" in path.parts
    ]
    keys = [str(path.relative_to(tmp_path)) for path in paths]
    for path, key in zip(paths, keys, strict=True):
        materializer.upload(path, key)

    # The newest region file first: the older one must find nothing left to do.
    done = [materializer(key) for key in reversed(keys)]

    newest = {view.name: newest_events(tmp_path, view) for view in PRODUCT.feature_views}
    assert sum(tally.read for tally in done) == rows_in(paths)
    assert sum(tally.rejected for tally in done) == 0
    assert sum(tally.written for tally in done) >= sum(map(len, newest.values()))
    assert all(tally.adds_up for tally in done)
    items = materializer.items()
    for view in PRODUCT.feature_views:
        stored = [
            datetime.fromisoformat(item["recency"]["S"].split("/")[0])
            for key, item in items.items()
            if key.startswith(f"{PRODUCT.name}/{view.name}#")
        ]
        assert sorted(stored) == newest[view.name]


def newest_events(folder: Path, view: FeatureView) -> list[datetime]:
    """Return the newest event of each entity in the files of a view, sorted."""
    keys = ", ".join(view.entity.key_names)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT max(event_timestamp) FROM '{folder}/{PRODUCT.view_prefix(view)}*.parquet'"  # noqa: S608 (the test's own files)
            f" GROUP BY {keys}"
        ).fetchall()
    return sorted(event.replace(tzinfo=UTC) for (event,) in found)


# --- What it rejects ----------------------------------------------------------------------------


def test_rejected_rows_land_in_s3_with_a_reason_and_without_who_they_are(
    materializer: Materializer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        a_recent_row(applicant_id="applicant-good"),
        a_recent_row(applicant_id="applicant-bad", revol_util=-77.25, inq_fi=None),
        a_recent_row(applicant_id=None),
        a_recent_row(applicant_id="not an id"),
        a_recent_row(applicant_id="applicant-ahead", event=TOMORROW, created=TOMORROW),
    ]
    materializer.upload(write_parquet(tmp_path / "x.parquet", rows))

    done = materializer()

    assert (done.read, done.written, done.rejected) == (5, 1, 4)
    ((key, body),) = materializer.rejected().items()
    assert key == f"rejected/run-1/{BUREAU_KEY}.jsonl"
    lines = {line["row"]: line for line in map(json.loads, body.splitlines())}
    assert sorted(lines) == [1, 2, 3, 4]
    assert lines[1]["entity_key"] == bureau_key("applicant-bad")
    assert [reason.split()[0] for reason in lines[1]["reasons"]] == ["revol_util", "inq_fi"]
    assert lines[2]["entity_key"] is None
    assert lines[2]["reasons"] == ["applicant_id is null"]
    assert lines[4]["reasons"] == ["created_timestamp lies in the future"]
    for told in (body.decode(), capsys.readouterr().out):
        for secret in ("applicant-good", "applicant-bad", "not an id", "77.25"):
            assert secret not in told


def test_timestamps_that_are_no_dates_are_rejected(
    materializer: Materializer, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    write_parquet(tmp_path / "good.parquet", [a_recent_row()])
    copy(
        f"""SELECT * REPLACE (unnest([
            TIMESTAMP 'infinity', TIMESTAMP '20000-01-01', TIMESTAMP '0500-01-01 (BC)'
        ]) AS event_timestamp) FROM '{tmp_path}/good.parquet'""",  # noqa: S608
        path,
    )
    materializer.upload(path)

    assert materializer().rejected == 3


# --- What it refuses ----------------------------------------------------------------------------


def without(column: str) -> dict[str, str]:
    types = bureau_types()
    del types[column]
    return types


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        (without("revol_util"), r"column revol_util is missing; bureau expects a float or double"),
        (without("applicant_id"), r"column applicant_id is missing; bureau expects text"),
        (without("created_timestamp"), r"column created_timestamp is missing; .* a timestamp"),
        (bureau_types(revol_util="VARCHAR"), r"column revol_util is VARCHAR; bureau expects a flo"),
        (bureau_types(revol_util="INTEGER"), r"column revol_util is INTEGER; bureau expects a flo"),
        (bureau_types(inq_fi="BOOLEAN"), r"column inq_fi is BOOLEAN; bureau expects a whole numb"),
        (bureau_types(inq_fi="DOUBLE"), r"column inq_fi is DOUBLE; bureau expects a whole number"),
        (bureau_types(event_timestamp="DATE"), r"column event_timestamp is DATE; .* a timestamp"),
        (
            bureau_types(applicant_id="VARCHAR[]", inq_fi="VARCHAR"),
            r"column applicant_id is VARCHAR\[\]; .* text; column inq_fi is VARCHAR; .* whole",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_with_other_columns_is_refused_with_file_column_and_expectation(
    materializer: Materializer, tmp_path: Path, types: dict[str, str], expected: str
) -> None:
    row = a_recent_row(applicant_id=None)._replace(values=(None,) * len(BUREAU.features))
    if types.get("event_timestamp") == "DATE":
        row = row._replace(event_timestamp=None)
    materializer.upload(write_parquet(tmp_path / "x.parquet", [row], types=types))

    done = materializer()

    assert re.match(f"{BUREAU_KEY}: {expected}", done.refused or "")
    assert materializer.items() == {}
    assert materializer.rejected() == {}


@pytest.mark.parametrize("damage", ["empty", "truncated", "damaged page", "text", "other columns"])
def test_a_body_that_is_no_whole_feature_file_is_refused_before_the_first_write(
    materializer: Materializer, tmp_path: Path, damage: str
) -> None:
    rows = [a_recent_row(applicant_id=f"applicant-{number}") for number in range(5_000)]
    body = bytearray(write_parquet(tmp_path / "x.parquet", rows).read_bytes())
    match damage:
        case "empty":
            body.clear()
        case "truncated":
            del body[len(body) // 2 :]
        case "damaged page":
            # The footer is whole: only reading the pages shows it.
            body[4:400] = b"\xff" * 396
        case "text":
            body[:] = b"applicant_id,event_timestamp\n"
        case "other columns":
            copy("SELECT 42 AS answer", tmp_path / "other.parquet")
            body[:] = (tmp_path / "other.parquet").read_bytes()
    (tmp_path / "bad.parquet").write_bytes(body)
    materializer.upload(tmp_path / "bad.parquet")

    done = materializer()

    assert done.refused
    assert done.refused.startswith(f"{BUREAU_KEY}: ")
    assert materializer.items() == {}


def test_a_file_that_is_not_there_is_refused(materializer: Materializer) -> None:
    assert "no such file in the lake" in (materializer().refused or "")


def test_a_file_larger_than_half_the_temporary_storage_is_refused(
    materializer: Materializer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    materializer.upload(write_parquet(tmp_path / "x.parquet", [a_recent_row()]))

    class Usage:
        free = 2_000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)

    assert "smaller row groups" in (materializer().refused or "")


def test_an_answer_of_s3_that_breaks_off_is_no_fault_of_the_file(
    materializer: Materializer, tmp_path: Path
) -> None:
    materializer.upload(write_parquet(tmp_path / "x.parquet", [a_recent_row()]))

    class BreakingOff:
        def get_object(self, **names: str) -> dict[str, Any]:
            answer = materializer.s3.get_object(**names)
            answer["Body"]._amount_read = -1
            return dict(answer)

    materializer.module.s3 = BreakingOff()

    with pytest.raises(StoreUnavailableError, match=f"{BUREAU_KEY}.*IncompleteReadError"):
        materializer()


# --- What Parquet writers make of the same values -----------------------------------------------


@pytest.mark.parametrize(
    "types",
    [
        bureau_types(inq_fi="UTINYINT", num_il_tl="SMALLINT", all_util="FLOAT"),
        bureau_types(event_timestamp="TIMESTAMP_NS", created_timestamp="TIMESTAMP_MS"),
        bureau_types(
            event_timestamp="TIMESTAMP WITH TIME ZONE",
            created_timestamp="TIMESTAMP WITH TIME ZONE",
        ),
        bureau_types() | {"applicant_name": "VARCHAR"},
    ],
    ids=["small", "precision", "zone", "more columns"],
)
def test_the_same_values_in_other_types_are_the_same_row(
    tmp_path: Path, types: dict[str, str]
) -> None:
    row = a_recent_row()
    known = {name: type_ for name, type_ in types.items() if name in bureau_types()}
    path = write_parquet(tmp_path / "x.parquet", [row], types=known)
    if known != types:
        path = tmp_path / "more.parquet"
        copy(f"SELECT *, 'x' AS applicant_name FROM '{tmp_path}/x.parquet'", path)  # noqa: S608

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Pacific/Auckland'")
        (found,) = opened(connection, path, BUREAU, part=FilePart("x")).rows_by_entity()

    assert found == row


def test_columns_of_the_right_types_have_no_faults() -> None:
    assert schema_faults(BUREAU, bureau_types()) == []


def test_a_file_without_rows_is_a_file(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", [])

    with duckdb.connect() as connection:
        file = opened(connection, path, BUREAU, part=FilePart("x"))
        assert file.row_count == 0
        assert list(file.rows_by_entity()) == []


@pytest.mark.parametrize(
    ("rows", "span"),
    [
        ((0, 10), (4, 90)),
        ((0, 30), (4, 200)),
        ((10, 17), (90, 200)),
        ((23, 30), (90, 200)),
        ((15, 16), (90, 200)),
    ],
    ids=["a row group", "two", "the first piece of one", "the last", "one within"],
)
def test_a_part_is_whole_row_groups_or_a_piece_of_one(
    rows: tuple[int, int], span: tuple[int, int]
) -> None:
    groups = [RowGroup(10, 4, 90), RowGroup(0, 90, 90), RowGroup(20, 90, 200)]

    require_row_groups(groups, FilePart("x", rows, span))


@pytest.mark.parametrize(
    ("rows", "span"),
    [
        ((0, 20), (4, 200)),
        ((5, 30), (4, 200)),
        ((20, 40), (90, 200)),
        ((30, 40), (90, 200)),
        ((10, 20), (4, 200)),
        ((10, 20), (90, 150)),
        ((20, 10), (90, 200)),
    ],
    ids=["and a half", "half and", "too long", "past", "wider", "narrower", "backward"],
)
def test_a_part_that_the_file_does_not_have_is_refused(
    rows: tuple[int, int], span: tuple[int, int]
) -> None:
    groups = [RowGroup(10, 4, 90), RowGroup(20, 90, 200)]

    with pytest.raises(InvalidFeatureFileError, match="replaced after this run had planned it"):
        require_row_groups(groups, FilePart("x", rows, span))


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        ('7 AS "INQ_F1"', "column inq_fi is there twice; bureau expects a whole number"),
        (
            "7 AS FILE_ROW_NUMBER",
            "column file_row_number has a name that reading needs; leave it out",
        ),
        ("{'inq_fi': [7], 'more': {'inq_fi': 8}} AS nested", None),
    ],
)
def test_a_column_that_could_be_read_for_another_is_refused(
    tmp_path: Path, column: str, fault: str | None
) -> None:
    good = write_parquet(tmp_path / "good.parquet", [a_lake_row()])
    odd = tmp_path / "odd.parquet"
    with duckdb.connect() as connection:
        selected = f"SELECT *, {column} FROM '{good}'"  # noqa: S608 (the test's own names)
        connection.execute(f"COPY ({selected}) TO '{odd}' (FORMAT parquet)")
        # DuckDB writes no two columns of one name, other writers do.
        odd.write_bytes(odd.read_bytes().replace(b"INQ_F1", b"INQ_FI"))

        assert schema_faults(BUREAU, column_types(connection, odd)) == ([fault] if fault else [])


def test_names_of_columns_count_as_athena_reads_them_in_either_case(tmp_path: Path) -> None:
    row = a_lake_row()
    path = write_parquet(tmp_path / "x.parquet", [row])
    upper = tmp_path / "upper.parquet"
    with duckdb.connect() as connection:
        names = ", ".join(f'"{name}" AS "{name.upper()}"' for name in bureau_types())
        selected = f"SELECT {names} FROM '{path}'"  # noqa: S608 (as above)
        connection.execute(f"COPY ({selected}) TO '{upper}' (FORMAT parquet)")
        (found,) = opened(connection, upper, BUREAU, part=FilePart(BUREAU_KEY)).rows_by_entity()

    assert found == row
