"""The embedded sample's loans as applications, and real models of every class trained on them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from credit_cli.sample import write_sample
from credit_core.adapters.local_lake import LocalLake
from credit_core.adapters.onnx_model import OnnxClassifier, OnnxModel
from credit_core.domain.product import DType
from model_build.baselines import reference_applicant
from model_build.candidates import CANDIDATES
from model_build.learning import Calibration
from model_build.onnx_export import to_onnx
from model_build.split import split_loans
from model_build.train import SEED
from model_build.training_set import read_training_set
from tests.builders import PRODUCT, a_manifest, key_of, stored

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.product import Feature, Value
    from credit_core.ports import StoredFeatures
    from model_build.learning import CreditModel
    from model_build.loans import LoanSet, LoanSplit

LAST_DAY = date(2026, 11, 19)

CALIBRATION = Calibration(slope=1.1, intercept=0.02)
"""About what is found for them."""

STAGES = {"scorecard": 4, "additive": 120, "pairwise": 120, "unrestricted": 120}


@dataclass(frozen=True)
class Sample:
    """The sample's loans in order of time: what was known of each, and the model's input."""

    loans: LoanSet
    known: tuple[Mapping[str, Value], ...]

    def request(self, place: int) -> dict[str, Value]:
        """Return what a loan's applicant sent."""
        return {
            feature.name: self.known[place][feature.name] for feature in PRODUCT.request_features
        }

    def rows(self, place: int) -> dict[str, StoredFeatures]:
        """Return the online store when that applicant applies as AN_APPLICATION's does."""
        known: Mapping[str, Any] = self.known[place]
        return {
            key_of(view): stored(view, **{it.name: known[it.name] for it in view.features})
            for view in PRODUCT.feature_views
        }


@cache
def sample() -> Sample:
    """Return the sample as the training-set query reads it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder, last_day=LAST_DAY, product=PRODUCT)
        LocalLake(PRODUCT, folder).write_training_set(folder / "training-set.csv")
        body = (folder / "training-set.csv").read_bytes()
    training_set = read_training_set(PRODUCT, body)
    assert training_set.referred == training_set.unservable_rows == 0
    known = tuple(
        {feature.name: _value(feature, row[feature.name]) for feature in PRODUCT.base_features}
        for row in csv.DictReader(io.StringIO(body.decode(), newline=""))
    )
    return Sample(training_set.loans, known)


@cache
def fitted_model(name: str) -> CreditModel:
    """Return the candidate of that name, learned without a search from the earlier loans."""
    loans = _split().fitted
    (candidate,) = (candidate for candidate in CANDIDATES if candidate.name == name)
    with threadpool_limits(limits=1):
        return candidate.model(
            PRODUCT,
            SEED,
            candidate.searched[0],
            stages=STAGES[name],
            slope=CALIBRATION.slope,
            intercept=CALIBRATION.intercept,
        ).fit(loans.matrix, loans.defaulted)


@cache
def model_of(name: str) -> OnnxModel:
    """Return the same as it would be served."""
    count = len(PRODUCT.model_features)
    body = to_onnx(fitted_model(name))
    reference = reference_applicant(PRODUCT, _split().fitted)
    manifest = a_manifest(
        reference=tuple(None if np.isnan(number) else float(number) for number in reference)
    )
    return OnnxModel(OnnxClassifier(body, input_count=count), manifest, "1" * 64)


@cache
def _split() -> LoanSplit:
    return split_loans(PRODUCT, sample().loans, seed=SEED)


def _value(feature: Feature, text: str) -> Value:
    if not text:
        return None
    if feature.dtype is DType.CATEGORY:
        return text
    return int(float(text)) if feature.dtype is DType.INTEGER else float(text)
