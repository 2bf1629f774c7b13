"""Histories of features with everything that goes wrong in a lender's lake, and what they mean.

The product here has each kind of view, key, feature and rule. ``as_known`` says in the plainest
words what must be served at an instant; store and SQL are compared with it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

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
    Policy,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_core.domain.product import Value

NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)
"""In the past by days at least: what is delivered in the future is not trained on."""
REASON = AdverseActionReason(code="R", text="A reason", text_if_unknown="It is not known")
COUNT = Feature(
    name="late_payments",
    description="Late payments",
    dtype=DType.INTEGER,
    unit="count",
    minimum=0,
    maximum=3,
    adverse_action=REASON,
)
BALANCE = Feature(
    name="balance",
    description="Balance",
    dtype=DType.FLOAT,
    unit="USD",
    minimum=-1.5,
    maximum=2.5,
    nullable=True,
    adverse_action=REASON,
)
TENURE = Feature(
    name="tenure",
    description="Kind of tenure",
    dtype=DType.CATEGORY,
    categories=("rent", "own", "it's other"),
    unknown_category="it's other",
    adverse_action=REASON,
)
GRADE = Feature(
    name="grade",
    description="Grade of the area",
    dtype=DType.CATEGORY,
    categories=("B", "a", "C"),
    nullable=True,
    adverse_action=REASON,
)
AMOUNT = Feature(
    name="amount",
    description="Amount",
    dtype=DType.FLOAT,
    unit="USD",
    minimum=0,
    maximum=10,
    adverse_action=REASON,
)
PERSON = Entity(name="person", description="A person", keys=(EntityKey("person_id"),))
ACCOUNT = Entity(
    name="account",
    description="An account of a person",
    keys=(EntityKey("person_id"), EntityKey("account_number", KeyType.INTEGER)),
)
TTL = timedelta(hours=1)
ACCOUNTS = FeatureView(
    name="accounts",
    description="With defaults of either kind",
    entity=ACCOUNT,
    ttl=TTL,
    features=(COUNT, BALANCE, TENURE),
    when_missing=Defaults({"late_payments": 1, "tenure": "own"}),
    when_stale=Defaults({"late_payments": 2, "balance": 0.5, "tenure": "it's other"}),
)
AREAS = FeatureView(
    name="areas",
    description="Without defaults",
    entity=PERSON,
    ttl=timedelta(days=1),
    features=(GRADE,),
    when_missing=REFER,
    when_stale=Defaults({}),
)
PRODUCT = CreditProduct(
    name="made_up",
    title="Made up",
    description="For tests",
    entities=(PERSON, ACCOUNT),
    feature_views=(ACCOUNTS, AREAS),
    request_features=(AMOUNT,),
    derived_features=(),
    label=Label(name="defaulted", description="Defaulted", horizon=timedelta(0)),
    policy=Policy(
        version="1",
        approve_up_to=0.1,
        decline_from=0.2,
        base_points=600,
        base_odds=20,
        points_to_double_odds=40,
    ),
)
KEYS: Mapping[str, Value] = {"person_id": "p-1", "account_number": 7}


class Recorded(NamedTuple):
    """A row of a view's history, in milliseconds from ``NOW``."""

    event: int
    created: int
    values: tuple[Value, ...]

    @property
    def event_timestamp(self) -> datetime:
        return NOW + timedelta(milliseconds=self.event)

    @property
    def created_timestamp(self) -> datetime:
        return NOW + timedelta(milliseconds=self.created)


def a_value(feature: Feature) -> st.SearchStrategy[Any]:
    """Return values of a feature as files hold them: few, so that they tie; some of them wrong."""
    if feature.dtype is DType.CATEGORY:
        return st.sampled_from([*feature.categories, "undeclared", None])
    low, high = feature.minimum, feature.maximum
    assert low is not None
    assert high is not None
    if feature.dtype is DType.INTEGER:
        return st.sampled_from([int(low), int(high), 2, -1, int(high) + 1, None])
    return st.sampled_from([low, high, 0.0, -0.0, 0.1, high + 0.1, float("nan"), None])


def moments(view: FeatureView) -> st.SearchStrategy[int]:
    """Return instants around ``NOW``, those at which a row changes its worth above all."""
    ttl = int(view.ttl_seconds * 1_000)
    edges = [-2 * ttl, -ttl, 0, 60_000]
    near = st.sampled_from([edge + step for edge in edges for step in (-1, 0, 1)])
    return near | st.integers(-3 * ttl, 90_000)


def histories(view: FeatureView) -> st.SearchStrategy[list[Recorded]]:
    """Return histories of one entity: late, repeated, corrected, out of order, broken, expired."""
    values = st.tuples(*map(a_value, view.features))
    late = st.builds(Recorded, moments(view), moments(view), values)
    prompt = late.map(lambda row: row._replace(created=row.event))
    ahead = st.builds(
        lambda row, by: row._replace(created=row.event - by),
        late,
        st.sampled_from([1, 59_999, 60_000, 60_001]),
    )
    # Two rows of the same times that say different things.
    place = st.integers(0, len(view.features) - 1)
    twins = st.builds(_twins, late | prompt, values, place)
    some = st.lists(twins | (late | prompt | ahead).map(lambda row: [row]), max_size=5)
    return some.flatmap(
        lambda found: st.permutations([row for rows in found + found[:1] for row in rows])
    )


def _twins(row: Recorded, other: tuple[Value, ...], place: int) -> list[Recorded]:
    values = (*row.values[:place], other[place], *row.values[place + 1 :])
    return [row, row._replace(values=values)]


def as_known(
    view: FeatureView, history: Sequence[Recorded], as_of: datetime
) -> dict[str, Value] | None:
    """Return what is served at an instant, None where a person has to decide."""
    rows = []
    for row in history:
        values = [f.known(value) for f, value in zip(view.features, row.values, strict=True)]
        valid = not any(
            f.value_fault(value) for f, value in zip(view.features, values, strict=True)
        )
        known_from = max(row.event_timestamp, row.created_timestamp)
        if valid and row.event - row.created <= 60_000 and known_from <= as_of:
            rows.append((row.event, row.created, [(v is not None, v or 0) for v in values], values))
    event, _, _, values = max(rows, default=(None, None, None, []))
    if event is None or as_of - NOW > timedelta(milliseconds=event) + 2 * view.ttl:
        return view.substitutes(view.when_missing)
    if as_of - NOW > timedelta(milliseconds=event) + view.ttl:
        return view.substitutes(view.when_stale)
    return {feature.name: value for feature, value in zip(view.features, values, strict=True)}
