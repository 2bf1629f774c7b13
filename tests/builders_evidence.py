"""Archives of trials: decisions that two models answered, and what became of their loans."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from credit_core.domain.online_store import entity_key, timestamp_text
from credit_core.domain.receipt_archive import Days, archived_record, record_in
from credit_core.use_cases.score import ScoreApplication
from credit_core.use_cases.served_decisions import ServedDecisions
from tests.builders import (
    NOW,
    PRODUCT,
    SECRET,
    FakeDecisionStore,
    FixedModels,
    LinearModel,
    a_body,
    a_manifest,
    a_model,
    a_timer,
    key_of,
    stored,
)
from tests.builders_archive import FakeArchive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.loan_outcome import LoanOutcome
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import LoadedModel, StoredFeatures

A_YEAR_AGO = NOW - timedelta(days=400)
"""When decisions of a trial are made, so that the product's horizon has passed by NOW."""


@dataclass
class ReadableArchive(FakeArchive):
    """An archive in memory that can be read."""

    def records(self, keys: Iterable[str]) -> Iterator[StoredRecord | None]:
        yield from (record_in(self.objects[key]) for key in keys)

    def add(self, record: StoredRecord) -> str:
        """Keep a record and return its key."""
        found = archived_record(record, product=PRODUCT.name)
        self.objects[found.key] = found.body
        return found.key


def a_version(version: str, *, product: CreditProduct = PRODUCT, **weights: float) -> LinearModel:
    """Return a linear model of that version, which approves nearly everybody."""
    manifest = a_manifest(version=version)
    return replace(a_model(product, **weights), manifest=manifest, intercept=-7.0)


@dataclass
class Trial:
    """Decides applications with champion and challenger, and archives what is recorded."""

    champion: LoadedModel = field(
        default_factory=lambda: a_version("v1", inq_last_6mths=0.3, loan_amount=2e-5)
    )
    challenger: LoadedModel | None = field(
        default_factory=lambda: a_version("v2", inq_last_6mths=0.9, loan_amount=-1e-5)
    )
    share: float = 0.0
    product: CreditProduct = PRODUCT
    archive: ReadableArchive = field(default_factory=ReadableArchive)
    numbers: dict[str, int] = field(default_factory=dict)

    def decide(
        self,
        application_id: str,
        *,
        at: datetime = A_YEAR_AGO,
        rows: dict[str, StoredFeatures] | None = None,
        **changes: object,
    ) -> StoredRecord:
        """Decide an application and return its archived receipt."""
        store = FakeDecisionStore(self.rows(at) if rows is None else rows)
        models = FixedModels(self.champion, self.challenger, share=self.share)
        score = ScoreApplication(self.product, secret=SECRET, store=store, models=models)
        body = a_body(application_id=application_id, applicant_id=application_id, **changes)
        store.rows |= self.rows_of(application_id, at) if rows is None else {}
        score(body, as_of=at, timer=a_timer())
        record = store.receipts[application_id].as_record()
        self.archive.add(record)
        return record

    def rows(self, at: datetime) -> dict[str, StoredFeatures]:
        """Return rows of AN_APPLICATION's entities that are an hour old at that time."""
        return {
            key_of(view, self.product): stored(view, age=NOW - at + timedelta(hours=1))
            for view in self.product.feature_views
        }

    def rows_of(
        self, applicant_id: str, at: datetime, **changes: object
    ) -> dict[str, StoredFeatures]:
        """Return the applicant's row of the first view."""
        view = self.product.feature_views[0]
        inquiries = random.Random(applicant_id).randrange(6)  # noqa: S311 (variety, no secret)
        row = stored(
            view,
            age=NOW - at + timedelta(hours=1),
            **{"inq_last_6mths": inquiries} | changes,
        )
        return {key_of_applicant(applicant_id, self.product): row}

    def report(
        self,
        application_id: str,
        outcome: LoanOutcome,
        *,
        on: date | None = None,
        at: datetime = NOW,
    ) -> None:
        """Report what became of a loan."""
        number = self.numbers[application_id] = self.numbers.get(application_id, 0) + 1
        document = {
            "application_id": application_id,
            "outcome": outcome,
            "date": str(on or A_YEAR_AGO.date() + timedelta(days=200)),
        }
        self.archive.add(
            {
                "application_id": application_id,
                "record": f"outcome/{outcome}",
                "product": self.product.name,
                "outcome": outcome,
                "reported_at": timestamp_text(at),
                "number": number,
                "response": json.dumps(document),
            }
        )

    def review(self, application_id: str, outcome: str, *, at: datetime = A_YEAR_AGO) -> None:
        """Record a person's review."""
        number = self.numbers[application_id] = self.numbers.get(application_id, 0) + 1
        self.archive.add(
            {
                "application_id": application_id,
                "record": f"review/r-{number}",
                "product": self.product.name,
                "outcome": outcome,
                "reviewed_at": timestamp_text(at),
                "number": number,
                "response": "{}",
            }
        )

    def decisions(self, *, days: Days | None = None, most: int = 10_000) -> ServedDecisions:
        """Return the decisions of the trial as a use case reads them."""
        return ServedDecisions(self.archive, days or Days(), most)


def key_of_applicant(applicant_id: str, product: CreditProduct = PRODUCT) -> str:
    """Return the online key of an applicant in the product's first view."""
    view = product.feature_views[0]
    return entity_key(product, view, {"applicant_id": applicant_id}, secret=SECRET)
