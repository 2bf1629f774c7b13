"""Numbers and dates in the forms that lenders write, read by DuckDB as they are meant."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pytest

from credit_cli.new_product.values import DayOrder, Form, Kind, date_form, day_order, number_form


def read(form: Form, texts: list[str]) -> list[object]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = f"SELECT {form.sql.replace('{}', 'c')} FROM (SELECT ? AS c)"  # noqa: S608 (no outsider's)
        return [connection.execute(query, [text]).fetchall()[0][0] for text in texts]


@pytest.mark.parametrize(
    ("texts", "numbers", "unit"),
    [
        (["1", "-2.5", "1e3"], [1, -2.5, 1000], None),
        (["1,234.50", "12", "1,234,567"], [1234.5, 12, 1234567], None),
        (["1.234,50", "0,5", "12"], [1234.5, 0.5, 12], None),
        (["1 234,5", "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567,0"], [1234.5, 1234567], None),
        (["1'234.50", "12.00"], [1234.5, 12], None),
        (["$1,200", "$35", "-$7", "($12)"], [1200, 35, -7, -12], "USD"),
        (["1.234,56 €", "9,00 €"], [1234.56, 9], "EUR"),
        (["EUR 12.50", "EUR 1,000.00"], [12.5, 1000], "EUR"),
        (["13.5%", "7 %", "100%"], [13.5, 7, 100], "percent"),
        (["36 months", "60 months"], [36, 60], "months"),
        (["30d", "7 D", "0"], [30, 7, 0], "days"),
        (["2y", "1.5y"], [2, 1.5], "years"),
        (["12-", "5"], [-12, 5], None),
        (["\N{MINUS SIGN}3,5", "4,5"], [-3.5, 4.5], None),
        ([".5", "0.25"], [0.5, 0.25], None),
    ],
)
def test_numbers_are_read_as_they_are_meant(
    texts: list[str], numbers: list[float], unit: str | None
) -> None:
    form = number_form(texts)

    assert form is not None
    assert form.unit == unit
    assert read(form, texts) == pytest.approx(numbers)


@pytest.mark.parametrize(
    "texts",
    [
        ["00123", "04567"],  # a postal code would lose its zeros
        ["1,234.5", "1.234,5"],  # two ways in one column
        ["$5", "5 €"],
        ["+49 170 1234567", "0170 55512"],
        ["10+ years", "< 1 year"],
        ["1", "two", "3"],
        ["4111111111111111", "5500000000000004"],
        ["12 apples", "13 apples"],
        ["24 M", "36 M"],  # months or millions, where the name does not say
        ["d 30", "30 d", "y 2"],
    ],
)
def test_what_only_looks_like_a_number_stays_text(texts: list[str]) -> None:
    assert number_form(texts) is None


@pytest.mark.parametrize(
    ("texts", "others"),
    [
        (["$1,200", "$35"], ["5 €", "3m", "7 apples", "2 months"]),
        (["1,200", "2.7k"], ["$5", "3m", "30d"]),
        (["36 months", "24 mths."], ["3 years", "12 m"]),
    ],
)
def test_a_text_in_another_unit_than_its_column_is_unknown(
    texts: list[str], others: list[str]
) -> None:
    form = number_form(texts)

    assert form is not None
    assert None not in read(form, texts)
    assert read(form, others) == [None] * len(others)


def test_an_m_behind_digits_is_months_where_the_column_is_named_so() -> None:
    texts = ["24 M", "36m"]
    form = number_form(texts, "loan_term")

    assert form is not None
    assert form.unit == "months"
    assert read(form, [*texts, "12 Months", "2 years"]) == [24, 36, 12, None]
    assert number_form(texts, "loan_amount") is None


def test_a_comma_before_three_digits_parts_thousands_unless_the_file_has_decimal_commas() -> None:
    texts = ["1,234", "2,500"]
    thousands, decimals = number_form(texts), number_form(texts, comma_decimals=True)

    assert thousands is not None
    assert decimals is not None
    assert read(thousands, texts) == [1234, 2500]
    assert read(decimals, texts) == [1.234, 2.5]


def test_points_before_three_digits_part_thousands_where_the_file_has_decimal_commas() -> None:
    texts = ["1.234", "25.000", "300"]
    form = number_form(texts, comma_decimals=True)

    assert form is not None
    assert read(form, texts) == [1234, 25000, 300]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2021-03-04", datetime(2021, 3, 4)),  # noqa: DTZ001 (a date has no zone)
        ("2021-03-04T05:06:07Z", datetime(2021, 3, 4, 5, 6, 7)),  # noqa: DTZ001
        ("2021-03-04 05:06:07+02", datetime(2021, 3, 4, 3, 6, 7)),  # noqa: DTZ001
        ("04.03.2021", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("25/12/2021", datetime(2021, 12, 25)),  # noqa: DTZ001
        ("12/25/2021 10:30", datetime(2021, 12, 25, 10, 30)),  # noqa: DTZ001
        ("12/25/21", datetime(2021, 12, 25)),  # noqa: DTZ001
        ("2021/03/04", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("04-Mar-2021", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("Mar-2021", datetime(2021, 3, 1)),  # noqa: DTZ001
        ("March 4, 2021", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("20210304", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("1614816000", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("1614816000000", datetime(2021, 3, 4)),  # noqa: DTZ001
        ("44259", datetime(2021, 3, 4)),  # noqa: DTZ001
    ],
)
def test_dates_are_read_in_many_forms(text: str, meant: datetime) -> None:
    form = date_form([text], "application_date", order=None)

    assert form is not None
    assert form.kind is Kind.DATE
    assert read(form, [text]) == [meant]


def test_a_day_that_could_be_a_month_is_ambiguous_until_somebody_says() -> None:
    texts = ["03/04/2021", "05/06/2021"]
    unsure = date_form(texts, "date", order=None)
    american = date_form(texts, "date", order=DayOrder.MDY)

    assert unsure is not None
    assert american is not None
    assert unsure.is_ambiguous
    assert not american.is_ambiguous
    assert read(american, texts[:1]) == [datetime(2021, 3, 4)]  # noqa: DTZ001


def test_one_telling_date_of_a_file_says_which_comes_first() -> None:
    assert day_order(["03/04/2021", "05/25/2021"]) is DayOrder.MDY
    assert day_order(["13/04/2021"]) is DayOrder.DMY
    assert day_order(["13/04/2021", "04/13/2021"]) is None


def test_a_number_is_a_date_only_where_its_name_says_so() -> None:
    assert date_form(["44259", "44300"], "income", order=None) is None
    assert date_form(["may", "june"], "nickname", order=None) is None
