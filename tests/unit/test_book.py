"""The synthetic book: what it holds, and that the truth kept aside is the truth."""

# ruff: noqa: S608 (queries are put together from names in this file and in the products)

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from credit_cli.book import files, world
from credit_cli.book.deliveries import Shares
from credit_cli.book.generate import write_book
from credit_cli.book.plan import BookPlan
from credit_cli.book.risk import draw_model, probability
from credit_cli.book.values import Scale, direction
from credit_cli.errors import CliError, UsageError
from credit_core.adapters.feature_files import schema_faults
from credit_core.domain.point_in_time import training_set_columns, training_set_sql
from credit_core.domain.product import (
    REFER,
    AdverseActionReason,
    CreditProduct,
    Defaults,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    KeyType,
    Label,
    RiskDirection,
)
from tests.builders import PRODUCT, WITHOUT_RULES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

REASON = AdverseActionReason(code="R", text="A reason", text_if_unknown="Not known")


def a_number(
    name: str,
    *,
    low: float = 0,
    high: float = 100,
    dtype: DType = DType.FLOAT,
    nullable: bool = False,
    risk: RiskDirection | None = None,
) -> Feature:
    return Feature(
        name=name,
        description=name,
        dtype=dtype,
        unit="unit",
        minimum=low,
        maximum=high,
        nullable=nullable,
        risk=risk,
        adverse_action=REASON,
    )


def a_category(name: str, *, nullable: bool = False, unknown: str | None = None) -> Feature:
    return Feature(
        name=name,
        description=name,
        dtype=DType.CATEGORY,
        categories=("it's", "B", "C"),
        nullable=nullable,
        unknown_category=unknown,
        adverse_action=REASON,
    )


CUSTOMER = Entity(
    name="customer",
    description="Who applies: a number that is unique in a branch only",
    keys=(EntityKey("branch", pattern="B-[0-9]"), EntityKey("number", dtype=KeyType.INTEGER)),
)
DISTRICT = Entity(
    name="district",
    description="Where the customer lives",
    keys=(EntityKey("country", pattern="[A-Z]{2}"), EntityKey("district", dtype=KeyType.INTEGER)),
)
COUNTRY = Entity(name="country", description="A country", keys=DISTRICT.keys[:1])
CARD = Entity(
    name="card",
    description="The customer's card",
    keys=(*CUSTOMER.keys, EntityKey("card_id", pattern=r"(?:card|kort)-\d{4,}")),
)

CARDS = CreditProduct(
    name="cards",
    title="Cards",
    description="Entities of several keys, integer keys, defaults, unknown categories.",
    entities=(COUNTRY, DISTRICT, CUSTOMER, CARD),
    feature_views=(
        FeatureView(
            name="account",
            description="Monthly accounts",
            entity=CUSTOMER,
            ttl=timedelta(days=25),
            when_missing=Defaults({"balance": 1.5, "segment": "B", "score": 3}),
            when_stale=REFER,
            features=(
                a_number("balance", high=1_000_000, risk=RiskDirection.INCREASING),
                a_number(
                    "score", low=-5, high=5, dtype=DType.INTEGER, risk=RiskDirection.DECREASING
                ),
                a_number("limit_left", low=10, high=99_999, nullable=True),
                a_category("segment", unknown="C"),
            ),
        ),
        FeatureView(
            name="card_use",
            description="Use of the card",
            entity=CARD,
            ttl=timedelta(days=40),
            features=(
                a_number("uses", high=2**53, dtype=DType.INTEGER, nullable=True),
                a_category("terminal", nullable=True),
            ),
        ),
        FeatureView(
            name="district_economy",
            description="A district",
            entity=DISTRICT,
            ttl=timedelta(days=33),
            when_missing=Defaults({"unemployed": 5.0}),
            when_stale=Defaults({"unemployed": 7.5, "houses": 9}),
            features=(
                a_number("unemployed", risk=RiskDirection.INCREASING),
                a_number("houses", high=5_000, dtype=DType.INTEGER, nullable=True),
            ),
        ),
        FeatureView(
            name="country_economy",
            description="A country",
            entity=COUNTRY,
            ttl=timedelta(hours=400),
            features=(a_number("rate", low=-1, high=20), a_category("mood")),
        ),
    ),
    request_features=(
        a_number("amount", low=100, high=50_000, risk=RiskDirection.INCREASING),
        a_number("income", high=500_000, nullable=True, risk=RiskDirection.DECREASING),
        a_category("purpose", nullable=True),
    ),
    derived_features=(),
    label=Label(name="bad", description="Bad", horizon=timedelta(days=90)),
    policy=WITHOUT_RULES,
)

PRODUCTS = pytest.mark.parametrize("product", [PRODUCT, CARDS], ids=lambda each: str(each.name))
END = date(2024, 6, 30)
MUCH_WRONG = Shares(late=0.3, corrected=0.3, missing=0.2, duplicated=0.2, rejected=0.1)
ALL_RIGHT = Shares(late=0, corrected=0, missing=0, duplicated=0)


def a_plan(product: CreditProduct = CARDS, **changes: object) -> BookPlan:
    """Return a plan of 600 applicants and 8 months whose labels have all been delivered."""
    plan = BookPlan(
        product=product,
        applicants=600,
        months=8,
        seed=7,
        end=END,
        observed_until=END + product.label.horizon + timedelta(days=60),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


class Book:
    """A written book, its files as tables of an in-memory DuckDB."""

    def __init__(self, folder: Path, plan: BookPlan) -> None:
        self.folder, self.plan = folder, plan
        self.written = write_book(folder, plan)
        self.connection = duckdb.connect()
        product = plan.product
        prefixes = {product.applications_table: product.applications_prefix}
        prefixes |= {product.view_table(view): product.view_prefix(view) for view in self.views}
        prefixes |= {f"true_{view.name}": f"truth/features/{view.name}/" for view in self.views}
        prefixes |= {"truth": "truth/applications/", "known": "truth/known/", "model": "truth/"}
        for table, prefix in prefixes.items():
            self.connection.execute(
                f"CREATE VIEW {table} AS FROM"
                f" read_parquet('{folder}/{prefix}*.parquet', filename = true)"
            )

    @property
    def views(self) -> tuple[FeatureView, ...]:
        return self.plan.product.feature_views

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return self.connection.execute(query).fetchall()

    def row(self, query: str) -> tuple[object, ...]:
        (row,) = self.rows(query)
        return row

    def number(self, query: str) -> float:
        (value,) = self.row(query)
        assert isinstance(value, int | float)
        return value

    def column(self, query: str) -> NDArray[np.float64]:
        return np.array([row[0] for row in self.rows(query)], dtype=np.float64)


class Shelf:
    """Writes each book once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._books: dict[str, Book] = {}

    def __call__(self, plan: BookPlan) -> Book:
        name = repr(plan)
        if name not in self._books:
            self._books[name] = Book(self._folder / str(len(self._books)), plan)
        return self._books[name]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("books"))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.parquet"))
    }


# --- determinism ---------------------------------------------------------------------------------


@PRODUCTS
def test_the_same_plan_gives_the_same_bytes(
    product: CreditProduct, book: Shelf, tmp_path: Path
) -> None:
    first = book(a_plan(product))

    write_book(tmp_path, a_plan(product))

    assert bytes_of(tmp_path) == bytes_of(first.folder)


def test_another_seed_gives_other_bytes_in_every_file(book: Shelf) -> None:
    first, second = (bytes_of(book(a_plan(seed=seed)).folder) for seed in (7, 8))

    assert first.keys() == second.keys()
    assert [name for name in first if first[name] == second[name]] == []


def test_a_book_of_many_chunks_has_every_applicant_and_application_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "CHUNK_ROWS", 0)
    book = Book(tmp_path, a_plan(applicants=2_500, applications=3_001, months=3))

    assert book.row("SELECT count(*), count(DISTINCT application_id) FROM truth") == (3_001, 3_001)
    assert len(list((tmp_path / CARDS.applications_prefix).iterdir())) == 3
    assert book.number("SELECT count(DISTINCT (branch, number)) FROM true_account") > 0.9 * 2_500
    assert_known_is_what_the_query_finds(book)


# --- definitions ---------------------------------------------------------------------------------


@PRODUCTS
def test_every_row_is_valid_by_the_product_s_definition(
    product: CreditProduct, book: Shelf
) -> None:
    written = book(a_plan(product))
    for view in product.feature_views:
        assert faulty(written, product.view_table(view), view.entity.keys, view.features) == 0
    table, keys = product.applications_table, product.entity_keys
    assert faulty(written, table, keys, product.request_features) == 0


@PRODUCTS
def test_the_files_have_the_columns_and_types_that_materialization_reads(
    product: CreditProduct, book: Shelf
) -> None:
    written = book(a_plan(product))

    for view in product.feature_views:
        columns = written.rows(f"DESCRIBE {product.view_table(view)}")
        assert schema_faults(view, {str(name): str(type_) for name, type_, *_ in columns}) == []


@PRODUCTS
def test_the_rows_to_be_rejected_are_just_those_that_the_definition_refuses(
    product: CreditProduct, book: Shelf
) -> None:
    written = book(a_plan(product, shares=MUCH_WRONG))

    for view in product.feature_views:
        rejected = written.number(
            f"""SELECT coalesce(sum(1 + duplicated::INT), 0)::BIGINT FROM true_{view.name}
            WHERE rejected"""
        )
        table = product.view_table(view)
        assert faulty(written, table, view.entity.keys, view.features) == rejected > 0


def faulty(
    book: Book, table: str, keys: tuple[EntityKey, ...], features: tuple[Feature, ...]
) -> int:
    names = [key.name for key in keys] + [feature.name for feature in features]
    return sum(
        any(key.value_fault(value) for key, value in zip(keys, row, strict=False))
        or any(
            feature.value_fault(feature.known(value))  # type: ignore[arg-type]
            for feature, value in zip(features, row[len(keys) :], strict=True)
        )
        for row in book.rows(f"SELECT {', '.join(names)} FROM {table}")
    )


def test_unknown_values_undeclared_categories_and_big_integers_occur(book: Shelf) -> None:
    written = book(a_plan())

    assert written.number("SELECT count(*) FROM cards_account WHERE segment IS NULL") > 0
    assert written.number("SELECT count(*) FROM cards_account WHERE segment = 'UNHEARD_OF'") > 0
    assert 0.03 < written.number("SELECT avg((limit_left IS NULL)::INT) FROM cards_account") < 0.07
    assert written.number("SELECT max(number) FROM cards_applications") > 2**32


def test_shared_entities_have_far_fewer_keys_than_there_are_applicants(book: Shelf) -> None:
    written = book(a_plan(applicants=3_000, months=2))

    districts = written.number(
        "SELECT count(DISTINCT (country, district)) FROM true_district_economy"
    )
    assert 10 < districts <= 30
    assert written.number("SELECT count(DISTINCT country) FROM true_country_economy") == 10


def test_in_an_entity_of_two_keys_neither_is_unique_alone(book: Shelf) -> None:
    people, branches, numbers = book(a_plan()).row(
        "SELECT count(DISTINCT (branch, number)), count(DISTINCT branch), count(DISTINCT number)"
        " FROM true_account"
    )

    assert isinstance(people, int)
    assert isinstance(numbers, int)
    assert branches == 10
    assert people > 5 * numbers


# --- time ----------------------------------------------------------------------------------------


def test_a_label_is_delivered_when_its_horizon_has_passed_and_not_before(book: Shelf) -> None:
    written = book(a_plan(observed_until=None))
    horizon = "INTERVAL 90 DAYS"

    assert 0.4 < written.written.label_share < 0.8
    assert written.row(
        f"""SELECT
            bool_and(created_timestamp > event_timestamp + {horizon}) FILTER (bad IS NOT NULL),
            bool_and(created_timestamp < event_timestamp + {horizon} + INTERVAL 3 DAYS)
                FILTER (bad IS NOT NULL),
            bool_and(created_timestamp < event_timestamp + INTERVAL 6 MINUTES)
                FILTER (bad IS NULL),
            bool_and(event_timestamp > DATE '{END}' - INTERVAL 92 DAYS) FILTER (bad IS NULL)
        FROM cards_applications"""
    ) == (True, True, True, True)


@pytest.mark.parametrize("observed", [None, END + timedelta(days=100)])
def test_nothing_lies_in_the_future_of_the_day_of_observation(
    observed: date | None, book: Shelf
) -> None:
    written = book(a_plan(observed_until=observed))

    for table in (CARDS.applications_table, *map(CARDS.view_table, written.views)):
        assert written.row(
            f"""SELECT max(event_timestamp)::DATE <= DATE '{END}',
                max(created_timestamp)::DATE <= DATE '{observed or END}',
                bool_and(created_timestamp > event_timestamp) FROM {table}"""
        ) == (True, True, True)


def test_histories_go_on_month_by_month_and_change_slowly(book: Shelf) -> None:
    written = book(a_plan(shares=ALL_RIGHT))

    gap, correlation = written.row(
        """SELECT median(epoch(event_timestamp - before)) / 86400, corr(ln(balance), ln(earlier))
        FROM (SELECT *, lag(event_timestamp) OVER history AS before,
                lag(balance) OVER history AS earlier
            FROM cards_account
            WINDOW history AS (PARTITION BY branch, number ORDER BY event_timestamp))"""
    )

    assert gap == pytest.approx(30.4, abs=1)
    assert isinstance(correlation, float)
    assert 0.8 < correlation < 0.99


def test_rows_lie_out_of_order_and_spread_over_files(book: Shelf) -> None:
    written = book(a_plan())

    assert written.number("SELECT count(DISTINCT filename) FROM cards_account") == 2
    assert (
        written.number(
            """SELECT avg(files) FROM (SELECT count(DISTINCT filename) AS files
            FROM cards_account GROUP BY branch, number)"""
        )
        > 1.9
    )
    steps = np.diff(written.column("SELECT epoch(event_timestamp) FROM cards_account"))
    assert 0.4 < (steps < 0).mean() < 0.6


@PRODUCTS
def test_what_goes_wrong_has_the_shares_asked_for(product: CreditProduct, book: Shelf) -> None:
    shares = Shares(late=0.2, corrected=0.1, missing=0.15, duplicated=0.05, rejected=0.08)
    written = book(a_plan(product, applicants=3_000, shares=shares))
    view = max(product.feature_views, key=lambda each: len(each.features))

    missing, late, corrected, corrections, duplicated, rejected = written.row(
        f"""SELECT avg(missing::INT) FILTER (NOT correction),
            avg(late::INT) FILTER (NOT missing AND NOT correction),
            avg(corrected::INT) FILTER (NOT missing AND NOT correction AND NOT rejected),
            count(*) FILTER (correction) / count(*) FILTER (corrected),
            avg(duplicated::INT) FILTER (NOT missing AND NOT correction),
            avg(rejected::INT) FILTER (NOT missing AND NOT correction)
        FROM true_{view.name}"""
    )

    assert missing == pytest.approx(0.15, abs=0.01)
    assert late == pytest.approx(0.2, abs=0.01)
    assert corrected == pytest.approx(0.1, abs=0.01)
    assert corrections == pytest.approx(1.0, abs=0.01)
    assert duplicated == pytest.approx(0.05, abs=0.005)
    assert rejected == pytest.approx(0.08, abs=0.008)


def test_flags_say_what_is_in_the_lake(book: Shelf) -> None:
    """Rows in the lake are the truth's but for the missing ones, and twice where it says so."""
    written = book(a_plan(shares=MUCH_WRONG))
    key = "branch, number, event_timestamp, created_timestamp"

    in_lake = f"SELECT {key}, count(*) AS rows FROM cards_account GROUP BY ALL"
    in_truth = f"SELECT {key}, 1 + duplicated::INT AS rows FROM true_account WHERE NOT missing"
    assert written.rows(f"({in_lake}) EXCEPT ({in_truth})") == []
    assert written.rows(f"({in_truth}) EXCEPT ({in_lake})") == []
    assert written.row(
        """SELECT bool_and(created_timestamp - event_timestamp > INTERVAL 47 HOURS)
                FILTER (late),
            bool_and(created_timestamp - event_timestamp < INTERVAL 7 HOURS)
                FILTER (NOT late AND NOT correction)
        FROM true_account"""
    ) == (True, True)
    young = book(a_plan(shares=MUCH_WRONG, observed_until=None))
    corrected, corrections = young.row(
        "SELECT count(*) FILTER (corrected), count(*) FILTER (correction) FROM true_account"
    )
    assert corrected == corrections
    assert (
        written.number(
            """SELECT avg((a.balance <> b.balance)::INT) FROM cards_account AS a
            JOIN true_account AS t ON (a.branch, a.number, a.event_timestamp, a.created_timestamp)
                = (t.branch, t.number, t.event_timestamp, t.created_timestamp) AND t.correction
            JOIN cards_account AS b ON (a.branch, a.number, a.event_timestamp)
                = (b.branch, b.number, b.event_timestamp)
                AND b.created_timestamp < a.created_timestamp"""
        )
        > 0.95
    )


# --- the truth -----------------------------------------------------------------------------------


def assert_known_is_what_the_query_finds(book: Book) -> None:
    product = book.plan.product
    columns = ", ".join(training_set_columns(product))
    book.connection.execute(
        f"CREATE OR REPLACE TABLE found AS SELECT {columns} FROM ({training_set_sql(product)})"
    )
    known = f"SELECT {columns} FROM known WHERE {product.label.name} IS NOT NULL"
    assert book.rows(f"(FROM found) EXCEPT ({known})") == []
    assert book.rows(f"({known}) EXCEPT (FROM found)") == []
    assert book.number("SELECT count(*) FROM found") == book.written.labels


@PRODUCTS
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shares", [Shares(), MUCH_WRONG], ids=["usual", "much_wrong"])
@pytest.mark.parametrize("observed", [None, END + timedelta(days=500)], ids=["young", "old"])
def test_what_was_truly_known_is_what_the_training_query_finds(
    product: CreditProduct, seed: int, shares: Shares, observed: date | None, book: Shelf
) -> None:
    """Late, corrected, repeated, refused and missing rows; instants at which a rule just turns."""
    months = 8 if product is CARDS else 15
    plan = a_plan(product, seed=seed, shares=shares, observed_until=observed, months=months)

    assert_known_is_what_the_query_finds(book(plan))


def test_applications_find_fresh_stale_and_missing_rows(book: Shelf) -> None:
    written = book(a_plan(shares=MUCH_WRONG))

    for view in written.views:
        fresh, stale, missing = written.row(
            f"""SELECT count(*) FILTER (age <= {view.ttl_seconds}),
                count(*) FILTER (age > {view.ttl_seconds}), count(*) FILTER (age IS NULL)
            FROM (SELECT epoch(event_timestamp - {view.name}_event_timestamp) AS age FROM known)"""
        )
        assert min(fresh, stale, missing) > 10, view.name  # type: ignore[call-overload]


def test_probabilities_are_calibrated(book: Shelf) -> None:
    """In each tenth of the book, as many default as the true probabilities say."""
    written = book(a_plan(applicants=20_000, months=2, base_rate=0.1))

    tenths = written.rows(
        """SELECT count(*), sum(probability_of_default), sum(defaulted),
            sum(probability_of_default * (1 - probability_of_default))
        FROM (SELECT *, ntile(10) OVER (ORDER BY probability_of_default) AS tenth FROM truth)
        GROUP BY tenth"""
    )

    assert len(tenths) == 10
    for _, expected, defaults, variance in np.array(tenths, dtype=float):
        assert abs(defaults - expected) < 4 * variance**0.5
    mean = written.number("SELECT avg(probability_of_default) FROM truth")
    assert mean == pytest.approx(0.1, rel=0.05)
    assert written.number("SELECT stddev(log_odds) FROM truth") > 0.7


@pytest.mark.parametrize("concept_drift", [0.0, 0.5])
def test_log_odds_are_the_terms_of_the_model_on_what_was_known(
    concept_drift: float, book: Shelf
) -> None:
    """Put together anew, from the files alone."""
    written = book(a_plan(concept_drift=concept_drift, drift_from=date(2024, 3, 1)))
    features = {feature.name: feature for feature in CARDS.base_features}
    names = list(features)
    terms = written.rows(
        "SELECT kind, first, second, category, weight, weight_after_drift FROM model"
    )
    weights = {
        first: float(str(weight)) for kind, first, *_, weight, _ in terms if kind == "number"
    }
    applications = written.rows(
        f"""SELECT log_odds, known.event_timestamp >= DATE '2024-03-01', {", ".join(names)}
        FROM known JOIN truth USING (application_id)"""
    )

    def standard(name: object, values: dict[str, object]) -> float:
        value = values[str(name)]
        if value is None:
            return 0.0
        return float(Scale.of(features[str(name)]).standard(np.array([value], dtype=float))[0])

    def part(term: tuple[object, ...], values: dict[str, object]) -> float:
        kind, first, second, category, *_ = term
        if kind == "intercept":
            return 1.0
        if kind == "number":
            return standard(first, values)
        if kind == "unknown":
            return float(values[str(first)] is None)
        if kind == "category":
            return float(values[str(first)] == category)
        assert kind == "interaction"
        if values[str(first)] is None or values[str(second)] is None:
            return 0.0
        one, other = (
            1 / (1 + np.exp(-4 * np.sign(weights[name]) * standard(name, values)))
            for name in (first, second)
        )
        return float(one * other)

    assert len(applications) == 600
    for log_odds, after, *row in applications:
        values = dict(zip(names, row, strict=True))
        weight = 5 if after else 4
        total = sum(float(str(term[weight])) * part(term, values) for term in terms)
        assert total == pytest.approx(log_odds, abs=1e-6)


@PRODUCTS
@pytest.mark.parametrize("drifted", [False, True])
def test_risk_moves_as_declared_whatever_the_other_features_are(
    product: CreditProduct, *, drifted: bool
) -> None:
    rng = np.random.default_rng(5)
    model = draw_model(rng, product, concept_drift=1.0)
    count = 300
    values = {
        feature.name: rng.integers(len(feature.categories), size=count).astype(float)
        if feature.dtype is DType.CATEGORY
        else Scale.of(feature).value(1.5 * rng.standard_normal(count))
        for feature in product.base_features
    }
    after = np.full(count, drifted)
    before = model.log_odds(values, drifted=after)
    declared = [feature for feature in product.base_features if feature.risk]

    assert len([term for term in model.terms if term.kind == "interaction"]) >= 2
    assert declared
    for feature in declared:
        scale = Scale.of(feature)
        higher = scale.value(scale.standard(values[feature.name]) + 0.7)
        change = model.log_odds(values | {feature.name: higher}, drifted=after) - before
        up = higher > values[feature.name]
        assert (direction(feature) * change[up] > -1e-9).all()
        assert direction(feature) * change[up].sum() > 0


# --- drift ---------------------------------------------------------------------------------------


def stability_index(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Return the population stability index over the tenths of what was before."""
    borders = np.unique(np.quantile(before, np.linspace(0.1, 0.9, 9)))
    shares = []
    for values in (before, after):
        counts = np.bincount(np.searchsorted(borders, values), minlength=len(borders) + 1)
        shares.append((counts + 0.5) / (counts + 0.5).sum())
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def stability_indices(book: Book) -> dict[str, float]:
    """Return the index of each applicant's number between both halves of the book."""
    middle = "TIMESTAMP '2024-03-01 00:00:00'"
    numbers = {PRODUCT.applications_table: PRODUCT.request_features}
    numbers |= {PRODUCT.view_table(PRODUCT.view("bureau")): PRODUCT.view("bureau").features}
    return {
        feature.name: stability_index(
            *(
                book.column(
                    f"SELECT {feature.name} FROM {table} WHERE {feature.name} IS NOT NULL"
                    f" AND event_timestamp {side} {middle}"
                )
                for side in ("<", ">=")
            )
        )
        for table, features in numbers.items()
        for feature in features
        if feature.dtype is not DType.CATEGORY
    }


def test_without_drift_the_book_is_stationary(book: Shelf) -> None:
    written = book(a_plan(PRODUCT, applicants=4_000))

    assert max(stability_indices(written).values()) < 0.02
    before, after = written.rows(
        """SELECT avg(probability_of_default), stddev(probability_of_default) / sqrt(count(*))
        FROM truth GROUP BY event_timestamp >= DATE '2024-03-01' ORDER BY ALL"""
    )
    assert abs(float(before[0]) - float(after[0])) < 0.01  # type: ignore[arg-type]


def test_with_drift_the_index_rises_on_the_drifted_features_and_no_other(book: Shelf) -> None:
    plan = a_plan(PRODUCT, applicants=4_000, drift=1.0, drift_from=date(2024, 3, 1))
    written = book(plan)
    indices = stability_indices(written)
    drifted = set(written.written.drifted) & indices.keys()

    assert len(drifted) == 9
    assert min(indices[name] for name in drifted) > 0.25
    assert max(index for name, index in indices.items() if name not in drifted) < 0.02
    before, after = (
        written.number(
            "SELECT avg(probability_of_default) FROM truth"
            f" WHERE event_timestamp {side} DATE '2024-03-01'"
        )
        for side in ("<", ">=")
    )
    assert before == pytest.approx(0.08, abs=0.01)
    assert after > 1.5 * before


def test_a_drift_of_the_concept_moves_no_feature(book: Shelf) -> None:
    still, changed = (
        book(a_plan(PRODUCT, applicants=4_000, concept_drift=share)) for share in (0.0, 0.8)
    )

    assert stability_indices(still) == stability_indices(changed)
    moved = changed.number(
        f"""SELECT avg((abs(a.log_odds - b.log_odds) > 0.05)::INT)
        FROM truth AS a JOIN '{still.folder}/truth/applications/*.parquet' AS b
            USING (application_id) WHERE a.event_timestamp >= DATE '2024-04-01'"""
    )
    assert moved > 0.8


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"applicants": 0}, "--applicants is 0; it must be from 1 to 100,000,000"),
        ({"months": -3}, "--months is -3"),
        ({"seed": -1}, "--seed is -1"),
        ({"applications": 0}, "--applications is 0"),
        ({"drift": float("nan")}, "--drift is nan"),
        ({"base_rate": 0.0}, "--base-rate is 0.0"),
        ({"shares": Shares(late=1.5)}, "--late-share is 1.5"),
        ({"observed_until": END - timedelta(days=1)}, "before the end"),
        ({"end": date(1, 2, 1), "observed_until": None}, "beyond the years"),
        ({"applicant_entity": "nobody"}, "cards has no entity nobody; it has: country, district"),
        ({"applicant_entity": "country"}, "the keys of country allow 676 applicants, not 1,000"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_a_line_and_leaves_nothing(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as refused:
        write_book(tmp_path / "book", a_plan(CARDS, **({"applicants": 1_000} | changes)))

    assert words in refused.value.message
    assert "\n" not in refused.value.message
    assert not (tmp_path / "book").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="is not empty"):
        write_book(tmp_path, a_plan())

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_failed_write_leaves_nothing_of_the_book(tmp_path: Path) -> None:
    def fail(message: str) -> None:
        assert "applicants" not in message, "the disk is full"

    with pytest.raises(AssertionError, match="the disk is full"):
        write_book(tmp_path, a_plan(), progress=fail)

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / "part.parquet"
    target.mkdir()

    with files.ParquetWriter() as writer, pytest.raises(CliError, match=r"part\.parquet could not"):
        writer.write(target, {"a": np.arange(3)})


@pytest.mark.parametrize("applicants", [1, 2, 99])
def test_small_books_work_too(applicants: int, tmp_path: Path) -> None:
    book = Book(tmp_path, a_plan(applicants=applicants, months=1))

    assert book.written.rows["applications"] == applicants
    assert_known_is_what_the_query_finds(book)


def test_probability_and_log_odds_agree() -> None:
    assert probability(np.array([0.0, np.log(3)])) == pytest.approx([0.5, 0.75])
