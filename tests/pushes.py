"""Arrangers and fakes of pushed rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from credit_core.domain.online_store import timestamp_text
from credit_core.domain.product import (
    AdverseActionReason,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    KeyType,
)
from credit_core.errors import StoreUnavailableError
from credit_core.use_cases.push import FeatureEvent, Pushed, push
from tests.builders import NOW, PRODUCT, SECRET, features_of
from tests.feature_rows import AN_HOUR_AGO, BUREAU, FakeRejectedRows, FakeStore, never

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from credit_core.domain.metrics import Measurement
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import LakeRow

REASON = AdverseActionReason(code="HOME", text="Housing", text_if_unknown="Housing is unknown")
HOUSEHOLD = FeatureView(
    name="household",
    description="A view with a key, a category and a number of each kind",
    entity=Entity(
        name="household",
        description="Who lives together",
        keys=(
            EntityKey("household_number", KeyType.INTEGER),
            EntityKey("district", pattern=".{1,40}"),
        ),
    ),
    ttl=timedelta(days=1),
    features=(
        Feature(
            name="tenure",
            description="Own or rent",
            dtype=DType.CATEGORY,
            categories=("own", "rent", "other"),
            unknown_category="other",
            adverse_action=REASON,
        ),
        Feature(
            name="heating",
            description="How it is heated",
            dtype=DType.CATEGORY,
            categories=("gas", "wood"),
            nullable=True,
            adverse_action=REASON,
        ),
        Feature(
            name="rooms",
            description="Rooms",
            dtype=DType.INTEGER,
            unit="count",
            minimum=0,
            maximum=50,
            nullable=True,
            adverse_action=REASON,
        ),
        Feature(
            name="square_meters",
            description="Area",
            dtype=DType.FLOAT,
            unit="m2",
            minimum=0,
            maximum=1_000,
            adverse_action=REASON,
        ),
    ),
)
WITH_HOUSEHOLDS = replace(
    PRODUCT,
    entities=(*PRODUCT.entities, HOUSEHOLD.entity),
    feature_views=(*PRODUCT.feature_views, HOUSEHOLD),
)


def a_detail(
    applicant_id: object = "applicant-1",
    *,
    event: datetime | str = AN_HOUR_AGO,
    created: datetime | str | None = None,
    **changes: object,
) -> dict[str, Any]:
    """Return a valid bureau row of an hour ago as it is pushed, but for the changes."""
    created = event if created is None else created
    return {
        "view": "bureau",
        "keys": {"applicant_id": applicant_id},
        "event_timestamp": event if isinstance(event, str) else timestamp_text(event),
        "created_timestamp": created if isinstance(created, str) else timestamp_text(created),
        "features": features_of(BUREAU, **changes),
    }


def a_household(**changes: object) -> dict[str, Any]:
    """Return a valid row of HOUSEHOLD; a field set to ``...`` is left out."""
    keys: dict[str, object] = {"household_number": 12, "district": "West"}
    features: dict[str, object] = {
        "tenure": "own",
        "heating": None,
        "rooms": 3,
        "square_meters": 72.5,
    }
    for part in (keys, features):
        part |= {name: changes[name] for name in part if name in changes}
        for name in [name for name, value in part.items() if value is ...]:
            del part[name]
    at = timestamp_text(AN_HOUR_AGO)
    return {
        "view": "household",
        "keys": keys,
        "event_timestamp": at,
        "created_timestamp": at,
        "features": features,
    }


@dataclass
class FakeAppender:
    """A lake in memory that rows are appended to, with faults on demand."""

    rows: dict[str, LakeRow] = field(default_factory=dict)
    available: bool = True
    before: Callable[[], None] = lambda: None

    def append(self, key: str, row: LakeRow, view: FeatureView) -> None:  # noqa: ARG002 (the port's)
        """Keep a row."""
        self.before()
        if not self.available:
            raise StoreUnavailableError("a row could not be appended to the lake: SlowDown")
        self.rows[key] = row


@dataclass
class FakeMetrics:
    """Keeps measurements in memory, with faults on demand."""

    measurements: list[Measurement] = field(default_factory=list)
    available: bool = True

    def publish(self, measurements: Sequence[Measurement], *, at: datetime) -> None:  # noqa: ARG002 (the port's)
        """Keep them."""
        if not self.available:
            raise StoreUnavailableError("metrics could not be published: Throttling")
        self.measurements += measurements


@dataclass
class FakeErased:
    """A list of erased applicants in memory, with faults on demand."""

    applicants: set[str] = field(default_factory=set)
    available: bool = True

    def among(self, applicants: Collection[str]) -> frozenset[str]:
        """Return those on the list."""
        if not self.available:
            raise StoreUnavailableError("the erased applicants could not be read: Throttling")
        return frozenset(self.applicants.intersection(applicants))


@dataclass
class FakeNewestEvents:
    """Newest events in memory."""

    events: Mapping[str, datetime]

    def read(self, keys: Sequence[str]) -> dict[str, datetime]:
        """Return those of the keys that were noted."""
        return {key: self.events[key] for key in keys if key in self.events}


@dataclass
class APusher:
    """The use case on fakes: call it with rows."""

    product: CreditProduct = PRODUCT
    lake: FakeAppender = field(default_factory=FakeAppender)
    store: FakeStore = field(default_factory=FakeStore)
    rejected: FakeRejectedRows = field(default_factory=FakeRejectedRows)
    erased: FakeErased = field(default_factory=FakeErased)
    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    wait: Callable[[float], None] = never

    def __call__(self, *details: object) -> Pushed:
        """Push rows; they are called message-0, message-1 and so on, their events event-0."""
        return push(
            self.product,
            [
                FeatureEvent(f"message-{place}", f"event-{place}", detail)
                for place, detail in enumerate(details)
            ],
            stage="test",
            lake=self.lake,
            store=self.store,
            rejected_rows=self.rejected,
            erased=self.erased,
            metrics=self.metrics,
            secret=SECRET,
            as_of=NOW,
            wait=self.wait,
        )

    def faults(self, detail: object) -> tuple[str, ...]:
        """Push one row that must be refused; return its faults."""
        ((_, faults),) = self(detail).rejected
        return faults
