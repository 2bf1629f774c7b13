"""One-line arrangers, one fixed clock, and fakes that behave like the real thing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.model_manifest import (
    CandidateRecord,
    Distribution,
    Estimate,
    Evaluation,
    Gate,
    GoldenVector,
    ModelManifest,
    ModelReference,
    RolloutPointer,
    Split,
    categories_of,
)
from credit_core.domain.online_store import entity_key, feature_row
from credit_core.domain.product import DType, Feature, load_product
from credit_core.errors import ModelUnavailableError, StoreUnavailableError
from credit_core.ports import Lineup, Readout, StoredFeatures
from credit_core.use_cases.score import ScoreApplication

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Challenger
    from credit_core.domain.product import CreditProduct, FeatureView
    from credit_core.domain.receipt import Receipt
    from credit_core.ports import LoadedModel, Timer

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = b"0123456789abcdef0123456789abcdef"
PRODUCT = load_product("personal_loan")
WITHOUT_RULES = replace(PRODUCT.policy, rules=())
"""For a product whose other features the rules don't know."""
AN_APPLICATION: dict[str, object] = {
    "application_id": "application-1",
    "applicant_id": "applicant-1",
    "addr_state": "CA",
    "loan_amount": 12_000,
    "term_months": 36,
    "annual_income": 60_000,
    "employment_years": 4,
    "verification_status": "verified",
}


def a_body(**changes: object) -> str:
    """Return the JSON of an application; a field set to ``...`` is left out."""
    fields = AN_APPLICATION | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...})


def features_of(view: FeatureView, **changes: object) -> dict[str, object]:
    """Return valid features of a view: each at its minimum plus one, or its first category."""
    features: dict[str, object] = {}
    for feature in view.features:
        if feature.dtype is DType.CATEGORY:
            features[feature.name] = feature.categories[0]
        else:
            assert feature.minimum is not None
            kind = int if feature.dtype is DType.INTEGER else float
            features[feature.name] = kind(feature.minimum + 1)
    return features | changes


def with_unknown_texts(product: CreditProduct = PRODUCT) -> CreditProduct:
    """Return the product with reasons for what is not known, as views with defaults need them."""

    def speaking[F: Feature](feature: F) -> F:
        reason = feature.adverse_action
        text = reason.text_if_unknown or "It could not be established"
        return replace(feature, adverse_action=replace(reason, text_if_unknown=text))

    views = (
        replace(view, features=tuple(map(speaking, view.features)))
        for view in product.feature_views
    )
    return replace(
        product,
        request_features=tuple(map(speaking, product.request_features)),
        feature_views=tuple(views),
        derived_features=tuple(map(speaking, product.derived_features)),
    )


TOLERANT_PRODUCT = with_unknown_texts()


def key_of(view: FeatureView, product: CreditProduct = PRODUCT) -> str:
    """Return the online key of AN_APPLICATION's entity in that view."""
    keys = {name: str(AN_APPLICATION[name]) for name in view.entity.key_names}
    return entity_key(product, view, keys, secret=SECRET)


def stored(
    view: FeatureView, *, age: timedelta = timedelta(hours=1), **changes: object
) -> StoredFeatures:
    """Return a stored row of that age at NOW."""
    event = NOW - age
    row = feature_row(
        view,
        key_of(view),
        event_timestamp=event,
        created_timestamp=event + timedelta(minutes=5),
        features=features_of(view),  # type: ignore[arg-type]
    )
    # The changes may be faults that no row could be made of.
    return StoredFeatures(row.recency, json.dumps(features_of(view, **changes)))


def fresh_rows(product: CreditProduct = PRODUCT) -> dict[str, StoredFeatures]:
    """Return a fresh row for each view of AN_APPLICATION's entities."""
    return {key_of(view, product): stored(view) for view in product.feature_views}


def an_estimate(value: float = 0.7) -> Estimate:
    """Return an estimate with an interval of plus and minus 0.05."""
    return Estimate(value=value, low=value - 0.05, high=value + 0.05)


def an_evaluation() -> Evaluation:
    """Return an evaluation."""
    return Evaluation(
        split=Split.OUT_OF_TIME,
        loans=2_500,
        defaults=130,
        auc=an_estimate(),
        gini=an_estimate(0.4),
        ks=an_estimate(0.3),
        brier=an_estimate(0.05),
        log_loss=an_estimate(0.2),
        calibration_error=an_estimate(0.05),
        stability=an_estimate(0.05),
        first_event="2016-02-20T00:00:00.000000Z",
        last_event="2016-03-31T00:00:00.000000Z",
    )


def a_baseline() -> Distribution:
    """Return a distribution of training loans."""
    return Distribution(edges=(0.05,), shares=(0.5, 0.5, 0.0))


def a_manifest(
    *,
    version: str = "v1",
    onnx_sha256: str = "0" * 64,
    onnx_bytes: int = 1,
    gates: tuple[Gate, ...] = (Gate(name="parity", passed=True, evidence="0 of 100 differ"),),
    reference: tuple[float | None, ...] | None = None,
    golden: tuple[GoldenVector, ...] = (),
    pairwise: bool = True,
    product: CreditProduct = PRODUCT,
) -> ModelManifest:
    """Return a manifest that fits the product."""
    return ModelManifest(
        product=product.name,
        version=version,
        created_at=NOW,
        onnx_sha256=onnx_sha256,
        onnx_bytes=onnx_bytes,
        algorithm="pairwise",
        pairwise=pairwise,
        parameters={"learning_rate": 0.03},
        inputs=tuple(feature.name for feature in product.model_features),
        categories=categories_of(product),
        reference=reference or (0.0,) * len(product.model_features),
        golden=golden,
        evaluation=an_evaluation(),
        candidates={
            "pairwise": CandidateRecord(
                pairwise=pairwise,
                parameters={"learning_rate": 0.03},
                cross_validated_log_loss=0.2,
                evaluation=an_evaluation(),
            )
        },
        selection="the only one",
        gates=gates,
        baseline={feature.name: a_baseline() for feature in product.model_features},
        baseline_probability=a_baseline(),
        training_set={"rows": 7_500},
        libraries={"scikit-learn": "1.9.1"},
        code_sha256="2" * 64,
    )


def a_reference(version: str = "v1", sha256: str = "0" * 64) -> ModelReference:
    """Return a reference to a registered model."""
    return ModelReference(version=version, manifest_sha256=sha256)


def a_pointer(
    *,
    champion: str = "v1",
    revision: int = 1,
    sha256: str = "0" * 64,
    challenger: Challenger | None = None,
    previous: str | None = None,
) -> RolloutPointer:
    """Return a rollout pointer."""
    return RolloutPointer(
        product=PRODUCT.name,
        champion=a_reference(champion, sha256),
        challenger=challenger,
        previous_champion=a_reference(previous) if previous else None,
        revision=revision,
        moved_at=NOW,
        moved_by="test",
    )


@dataclass
class LinearModel:
    """A model whose log-odds are a weighted sum: its contributions are known by heart."""

    weights: NDArray[np.float64]
    intercept: float = -3.0
    manifest: ModelManifest = field(default_factory=a_manifest)
    manifest_sha256: str = "1" * 64

    @property
    def reference(self) -> NDArray[np.float32]:
        """The all-zero applicant."""
        return np.zeros(len(self.weights), dtype=np.float32)

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the weighted sums; unknown counts as zero."""
        known = np.nan_to_num(matrix.astype(np.float64), nan=0.0)
        return self.intercept + known @ self.weights


def a_model(product: CreditProduct = PRODUCT, **weights: float) -> LinearModel:
    """Return a linear model with the given weights and zero for the other features."""
    names = [feature.name for feature in product.model_features]
    assert set(weights) <= set(names)
    return LinearModel(np.array([weights.get(name, 0.0) for name in names]))


class FixedModels:
    """A model source that has one champion, or none, and perhaps a challenger."""

    def __init__(
        self,
        champion: LoadedModel | None,
        challenger: LoadedModel | None = None,
        *,
        share: float = 0.0,
    ) -> None:
        self._lineup = Lineup(champion, challenger, share) if champion else None

    def pointer_is_old(self) -> bool:
        """Never."""
        return False

    def lineup(self, pointer: RolloutPointer | None) -> Lineup:  # noqa: ARG002 (the port's)
        """Return the models or raise, as the real one does."""
        if self._lineup is None:
            raise ModelUnavailableError("no champion has been promoted yet")
        return self._lineup


class FakeDecisionStore:
    """A decision store in memory, with faults on demand."""

    def __init__(self, rows: Mapping[str, StoredFeatures]) -> None:
        self.rows = dict(rows)
        self.receipts: dict[str, Receipt] = {}
        self.superseded: list[Receipt] = []
        self.throttled: set[str] = set()
        self.writable = True
        self.before_write: Callable[[], None] = lambda: None

    def read(
        self,
        entity_keys: Sequence[str],
        *,
        application_id: str,
        with_pointer: bool,  # noqa: ARG002 (the port's)
        timer: Timer,  # noqa: ARG002 (the port's)
    ) -> Readout:
        """Return what is stored, but for the throttled keys."""
        return Readout(
            {
                key: self.rows[key]
                for key in entity_keys
                if key in self.rows and key not in self.throttled
            },
            frozenset(self.throttled.intersection(entity_keys)),
            self.receipts.get(application_id),
        )

    def write(self, receipt: Receipt, *, timer: Timer) -> Receipt | None:  # noqa: ARG002 (the port's)
        """Keep the receipt unless there is one."""
        return self._put(receipt, None)

    def supersede(
        self,
        receipt: Receipt,
        earlier: Receipt,
        *,
        timer: Timer,  # noqa: ARG002 (the port's)
    ) -> Receipt | None:
        """Keep the receipt in the place of the earlier one, unless that is superseded already."""
        winner = self._put(receipt, earlier)
        if winner is None:
            self.superseded.append(earlier)
        return winner

    def _put(self, receipt: Receipt, expected: Receipt | None) -> Receipt | None:
        self.before_write()
        if not self.writable:
            raise StoreUnavailableError("the receipt was not written")
        current = self.receipts.get(receipt.application_id)
        if current != expected:
            return current
        self.receipts[receipt.application_id] = receipt
        return None


def a_timer() -> Stopwatch:
    """Return a stopwatch with a deadline far away."""
    return Stopwatch(deadline_ms=60_000)


@dataclass
class AScorer:
    """The use case on fakes: call it with a body."""

    store: FakeDecisionStore
    score: ScoreApplication

    def __call__(self, body: str | None = None) -> dict[str, object]:
        """Return the response document for a body, by default AN_APPLICATION's."""
        return dict(json.loads(self.answer(body)))

    def answer(self, body: str | None = None) -> str:
        """Return the response's very text."""
        return self.score(body or a_body(), as_of=NOW, timer=a_timer()).body


def a_scorer(
    *,
    rows: Mapping[str, StoredFeatures] | None = None,
    model: LoadedModel | None = None,
    product: CreditProduct = PRODUCT,
    with_model: bool = True,
    challenger: LoadedModel | None = None,
    share: float = 0.0,
) -> AScorer:
    """Return a scorer with fresh rows and a model that approves, unless told otherwise."""
    store = FakeDecisionStore(fresh_rows(product) if rows is None else rows)
    chosen = (model or a_model(product)) if with_model else None
    models = FixedModels(chosen, challenger, share=share)
    return AScorer(store, ScoreApplication(product, secret=SECRET, store=store, models=models))
