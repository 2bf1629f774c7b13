"""Receipts of varied decisions, made by the scorer itself on a real ONNX model."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from credit_core.adapters.local_archive import objects_below
from credit_core.adapters.model_artifacts import verified_model
from credit_core.domain.model_manifest import manifest_key, model_key
from credit_core.domain.receipt_archive import archived_record
from credit_core.ports import StoredFeatures
from credit_core.use_cases.score import ScoreApplication
from tests.builders import (
    NOW,
    PRODUCT,
    SECRET,
    FakeDecisionStore,
    FixedModels,
    a_body,
    a_manifest,
    a_timer,
    fresh_rows,
    key_of,
    stored,
)
from tests.builders_onnx import a_linear_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from credit_core.adapters.onnx_model import OnnxModel
    from credit_core.domain.product import CreditProduct
    from credit_core.domain.receipt import Receipt
    from credit_core.ports import LoadedModel

WEIGHTS = {
    "loan_amount": 5e-5,
    "term_months": 0.01,
    "annual_income": -1e-5,
    "inq_last_6mths": 0.2,
    "delinq_2yrs": 0.3,
    "payment_to_income": 1.0,
    "installment_utilization": 0.4,
}
"""Log-odds per unit; they decline some applicants, approve some and refer some."""


@dataclass(frozen=True)
class Models:
    """A folder like the models bucket, and a loader of what is registered there."""

    folder: Path

    def register(
        self, version: str, *, intercept: float = -5.0, product: CreditProduct = PRODUCT
    ) -> OnnxModel:
        """Register a model of a version and return it as the scorer loads it."""
        onnx = a_linear_onnx(intercept=intercept, **WEIGHTS)
        manifest = a_manifest(
            version=version,
            onnx_sha256=hashlib.sha256(onnx).hexdigest(),
            onnx_bytes=len(onnx),
            product=product,
        ).to_json()
        for key, body in (
            (model_key(product.name, version), onnx),
            (manifest_key(product.name, version), manifest),
        ):
            path = self.folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        sha256 = hashlib.sha256(manifest).hexdigest()
        return self.load(product.name, version=version, manifest_sha256=sha256)

    def load(self, product: str, /, *, version: str, manifest_sha256: str) -> OnnxModel:
        """Return a registered model."""
        read = objects_below(self.folder)
        return verified_model(read, product, version=version, manifest_sha256=manifest_sha256)


def some_rows(chance: random.Random, product: CreditProduct) -> dict[str, StoredFeatures]:
    """Return the online store as a request may find it: mostly fresh, sometimes otherwise."""
    rows = fresh_rows(product)
    bureau = product.feature_views[0]
    age = timedelta(hours=chance.uniform(0, 29 * 24))
    changes: dict[str, object] = {
        "inq_last_6mths": chance.randrange(8),
        "delinq_2yrs": chance.randrange(5),
        "acc_now_delinq": chance.choice([0, 0, 0, 1, 4]),
        "total_bal_il": round(chance.uniform(0, 80_000), 2),
        "total_il_high_credit_limit": chance.choice([0.0, 30_000.0, 90_000.5]),
    }
    match chance.randrange(10):
        case 0:
            age = timedelta(days=chance.uniform(30, 59))
        case 1:
            del rows[key_of(bureau, product)]
            return rows
        case 2:
            return rows | {key_of(bureau, product): StoredFeatures("broken", "{}")}
    return rows | {key_of(bureau, product): stored(bureau, age=age, **changes)}


def some_receipts(
    count: int,
    *,
    champion: LoadedModel | None,
    challenger: LoadedModel | None = None,
    product: CreditProduct = PRODUCT,
    seed: int = 0,
) -> list[Receipt]:
    """Return receipts of varied decisions, superseded ones too.

    Where there is a challenger, it answers every second one of them, and is in shadow for others.
    """
    chance = random.Random(seed)  # noqa: S311 (variety, no secret)
    receipts: list[Receipt] = []
    store = FakeDecisionStore({})
    shadow, live, without = (
        ScoreApplication(product, secret=SECRET, store=store, models=models)
        for models in (
            FixedModels(champion, challenger),
            FixedModels(champion, challenger, share=1.0),
            FixedModels(None),
        )
    )
    number = 0
    while len(receipts) < count:
        number += 1
        store.rows = some_rows(chance, product)
        usual = live if number % 2 else shadow
        # Now and then the model is not there, and the same is sent again when it is.
        scorers = (without, usual) if chance.randrange(12) == 0 else (usual,)
        body = a_body(
            application_id=f"application-{seed}-{number}",
            loan_amount=round(chance.uniform(500, 40_000), 2),
            term_months=chance.choice([36, 60]),
            annual_income=round(chance.choice([0, 5e3, 2e4, 6e4, 1e5]) + chance.uniform(0, 9e4), 2),
            employment_years=chance.randrange(11),
            verification_status=chance.choice(product.request_features[-1].categories),
        )
        for score in scorers:
            score(body, as_of=NOW + timedelta(milliseconds=number), timer=a_timer())
        receipts += [*store.superseded, *store.receipts.values()]
        store.superseded.clear()
        store.receipts.clear()
    return receipts[:count]


def archive(receipts: list[Receipt], folder: Path) -> None:
    """Write receipts below a folder as the archive holds them."""
    for receipt in receipts:
        found = archived_record(receipt.as_record(), product=receipt.product)
        path = folder / found.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found.body)
