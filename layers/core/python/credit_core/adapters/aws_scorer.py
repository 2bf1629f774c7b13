"""The scorer on AWS, as every function that decides assembles it."""

from __future__ import annotations

import gc
import json
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from credit_core.adapters.aws_calls import Bucket
from credit_core.adapters.decision_store import DynamoDecisionStore, dynamodb
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.model_artifacts import ModelArtifacts, objects_in
from credit_core.adapters.rehearsal_store import ChampionAlone, RehearsalStore
from credit_core.adapters.serving_models import ServingModels
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.adapters.verifying import kms_verifier
from credit_core.domain.rehearsal import KEPT_DAYS
from credit_core.errors import ModelUnavailableError
from credit_core.use_cases.score import ScoreApplication

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import LoadedModel, Timer
    from credit_core.settings import ScorerSettings

INITIALIZATION_SECONDS = 5
"""At start-up no client waits; the pointer, and then the models, may take longer than later."""

FIRST_MODEL_SHARE = 0.25
"""Of the deadline: how long a request waits where no model is loaded yet. After the read's share,
this leaves enough to write the referral."""


class AwsScorer:
    """Clients connected, secret read, champion and challenger loaded and warm.

    ``failed_loads`` are the models that could not be loaded, for the function to report: the
    thread that loads must not touch the function's metrics. ``failed_reads`` are the calls that
    brought nothing from the stores.

    Raises:
        ConfigurationError: The environment names no region, no credentials, or no usable secret.
    """

    def __init__(self, settings: ScorerSettings, product: CreditProduct) -> None:
        self.failed_loads: deque[Exception] = deque(maxlen=100)
        self.failed_reads: deque[Exception] = deque(maxlen=100)
        self._settings, self._product = settings, product
        self._dynamodb = dynamodb()
        self._store = self._store_for(settings.receipt_days)
        artifacts = ModelArtifacts(
            objects_in(Bucket(settings.models_bucket)),
            product,
            is_signed=kms_verifier(settings.signing_key),
        )
        self._models = ServingModels(
            artifacts.load,
            check=artifacts.check,
            pointer_seconds=settings.pointer_seconds,
            patience_seconds=settings.deadline_ms / 1_000 * FIRST_MODEL_SHARE,
            on_failure=self.failed_loads.append,
        )
        timer = Stopwatch(deadline_ms=INITIALIZATION_SECONDS * 1_000)
        # Without a model it starts all the same: the first one may be promoted later.
        pointer = self._store.read_pointer(timer=timer)
        if pointer is not None:
            with suppress(ModelUnavailableError):
                self._models.warm_up(pointer, seconds=INITIALIZATION_SECONDS)
        self.score = ScoreApplication(
            product,
            secret=entity_key_secret(settings.entity_key_secret),
            store=self._store,
            models=self._models,
        )
        # What was made up to here stays. The garbage collector would look through all of it again
        # every few dozen decisions, for a third of what a judgement costs.
        gc.collect()
        gc.freeze()

    def model(self, *, timer: Timer) -> LoadedModel:
        """Return the champion that serves, after a look at the rollout pointer.

        Raises:
            ModelUnavailableError: No verified model is loaded.
        """
        return self._models.lineup(self._store.read_pointer(timer=timer)).champion

    def rehearse(self, asked: Mapping[str, Any], *, as_of: datetime) -> dict[str, Any]:
        """Decide somebody made up, as an applicant is decided; see ``domain.rehearsal``.

        Args:
            asked: ``application``, a client's, and perhaps ``features`` of each view.
            as_of: Now, with time zone.

        Returns:
            The decision, whether it was answered before, and the milliseconds of each stage.

        Raises:
            InvalidRequestError: The application cannot be judged.
            StoreUnavailableError: The receipt could not be written.
        """
        store = RehearsalStore(
            self._store_for(KEPT_DAYS),
            product=self._product,
            views=asked.get("features"),
            as_of=as_of,
        )
        judge = ScoreApplication(
            self._product,
            secret=entity_key_secret(self._settings.entity_key_secret),
            store=store,
            models=ChampionAlone(self._models),
        )
        timer = Stopwatch(deadline_ms=self._settings.deadline_ms)
        answer = judge(json.dumps(asked["application"]), as_of=as_of, timer=timer)
        return {
            "decision": json.loads(answer.body),
            "replayed": answer.replayed,
            "stages_ms": timer.stages_ms(),
            "total_ms": timer.total_ms(),
        }

    def _store_for(self, receipt_days: int) -> DynamoDecisionStore:
        """Return the decision store, whose receipts are kept for so long."""
        return DynamoDecisionStore(
            self._dynamodb,
            product=self._product.name,
            online_store_table=self._settings.online_store_table,
            decisions_table=self._settings.decisions_table,
            registry_table=self._settings.registry_table,
            receipt_days=receipt_days,
            on_damaged_pointer=self.failed_loads.append,
            on_unread=self.failed_reads.append,
        )
