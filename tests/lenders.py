"""Files as lenders have them, made up: one book of loans, written in many ways."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOANS = 1_000
FIRST_DAY = date(2021, 1, 1)


@dataclass(frozen=True, slots=True)
class Loan:
    """A loan that nobody took."""

    number: int
    applied: date
    amount: float
    income: float
    months: int
    late: int
    housing: str
    sex: str
    defaulted: bool


def a_book(loans: int = LOANS) -> tuple[Loan, ...]:
    """Return loans of which about a quarter defaulted, more of those who were late before."""
    draw = random.Random(7)  # noqa: S311 (nothing is secret here)
    found = []
    for number in range(loans):
        late = draw.choice((0, 0, 0, 1, 1, 2, 3))
        amount, income = draw.uniform(1_000, 30_000), draw.uniform(12_000, 90_000)
        risk = 0.08 + 0.12 * late + 0.25 * (amount / income > 0.5)
        found.append(
            Loan(
                number=number,
                applied=FIRST_DAY + timedelta(days=number),
                amount=round(amount, 2),
                income=round(income, 2),
                months=draw.choice((12, 24, 36, 48, 60)),
                late=late,
                housing=draw.choice(("own", "rent", "free")),
                sex=draw.choice(("female", "male")),
                defaulted=draw.random() < risk,
            )
        )
    return tuple(found)


def as_csv(
    columns: dict[str, Callable[[Loan], object]],
    loans: Sequence[Loan] = (),
    *,
    sign: str = ",",
    end: str = "\n",
) -> str:
    """Return loans as text, a column for each name."""

    def field(value: object) -> str:
        text = "" if value is None else str(value)
        return f'"{text.replace('"', '""')}"' if set(text) & {sign, '"', "\n"} else text

    rows = [[field(name) for name in columns]]
    rows += [[field(of(loan)) for of in columns.values()] for loan in loans or a_book()]
    return end.join(sign.join(row) for row in rows) + end


PLAIN: dict[str, Callable[[Loan], object]] = {
    "loan_amount": lambda it: it.amount,
    "annual_income": lambda it: it.income,
    "term_months": lambda it: it.months,
    "late_payments": lambda it: it.late,
    "housing": lambda it: it.housing,
    "defaulted": lambda it: int(it.defaulted),
}
"""Columns of a file that needs no guessing."""


def german_number(value: float) -> str:
    """Return a number as it is written in German."""
    return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))
