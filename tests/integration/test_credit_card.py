"""Card holders with six monthly statements: a model is as good as what was known when it decided.

Every claim is tested on made-up holders, and on the 30,000 real ones of Taiwan where these are at
hand. Their months are real; the days are not: each statement is given the 25th, arrives two days
later, and each holder is decided on at an instant of October, so that the split by time has
something to split. It splits nothing but chance: all labels are of one month.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.local_lake import LocalLake
from credit_core.domain.measures import area_under_curve, differences
from credit_core.domain.point_in_time import view_event_column
from credit_core.domain.product import load_product
from model_build.candidates import CANDIDATES
from model_build.fit import fit
from model_build.split import split_loans
from model_build.training_set import read_training_set
from tests.shared_data import copy_to_parquet, shared_data, view_key

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

PRODUCT = load_product("credit_card")
STATEMENT = PRODUCT.view("statement")
SEPTEMBER, AUGUST, JULY = date(2005, 9, 25), date(2005, 8, 25), date(2005, 7, 25)
STATEMENTS = tuple(date(2005, month, 25) for month in range(9, 3, -1))
"""From the last to the first, as the holders' columns are numbered."""
STATUSES = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")

ARRIVES_AFTER = timedelta(days=2)
APPLIED = """TIMESTAMP '2005-10-01' + to_seconds(ID * 7919 % (28 * 86400))"""
"""Spread evenly over four weeks: 7919 is a prime."""
OUTCOMES_KNOWN = datetime(2005, 12, 1)  # noqa: DTZ001 (the lake's timestamps are UTC without a zone)
RESAMPLES = 300
SEED = 2_005
# One setting is enough to see what a month is worth.
PAIRWISE = next(
    replace(candidate, searched=candidate.searched[:1])
    for candidate in CANDIDATES
    if candidate.name == "pairwise"
)


def made_up_holders(folder: Path) -> Path:
    """Write holders with the columns of the real ones, who default by how they last paid."""
    months = range(6)
    statuses = ", ".join(
        f"CAST(CASE WHEN hash(i, 'late', {month}) % 100 < 20 THEN 2 ELSE 0 END AS BIGINT)"
        f" AS {STATUSES[month]}"
        for month in months
    )
    amounts = ", ".join(
        f"CAST(hash(i, '{name}', {month}) % 50000 AS BIGINT) AS {name}{month + 1}"
        for name in ("BILL_AMT", "PAY_AMT")
        for month in months
    )
    return copy_to_parquet(
        f"""
        SELECT *, CAST(
                hash(ID, 'default') % 100 < 10 + 20 * PAY_0 + 8 * PAY_2 AS BIGINT
            ) AS "default payment next month"
        FROM (
            SELECT i AS ID, 10000 + 1000 * (i % 90) AS LIMIT_BAL, 1 + i % 2 AS SEX, {statuses},
                {amounts}
            FROM range(1, 4001) AS holders(i)
        )
        """,  # noqa: S608 (ours)
        folder / "holders.parquet",
    )


def taiwanese_holders(folder: Path) -> Path:
    """Write the real holders."""
    return copy_to_parquet(
        f"FROM '{shared_data('taiwan_default_30000.csv.gz')}'", folder / "holders.parquet"
    )


@pytest.fixture(
    scope="module", params=[made_up_holders, taiwanese_holders], ids=["made up", "Taiwan"]
)
def holders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the holders, one row each, six months and the outcome in its columns."""
    path: Path = request.param(tmp_path_factory.mktemp("holders"))
    return path


# --- The lake ------------------------------------------------------------------------------------


def write_lake(holders: Path, folder: Path, *, until: date = SEPTEMBER) -> Path:
    """Write the applications, and the statements up to a month, each when it arrived."""
    copy_to_parquet(
        f"""
        SELECT CAST(ID AS VARCHAR) AS application_id, ID AS holder_id,
            {APPLIED} AS event_timestamp, TIMESTAMP '{OUTCOMES_KNOWN}' AS created_timestamp,
            LIMIT_BAL AS credit_limit, "default payment next month" AS defaulted,
            CASE SEX WHEN 1 THEN 'male' ELSE 'female' END AS sex
        FROM '{holders}'
        """,  # noqa: S608 (ours)
        folder / f"{PRODUCT.applications_prefix}2005-10.parquet",
    )
    for index, day in enumerate(STATEMENTS):
        if day <= until:
            write_statements(holders, folder, index, arrived=f"TIMESTAMP '{day + ARRIVES_AFTER}'")
    return folder


def write_statements(holders: Path, folder: Path, index: int, *, arrived: str) -> None:
    """Write the file of a month's statements, the last one's for 0, of what was known by then."""
    amounts = range(1, len(STATEMENTS) + 1)
    series = {
        "repayment_status": STATUSES,
        "billed": [f"BILL_AMT{number}" for number in amounts],
        "paid": [f"PAY_AMT{number}" for number in amounts],
    }
    values = [
        f"{known[0]} AS {name}{suffix}"
        for name, columns in series.items()
        for ago, suffix in enumerate(("", *(f"_{ago}m_ago" for ago in range(1, 6))))
        for known in [columns[index + ago : index + ago + 1] or ["NULL::BIGINT"]]
    ]
    event = f"TIMESTAMP '{STATEMENTS[index]}'"
    write_rows(holders, folder, f"statement-{index}", event=event, arrived=arrived, values=values)


def write_rows(
    holders: Path, folder: Path, name: str, *, event: str, arrived: str, values: list[str]
) -> None:
    """Write one statement of each holder, all of it given as expressions."""
    copy_to_parquet(
        f"""
        SELECT ID AS holder_id, {event} AS event_timestamp, {arrived} AS created_timestamp,
            {", ".join(values)}
        FROM '{holders}'
        """,  # noqa: S608 (ours)
        folder / view_key(PRODUCT, STATEMENT.name, name),
    )


def write_outcomes(holders: Path, folder: Path) -> None:
    """Write a statement of each holder that tells the outcome, a millisecond after the decision."""
    outcome = '9 * "default payment next month"'
    values = [
        f"{outcome if feature.name == 'repayment_status' else 'PAY_AMT1'} AS {feature.name}"
        for feature in STATEMENT.features
    ]
    after = f"{APPLIED} + INTERVAL 1 MILLISECOND"
    write_rows(holders, folder, "outcomes", event=after, arrived=after, values=values)


def training_csv(folder: Path) -> bytes:
    path = folder / "training-set.csv"
    LocalLake(PRODUCT, folder).write_training_set(path)
    return path.read_bytes()


def statements_found(body: bytes) -> Counter[str]:
    """Return how many decisions rest on the statement of which day."""
    rows = csv.DictReader(io.StringIO(body.decode(), newline=""))
    return Counter(row[view_event_column(STATEMENT)][:10] for row in rows)


# --- Whatever came later is not there ------------------------------------------------------------


def test_an_outcome_in_the_lake_leaves_the_training_set_as_it_is(
    holders: Path, tmp_path: Path
) -> None:
    """Not one bit changes, though each row tells how its loan ended."""
    folder = write_lake(holders, tmp_path)
    before = training_csv(folder)
    write_outcomes(holders, folder)

    assert training_csv(folder) == before


def test_a_statement_that_arrives_after_the_decision_is_not_there(
    holders: Path, tmp_path: Path
) -> None:
    """A backfill of September in November: decisions of October rest on August all the same."""
    without = training_csv(write_lake(holders, tmp_path / "without", until=AUGUST))
    late = write_lake(holders, tmp_path / "late", until=AUGUST)
    write_statements(holders, late, 0, arrived="TIMESTAMP '2005-11-05'")

    found = training_csv(late)

    assert found == without
    assert set(statements_found(found)) == {str(AUGUST)}


def test_a_statement_that_arrives_in_time_is_there(holders: Path, tmp_path: Path) -> None:
    """Each holder's the very instant of the decision: the last one at which it counts."""
    in_time = write_lake(holders, tmp_path / "in-time", until=AUGUST)
    write_statements(holders, in_time, 0, arrived=APPLIED)

    found = training_csv(in_time)

    assert found == training_csv(write_lake(holders, tmp_path / "always"))
    assert set(statements_found(found)) == {str(SEPTEMBER)}


def test_no_decision_rests_on_a_statement_before_the_last_but_one(
    holders: Path, tmp_path: Path
) -> None:
    body = training_csv(write_lake(holders, tmp_path, until=JULY))

    training_set = read_training_set(PRODUCT, body)

    assert set(statements_found(body)) == {str(JULY)}
    assert training_set.referred == training_set.rows > 0


# --- What it is worth to know --------------------------------------------------------------------


def test_with_history_cut_a_month_earlier_the_model_is_worse(holders: Path, tmp_path: Path) -> None:
    """Trained and tested alike without September; the same holders are held out."""
    full, cut = (
        held_out(write_lake(holders, tmp_path / str(until), until=until))
        for until in (SEPTEMBER, AUGUST)
    )

    assert (full.defaulted == cut.defaulted).all()
    assert 0.5 < cut.area < full.area < 0.85
    gained = differences(
        full.defaulted,
        full.probability_of_default,
        cut.probability_of_default,
        seed=SEED,
        resamples=RESAMPLES,
    )["auc"]
    assert gained.low > 0


@dataclass(frozen=True)
class HeldOut:
    """What became of the held-out holders, and what a model said; both of shape (n,)."""

    defaulted: NDArray[np.int64]
    probability_of_default: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve."""
        return area_under_curve(self.defaulted, self.probability_of_default)


def held_out(folder: Path) -> HeldOut:
    """Train the champion's class on three quarters of a lake's holders; judge the others."""
    training_set = read_training_set(PRODUCT, training_csv(folder))
    assert (training_set.referred, training_set.unservable_rows) == (0, 0)
    split = split_loans(PRODUCT, training_set.loans, seed=SEED)
    fitted = fit(PRODUCT, split, PAIRWISE, seed=SEED)
    return HeldOut(split.tested.defaulted, fitted.tested_probability)
