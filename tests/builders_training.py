"""Made-up loans with a signal in them, as the training-set query would return them."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.point_in_time import training_set_columns, view_event_column
from credit_core.domain.product import DType
from model_build import scorecard
from model_build.baselines import golden_vectors, reference_applicant
from model_build.candidates import Candidate
from model_build.evaluation import evaluate
from model_build.fit import fit
from model_build.gates import Contender
from model_build.split import split_loans
from model_build.training_set import read_training_set
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct, Feature
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSet, LoanSplit, TrainingSet

type Row = dict[str, str]

FIRST_DAY = datetime(2026, 8, 1)  # noqa: DTZ001 (the lake's timestamps are UTC without a zone)
VIEW_AGE = timedelta(days=2)

QUICK = Candidate(
    "scorecard",
    pairwise=True,
    searched=scorecard.SEARCHED[:1],
    estimator=scorecard.Scorecard,
)
"""The simplest candidate, without a search."""


def some_rows(count: int = 2_400, *, seed: int = 0, product: CreditProduct = PRODUCT) -> list[Row]:
    """Return loans an hour apart; about one in six defaults, the more inquiries the likelier.

    Numbers stay within the product's ranges; one nullable value in ten is null.
    """
    random = np.random.default_rng(seed)
    columns = {feature.name: _texts(feature, count, random) for feature in product.base_features}
    inquiries = np.array(columns["inq_last_6mths"], dtype=float)
    income = np.array(columns["annual_income"], dtype=float)
    log_odds = -2.4 + 0.25 * inquiries - 0.8 * np.log(income / 60_000)
    defaulted = random.random(count) < 1 / (1 + np.exp(-log_odds))
    rows = []
    for position in range(count):
        moment = FIRST_DAY + timedelta(hours=position)
        rows.append(
            {"application_id": f"a-{position:05d}", "event_timestamp": _text(moment)}
            | {name: texts[position] for name, texts in columns.items()}
            | {product.label.name: str(int(defaulted[position]))}
            | {view_event_column(view): _text(moment - VIEW_AGE) for view in product.feature_views}
        )
    return rows


def as_csv(rows: list[Row], *, product: CreditProduct = PRODUCT) -> bytes:
    """Return rows as the query's CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, training_set_columns(product))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def some_loans(count: int = 2_400, *, seed: int = 0, product: CreditProduct = PRODUCT) -> LoanSet:
    """Return ``some_rows`` as the trainer reads them."""
    rows = some_rows(count, seed=seed, product=product)
    return a_training_set(rows, product=product).loans


def a_training_set(rows: list[Row], *, product: CreditProduct = PRODUCT) -> TrainingSet:
    """Return rows as the trainer reads them."""
    return read_training_set(product, as_csv(rows, product=product))


def a_split(loans: LoanSet, *, product: CreditProduct = PRODUCT) -> LoanSplit:
    """Return loans as the trainer divides them."""
    return split_loans(product, loans, seed=0)


def a_fitted_candidate(
    split: LoanSplit, candidate: Candidate = QUICK, *, product: CreditProduct = PRODUCT
) -> FittedCandidate:
    """Return a candidate fitted to the loans of a split."""
    return fit(product, split, candidate, seed=0)


def a_contender(
    split: LoanSplit, candidate: FittedCandidate, *, product: CreditProduct = PRODUCT
) -> Contender:
    """Return a candidate as it is judged where there is no champion."""
    inputs = tuple(feature.name for feature in product.model_features)
    return Contender(
        product=product,
        candidate=candidate,
        selection="chosen by this test",
        inputs=inputs,
        reference=reference_applicant(product, split.fitted),
        golden=golden_vectors(
            product,
            split.fitted,
            OnnxClassifier(candidate.onnx, input_count=len(inputs)),
            seed=0,
        ),
        split=split,
        evaluation=evaluate(split, candidate, seed=0),
        previous=None,
        training_set_sha256="0" * 64,
        seed=0,
    )


def _texts(feature: Feature, count: int, random: np.random.Generator) -> list[str]:
    if feature.dtype is DType.CATEGORY:
        return [
            feature.categories[code]
            for code in random.integers(len(feature.categories), size=count)
        ]
    assert feature.minimum is not None
    assert feature.maximum is not None
    typical = {"USD/year": 60_000.0, "USD": 12_000.0, "months": 36.0, "percent": 50.0}
    size = typical.get(feature.unit or "", 3.0)
    numbers = np.clip(random.lognormal(np.log(size), 0.6, count), feature.minimum, feature.maximum)
    texts = [str(int(number) if feature.dtype is DType.INTEGER else number) for number in numbers]
    unknown = random.random(count) < (0.1 if feature.nullable else 0.0)
    return ["" if hide else text for text, hide in zip(texts, unknown, strict=True)]


def _text(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="milliseconds")
