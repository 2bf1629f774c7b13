"""`credit products new`: what is made of a lender's file, and what is said about it."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_cli import main
from credit_cli.checkout import Checkout
from credit_cli.new_product import command
from credit_cli.new_product.as_written import NOTE
from credit_cli.new_product.description import reason_of
from credit_core.domain.application import ApplicationReader
from credit_core.domain.credit_lint import credit_lint
from credit_core.domain.findings import Severity
from credit_core.domain.product import DType, RiskDirection, load_product_file
from model_build.tables import read_flat_table
from tests.lenders import LOANS, PLAIN, a_book, as_csv, german_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.product import CreditProduct, Feature
    from tests.lenders import Loan

RUFF = Path(sys.executable).parent / "ruff"


class Lender:
    """Somebody with a file, in a checkout of their own."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        (root / "products").mkdir()

    def file(self, text: str | bytes, name: str = "loans.csv") -> Path:
        path = self.root / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def new(self, path: Path, *words: str) -> dict[str, Any]:
        """Make the product ``mine`` of a file, and return what --json says."""
        code, out, error = self.run(path, *words, "--json")
        assert code == 0, error
        document = json.loads(out)
        assert isinstance(document, dict)
        return document

    def run(self, path: Path, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = main.run(["products", "new", "mine", "--from", str(path), *words])
        return code, *self._capsys.readouterr()

    @property
    def definition(self) -> Path:
        return self.root / "products" / "mine.py"

    @property
    def product(self) -> CreditProduct:
        return load_product_file(self.definition)

    @property
    def application(self) -> dict[str, Any]:
        text = (self.root / "private" / "mine" / "application.json").read_text()
        return dict(json.loads(text))

    @property
    def table(self) -> Path:
        return self.root / "private" / "mine" / "loans.parquet"

    def column_names(self) -> list[str]:
        with duckdb.connect() as connection:
            query = "SELECT name FROM parquet_schema(?)"
            return [row[0] for row in connection.execute(query, [str(self.table)]).fetchall()]

    def column(self, name: str) -> list[Any]:
        with duckdb.connect() as connection:
            query = f'SELECT "{name}" FROM read_parquet(?)'  # noqa: S608 (a name of the test)
            return [row[0] for row in connection.execute(query, [str(self.table)]).fetchall()]


@pytest.fixture
def lender(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Lender:
    monkeypatch.setattr(command, "Checkout", lambda: Checkout(tmp_path))
    return Lender(tmp_path, capsys)


def require_usable(lender: Lender) -> None:
    """Check that training reads all loans, the API takes the example, and the lint is content."""
    product = lender.product
    errors = [it for it in credit_lint(product) if it.severity is Severity.ERROR]
    assert errors == []
    table = read_flat_table(product, lender.table)
    assert table.left_out(product) == ()
    body = json.dumps(lender.application).encode()
    assert ApplicationReader(product)(body).application_id == lender.application["application_id"]
    for words in (("check",), ("format", "--check")):
        done = subprocess.run(
            [str(RUFF), *words, "--quiet", "--stdin-filename", "products/mine.py", "-"],
            cwd=Checkout().root,
            input=lender.definition.read_text(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


def feature(product: CreditProduct, name: str) -> Feature:
    return next(it for it in product.model_features if it.name == name)


def test_a_plain_file_becomes_a_product_that_trains_and_takes_its_example(lender: Lender) -> None:
    said = lender.new(lender.file(as_csv(PLAIN)))

    require_usable(lender)
    assert said["label"]["column"] == "defaulted"
    assert said["rows"] == LOANS
    assert said["label"]["defaults"] == sum(it.defaulted for it in a_book())
    product = lender.product
    assert product.entities == ()
    assert feature(product, "loan_amount").dtype is DType.FLOAT
    assert feature(product, "term_months").unit == "months"
    assert feature(product, "late_payments").risk is RiskDirection.INCREASING
    assert sorted(feature(product, "housing").categories) == ["free", "own", "rent"]
    assert lender.column("defaulted") == [int(it.defaulted) for it in a_book()]


def test_the_same_file_gives_the_same_files(lender: Lender) -> None:
    path = lender.file(as_csv(PLAIN))
    lender.new(path)
    first = [it.read_bytes() for it in (lender.definition, lender.table)]

    lender.new(path)

    assert [it.read_bytes() for it in (lender.definition, lender.table)] == first


def test_what_a_person_changed_is_not_overwritten(lender: Lender) -> None:
    path = lender.file(as_csv(PLAIN))
    lender.new(path)
    lender.definition.write_text("changed")

    code, _, error = lender.run(path)

    assert code == 2
    assert "mine.py exists" in error
    assert lender.definition.read_text() == "changed"


def test_what_nobody_changed_is_replaced_with_every_further_option(lender: Lender) -> None:
    path = lender.file(as_csv(PLAIN | {"customer_id": lambda it: it.number % 400}))

    lender.new(path, "--view", "bureau=late_payments")
    lender.new(path, "--ignore", "housing")
    lender.new(path, "--keep", "housing")

    assert feature(lender.product, "housing").categories
    assert not (lender.root / "private" / "mine" / "rows.jsonl").exists()
    require_usable(lender)


@pytest.mark.parametrize("name", ["application.json", "loans.parquet", "rows.jsonl"])
def test_a_prepared_file_that_a_person_changed_needs_force(lender: Lender, name: str) -> None:
    path = lender.file(as_csv(PLAIN | {"customer_id": lambda it: it.number % 400}))
    lender.new(path, "--view", "bureau=late_payments")
    changed = lender.root / "private" / "mine" / name
    changed.write_bytes(changed.read_bytes() + b" ")
    held = changed.read_bytes()

    code, _, error = lender.run(path)

    assert code == 2
    assert f"mine.py exists, and private/mine/{name} was changed since" in error
    assert changed.read_bytes() == held
    lender.new(path, "--force")
    lender.new(path)


@pytest.mark.parametrize("note", [None, b"", b"\xff\x00", b"no digest  products/mine.py\n"])
def test_without_a_note_of_what_was_written_nothing_is_replaced(
    lender: Lender, note: bytes | None
) -> None:
    """As for a definition that somebody wrote, or that came with the checkout."""
    path = lender.file(as_csv(PLAIN))
    lender.new(path)
    noted = lender.root / "private" / "mine" / NOTE
    noted.unlink()
    if note is not None:
        noted.write_bytes(note)

    assert lender.run(path)[0] == 2


def test_a_run_that_is_refused_leaves_all_as_it_was(lender: Lender) -> None:
    path = lender.file(as_csv(PLAIN))
    lender.new(path)
    first = [it.read_bytes() for it in (lender.definition, lender.table)]

    code, _, _ = lender.run(path, "--time", "housing")

    assert code == 2
    assert [it.read_bytes() for it in (lender.definition, lender.table)] == first
    lender.new(path)


def test_the_note_is_in_the_form_that_other_programs_check(lender: Lender) -> None:
    lender.new(lender.file(as_csv(PLAIN)))

    lines = (lender.root / "private" / "mine" / NOTE).read_text().splitlines()

    for line in lines:
        digest, _, name = line.partition("  ")
        assert hashlib.sha256((lender.root / name).read_bytes()).hexdigest() == digest
    assert [line.rpartition("/")[2] for line in lines] == [
        "mine.py",
        "application.json",
        "loans.parquet",
    ]


def german(it: Loan) -> dict[str, object]:
    return {
        "Kundennummer": f"K-{it.number % 500:04d}",
        "Antragsdatum": f"{it.applied:%d.%m.%Y}",
        "Höhe des Kredits": f"{german_number(it.amount)} €",
        "Jahreseinkommen": "k.A." if it.number % 40 == 0 else german_number(it.income),
        "Laufzeit": f"{it.months} Monate",
        "Geschlecht": it.sex[0],
        "Ausfall": "ja" if it.defaulted else "nein",
    }


def test_a_german_spreadsheet_saved_as_csv_is_read_as_it_is_meant(lender: Lender) -> None:
    rows = [german(it) for it in a_book()]
    text = "\r\n".join([";".join(rows[0]), *(";".join(map(str, it.values())) for it in rows)])

    said = lender.new(lender.file(text.encode("cp1252")))

    require_usable(lender)
    assert said["keys"] == ["Kundennummer"]
    assert said["time"] == "Antragsdatum"
    assert said["monitored_groups"] == ["Geschlecht"]
    assert any("Windows-1252" in note for note in said["notes"])
    assert lender.column("hoehe_des_kredits") == pytest.approx([it.amount for it in a_book()])
    assert feature(lender.product, "hoehe_des_kredits").unit == "EUR"
    assert lender.column("laufzeit") == [it.months for it in a_book()]
    assert lender.column("jahreseinkommen")[0] is None
    assert [it.date() for it in lender.column("event_timestamp")] == [it.applied for it in a_book()]


def spanish(it: Loan) -> dict[str, object]:
    amount, income = german_number(it.amount), german_number(it.income / 12)
    return {
        "Nº préstamo": f"P-{it.number}",
        "DNI": f"{10_000_000 + it.number % 600}K",
        "sexo": "HM"[it.sex == "female"],
        "fecha_nacimiento": f"{it.applied.replace(year=1970):%d/%m/%Y}",
        "codigo_postal": f"{it.number % 300:05d}",
        "fecha_solicitud": f"{it.applied:%d/%m/%Y}",
        "importe solicitado": f"{amount} €",
        "plazo (meses)": it.months,
        "TIN": f"{german_number(10 + it.number % 9)} %",
        "ingresos mensuales": "no presenta" if it.number % 8 == 0 else income,
        "antigüedad": it.number % 37,
        "nº hijos": it.number % 3,
        "estado": "Impago" if it.defaulted else "Pagado" if it.number % 11 else "En curso",
    }


def test_a_spanish_spreadsheet_saved_as_csv_is_read_as_it_is_meant(lender: Lender) -> None:
    rows = [spanish(it) for it in a_book()]
    text = "\r\n".join([";".join(rows[0]), *(";".join(map(str, it.values())) for it in rows)])

    said = lender.new(lender.file(text.encode("cp1252")))

    require_usable(lender)
    defaults = sum(it.defaulted for it in a_book())
    assert (said["label"]["column"], said["label"]["defaults"]) == ("estado", defaults)
    assert (said["time"], said["application_id"]) == ("fecha_solicitud", "Nº préstamo")
    names = {it["name"]: it["unit"] for it in said["inputs"]}
    assert names == {
        "importe_solicitado": "EUR",
        "plazo_meses": "months",
        "ingresos_mensuales": "currency units",
        "antiguedad": "count",
    }
    assert lender.column("ingresos_mensuales")[:1] == [None]
    assert "# Unknown in 12.5% of the rows" in lender.definition.read_text()
    assert "no presenta counts as unknown" in lender.definition.read_text()
    why = {it["column"]: it["why"] for it in said["left_out"]}
    assert why["DNI"] == "it identifies a person"
    assert why["fecha_nacimiento"].startswith("age")
    assert why["codigo_postal"].startswith("where somebody lives")
    assert why["nº hijos"].startswith("children")
    assert why["TIN"].startswith("an earlier verdict on the loan, a price")
    assert any("DNI comes again" in note for note in said["notes"])


def test_words_of_lenders_who_collect_are_defaults_and_unknown_words_are_told(
    lender: Lender,
) -> None:
    def state(it: Loan) -> str:
        if it.defaulted:
            return ("Charged off", "In collections", "NPA")[it.number % 3]
        return "Late 30" if it.number % 50 == 0 else "Paid"

    columns = PLAIN | {"Status": state}
    del columns["defaulted"]
    path = lender.file(as_csv(columns))

    said = lender.new(path)
    of_one = lender.new(path, "--bad", "NPA", "--force")
    of_both = lender.new(path, "--bad", "NPA", "--good", "Paid", "--force")

    late = sum(state(it) == "Late 30" for it in a_book())
    assert said["label"]["defaults"] == sum(it.defaulted for it in a_book())
    assert any(f"Late 30 ({late})" in danger for danger in said["dangers"])
    assert any("Charged off" in danger for danger in of_one["dangers"])
    assert not any("nobody told" in danger for danger in of_both["dangers"])


def test_loans_that_go_on_in_numbers_make_defaults_look_frequent(lender: Lender) -> None:
    columns = PLAIN | {
        "defaulted": lambda it: "bad" if it.defaulted else "current" if it.number % 2 else "paid"
    }

    said = lender.new(lender.file(as_csv(columns)))

    assert any("defaults look more frequent than they are" in it for it in said["dangers"])


def test_the_row_of_sums_is_no_loan_and_widens_no_range(lender: Lender) -> None:
    columns: dict[str, Callable[[Loan], object]] = {
        "Account #": lambda it: 7_000_000 + it.number,
        "Origination Date": lambda it: f"{it.applied:%m/%d/%Y}",
        **PLAIN,
        "ssn last 4": lambda it: f"{it.number % 700:04d}",
    }
    total = "Total: 1,000 loans".replace(",", ".")
    text = as_csv(columns) + f"{total},,912345678.00,,,,,,\n"

    said = lender.new(lender.file(text))

    assert said["rows"] == LOANS
    assert "1 line(s) of sums were left out" in said["notes"]
    assert (said["time"], said["application_id"]) == ("Origination Date", "Account #")
    assert feature(lender.product, "loan_amount").maximum == 50_000
    assert {it["column"]: it["why"] for it in said["left_out"]} == {
        "ssn last 4": "it identifies a person"
    }
    assert not any("comes again" in note for note in said["notes"])


def test_a_date_with_gaps_is_told_of_as_what_it_seems_to_be(lender: Lender) -> None:
    columns = PLAIN | {"origination_date": lambda it: it.applied.isoformat() if it.number else ""}

    said = lender.new(lender.file(as_csv(columns)))

    assert said["time"] is None
    assert any("is empty in 1 rows" in note for note in said["notes"])


def test_numbers_with_k_and_x_behind_them_are_numbers(lender: Lender) -> None:
    columns = PLAIN | {
        "DSCR": lambda it: f"{1 + it.number % 90 / 100:.2f}x",
        "avg_balance": lambda it: f"{it.number % 30 / 10 + 0.1:.1f}k",
    }

    lender.new(lender.file(as_csv(columns)))

    assert lender.column("dscr")[:3] == pytest.approx([1, 1.01, 1.02])
    assert lender.column("avg_balance")[:3] == pytest.approx([100, 200, 300])
    require_usable(lender)


def test_owners_names_places_and_codes_are_what_they_are(lender: Lender) -> None:
    columns = PLAIN | {
        "Business Name": lambda it: f"Bakery {'ABCDEFGH'[it.number % 8]}",
        "Woman-Owned": lambda it: ("Yes", "No", "Unknown")[it.number % 3],
        "pincode": lambda it: 400_000 + it.number % 250,
        "NAICS": lambda it: 722_000 + it.number % 5,
        "vehicle_tag": lambda it: f"AB-{it.number % 400:03d}",
        "emp_type": lambda it: ("Self Employed", "Self-Employed", "Salaried")[it.number % 3],
    }

    said = lender.new(lender.file(as_csv(columns)))

    why = {it["column"]: it["why"] for it in said["left_out"]}
    assert why["Business Name"] == "it identifies a person"
    assert why["Woman-Owned"].startswith("sex")
    assert why["pincode"].startswith("where somebody lives")
    assert why["vehicle_tag"].startswith("codes, 400 different ones")
    assert said["monitored_groups"] == ["Woman-Owned"]
    assert feature(lender.product, "naics").dtype is DType.CATEGORY
    assert set(feature(lender.product, "emp_type").categories) == {"Salaried", "Self Employed"}
    require_usable(lender)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("collateral", "The security offered"),
        ("late_payments", "Late or missed payments on your credit obligations"),
        ("employees", "The employees in your application"),
        ("emp_type", "The kind of your employment"),
        ("employed_years", "The length of your employment"),
        ("utility_bills", "The utility bills in your application"),
        ("terminated_leases", "The terminated leases in your application"),
        ("vermittler", "The vermittler in your application"),
    ],
)
def test_no_reason_is_told_of_a_name_that_only_sounds_like_it(name: str, reason: str) -> None:
    assert reason_of(name) == reason


def test_codes_for_unknown_are_pointed_at_and_taken_in_one_column_alone(lender: Lender) -> None:
    columns = PLAIN | {
        "TimesLate": lambda it: 98 if it.number % 40 == 0 else it.number % 4,
        "percent_paid": lambda it: 98 - it.number % 40,
        "fico": lambda it: -1 if it.number % 9 == 0 else 600 + it.number % 150,
    }
    path = lender.file(as_csv(columns))

    said = lender.new(path)
    lender.new(path, "--missing", "TimesLate=98", "--force")
    code, _, error = lender.run(path, "--missing", "TimeLate=98", "--force")

    assert code == 2
    assert "no column TimeLate" in error
    assert any("--missing TimesLate=98" in note for note in said["notes"])
    assert lender.column("times_late")[:2] == [None, 1]
    assert lender.column("percent_paid")[0] == 98
    assert lender.column("fico")[:2] == [None, 601]


def test_outliers_do_not_decide_a_unit(lender: Lender) -> None:
    columns = PLAIN | {
        "revolving_utilization": lambda it: 4_000.5 if it.number == 9 else it.number % 97 / 100,
        "times_30_days_late": lambda it: it.number % 3,
        "bureau_score": lambda it: 500 + it.number % 200,
    }

    said = lender.new(lender.file(as_csv(columns)))

    units = {it["name"]: it["unit"] for it in said["inputs"]}
    assert units["revolving_utilization"] == "ratio"
    assert units["times_30_days_late"] == "count"
    # Its name has a time in it, but numbers are none.
    table = read_flat_table(lender.product, lender.table)
    assert not any("name it event_timestamp" in remark for remark in table.remarks)
    assert units["bureau_score"] == "points"


def test_a_small_book_is_not_tested_out_of_time_where_training_would_refuse_it(
    lender: Lender,
) -> None:
    columns = PLAIN | {
        "application_date": lambda it: it.applied.isoformat(),
        "defaulted": lambda it: int(it.number % 12 == 0),
    }
    path = lender.file(as_csv(columns, a_book(400)))

    said = lender.new(path)
    wanted = lender.new(path, "--time", "application_date", "--force")

    assert said["time"] is None
    assert any("will refuse this file; --no-time" in danger for danger in wanted["dangers"])


def test_answers_say_what_a_column_is_whatever_it_is_called(lender: Lender) -> None:
    columns = PLAIN | {
        "contact_form": lambda it: ("M.", "Mme")[it.sex == "female"],
        "st": lambda it: ("Soltero/a", "Casado/a", "otro")[it.number % 3],
        "X1": lambda it: "MF"[it.sex == "female"],
        "line": lambda it: 254_710_000_000 + it.number * 7 % 800,
        "tribe": lambda it: ("Luo", "Kamba")[it.number % 2],
        "handset": lambda it: ("Android", "iOS")[it.number % 2],
    }

    said = lender.new(lender.file(as_csv(columns)))

    assert {it["column"] for it in said["inputs"]} == set(PLAIN) - {"defaulted"}
    assert said["monitored_groups"] == ["contact_form", "st", "X1", "tribe"]
    require_usable(lender)


def test_days_past_due_are_offered_where_nothing_else_tells_the_outcome(lender: Lender) -> None:
    columns = PLAIN | {"days_late": lambda it: 120 if it.defaulted else it.number % 25}
    del columns["defaulted"]
    path = lender.file(as_csv(columns))

    code, _, error = lender.run(path)
    said = lender.new(path, "--label", "days_late", "--bad", ">=90")

    assert code == 2
    assert "--label days_late --bad '>=90'" in error
    assert said["label"]["defaults"] == sum(it.defaulted for it in a_book())


def test_where_no_outcome_is_found_columns_with_few_values_are_named(lender: Lender) -> None:
    columns = {name: of for name, of in PLAIN.items() if name != "defaulted"}
    columns |= {"zustand": lambda it: "AB"[it.defaulted]}

    code, _, error = lender.run(lender.file(as_csv(columns)))

    assert code == 2
    assert "housing, zustand" in error
    assert "annual_income" not in error


@pytest.mark.parametrize("sign", ["KES", "₦", "Kč", "R$"])
def test_money_of_many_countries_is_money(lender: Lender, sign: str) -> None:
    columns = PLAIN | {"principal": lambda it: f"{sign} {it.amount:,.0f}"}

    lender.new(lender.file(as_csv(columns)))

    assert feature(lender.product, "principal").dtype is DType.INTEGER


STATES = ("Current", "Charged Off", "Fully Paid")


def test_states_of_loans_are_told_apart_and_open_ones_have_no_outcome(lender: Lender) -> None:
    columns = PLAIN | {
        "loan_status": lambda it: STATES[0 if it.number < 100 else 1 if it.defaulted else 2]
    }
    del columns["defaulted"]

    said = lender.new(lender.file(as_csv(columns)))

    assert said["label"]["labelled"] == LOANS - 100
    assert "Current (100) is not known yet" in said["label"]["meaning"]
    assert lender.column("defaulted")[:100] == [None] * 100


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("Default", "Y", "N"),
        ("SeriousDlqin2yrs", "1", "0"),
        ("not.fully.paid", "1", "0"),
        ("loan_repaid", "No", "Yes"),
        ("class", "bad", "good"),
        ("MIS_Status", "CHGOFF", "P I F"),
        ("Risk", "BAD", "GOOD"),
        ("default payment next month", "1.0", "0.0"),
    ],
)
def test_the_bad_value_follows_from_its_words_or_from_the_name(
    lender: Lender, name: str, bad: str, good: str
) -> None:
    columns = PLAIN | {name: lambda it: bad if it.defaulted else good}
    del columns["defaulted"]

    said = lender.new(lender.file(as_csv(columns)))

    assert said["label"]["column"] == name
    assert said["label"]["defaults"] == sum(it.defaulted for it in a_book())


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [("target", 1, 0), ("loan_status", 1, 0), ("class", 2, 1), ("credit_risk", 0, 1)],
)
def test_which_value_is_bad_is_never_guessed_where_nothing_says_so(
    lender: Lender, name: str, bad: int, good: int
) -> None:
    columns = PLAIN | {name: lambda it: bad if it.defaulted else good}
    del columns["defaulted"]
    path = lender.file(as_csv(columns))

    code, _, error = lender.run(path)

    assert code == 2
    assert "which is a default?" in error
    assert f"--label {name} --bad {bad}" in error
    assert not lender.definition.exists()
    said = lender.new(path, "--bad", str(bad))
    assert said["label"]["defaults"] == sum(it.defaulted for it in a_book())


def test_what_a_lender_decided_is_not_taken_for_an_outcome(lender: Lender) -> None:
    columns = PLAIN | {"loan_status": lambda it: "Rejected" if it.defaulted else "Approved"}
    del columns["defaulted"]
    path = lender.file(as_csv(columns))

    code, _, error = lender.run(path, "--label", "loan_status")
    said = lender.new(path, "--label", "loan_status", "--bad", "rejected")

    assert code == 2
    assert "what a lender decided" in error
    assert any("repeats those decisions" in danger for danger in said["dangers"])


def test_dates_of_defaults_and_days_past_due_are_outcomes_too(lender: Lender) -> None:
    columns = PLAIN | {
        "charge_off_date": lambda it: "2023-05-06" if it.defaulted else "",
        "days_past_due": lambda it: 120 if it.defaulted else it.number % 60,
    }
    del columns["defaulted"]
    path = lender.file(as_csv(columns))
    expected = sum(it.defaulted for it in a_book())

    by_date = lender.new(path)
    by_days = lender.new(path, "--label", "days_past_due", "--bad", ">=90", "--force")

    assert by_date["label"] == by_date["label"] | {"column": "charge_off_date"}
    assert by_date["label"]["defaults"] == by_days["label"]["defaults"] == expected


def test_a_file_without_an_outcome_is_refused_with_the_option_to_name_one(lender: Lender) -> None:
    columns = {name: of for name, of in PLAIN.items() if name != "defaulted"}

    code, _, error = lender.run(lender.file(as_csv(columns)))

    assert code == 2
    assert "no column looks like what became of the loans" in error
    assert "--label COLUMN --bad VALUE" in error


def test_columns_that_know_the_outcome_stay_out_and_are_told(lender: Lender) -> None:
    columns = PLAIN | {
        "recoveries": lambda it: 100 * it.defaulted,
        "closing_note": lambda it: ("arrears", "fraud")[it.number % 2] if it.defaulted else None,
        "mystery": lambda it: it.number % 7 + 50 * it.defaulted,
        "int_rate": lambda it: 5 + it.number % 9,
    }

    said = lender.new(lender.file(as_csv(columns)))

    out = {it["column"]: it["why"] for it in said["left_out"]}
    assert set(out) == {"recoveries", "closing_note", "mystery", "int_rate"}
    assert "AUC 1.00" in out["mystery"]
    assert "empty tells the outcome" in out["closing_note"]
    require_usable(lender)


def test_prohibited_bases_and_what_identifies_people_are_no_inputs(lender: Lender) -> None:
    columns = PLAIN | {
        "Sex": lambda it: it.sex,
        "AgeInYears": lambda it: 20 + it.number % 50,
        "marital_status": lambda it: ("single", "married")[it.number % 2],
        "zip_code": lambda it: f"{it.number % 90:05d}",
        "ssn": lambda it: f"123-45-{it.number:04d}",
        "e-mail": lambda it: f"p{it.number}@example.org",
        "Full Name": lambda it: f"Person {it.number}",
        "loan_id": lambda it: 1000 + it.number,
        "note": lambda it: f"I need {it.amount} for a reason that is mine alone",
        "opened": lambda it: it.applied.isoformat(),
    }

    said = lender.new(lender.file(as_csv(columns)), "--no-time")

    names = {it["column"] for it in said["inputs"]}
    assert names == set(PLAIN) - {"defaulted"}
    assert said["application_id"] == "loan_id"
    assert said["monitored_groups"] == ["Sex", "marital_status"]
    assert "@example.org" not in lender.definition.read_text()
    assert not {"ssn", "e_mail", "full_name"} & set(lender.column_names())
    require_usable(lender)


def test_a_column_is_kept_that_a_person_wants_kept(lender: Lender) -> None:
    columns = PLAIN | {"int_rate": lambda it: 5 + it.number % 9}
    path = lender.file(as_csv(columns))

    said = lender.new(path, "--keep", "int_rate", "--ignore", "HOUSING")

    assert "int_rate" in {it["name"] for it in said["inputs"]}
    assert "housing" not in {it["name"] for it in said["inputs"]}
    assert any("int_rate is kept" in danger for danger in said["dangers"])


def test_names_are_cleaned_made_different_and_never_reserved(lender: Lender) -> None:
    columns: dict[str, Callable[[Loan], object]] = {
        "Loan Amount": lambda it: it.amount,
        "loan_amount": lambda it: it.amount + it.number % 3,
        "copy": lambda it: it.late,
        "json": lambda it: it.months,
        "2yr income": lambda it: it.income,
        "年収": lambda it: it.income * 2 + it.number,
        "": lambda it: it.number,
        "nothing": lambda _: "",
        "same": lambda _: "x",
        "Defaulted?": lambda it: "yes" if it.defaulted else "no",
    }

    said = lender.new(lender.file(as_csv(columns)))

    names = [it["name"] for it in said["inputs"]]
    assert names[:5] == ["loan_amount", "loan_amount_2", "copy_value", "json_value", "n_2yr_income"]
    assert {it["column"]: it["why"] for it in said["left_out"]} == {
        "": "an identifier: it tells loans apart and explains nothing",
        "nothing": "empty",
        "same": "one value only",
    }
    require_usable(lender)


def test_numbers_far_from_all_others_that_come_again_are_unknown(lender: Lender) -> None:
    columns = PLAIN | {"months_since": lambda it: -999 if it.number % 5 == 0 else it.number % 40}

    lender.new(lender.file(as_csv(columns)))

    found = lender.column("months_since")
    assert found[:6] == [None, 1, 2, 3, 4, None]
    assert feature(lender.product, "months_since").minimum == 0
    assert "-999 is taken for unknown" in lender.definition.read_text()


def test_a_value_that_a_person_calls_missing_is_unknown(lender: Lender) -> None:
    columns = PLAIN | {"score": lambda it: -1 if it.number % 5 == 0 else 500 + it.number % 40}

    lender.new(lender.file(as_csv(columns)), "--missing", "-1")

    assert lender.column("score")[:2] == [None, 501]


def test_an_ambiguous_date_is_refused_until_it_is_said(lender: Lender) -> None:
    columns = PLAIN | {"application_date": lambda it: f"0{1 + it.number % 9}/0{1 + it.late}/2021"}
    path = lender.file(as_csv(columns))

    code, _, error = lender.run(path)
    lender.new(path, "--dates", "mdy")

    assert code == 2
    assert "--dates dmy or --dates mdy" in error
    assert lender.column("event_timestamp")[1].month == 2


def test_views_are_looked_up_by_the_key_and_come_with_a_row_to_push(lender: Lender) -> None:
    columns = PLAIN | {"customer_id": lambda it: it.number % 400}
    path = lender.file(as_csv(columns))

    said = lender.new(path, "--view", "bureau=late_payments")

    product = lender.product
    assert [view.name for view in product.feature_views] == ["bureau"]
    assert "late_payments" not in lender.application
    row = json.loads((lender.root / said["files"]["rows"]).read_text())
    assert row["keys"] == {"customer_id": 1}
    assert list(row["features"]) == ["late_payments"]
    require_usable(lender)


def test_a_view_without_a_key_is_refused(lender: Lender) -> None:
    code, _, error = lender.run(lender.file(as_csv(PLAIN)), "--view", "bureau=late_payments")

    assert code == 2
    assert "--key COLUMN" in error


def test_too_few_defaults_are_told_before_anything_is_trained(lender: Lender) -> None:
    said = lender.new(lender.file(as_csv(PLAIN, a_book(60))))

    assert any("will refuse this file" in danger for danger in said["dangers"])


@pytest.mark.parametrize("kind", ["gz", "zip", "parquet", "utf-16", "bom", "tab", "old mac"])
def test_whatever_a_file_is_packed_in_the_loans_are_the_same(lender: Lender, kind: str) -> None:
    text = as_csv(PLAIN)
    path = lender.root / "loans.csv"
    if kind == "gz":
        path = lender.file(gzip.compress(text.encode()), "loans.csv.gz")
    elif kind == "zip":
        path = lender.root / "loans.zip"
        with zipfile.ZipFile(path, "w") as folder:
            folder.writestr("loans.csv", text)
    elif kind == "parquet":
        plain, path = lender.file(text), lender.root / "loans.parquet"
        duckdb.sql(f"COPY (FROM '{plain}') TO '{path}' (FORMAT parquet)")
    elif kind == "old mac":
        path.write_bytes(text.replace("\n", "\r").encode())
    elif kind == "tab":
        path.write_text(text.replace(",", "\t"))
    else:
        path.write_bytes(text.encode("utf-16" if kind == "utf-16" else "utf-8-sig"))

    lender.new(path)

    assert lender.column("loan_amount") == pytest.approx([it.amount for it in a_book()])
    assert lender.column("housing") == [it.housing for it in a_book()]


def test_titles_above_and_sums_below_the_table_are_passed_over(lender: Lender) -> None:
    text = f"Loans of 2021\n\n{as_csv(PLAIN)}\nSum of all loans: 12345\n"

    said = lender.new(lender.file(text))

    assert said["rows"] == LOANS
    assert len(said["notes"]) == 2


def test_a_file_without_column_names_gets_numbers_for_them(lender: Lender) -> None:
    text = as_csv(PLAIN).split("\n", 1)[1].replace(",", " ")

    code, _, error = lender.run(lender.file(text))
    said = lender.new(lender.file(text), "--label", "column_6", "--bad", "1")

    assert code == 2
    assert "column_6" in error
    assert [it["name"] for it in said["inputs"]][:2] == ["column_1", "column_2"]
    require_usable(lender)


def test_names_that_lack_the_one_of_the_row_names_are_put_in_their_places(lender: Lender) -> None:
    """As R writes a table."""
    header, rest = as_csv(PLAIN, sign="\t").split("\n", 1)
    rows = [f"{place}\t{row}" for place, row in enumerate(rest.splitlines(), start=1)]

    said = lender.new(lender.file("\n".join([header, *rows])))

    assert said["label"]["column"] == "defaulted"
    assert said["application_id"] == "row"
    assert lender.column("term_months") == [it.months for it in a_book()]


def test_a_delimiter_at_the_end_of_each_row_is_no_column(lender: Lender) -> None:
    header, *rows = as_csv(PLAIN).splitlines()

    said = lender.new(lender.file("\n".join([header, *(f"{row}," for row in rows)])))

    assert {it["why"] for it in said["left_out"]} == {"empty"}
    assert lender.column("term_months") == [it.months for it in a_book()]


def test_earlier_defaults_are_an_input_under_a_name_that_says_so(lender: Lender) -> None:
    columns = PLAIN | {"default_on_file": lambda it: "Y" if it.late > 1 else "N"}

    said = lender.new(lender.file(as_csv(columns)))

    assert "prior_default_on_file" in {it["name"] for it in said["inputs"]}
    assert any("what happened to earlier loans" in danger for danger in said["dangers"])
    require_usable(lender)


def test_a_time_whose_latest_quarter_has_too_few_defaults_is_not_used(lender: Lender) -> None:
    """Out of time the gate enough_data would refuse every model."""
    columns = PLAIN | {
        "application_date": lambda it: it.applied.isoformat(),
        "defaulted": lambda it: int(it.number < 700 and it.number % 4 == 0),
    }
    path = lender.file(as_csv(columns))

    said = lender.new(path)
    wanted = lender.new(path, "--time", "application_date", "--force")

    assert said["time"] is None
    assert any("test out of time needs 50" in note for note in said["notes"])
    assert wanted["time"] == "application_date"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b,default\n", "no rows below its column names"),
        (b"\n\n", "blank lines only"),
        (b"only\n1\n2\n", "one column only"),
        (b"PK\x03\x04 not really", "cannot be unzipped whole"),
        (b"\x1f\x8b broken", "cannot be unzipped whole"),
        (b"PAR1 broken", "no whole, readable Parquet"),
        (bytes(range(256)) * 20, "is no text"),
        (b"\xd0\xcf\x11\xe0 old", "is a spreadsheet"),
    ],
)
def test_what_is_no_table_is_refused_in_words(lender: Lender, content: bytes, words: str) -> None:
    code, _, error = lender.run(lender.file(content))

    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) <= 3


def test_a_folder_a_missing_file_and_a_bad_name_are_refused(
    lender: Lender, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is a folder" in lender.run(lender.root)[2]
    assert "there is no file" in lender.run(lender.root / "none.csv")[2]
    path = lender.file(as_csv(PLAIN))
    assert main.run(["products", "new", "My Loans", "--from", str(path)]) == 2
    assert "as my_loans" in capsys.readouterr().err
    assert "did you mean housing?" in lender.run(path, "--ignore", "housin")[2]


def test_one_loan_teaches_nothing_and_that_is_said(lender: Lender) -> None:
    code, _, error = lender.run(lender.file(as_csv(PLAIN, a_book(1))), "--label", "defaulted")

    assert code == 2
    assert "one value only" in error


def test_no_value_of_a_person_is_said_where_lines_are_broken(lender: Lender) -> None:
    text = as_csv(PLAIN) + "secret-name,1,2,3,4,5,6,7,8,9\n" * 50

    code, out, error = lender.run(lender.file(text))

    assert code == 2
    assert "more fields than column names" in error
    assert "secret-name" not in out + error


def test_the_files_are_for_their_owner_alone(lender: Lender) -> None:
    lender.new(lender.file(as_csv(PLAIN)))

    assert (lender.root / "private").stat().st_mode & 0o077 == 0


def test_it_ends_with_the_commands_that_lead_to_a_decision(lender: Lender) -> None:
    _, out, _ = lender.run(lender.file(as_csv(PLAIN)))

    commands = [line.split()[1] for line in out.splitlines() if line.startswith("  credit ")]
    assert commands == ["products", "train", "local", "models", "models", "score"]


def test_at_a_terminal_it_asks_which_value_is_bad(lender: Lender) -> None:
    """The guess is what Enter takes: the rarer value."""
    columns = PLAIN | {"target": lambda it: int(it.defaulted)}
    del columns["defaulted"]
    path = lender.file(as_csv(columns))
    script = (
        "from pathlib import Path; from credit_cli import main; from credit_cli.checkout import"
        " Checkout; from credit_cli.new_product import command;"
        f" command.Checkout = lambda: Checkout(Path({str(lender.root)!r}));"
        f" raise SystemExit(main.run(['products', 'new', 'mine', '--from', {str(path)!r}]))"
    )
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover (the child becomes the command)
        os.execv(sys.executable, [sys.executable, "-c", script])  # noqa: S606 (our own)
    os.write(terminal, b"\n\n\n")
    said = b""
    while True:
        try:
            block = os.read(terminal, 4096)
        except OSError:
            break
        if not block:
            break
        said += block
    _, status = os.waitpid(process, 0)

    assert os.waitstatus_to_exitcode(status) == 0, said.decode()
    assert b"Which value is a default [1]" in said
    assert lender.column("defaulted") == [int(it.defaulted) for it in a_book()]
