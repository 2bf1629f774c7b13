"""Settings of each function: one class writes the environment and reads it back.

The CDK app calls ``ScorerSettings(...).to_environment()``; the function calls
``ScorerSettings.from_environment()``. No variable name is typed twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from credit_core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "CREDIT_"


class EnvironmentSettings(BaseModel):
    """Settings that travel through environment variables named ``CREDIT_<FIELD>``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_environment(self) -> dict[str, str]:
        """Return the variables that ``from_environment`` reads back to an equal object."""
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in self}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        Raises:
            ConfigurationError: A variable is missing or bad; the message names each of them.
        """
        source = os.environ if environ is None else environ
        found = {
            name: source[f"{PREFIX}{name.upper()}"]
            for name in cls.model_fields
            if f"{PREFIX}{name.upper()}" in source
        }
        try:
            return cls(**found)
        except ValidationError as error:
            faults = "; ".join(
                f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg'].lower()}"
                for fault in error.errors(include_url=False, include_input=False)
            )
            message = f"environment of this function is wrong: {faults}"
            raise ConfigurationError(message) from None


class ScorerSettings(EnvironmentSettings):
    """Where the scorer reads and writes, and how long it may take.

    ``stage`` is a dimension of the metrics; ``deadline_ms`` the time after which the scorer stops
    waiting for a store; ``pointer_seconds`` the age up to which its copy of the rollout pointer is
    good; a receipt ends in the table after ``receipt_days``.
    """

    stage: str
    product: str
    online_store_table: str
    decisions_table: str
    registry_table: str
    models_bucket: str
    signing_key: str
    entity_key_secret: str
    receipt_days: int = Field(ge=1)
    deadline_ms: int = Field(default=80, ge=10)
    pointer_seconds: float = Field(default=5.0, ge=0)


class MaterializerSettings(EnvironmentSettings):
    """Where the materializer reads Parquet, writes rows, leaves rejected ones, finds the erased."""

    product: str
    lake_bucket: str
    results_bucket: str
    online_store_table: str
    registry_table: str
    entity_key_secret: str


class PlannerSettings(EnvironmentSettings):
    """Where the planner lists files and keeps plans.

    Files are cut into parts of at most ``split_bytes`` and ``split_rows``; a sweep looks back
    ``sweep_overlap_hours`` further than the watermark.
    """

    product: str
    lake_bucket: str
    results_bucket: str
    registry_table: str
    split_bytes: int = Field(ge=1)
    split_rows: int = Field(ge=1)
    sweep_overlap_hours: float = Field(ge=0)


class ReconcilerSettings(EnvironmentSettings):
    """Where the reconciler finds tallies and the watermark, and what a run tolerates.

    ``stage`` is a dimension of the metric of rejected rows.
    """

    stage: str
    product: str
    results_bucket: str
    registry_table: str
    rejected_rows_share: float = Field(ge=0, le=1)
    failed_files_share: float = Field(ge=0, le=1)


class PusherSettings(EnvironmentSettings):
    """Where the pusher appends rows, writes them and leaves rejected ones.

    ``stage`` is a dimension of the metric of rejected ones.
    """

    stage: str
    product: str
    lake_bucket: str
    results_bucket: str
    online_store_table: str
    registry_table: str
    entity_key_secret: str


class FreshnessSettings(EnvironmentSettings):
    """Where the newest events and models are noted; ``stage`` is a dimension of the metrics."""

    stage: str
    product: str
    online_store_table: str
    registry_table: str


class TrainerSettings(EnvironmentSettings):
    """Where the trainer finds its training set and registers its artifacts."""

    product: str
    results_bucket: str
    models_bucket: str
    registry_table: str
    signing_key: str


class EraserSettings(EnvironmentSettings):
    """Where an applicant is erased, and how long receipts are kept.

    ``receipt_days`` is for all, ``duty_days`` for as long as the law asks. Files of the lake beyond
    the bounds are searched in parts.
    """

    stage: str
    product: str
    lake_bucket: str
    receipts_bucket: str
    online_store_table: str
    decisions_table: str
    registry_table: str
    entity_key_secret: str
    receipt_days: int = Field(ge=1)
    duty_days: int = Field(ge=1)
    split_bytes: int = Field(ge=1)
    split_rows: int = Field(ge=1)


class PromoterSettings(EnvironmentSettings):
    """Where the promoter finds registered models, moves the rollout pointer and stops rollouts.

    With ``needs_approval`` a model answers nobody before somebody has approved it; who can is told
    on the topic. ``stage`` is for the command in that message.
    """

    stage: str
    product: str
    models_bucket: str
    registry_table: str
    signing_key: str
    rollout_machine: str
    inform_topic: str
    needs_approval: bool


class ApproverSettings(EnvironmentSettings):
    """Where the approver finds the rollouts that wait, and keeps what was said of them."""

    product: str
    registry_table: str


class GuardSettings(EnvironmentSettings):
    """What takes which model back, who moves it and where on-call is told.

    ``alarms`` and ``shadow_alarms`` are names of alarms with commas between them.
    ``baking_seconds`` is how long a champion is new; ``deployment`` is what on-call calls it.
    """

    product: str
    deployment: str
    registry_table: str
    promoter_function: str
    page_topic: str
    baking_seconds: float = Field(ge=0)
    alarms: str
    shadow_alarms: str


class ArchiverSettings(EnvironmentSettings):
    """Where the archiver keeps records, reads them again, and finds what it gave up.

    ``receipt_days`` is how long the bucket keeps an object.
    """

    product: str
    receipts_bucket: str
    receipt_days: int = Field(ge=1)
    decisions_table: str
    failed_batches_queue: str


class ComparerSettings(EnvironmentSettings):
    """Where decisions and their outcomes are read, and where a comparison of models is kept.

    ``stage`` is a dimension of the metrics. A comparison is of the last ``days`` unless it is asked
    for others. No more than ``most_decisions`` are read, taken by chance, beside those whose
    outcome is known.
    """

    stage: str
    product: str
    receipts_bucket: str
    results_bucket: str
    days: int = Field(ge=1)
    most_decisions: int = Field(ge=1)


class ServedSetSettings(EnvironmentSettings):
    """Where decisions and their outcomes are read, and where training sets of them are kept.

    ``receipt_days`` is how long there are any; ``most_decisions`` is the limit of a training set.
    """

    product: str
    receipts_bucket: str
    results_bucket: str
    receipt_days: int = Field(ge=1)
    most_decisions: int = Field(ge=1)


class SkewSettings(EnvironmentSettings):
    """Where decisions are read and the lake lies, and where a skew report is kept.

    ``stage`` is a dimension of the metrics. ``most_decisions`` of the days are checked, taken by
    chance. What was delivered less than ``settling_minutes`` before a decision may be in the online
    store or not.
    """

    stage: str
    product: str
    receipts_bucket: str
    lake_bucket: str
    results_bucket: str
    registry_table: str
    entity_key_secret: str
    most_decisions: int = Field(ge=1)
    settling_minutes: float = Field(ge=0)
    split_bytes: int = Field(ge=1)
    split_rows: int = Field(ge=1)


class MonitorSettings(EnvironmentSettings):
    """Where decisions are read, where models are registered, and where a day's figures are kept.

    ``stage`` is a dimension of the metrics. A day is tallied in parts of ``decisions_a_part``. The
    limits are those of ``credit_core.domain.decision_drift.Limits``.
    """

    stage: str
    product: str
    receipts_bucket: str
    models_bucket: str
    results_bucket: str
    decisions_a_part: int = Field(ge=1)
    least_decisions: int = Field(ge=1)
    most_drift: float = Field(gt=0)
    most_outcome_shift: float = Field(gt=0)
    most_reason_shift: float = Field(gt=0)
    drift_per_feature: bool


class RecordsSettings(EnvironmentSettings):
    """Where decisions and what is recorded beside them lie, and what describes the champion.

    A record ends in the table after ``receipt_days``. ``token_url`` is where callers get their
    tokens; the API's document says so.
    """

    product: str
    decisions_table: str
    registry_table: str
    models_bucket: str
    signing_key: str
    receipt_days: int = Field(ge=1)
    token_url: str


class BatchSettings(ScorerSettings):
    """The scorer's, and how long a batch may take.

    ``threads`` applications are judged at once, each within ``deadline_ms``; none begins after
    ``batch_seconds``.
    """

    threads: int = Field(ge=1, le=32)
    batch_seconds: float = Field(gt=0, le=28)


class EmptierSettings(EnvironmentSettings):
    """The stack with whose end its buckets are emptied, by its id."""

    stack: str


class RehearsalSettings(EnvironmentSettings):
    """The versions that are to answer clients, and where their champion is described.

    ``scorer``, ``batch`` and ``records`` are ARNs of versions; ``deadline_ms`` is the scorer's, and
    ``pointer_seconds`` the time after which each knows of a move of the rollout pointer.
    """

    product: str
    scorer: str
    batch: str
    records: str
    registry_table: str
    models_bucket: str
    signing_key: str
    deadline_ms: int = Field(ge=10)
    pointer_seconds: float = Field(default=5.0, ge=0)
