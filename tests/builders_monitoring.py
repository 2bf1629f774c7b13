"""Days of decisions in an archive, by applicants who are drawn as a test says."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.decision_drift import Limits
from credit_core.domain.measures import distribution_of
from credit_core.domain.online_store import entity_key
from credit_core.domain.receipt import row_of
from credit_core.errors import ModelUnavailableError
from credit_core.use_cases.monitor import (
    MOST_PARTS,
    first_day_before,
    plan_day,
    summarize_day,
    tally_part,
)
from credit_core.use_cases.score import ScoreApplication
from tests.builders import (
    NOW,
    PRODUCT,
    SECRET,
    FakeDecisionStore,
    FixedModels,
    a_body,
    a_model,
    a_timer,
    stored,
)
from tests.builders_evidence import ReadableArchive, key_of_applicant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from credit_core.domain.decision_monitoring import DecisionTally, ModelKey
    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.domain.product import FeatureView
    from credit_core.ports import LoadedModel, StoredFeatures
    from tests.builders import LinearModel

A_DAY = date(2026, 11, 19)
LIMITS = Limits(
    least_decisions=100, most_drift=0.25, most_outcome_shift=0.1, most_reason_shift=0.25
)
WEIGHTS = {"inq_last_6mths": 0.35, "loan_amount": 3e-5, "payment_to_income": 2.0}
INTERCEPT = -5.0


@dataclass(frozen=True)
class Applicants:
    """Whom a day brings: medians and means of what they ask for and have.

    ``verified`` is the share whose income was; ``stale`` and ``missing`` are shares whose row of
    the first view is old, or not there.
    """

    income: float = 60_000
    amount: float = 12_000
    inquiries: float = 1.5
    states: tuple[str, ...] = ("CA", "NY", "TX")
    verified: float = 0.8
    stale: float = 0.0
    missing: float = 0.0


USUAL = Applicants()


@dataclass
class MonitoredArchive(ReadableArchive):
    """An archive in memory, of which parts of a day can be read."""

    def keys_between(self, after: str, last: str) -> Iterator[str]:
        yield from (key for key in sorted(self.objects) if after < key <= last)


@dataclass
class MonitoredDays:
    """Decides applications of many days, archives them, and monitors the days."""

    archive: MonitoredArchive = field(default_factory=MonitoredArchive)
    manifests: dict[str, ModelManifest] = field(default_factory=dict)
    tallies: dict[date, DecisionTally] = field(default_factory=dict)
    numbers: int = 0

    def trained(self, version: str = "v1", *, on: int = 1_000) -> LinearModel:
        """Return a model that was trained on usual applicants, with its baseline."""
        model = _trained(on)
        manifest = model.manifest.model_copy(update={"version": version})
        self.manifests[version] = manifest
        sha256 = hashlib.sha256(manifest.to_json()).hexdigest()
        return replace(model, manifest=manifest, manifest_sha256=sha256)

    def decide(
        self,
        day: date,
        count: int,
        *,
        model: LoadedModel | None,
        applicants: Applicants = USUAL,
        challenger: LoadedModel | None = None,
        share: float = 0.0,
        seed: int = 0,
    ) -> list[dict[str, Any]]:
        """Decide so many applications on a day, archive them, and return their receipts."""
        chance = random.Random(f"{day} {seed}")  # noqa: S311 (variety, no secret)
        records = []
        store = FakeDecisionStore({})
        models = FixedModels(model, challenger, share=share)
        score = ScoreApplication(PRODUCT, secret=SECRET, store=store, models=models)
        for _ in range(count):
            self.numbers += 1
            id_ = f"application-{day}-{self.numbers}"
            # More at noon than at midnight.
            at = datetime.combine(day, time(), UTC) + timedelta(
                seconds=86_399 * chance.betavariate(4, 3)
            )
            state = chance.choice(applicants.states)
            store.rows = _rows(id_, state, at, applicants, chance)
            body = a_body(
                application_id=id_,
                applicant_id=id_,
                addr_state=state,
                loan_amount=round(min(applicants.amount * math.exp(chance.gauss(0, 0.5)), 40_000)),
                term_months=chance.choice([36, 36, 60]),
                annual_income=round(applicants.income * math.exp(chance.gauss(0, 0.5))),
                employment_years=chance.randrange(11),
                verification_status="verified"
                if chance.random() < applicants.verified
                else "not_verified",
            )
            score(body, as_of=at, timer=a_timer())
            record = dict(store.receipts.pop(id_).as_record())
            self.archive.add(record)
            records.append(record)
        return records

    def monitor(
        self, day: date = A_DAY, *, decisions_a_part: int = 100_000, limits: Limits = LIMITS
    ) -> dict[str, Any]:
        """Return a day's summary, and keep its tally for later days."""
        parts = plan_day(self.archive, day, decisions_a_part=decisions_a_part)
        assert len(parts) <= MOST_PARTS
        tallies = [tally_part(self.archive, part, manifest_of=self.manifest_of) for part in parts]
        summary = self.summary(tallies, day, limits=limits)
        total = type(tallies[0])() if tallies else None
        for tally in tallies:
            assert total is not None
            total.merge(tally)
        if total is not None:
            self.tallies[day] = total
        return summary

    def summary(
        self, tallies: Sequence[DecisionTally], day: date, *, limits: Limits = LIMITS
    ) -> dict[str, Any]:
        first = first_day_before(day)
        return summarize_day(
            PRODUCT.name,
            day,
            tallies,
            before={each: found for each, found in self.tallies.items() if first <= each < day},
            manifest_of=self.manifest_of,
            limits=limits,
        )

    def manifest_of(self, model: ModelKey) -> ModelManifest:
        if model.version not in self.manifests:
            raise ModelUnavailableError(f"model {model.version} is not there")
        return self.manifests[model.version]


@cache
def _trained(on: int) -> LinearModel:
    """Return a model with the baseline of so many usual applicants."""
    model = replace(a_model(PRODUCT, **WEIGHTS), intercept=INTERCEPT)
    records = MonitoredDays().decide(A_DAY, on, model=model, seed=99)
    matrix = np.array([row_of(record["model_input"]) for record in records]).astype(np.float32)
    answers = 1 / (1 + np.exp(-model.log_odds(matrix)))
    baseline = {
        feature.name: distribution_of(matrix[:, place], categories=len(feature.categories))
        for place, feature in enumerate(PRODUCT.model_features)
    }
    changes = {
        "baseline": baseline,
        "baseline_probability": distribution_of(answers),
        "training_set": {"rows_trained": on},
    }
    return replace(model, manifest=model.manifest.model_copy(update=changes))


def _rows(
    applicant_id: str, state: str, at: datetime, applicants: Applicants, chance: random.Random
) -> dict[str, StoredFeatures]:
    """Return what the online store has of an applicant."""
    bureau, region = PRODUCT.feature_views
    key = entity_key(PRODUCT, region, {"addr_state": state}, secret=SECRET)
    rows = {key: _row(region, at, timedelta(hours=1))}
    drawn = chance.random()
    if drawn < applicants.missing:
        return rows
    is_stale = drawn < applicants.missing + applicants.stale
    age = bureau.ttl + timedelta(hours=1) if is_stale else timedelta(hours=chance.uniform(1, 200))
    inquiries = min(int(chance.expovariate(1 / applicants.inquiries)), 8)
    return rows | {key_of_applicant(applicant_id): _row(bureau, at, age, inq_last_6mths=inquiries)}


def _row(view: FeatureView, at: datetime, age: timedelta, **changes: object) -> StoredFeatures:
    return stored(view, age=NOW - at + age, **changes)
