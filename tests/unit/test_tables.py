"""A stranger's table: what is read of it, and what is said of one that cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from credit_core.domain.product import (
    AdverseActionReason,
    DerivedFeature,
    DType,
    load_product_file,
)
from credit_core.errors import TrainingDataError
from model_build.tables import read_flat_table
from model_build.training_set import read_training_set
from tests.builders import PRODUCT
from tests.builders_training import as_csv, some_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.product import Column, CreditProduct
    from model_build.loans import TrainingSet
    from model_build.tables import FlatTable

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "data" / "german_credit.csv"
GERMAN = load_product_file(ROOT / "examples" / "german_credit.py")
HEADER, *ROWS = list(csv.reader(io.StringIO(TABLE.read_text())))
INPUTS = [feature.name for feature in GERMAN.model_features]

type Change = Callable[[int, str], object]


def text_of(rows: list[list[str]], *, header: list[str] = HEADER, delimiter: str = ",") -> str:
    """Return rows as CSV."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def changed(column: str, change: Change) -> str:
    """Return the table with another value in a column: of row number and value."""
    place = HEADER.index(column)
    return text_of(
        [
            [*row[:place], str(change(number, row[place])), *row[place + 1 :]]
            for number, row in enumerate(ROWS, start=1)
        ]
    )


def with_column(name: str, value: Callable[[int], object]) -> str:
    """Return the table with a column more: of row number."""
    rows = [[str(value(number)), *row] for number, row in enumerate(ROWS, start=1)]
    return text_of(rows, header=[name, *HEADER])


def read(folder: Path, text: str | bytes, *, name: str = "loans.csv") -> FlatTable:
    """Return what is read of a file with this text."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_flat_table(GERMAN, folder)


def trained_on(folder: Path, text: str | bytes, *, name: str = "loans.csv") -> TrainingSet:
    """Return the loans of a file with this text."""
    return read(folder, text, name=name).training_set(GERMAN)


def parquet(folder: Path, select: str) -> TrainingSet:
    """Return the loans of a Parquet file that a query makes of the table's ``rows``."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (WITH rows AS (FROM read_csv('{TABLE}')) {select})"
            f" TO '{folder / 'loans.parquet'}' (FORMAT parquet)"
        )
    return read_flat_table(GERMAN, folder).training_set(GERMAN)


PLAIN = read_flat_table(GERMAN, TABLE).training_set(GERMAN)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("loans.csv", text_of(ROWS, delimiter=";")),
        ("loans.tsv", text_of(ROWS, delimiter="\t")),
        ("loans.csv", text_of(ROWS, delimiter="|")),
        ("loans.csv", "\N{BYTE ORDER MARK}" + text_of(ROWS).replace("\n", "\r\n")),
        ("loans.csv", text_of(ROWS).replace("\n", "\r")),
        ("LOANS.CSV", text_of(ROWS, header=[name.upper().replace("_", " ") for name in HEADER])),
        ("loans.csv", text_of(ROWS, header=[name.title().replace("_", "") for name in HEADER])),
        ("loans.csv.gz", gzip.compress(text_of(ROWS).encode())),
        ("loans.csv", text_of(ROWS) + "\n\n"),
        ("loans.csv", changed("housing", lambda _, value: f" {value} ")),
        ("loans.csv", changed("credit_amount", lambda _, value: f"{value}.0")),
        ("loans.csv", changed("defaulted", lambda _, value: value == "1")),
    ],
    ids=range(12),
)
def test_what_means_the_same_is_read_the_same(tmp_path: Path, name: str, text: str | bytes) -> None:
    """Delimiters, line ends, a byte order mark, names in capitals, compression, 1.0 and True."""
    found = trained_on(tmp_path, text, name=name)

    assert np.array_equal(found.loans.matrix, PLAIN.loans.matrix)
    assert np.array_equal(found.loans.defaulted, PLAIN.loans.defaulted)


@pytest.mark.parametrize(
    "select",
    [
        "FROM rows",
        "SELECT * REPLACE (credit_amount::DOUBLE AS credit_amount) FROM rows",
        "SELECT * REPLACE (defaulted = 1 AS defaulted) FROM rows",
        "SELECT * REPLACE (credit_amount::DECIMAL(18, 2) AS credit_amount) FROM rows",
        "SELECT * REPLACE (credit_amount::VARCHAR AS credit_amount) FROM rows",
        "SELECT * REPLACE (housing::ENUM('own', 'rent', 'free') AS housing) FROM rows",
    ],
)
def test_parquet_of_any_type_that_fits_is_read_the_same(tmp_path: Path, select: str) -> None:
    assert np.array_equal(parquet(tmp_path, select).loans.matrix, PLAIN.loans.matrix)


def test_several_files_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text_of(ROWS[:400]))
    (tmp_path / "b.csv").write_text(text_of(ROWS[400:]))
    (tmp_path / "README.md").write_text("not a table")

    table = read_flat_table(GERMAN, tmp_path)

    assert np.array_equal(table.training_set(GERMAN).loans.matrix, PLAIN.loans.matrix)
    assert table.place(400) == "b.csv, row 1"
    assert table.sha256 != PLAIN.sha256


def test_groups_are_read_and_no_input(tmp_path: Path) -> None:
    text = changed("personal_status", lambda row, value: "unheard of" if row == 1 else value)

    loans = trained_on(tmp_path, text).loans

    assert "personal_status" not in INPUTS
    assert loans.groups["personal_status"][:3].tolist() == ["", "male_separated", "male_separated"]


@pytest.mark.parametrize(
    ("stamp", "first"),
    [
        (lambda row: f"2026-01-{31 - row % 28:02d}", "2026-01-04"),
        (lambda row: f"2026-01-{31 - row % 28:02d}T01:00:00+02:00", "2026-01-03T23:00"),
        (lambda row: f"2026-01-{31 - row % 28:02d} 10:00:00.5Z", "2026-01-04T10:00:00.5"),
    ],
)
def test_times_are_read_with_or_without_a_zone_and_put_in_order(
    tmp_path: Path, stamp: Callable[[int], object], first: str
) -> None:
    found = trained_on(tmp_path, with_column("event_timestamp", stamp)).loans.event_timestamps

    assert found is not None
    assert found[0] == np.datetime64(first)
    assert np.array_equal(found, np.sort(found))


@pytest.mark.parametrize(
    "instant",
    [
        "DATE '2026-01-01' + {}",
        "(TIMESTAMP '2026-01-01' + to_days({}))::TIMESTAMP_NS",
        "TIMESTAMPTZ '2026-01-01 00:00:00Z' + to_days({})",
    ],
)
def test_times_of_parquet_are_read(tmp_path: Path, instant: str) -> None:
    stamp = instant.format("(row_number() OVER ())::INT")

    loans = parquet(tmp_path, f"SELECT {stamp} AS event_timestamp, * FROM rows").loans  # noqa: S608

    assert loans.event_timestamps is not None
    assert loans.event_timestamps[0] == np.datetime64("2026-01-02")


def test_unknown_is_written_in_several_ways_and_an_outcome_may_be_missing(tmp_path: Path) -> None:
    words = ["", "NA", "nan", "?", "NULL"]
    found = read(
        tmp_path, changed("defaulted", lambda row, value: (["", "NA"] + [value] * 3)[row % 5])
    )

    training_set = found.training_set(GERMAN)

    assert training_set.not_labelled == 400
    assert len(training_set.loans) == 600
    text = changed("credit_amount", lambda row, value: words[row] if row < 5 else value)
    (lost,) = read(tmp_path, text).left_out(GERMAN)
    assert (lost.column, lost.rows, lost.first) == ("credit_amount", 4, "loans.csv, row 1")
    assert lost.why == "are empty, and it is not declared nullable"


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("credit_amount", "1000000", "are above its maximum 100000"),
        ("credit_amount", "0", "are below its minimum 1"),
        ("credit_amount", "inf", "are not finite"),
        ("credit_amount", "1.5", "are not whole, as its dtype says"),
        ("housing", "castle", "are none of its declared categories"),
        ("housing", "Own", "are one of its categories in other letters or signs only"),
    ],
)
def test_rows_that_scoring_would_refuse_are_left_out_and_counted(
    tmp_path: Path, column: str, value: str, why: str
) -> None:
    table = read(tmp_path, changed(column, lambda row, old: value if row in {7, 9} else old))

    (lost,) = table.left_out(GERMAN)
    found = table.training_set(GERMAN)

    assert (lost.column, lost.rows, lost.why, lost.first) == (column, 2, why, "loans.csv, row 7")
    assert (len(found.loans), dict(found.unservable)) == (998, {column: 2})


def test_when_every_row_is_lost_the_columns_are_named(tmp_path: Path) -> None:
    table = read(tmp_path, changed("housing", lambda _, value: value.upper()))

    with pytest.raises(TrainingDataError, match=r"no row of 1,000 .* housing: 1,000 row\(s\)"):
        table.training_set(GERMAN)


def test_applicants_are_told_apart_by_the_first_entitys_keys(tmp_path: Path) -> None:
    rows = some_rows(6)
    for number, row in enumerate(rows):
        row["Applicant ID"] = ["b", "a", "b", "", "", "a"][number]
    names = list(rows[0])
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    (tmp_path / "loans.csv").write_text(text.getvalue())

    applicants = read_flat_table(PRODUCT, tmp_path).training_set(PRODUCT).loans.applicants

    b, a, b_again, alone, other, a_again = applicants.tolist()
    assert (b, a) == (b_again, a_again)
    assert len({a, b, alone, other}) == 4


def test_rows_with_the_same_inputs_are_one_applicant_and_told_of(tmp_path: Path) -> None:
    table = read(tmp_path, text_of([*ROWS, *ROWS[:50]]))

    loans = table.training_set(GERMAN).loans

    assert loans.applicants[0] == loans.applicants[1_000]
    assert any("50 rows are the same as another" in remark for remark in table.remarks)


def test_a_training_set_of_the_query_is_read_as_the_trainer_reads_it(tmp_path: Path) -> None:
    body = as_csv(some_rows(500))
    (tmp_path / "rows.csv").write_bytes(body)

    there, here = read_training_set(PRODUCT, body), read_flat_table(PRODUCT, tmp_path / "rows.csv")

    found = here.training_set(PRODUCT)
    assert np.array_equal(found.loans.matrix, there.loans.matrix, equal_nan=True)
    assert found.sha256 == there.sha256
    assert np.array_equal(found.loans.event_timestamps, there.loans.event_timestamps)  # type: ignore[arg-type]


def test_a_view_without_times_is_missing_where_it_is_wholly_null(tmp_path: Path) -> None:
    rows = some_rows(50)
    bureau = PRODUCT.view("bureau")
    for row in rows:
        del row["bureau_event_timestamp"]
    rows[3] |= {feature.name: "" for feature in bureau.features}
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    (tmp_path / "loans.csv").write_text(text.getvalue())

    found = read_flat_table(PRODUCT, tmp_path).training_set(PRODUCT)

    assert (found.referred, found.unservable_rows, len(found.loans)) == (1, 0, 49)
    assert read_flat_table(PRODUCT, tmp_path).left_out(PRODUCT) == ()


def test_features_newer_than_the_application_are_counted(tmp_path: Path) -> None:
    rows = some_rows(50)
    rows[3]["bureau_event_timestamp"] = "2027-01-01 00:00:00"
    (tmp_path / "rows.csv").write_bytes(as_csv(rows))

    found = read_flat_table(PRODUCT, tmp_path).training_set(PRODUCT)

    assert dict(found.features_newer) == {"bureau": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            changed("defaulted", lambda _, value: int(value) + 1),
            r"column defaulted, row 2 \(and 299 more\) is neither 0 nor 1; .*its values are 1, 2",
        ),
        (
            changed("defaulted", lambda _, value: "bad" if value == "1" else "good"),
            "its values are bad, good",
        ),
        (changed("defaulted", lambda row, _: row / 1_000), r"\(1000 values\)"),
        (
            changed("credit_amount", lambda _, value: f"{value},5"),
            r"column credit_amount, row 1 \(and 999 more\) has a decimal comma; write 12345.6",
        ),
        (changed("credit_amount", lambda row, _: f"1,{row:03d}"), "has commas in its digits"),
        (changed("credit_amount", lambda _, value: f"${value}"), "has a sign beside its digits"),
        (changed("duration_months", lambda _, value: f"{value} months"), "has a unit"),
        (changed("duration_months", lambda _, __: "long"), "is text, not a number"),
        (changed("duration_months", lambda _, __: "yes"), "is a word for yes or no"),
        (with_column("event_timestamp", lambda _: "31.01.2026"), "is no date; write 2024-01-31"),
        (with_column("event_timestamp", lambda _: "infinity"), "is before 1900-01-01 or after"),
        (
            with_column("event_timestamp", lambda row: "" if row == 9 else "2026-01-31"),
            "column event_timestamp, row 9 is empty; fill it in",
        ),
        (with_column("application_id", lambda row: row // 2), "row 3: its application_id has come"),
        (with_column("Housing", lambda _: "own").replace("housing", "HOUSING"), "is there 2 times"),
        (text_of(ROWS, header=[*HEADER[:-1], "default"]), "is default meant for defaulted?"),
        (
            text_of(ROWS).replace("credit_amount", "sum"),
            "it lacks column.s. credit_amount; not used are sum, age_years",
        ),
        (text_of(ROWS[1:], header=ROWS[0]), "names none of german_credit's columns"),
        (text_of([HEADER, *ROWS], header=["x"] * 21), "its header seems to be line 2"),
        (text_of([]), "has no rows below its header"),
        ("", "line 1 is empty"),
        (text_of(ROWS).replace("\n", "\nx,y\n", 2), "line 2: the line has more or fewer fields"),
        (text_of(ROWS).replace("furniture", '"furniture', 1), "or a quote that does not end"),
        (text_of(ROWS).replace("furniture", "möbel").encode("latin-1"), "line 5: it is no UTF-8"),
        (text_of(ROWS).encode("utf-16"), "line 1: it is no text in UTF-8"),
    ],
    ids=range(24),
)
def test_what_cannot_be_read_is_said_with_its_place_and_a_remedy(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(TrainingDataError, match=message):
        read(tmp_path, text)


def test_a_message_never_repeats_a_value(tmp_path: Path) -> None:
    text = changed("credit_amount", lambda row, value: "Mrs Miller" if row == 3 else value)

    with pytest.raises(TrainingDataError, match="row 3 is text, not a number") as refused:
        read(tmp_path, text)

    assert "Miller" not in str(refused.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no file that ends in .csv"),
        (["loans.xlsx"], "it holds loans.xlsx"),
        (["a.csv", "b.parquet"], r"holds CSV \(a.csv\) and Parquet \(b.parquet\)"),
        (["a.csv", "b.csv"], "a.csv and b.csv have the same bytes"),
        (["a.csv", "b.tsv.gz"], "b.tsv.gz, line 1: it is no text"),
        (["b.parquet"], "expected whole, readable Parquet"),
    ],
)
def test_a_folder_that_is_no_table_is_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        (tmp_path / name).write_text(text_of(ROWS))

    with pytest.raises(TrainingDataError, match=message):
        read_flat_table(GERMAN, tmp_path)


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("SELECT * REPLACE (DATE '2026-01-01' AS credit_amount) FROM rows", "is of type DATE"),
        ("SELECT * REPLACE ([1] AS credit_amount) FROM rows", "expected a number"),
        ("SELECT * REPLACE (housing::BLOB AS housing) FROM rows", "BLOB; expected text"),
        ("SELECT 1577836800 AS event_timestamp, * FROM rows", "INTEGER; expected a timestamp"),
    ],
)
def test_a_type_that_does_not_fit_is_named(tmp_path: Path, select: str, message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        parquet(tmp_path, select)


def with_derived(function: Callable[..., Column]) -> CreditProduct:
    """Return the product with a feature derived from amount and duration."""
    feature = DerivedFeature(
        name="monthly",
        description="Amount a month",
        dtype=DType.FLOAT,
        unit="DM",
        minimum=0,
        maximum=100_000,
        adverse_action=AdverseActionReason(code="MONTHLY", text="A high amount a month"),
        inputs=("credit_amount", "duration_months"),
        function=function,
    )
    return replace(GERMAN, derived_features=(feature,))


def test_a_loan_whose_derived_feature_is_infinite_is_left_out_as_scoring_refers_it() -> None:
    product = with_derived(lambda amount, months: amount / (months - 6))
    table = read_flat_table(product, TABLE)

    (lost,) = table.left_out(product)
    found = table.training_set(product)

    assert (lost.column, lost.why) == ("monthly", "are infinite, as derived")
    assert (lost.rows, lost.first) == (75, "german_credit.csv, row 1")
    assert len(found.loans) == 925
    assert np.isfinite(found.loans.matrix).all()


def test_a_derived_feature_that_cannot_be_computed_is_said_without_a_value() -> None:
    """It is said in the trainer's log, and in the history of its execution."""
    rates: dict[float, float] = {}
    product = with_derived(lambda amount, months: rates[float(amount[0])] / months)

    with pytest.raises(TrainingDataError) as refused:
        read_flat_table(product, TABLE).training_set(product)

    said = str(refused.value)
    assert re.fullmatch(
        r"a derived feature of german_credit cannot be computed: KeyError at test_tables\.py:\d+",
        said,
    )
