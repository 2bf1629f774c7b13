from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credit_core.settings import (
    ApproverSettings,
    ArchiverSettings,
    BatchSettings,
    ComparerSettings,
    EmptierSettings,
    EraserSettings,
    FreshnessSettings,
    GuardSettings,
    MaterializerSettings,
    MonitorSettings,
    PlannerSettings,
    PromoterSettings,
    PusherSettings,
    ReconcilerSettings,
    RecordsSettings,
    RehearsalSettings,
    ScorerSettings,
    ServedSetSettings,
    SkewSettings,
    TrainerSettings,
)
from tests.infrastructure.templates import properties, stack_of

if TYPE_CHECKING:
    from credit_core.settings import EnvironmentSettings
    from tests.infrastructure.templates import Deployment

FUNCTION, LOGS = "AWS::Lambda::Function", "AWS::Logs::LogGroup"
# Where state goes with its stack.
EMPTIER = "storage/Emptier/Emptier/Function"
SETTINGS: dict[str, type[EnvironmentSettings]] = {
    "scoring/Scorer/Scorer/Function": ScorerSettings,
    "scoring/Records/Records/Function": RecordsSettings,
    "scoring/Batch/Batch/Function": BatchSettings,
    "scoring/Rehearsal/Rehearsal/Function": RehearsalSettings,
    "materialization/Features/Planner/Function": PlannerSettings,
    "materialization/Features/Materializer/Function": MaterializerSettings,
    "materialization/Features/Reconciler/Function": ReconcilerSettings,
    "materialization/Push/Pusher/Function": PusherSettings,
    "materialization/Freshness/Meter/Function": FreshnessSettings,
    "archive/Archive/Archiver/Function": ArchiverSettings,
    "archive/Evidence/Comparer/Function": ComparerSettings,
    "archive/Evidence/ServedSet/Function": ServedSetSettings,
    "archive/Skew/Meter/Function": SkewSettings,
    "archive/Monitoring/Monitor/Function": MonitorSettings,
    "archive/Erasure/Eraser/Function": EraserSettings,
    "retraining/Retraining/Trainer/Function": TrainerSettings,
    "retraining/Rollout/Promoter/Function": PromoterSettings,
    "retraining/Rollout/Approver/Function": ApproverSettings,
    "retraining/Guard/Guard/Function": GuardSettings,
    EMPTIER: EmptierSettings,
}


def environment(deployment: Deployment, path: str) -> dict[str, str]:
    variables = properties(deployment.at(path, FUNCTION))["Environment"]["Variables"]
    return {name: deployment.text(value, stack_of(path)) for name, value in variables.items()}


def test_every_function_has_settings(deployment: Deployment) -> None:
    emptier = {EMPTIER} if deployment.stage.emptier else set()
    assert set(deployment.of_type(FUNCTION)) == set(SETTINGS) - {EMPTIER} | emptier


@pytest.mark.parametrize("path", SETTINGS)
def test_a_function_reads_back_the_environment_that_it_is_given(
    deployment: Deployment, path: str
) -> None:
    if path == EMPTIER and not deployment.stage.emptier:
        return
    variables = environment(deployment, path)

    settings = SETTINGS[path].from_environment(variables)

    assert settings.to_environment() == variables


def test_settings_name_what_was_deployed(deployment: Deployment) -> None:
    settings = ScorerSettings.from_environment(
        environment(deployment, "scoring/Scorer/Scorer/Function")
    )

    assert settings.online_store_table == "storage/Tables/OnlineStore"
    assert settings.decisions_table == "storage/Tables/Decisions"
    assert settings.registry_table == "storage/Tables/Registry"
    assert settings.models_bucket == "storage/Buckets/Models"
    assert settings.entity_key_secret == "storage/EntityKey/Secret"
    assert settings.deadline_ms == deployment.stage.scorer_deadline_ms


def test_in_prod_the_scorer_stops_waiting_before_its_budget_is_spent(prod: Deployment) -> None:
    assert prod.stage.scorer_deadline_ms < prod.stage.latency_budget_ms


def test_logs_are_encrypted_and_kept_for_a_stated_time(deployment: Deployment) -> None:
    for path, group in deployment.of_type(LOGS).items():
        assert deployment.text(properties(group)["KmsKeyId"], stack_of(path)) == "storage/Data/Key"
        assert properties(group)["RetentionInDays"] > 0


def test_the_data_key_serves_every_log_group_of_the_stage(deployment: Deployment) -> None:
    """A log group whose name the key's policy doesn't match can't be created at all."""
    key = properties(deployment.at("storage/Data/Key", "AWS::KMS::Key"))
    (statement,) = (
        found for found in key["KeyPolicy"]["Statement"] if found.get("Sid", "").startswith("Log")
    )
    patterns = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:logs:arn"]
    served = tuple(
        deployment.text(pattern, "storage").split(":log-group:")[1].removesuffix("*")
        for pattern in patterns
    )

    assert {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"} <= set(
        statement["Action"]
    )
    for path, group in deployment.of_type(LOGS).items():
        # CloudFormation names what has no name after its stack.
        generated = f"{deployment.stage.prefix}-{path}"
        stated = properties(group).get("LogGroupName", generated)
        name = deployment.text(stated, stack_of(path))
        assert name.startswith(served)
