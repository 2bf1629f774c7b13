"""The tables of Feast's tutorial as a second product: materialized, joined, trained on, scored.

Every claim is tested on made-up tables of the same columns and types, and on the tutorial's own
files where these are at hand. Nothing here is deployed; the adapters are those that are.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_core.adapters.decision_store import DynamoDecisionStore, dynamodb
from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.adapters.local_lake import LocalLake
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.onnx_model import OnnxModel
from credit_core.adapters.query_results import read_query_result
from credit_core.adapters.rejected_rows import S3RejectedRows
from credit_core.domain.decision import FeatureStatus
from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.judgement import ReferralCause
from credit_core.domain.lake_tables import lake_tables
from credit_core.domain.point_in_time import (
    training_set_columns,
    training_set_sql,
    view_event_column,
)
from credit_core.domain.policy import probability
from credit_core.domain.product import Defaults, DType, load_product
from credit_core.errors import InvalidRequestError
from credit_core.ports import FilePart
from credit_core.use_cases.materialize import materialize
from credit_core.use_cases.score import ScoreApplication
from model_build.candidates import CANDIDATES
from model_build.train import train
from model_build.training_set import read_training_set
from tests.builders import NOW, SECRET, FixedModels, a_timer
from tests.builders_aws import TABLE_KEYS, create_table
from tests.feature_rows import never
from tests.shared_data import copy_to_parquet, shared_data, view_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from credit_core.domain.decision import Decision
    from credit_core.ports import Tally
    from model_build.loans import TrainingSet
    from model_build.train import TrainedModel
    from tests.integration.conftest import LocalCloud

    type Row = Mapping[str, Any]

PRODUCT = load_product("feast_tutorial")
ZIPCODES, HISTORIES = PRODUCT.view("zipcode_features"), PRODUCT.view("credit_history")
WHEN_THE_LOANS_END = datetime(2021, 8, 26, tzinfo=UTC)
"""When the tables are materialized: later, the credit histories would be past their retention."""
ZIPCODE_FILE = view_key(PRODUCT, ZIPCODES.name, "zipcode_table")
HISTORY_FILE = view_key(PRODUCT, HISTORIES.name, "credit_history")
LOAN_FILE = f"{PRODUCT.applications_prefix}loan_table.parquet"

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
GLUE_TYPES = {
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "VARCHAR": "string",
    "TIMESTAMP": "timestamp",
    "TIMESTAMP WITH TIME ZONE": "timestamp",
}
QUERY_SECONDS = 60
SCORED_LOANS = 20
"""Of each status of the credit history."""

# --- The tables --------------------------------------------------------------------------------


def write_tutorial(folder: Path) -> None:
    """Lay the tutorial's files out as a lake: the csv as Parquet, loans with our id."""
    zipcodes, histories, loans = map(
        shared_data, ("zipcode_table.parquet", "credit_history_sample.csv", "loan_table.parquet")
    )
    (folder / ZIPCODE_FILE).parent.mkdir(parents=True)
    shutil.copyfile(zipcodes, folder / ZIPCODE_FILE)
    copy_to_parquet(f"FROM '{histories}'", folder / HISTORY_FILE)
    copy_to_parquet(
        f"SELECT *, CAST(loan_id AS VARCHAR) AS application_id FROM '{loans}'",  # noqa: S608 (ours)
        folder / LOAN_FILE,
    )


def write_made_up(folder: Path) -> None:
    """Write tables of the tutorial's columns and types, small, with all that may befall a row.

    Zipcodes in an undeclared state and of no known type, people with a report that is fresh, with
    one that has become stale, and with none.
    """
    copy_to_parquet(
        """
        SELECT 501 + 7 * i AS zipcode, 'SOMEWHERE' AS city,
            ['CA', 'NY', 'TX', 'PR'][1 + i % 4] AS state,
            ['PRIMARY', 'PO BOX', NULL][1 + i % 3] AS location_type,
            1000 + i AS tax_returns_filed, 3000 + 5 * i AS population,
            2000000000 + 1000003 * i AS total_wages,
            TIMESTAMPTZ '2017-01-01 12:00:00+00' AS event_timestamp,
            TIMESTAMPTZ '2017-01-01 12:00:00+00' AS created_timestamp
        FROM range(300) AS zipcodes(i)
        """,
        folder / ZIPCODE_FILE,
    )
    person = "format('{:08d}_{:04d}', 19500101 + i, i % 9999)"
    copy_to_parquet(
        f"""
        SELECT TIMESTAMP '2020-04-26 18:01:04.746575' AS event_timestamp,
            {person} AS dob_ssn, i % 9000 AS credit_card_due, 31 * i AS mortgage_due,
            7 * i AS student_loan_due, 5 * i AS vehicle_loan_due, i % 11 AS hard_pulls,
            i % 8 AS missed_payments_2y, i % 4 AS missed_payments_1y,
            i % 2 AS missed_payments_6m, i % 3 AS bankruptcies,
            TIMESTAMP '2020-04-26 18:01:04.746575' AS created_timestamp
        FROM range(0, 3000, 10) AS people(i)
        """,  # noqa: S608 (ours)
        folder / HISTORY_FILE,
    )
    copy_to_parquet(
        f"""
        SELECT *, CAST(loan_id AS VARCHAR) AS application_id,
            CAST(hash(loan_id, 'status') % 1000 < 60 + loan_amnt / 60 AS BIGINT) AS loan_status
        FROM (
            SELECT 10000 + i AS loan_id, {person} AS dob_ssn, 501 + 7 * (i % 300) AS zipcode,
                20 + i % 60 AS person_age,
                CAST(20000 + hash(i, 'income') % 90000 AS BIGINT) AS person_income,
                ['RENT', 'OWN', 'MORTGAGE', 'OTHER'][1 + i % 4] AS person_home_ownership,
                CASE WHEN i % 20 > 0 THEN CAST(i % 41 AS DOUBLE) END AS person_emp_length,
                ['PERSONAL', 'EDUCATION', 'MEDICAL', 'VENTURE'][1 + i % 4] AS loan_intent,
                CAST(500 + hash(i, 'amount') % 30000 AS BIGINT) AS loan_amnt,
                CAST(5 + i % 15 AS DOUBLE) AS loan_int_rate,
                TIMESTAMPTZ '2020-08-25 20:34:41.361+00' + i * INTERVAL '10511.0337 seconds'
                    AS event_timestamp,
                event_timestamp AS created_timestamp
            FROM range(3000) AS loans(i)
        )
        """,  # noqa: S608 (ours)
        folder / LOAN_FILE,
    )


# --- The service -------------------------------------------------------------------------------


class Service:
    """The product on the emulator: a lake, a catalog and tables of its own; each step once."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        mark = uuid.uuid4().hex[:8]
        self.folder = folder
        self._cloud = cloud
        self._lake, self._results = f"lake-{mark}", f"results-{mark}"
        self._database = f"feast_{mark}"
        self._tables = {kind: f"{kind}-{mark}" for kind in TABLE_KEYS}
        self._s3 = cloud.client("s3")
        for bucket in (self._lake, self._results):
            self._s3.create_bucket(Bucket=bucket)
        for kind, name in self._tables.items():
            create_table(cloud.client("dynamodb"), kind, name=name)
        for path in folder.rglob("*.parquet"):
            self._s3.upload_file(str(path), self._lake, path.relative_to(folder).as_posix())

    @cached_property
    def materialized(self) -> dict[str, Tally]:
        """What became of each feature file."""
        table = self._tables["online-store"]
        store = PartiqlOnlineStoreWriter(self._cloud.client("dynamodb"), table)
        return {
            key: materialize(
                PRODUCT,
                FilePart(key),
                lake=S3FeatureLake(self._s3, self._lake),
                store=store,
                rejected_rows=S3RejectedRows(self._s3, self._results, run_id="run-1"),
                secret=SECRET,
                as_of=WHEN_THE_LOANS_END,
                wait=never,
            )
            for key in (ZIPCODE_FILE, HISTORY_FILE)
        }

    @cached_property
    def athena_csv(self) -> bytes:
        """The training set as Athena returns it, from the tables that the catalog would have."""
        glue, athena = self._cloud.client("glue"), self._cloud.client("athena")
        glue.create_database(DatabaseInput={"Name": self._database})
        for table in lake_tables(PRODUCT):
            storage = {
                "Location": f"s3://{self._lake}/{table.prefix}",
                "Columns": [{"Name": name, "Type": type_} for name, type_ in table.columns.items()],
                "InputFormat": f"{PARQUET}.MapredParquetInputFormat",
                "OutputFormat": f"{PARQUET}.MapredParquetOutputFormat",
                "SerdeInfo": {"SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe"},
            }
            glue.create_table(
                DatabaseName=self._database,
                TableInput={
                    "Name": table.name,
                    "TableType": "EXTERNAL_TABLE",
                    "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
                    "StorageDescriptor": storage,
                },
            )
        query = athena.start_query_execution(
            QueryString=training_set_sql(PRODUCT),
            QueryExecutionContext={"Database": self._database},
            ResultConfiguration={"OutputLocation": f"s3://{self._results}/training-sets/"},
        )["QueryExecutionId"]
        state, deadline = "QUEUED", time.monotonic() + QUERY_SECONDS
        while state in {"QUEUED", "RUNNING"} and time.monotonic() < deadline:
            time.sleep(0.1)
            execution = athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
            state = execution["Status"]["State"]
        assert state == "SUCCEEDED", execution["Status"]
        location = execution["ResultConfiguration"]["OutputLocation"]
        return read_query_result(self._s3, location, bucket=self._results)

    @cached_property
    def training_set(self) -> TrainingSet:
        """What the trainer makes of Athena's answer."""
        return read_training_set(PRODUCT, self.athena_csv)

    @cached_property
    def rows(self) -> list[Row]:
        """Athena's answer, row by row."""
        return parsed(self.athena_csv)

    @cached_property
    def model(self) -> TrainedModel:
        """A model by the simplest candidate, which is trained in seconds."""
        return train(
            PRODUCT, self.training_set, lineage={}, started_at=NOW, candidates=CANDIDATES[:1]
        )

    @cached_property
    def _score(self) -> ScoreApplication:
        assert self.materialized
        store = DynamoDecisionStore(
            dynamodb(),
            product=PRODUCT.name,
            online_store_table=self._tables["online-store"],
            decisions_table=self._tables["decisions"],
            registry_table=self._tables["registry"],
            receipt_days=7,
            on_damaged_pointer=lambda _: None,
        )
        champion = OnnxModel.from_bytes(
            self.model.onnx, self.model.manifest, manifest_sha256="0" * 64
        )
        return ScoreApplication(PRODUCT, secret=SECRET, store=store, models=FixedModels(champion))

    def decide(self, row: Row, **changes: object) -> Decision:
        """Score a loan of the training set at the instant at which it was applied for."""
        application = self._applications[row["application_id"]] | changes
        answer = self._score(
            json.dumps(application | {"application_id": str(uuid.uuid4())}),
            as_of=row["event_timestamp"].replace(tzinfo=UTC),
            timer=a_timer(),
        )
        assert answer.decision is not None
        return answer.decision

    @cached_property
    def _applications(self) -> dict[str, dict[str, object]]:
        """What each applicant sent, by the id of the loan."""
        request = (feature.name for feature in PRODUCT.request_features)
        names = ["application_id", *PRODUCT.entity_key_names, *request]
        with duckdb.connect() as connection:
            found = connection.execute(
                f"SELECT {', '.join(names)} FROM '{self.folder / LOAN_FILE}'"  # noqa: S608 (ours)
            ).fetchall()
        return {row[0]: dict(zip(names, row, strict=True)) for row in found}


@pytest.fixture(scope="module", params=[write_made_up, write_tutorial], ids=["made up", "tutorial"])
def service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    local_cloud_process: LocalCloud,
) -> Iterator[Service]:
    """One service for all tests of this file."""
    folder = tmp_path_factory.mktemp("lake")
    request.param(folder)
    with pytest.MonkeyPatch.context() as patch:
        local_cloud_process.point_clients_here(patch)
        yield Service(local_cloud_process, folder)


def parsed(body: bytes) -> list[Row]:
    """Return a training set's rows as values, which engines write differently as text."""
    types = {feature.name: feature.dtype for feature in PRODUCT.base_features}
    instants = {"event_timestamp", *map(view_event_column, PRODUCT.feature_views)}

    def value(name: str, text: str) -> object:
        if not text:
            return None
        if name in instants:
            return datetime.fromisoformat(text)
        match types.get(name):
            case DType.INTEGER:
                return int(text)
            case DType.FLOAT:
                return float(text)
        return text

    return [
        {name: value(name, text) for name, text in row.items()}
        for row in csv.DictReader(io.StringIO(body.decode(), newline=""))
    ]


def credit_history_status(row: Row) -> FeatureStatus:
    """Return what the training set says of a loan's credit history."""
    event = row[view_event_column(HISTORIES)]
    if event is None:
        return FeatureStatus.MISSING
    age = row["event_timestamp"] - event
    return FeatureStatus.STALE if age > HISTORIES.ttl else FeatureStatus.FRESH


def some_of_each(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield a few loans of each status of the credit history, spread over all of them."""
    for status in (FeatureStatus.FRESH, FeatureStatus.STALE, FeatureStatus.MISSING):
        found = [row for row in rows if credit_history_status(row) is status]
        assert len(found) >= SCORED_LOANS, status
        yield from found[:: len(found) // SCORED_LOANS][:SCORED_LOANS]


def values_in(row: Row, names: Iterable[str]) -> dict[str, object]:
    return {name: row[name] for name in names}


# --- Tables -------------------------------------------------------------------------------------


def test_the_files_have_the_types_of_the_catalogs_tables(service: Service) -> None:
    """Athena fails on a file whose column is of another type than its table's."""
    tables = {table.prefix: table.columns for table in lake_tables(PRODUCT)}

    for key in (LOAN_FILE, ZIPCODE_FILE, HISTORY_FILE):
        described = duckdb.execute(f"DESCRIBE FROM '{service.folder / key}'").fetchall()
        types = {name: GLUE_TYPES[type_] for name, type_, *_ in described}
        columns = tables[key.rpartition("/")[0] + "/"]
        assert columns == {name: types[name] for name in columns}


def test_every_row_of_the_feature_tables_is_materialized(service: Service) -> None:
    for key, done in service.materialized.items():
        (rows,) = duckdb.execute(
            "SELECT num_rows FROM parquet_file_metadata(?)", [str(service.folder / key)]
        ).fetchall()
        assert (done.read, done.written, done.stale, done.rejected) == (*rows, *rows, 0, 0)


# --- Training ------------------------------------------------------------------------------------


def test_athena_and_duckdb_return_identical_rows(service: Service, tmp_path: Path) -> None:
    """Zipcodes are integers, two files have timestamps with a zone, one has them without."""
    LocalLake(PRODUCT, service.folder).write_training_set(tmp_path / "rows.csv")

    ours = parsed((tmp_path / "rows.csv").read_bytes())

    assert tuple(ours[0]) == training_set_columns(PRODUCT)
    assert ours == service.rows


def test_every_loan_is_in_the_training_set_and_finds_its_zipcode(service: Service) -> None:
    (loans,) = duckdb.execute(f"SELECT count(*) FROM '{service.folder / LOAN_FILE}'").fetchall()  # noqa: S608 (ours)

    assert len(service.rows) == loans[0]
    assert all(row[view_event_column(ZIPCODES)] for row in service.rows)


def test_only_an_outdated_credit_report_is_referred(service: Service) -> None:
    """No report at all has declared defaults; a stale one does not, a new one can be had."""
    statuses = Counter(map(credit_history_status, service.rows))

    assert min(statuses.values()) >= SCORED_LOANS
    assert service.training_set.referred == statuses[FeatureStatus.STALE]


def test_a_model_is_trained_that_passes_every_gate(service: Service) -> None:
    """How well it ranks is of no interest: keys and times of the data are invented."""
    assert [gate for gate in service.model.manifest.gates if not gate.passed] == []


# --- Scoring -------------------------------------------------------------------------------------


def test_what_is_served_is_what_the_training_set_holds(service: Service) -> None:
    """Fresh, stale and missing reports alike; a stale one is null there and referred here."""
    for row in some_of_each(service.rows):
        decision = service.decide(row)

        for view in PRODUCT.feature_views:
            names = [feature.name for feature in view.features]
            served = decision.views[view.name]
            event = served.row.event_timestamp.replace(tzinfo=None) if served.row else None
            assert event == row[view_event_column(view)]
            if served.features is None:
                assert set(values_in(row, names).values()) == {None}
            else:
                assert served.features == values_in(row, names)
        status = decision.views[HISTORIES.name].status
        assert status is credit_history_status(row)
        if status is FeatureStatus.STALE:
            assert decision.judgement.cause is not None
            assert decision.judgement.cause.code is ReferralCause.FEATURES_STALE


def test_a_loan_is_given_the_probability_that_training_gives_it(service: Service) -> None:
    """But for what float32 makes of one row or of many at once."""
    model = OnnxModel.from_bytes(
        service.model.onnx, service.model.manifest, manifest_sha256="0" * 64
    )
    row = next(row for row in service.rows if credit_history_status(row) is FeatureStatus.FRESH)
    columns = {feature.name: [row[feature.name]] for feature in PRODUCT.base_features}

    assessment = service.decide(row).judgement.assessment

    assert assessment is not None
    (log_odds,) = model.log_odds(feature_matrix(PRODUCT, columns))
    expected = probability(float(log_odds))
    assert assessment.probability_of_default == pytest.approx(expected, abs=1e-6)


def test_a_person_without_a_history_gets_the_declared_defaults_on_both_sides(
    service: Service,
) -> None:
    """What the definition does not name is unknown."""
    assert isinstance(HISTORIES.when_missing, Defaults)
    names = [feature.name for feature in HISTORIES.features]
    defaults = {name: HISTORIES.when_missing.values.get(name) for name in names}
    row = next(row for row in service.rows if credit_history_status(row) is FeatureStatus.MISSING)

    decision = service.decide(row)

    assert defaults["hard_pulls"] == 4
    assert defaults["missed_payments_2y"] is None
    assert values_in(row, names) == defaults
    assert decision.views[HISTORIES.name].features == defaults
    assert decision.judgement.assessment is not None


def test_a_zipcode_nobody_knows_is_referred(service: Service) -> None:
    """Nothing was declared for it."""
    decision = service.decide(service.rows[0], zipcode=99_999)

    assert decision.judgement.cause is not None
    assert decision.judgement.cause.code is ReferralCause.FEATURES_MISSING


@pytest.mark.parametrize("zipcode", ["76104", 76_104.5, -1, 2**53, True, None])
def test_a_zipcode_that_is_no_whole_number_is_refused(service: Service, zipcode: object) -> None:
    with pytest.raises(InvalidRequestError, match="zipcode"):
        service.decide(service.rows[0], zipcode=zipcode)
