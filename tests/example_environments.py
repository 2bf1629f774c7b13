"""A valid environment per function, as its settings class writes it."""

from __future__ import annotations

from credit_core.settings import (
    ArchiverSettings,
    BatchSettings,
    FreshnessSettings,
    MaterializerSettings,
    PlannerSettings,
    PromoterSettings,
    PusherSettings,
    ReconcilerSettings,
    RecordsSettings,
    ScorerSettings,
    TrainerSettings,
)

EXAMPLE_ENVIRONMENTS: dict[str, dict[str, str]] = {
    "scorer": ScorerSettings(
        stage="local",
        product="personal_loan",
        online_store_table="online-store",
        decisions_table="decisions",
        registry_table="registry",
        models_bucket="models",
        entity_key_secret="entity-key",
    ).to_environment(),
    "records": RecordsSettings(
        product="personal_loan",
        decisions_table="decisions",
        registry_table="registry",
        models_bucket="models",
        token_url="https://auth.example.com/oauth2/token",
    ).to_environment(),
    "batch": BatchSettings(
        stage="local",
        product="personal_loan",
        online_store_table="online-store",
        decisions_table="decisions",
        registry_table="registry",
        models_bucket="models",
        entity_key_secret="entity-key",
        threads=4,
        deadline_ms=1_000,
        batch_seconds=20,
    ).to_environment(),
    "materializer": MaterializerSettings(
        product="personal_loan",
        lake_bucket="lake",
        results_bucket="results",
        online_store_table="online-store",
        entity_key_secret="entity-key",
    ).to_environment(),
    "planner": PlannerSettings(
        product="personal_loan",
        lake_bucket="lake",
        results_bucket="results",
        registry_table="registry",
        split_bytes=16 * 2**20,
        split_rows=1_000_000,
        sweep_overlap_hours=72,
    ).to_environment(),
    "reconciler": ReconcilerSettings(
        product="personal_loan",
        results_bucket="results",
        registry_table="registry",
        rejected_rows_share=0.01,
        failed_files_share=0,
    ).to_environment(),
    "pusher": PusherSettings(
        stage="local",
        product="personal_loan",
        lake_bucket="lake",
        results_bucket="results",
        online_store_table="online-store",
        entity_key_secret="entity-key",
    ).to_environment(),
    "freshness": FreshnessSettings(
        stage="local", product="personal_loan", online_store_table="online-store"
    ).to_environment(),
    "archiver": ArchiverSettings(
        product="personal_loan",
        receipts_bucket="receipts",
        receipt_days=7,
        decisions_table="decisions",
        failed_batches_queue="http://localhost/failed-batches",
    ).to_environment(),
    "trainer": TrainerSettings(
        product="personal_loan",
        results_bucket="results",
        models_bucket="models",
        registry_table="registry",
    ).to_environment(),
    "promoter": PromoterSettings(
        product="personal_loan", models_bucket="models", registry_table="registry"
    ).to_environment(),
}
