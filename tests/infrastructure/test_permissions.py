"""What each role may do, all of it, written out: a permission more or less is a change here."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

from cdk_app.stages import STAGES
from tests.infrastructure.templates import properties, stack_of, statements

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

type Permissions = dict[str, set[str]]

POLICY, ROLE = "AWS::IAM::Policy", "AWS::IAM::Role"
SCORER, BATCH = "scoring/Scorer/Scorer/Role", "scoring/Batch/Batch/Role"
RECORDS = "scoring/Records/Records/Role"
REHEARSAL, DEPLOYER = "scoring/Rehearsal/Rehearsal/Role", "scoring/Canary/Deployer"
ANSWERING = ("scorer", "batch", "records")
TELLING_CODEDEPLOY = "codedeploy:PutLifecycleEventHookExecutionStatus"
EMPTIER = "storage/Emptier/Emptier/Role"
API_LOGS = "scoring/Api/RestApi/CloudWatchRole"

KEY = "storage/Data/Key"
# The least that AWS states for principals that use a table under a customer's key.
USE_OF_KEY = {
    action: {KEY}
    for action in (
        *("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
        *("kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
    )
}
SECRET = "storage/EntityKey/Secret"
SIGNING_KEY = "storage/Models/Key"
LAKE, MODELS, RESULTS, RECEIPTS = (
    f"storage/Buckets/{name}" for name in ("Lake", "Models", "Results", "Receipts")
)
ONLINE_STORE, DECISIONS, REGISTRY = (
    f"storage/Tables/{name}" for name in ("OnlineStore", "Decisions", "Registry")
)
PLANNER, MATERIALIZER, RECONCILER = (
    f"materialization/Features/{name}/Function"
    for name in ("Planner", "Materializer", "Reconciler")
)
TRIGGERS = "materialization/Features/Triggers"
PUSH_QUEUE = "materialization/Push/Queue"
METER = "materialization/Freshness/Meter/Function"
FAILED_BATCHES = "archive/Archive/FailedBatches"
TRAINER = "retraining/Retraining/Trainer/Function"
PROMOTER = "retraining/Rollout/Promoter/Function"
PAGE_TOPIC, INFORM_TOPIC = "storage/Alarms/Page", "storage/Alarms/Inform"
# In the name of whoever publishes SNS encrypts under this one.
ALARMS_KEY = "storage/Alarms/Key"
USE_OF_ALARMS_KEY = {action: {KEY, ALARMS_KEY} for action in USE_OF_KEY}
RETRAINING_TRIGGERS = "retraining/Retraining/Triggers"
SERVED_SET = "archive/Evidence/ServedSet/Function"
COMPARER, SKEW_METER = "archive/Evidence/Comparer/Function", "archive/Skew/Meter/Function"
MONITOR = "archive/Monitoring/Monitor/Function"
HERE = "<Region>:<AccountId>"

# AWS knows no resource for these, so that they are allowed on "*".
METRICS, FIGURES = "cloudwatch:PutMetricData", "cloudwatch:GetMetricData"
# With less CloudWatch refuses whoever asks for composite alarms as well.
ALARM_STATES = "cloudwatch:DescribeAlarms"
TRACES = ("xray:PutTelemetryRecords", "xray:PutTraceSegments")
WORKFLOW_LOGS_AND_TRACES = (
    *("logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups"),
    *("logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries"),
    *("logs:PutResourcePolicy", "logs:UpdateLogDelivery"),
    *("xray:GetSamplingRules", "xray:GetSamplingTargets", *TRACES),
)


def expected(stage: str, *, tracing: bool) -> dict[str, Permissions]:
    """Return for each role the resources on which it may do each action."""

    def function(logs: str, permissions: Permissions) -> Permissions:
        log = {"logs:CreateLogStream": {logs}, "logs:PutLogEvents": {logs}}
        return {**log, **permissions, **({key: {"*"} for key in TRACES} if tracing else {})}

    def workflow(permissions: Permissions) -> Permissions:
        return {**{key: {"*"} for key in WORKFLOW_LOGS_AND_TRACES}, **permissions}

    machine = f"credit-{stage}-personal-loan-materialization"
    executions = {
        f"arn:<Partition>:states:{HERE}:execution:{machine}:*",
        f"arn:<Partition>:states:{HERE}:execution:{machine}/Parts:*",
    }
    start = {f"arn:<Partition>:states:{HERE}:stateMachine:{machine}"}
    runs = f"{RESULTS}/runs/*"
    map_results = f"{RESULTS}/runs/map-results/*"
    workgroup = {f"arn:<Partition>:athena:{HERE}:workgroup/credit-{stage}-personal-loan"}
    glue = f"arn:<Partition>:glue:{HERE}"
    tables = ("applications", "bureau", "region_market")
    catalog = {
        f"{glue}:catalog",
        f"{glue}:database/credit_{stage}_personal_loan",
        *(f"{glue}:table/credit_{stage}_personal_loan/personal_loan_{table}" for table in tables),
    }
    # Athena looks up this database first, whatever a query reads, and makes it if need be.
    default_database = {f"{glue}:catalog", f"{glue}:database/default"}
    training_sets = f"{RESULTS}/training-sets/*"
    training_runs = f"{RESULTS}/training-runs/*"
    prefix = f"credit-{stage}-personal-loan"
    machines = f"arn:<Partition>:states:{HERE}:stateMachine"
    executions_of = f"arn:<Partition>:states:{HERE}:execution"
    nested = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
    rule_of_nested_executions = {f"arn:<Partition>:events:{HERE}:rule/{nested}"}
    models = f"{MODELS}/personal_loan/*"
    receipts = f"{RECEIPTS}/receipts/personal_loan/*"
    approving = {
        action: {f"{machines}:{prefix}-rollout"}
        for action in ("states:SendTaskFailure", "states:SendTaskSuccess")
    }
    functions = f"arn:<Partition>:lambda:{HERE}:function"
    groups = {
        f"arn:<Partition>:codedeploy:{HERE}:deploymentgroup:{prefix}/{name}" for name in ANSWERING
    }
    shifted = {
        f"{functions}:{prefix}-{name}{versions}" for name in ANSWERING for versions in ("", ":*")
    }
    deploying = {
        "lambda:GetAlias": shifted,
        "lambda:UpdateAlias": shifted,
        "lambda:GetProvisionedConcurrencyConfig": shifted,
        "lambda:InvokeFunction": {"scoring/Rehearsal/Rehearsal/Function"},
        ALARM_STATES: {"*"},
    }
    covering = {
        "dynamodb:GetItem": {REGISTRY},
        "dynamodb:PutItem": {ONLINE_STORE},
        "dynamodb:Query": {REGISTRY},
        "dynamodb:UpdateItem": {REGISTRY},
    }
    deciding = {
        "dynamodb:BatchGetItem": {ONLINE_STORE, DECISIONS, REGISTRY},
        "dynamodb:PutItem": {DECISIONS},
        "s3:GetObject": {models},
        "secretsmanager:GetSecretValue": {SECRET},
        "kms:Verify": {SIGNING_KEY},
        **USE_OF_KEY,
    }
    return {
        SCORER: function("scoring/Scorer/Scorer/Logs", deciding),
        BATCH: function("scoring/Batch/Batch/Logs", deciding),
        REHEARSAL: function(
            "scoring/Rehearsal/Rehearsal/Logs",
            {
                "lambda:InvokeFunction": {f"{functions}:{prefix}-{name}:*" for name in ANSWERING},
                "dynamodb:GetItem": {REGISTRY},
                "s3:GetObject": {models},
                "kms:Verify": {SIGNING_KEY},
                **USE_OF_KEY,
                **({} if stage == "local" else {TELLING_CODEDEPLOY: groups}),
            },
        ),
        **({} if stage == "local" else {DEPLOYER: deploying}),
        RECORDS: function(
            "scoring/Records/Records/Logs",
            {
                "dynamodb:GetItem": {REGISTRY},
                "dynamodb:PutItem": {DECISIONS},
                "dynamodb:Query": {DECISIONS, f"{DECISIONS}/index/awaiting-review"},
                "dynamodb:UpdateItem": {DECISIONS},
                "s3:GetObject": {models},
                "kms:Verify": {SIGNING_KEY},
                **USE_OF_KEY,
            },
        ),
        "materialization/Features/Materializer/Role": function(
            "materialization/Features/Materializer/Logs",
            {
                "dynamodb:PartiQLInsert": {ONLINE_STORE},
                "dynamodb:PartiQLUpdate": {ONLINE_STORE},
                **covering,
                "s3:GetObject": {f"{LAKE}/personal_loan/features/*"},
                "s3:ListBucket": {LAKE},
                "s3:PutObject": {f"{RESULTS}/rejected/*", runs},
                "secretsmanager:GetSecretValue": {SECRET},
                **USE_OF_KEY,
            },
        ),
        "materialization/Features/Planner/Role": function(
            "materialization/Features/Planner/Logs",
            {
                "dynamodb:GetItem": {REGISTRY},
                "s3:GetObject": {f"{LAKE}/personal_loan/features/*"},
                "s3:ListBucket": {LAKE},
                "s3:PutObject": {runs},
                **USE_OF_KEY,
            },
        ),
        "materialization/Features/Reconciler/Role": function(
            "materialization/Features/Reconciler/Logs",
            {
                "dynamodb:UpdateItem": {REGISTRY},
                "s3:GetObject": {runs},
                "s3:ListBucket": {RESULTS},
                "s3:PutObject": {runs},
                METRICS: {"*"},
                **USE_OF_KEY,
            },
        ),
        "materialization/Features/Workflow/Role": workflow(
            {
                "lambda:InvokeFunction": {PLANNER, MATERIALIZER, RECONCILER},
                "s3:AbortMultipartUpload": {map_results},
                "s3:GetObject": {runs, map_results},
                "s3:ListMultipartUploadParts": {map_results},
                "s3:PutObject": {map_results},
                "states:StartExecution": start,
                "states:DescribeExecution": executions,
                "states:RedriveExecution": executions,
                "states:StopExecution": executions,
                **USE_OF_KEY,
            }
        ),
        f"{TRIGGERS}/UploadsRole": {"states:StartExecution": start},
        f"{TRIGGERS}/SweepsRole": {
            "states:StartExecution": start,
            "sqs:SendMessage": {f"{TRIGGERS}/DeadLetters"},
        },
        "materialization/Push/Pusher/Role": function(
            "materialization/Push/Pusher/Logs",
            {
                "sqs:DeleteMessage": {PUSH_QUEUE},
                "sqs:GetQueueAttributes": {PUSH_QUEUE},
                "sqs:ReceiveMessage": {PUSH_QUEUE},
                "s3:PutObject": {
                    f"{LAKE}/personal_loan/features/bureau/pushed/*",
                    f"{LAKE}/personal_loan/features/region_market/pushed/*",
                    f"{RESULTS}/rejected/push/*",
                },
                "dynamodb:PartiQLInsert": {ONLINE_STORE},
                "dynamodb:PartiQLUpdate": {ONLINE_STORE},
                "dynamodb:BatchGetItem": {REGISTRY},
                **covering,
                "secretsmanager:GetSecretValue": {SECRET},
                METRICS: {"*"},
                **USE_OF_KEY,
            },
        ),
        "materialization/Freshness/Meter/Role": function(
            "materialization/Freshness/Meter/Logs",
            {
                "dynamodb:BatchGetItem": {ONLINE_STORE},
                "dynamodb:Query": {REGISTRY},
                METRICS: {"*"},
                **USE_OF_KEY,
            },
        ),
        "materialization/Freshness/Schedule/Role": {"lambda:InvokeFunction": {METER}},
        "archive/Archive/Archiver/Role": function(
            "archive/Archive/Archiver/Logs",
            {
                "dynamodb:DescribeStream": {f"{DECISIONS}/stream/*"},
                "dynamodb:GetRecords": {f"{DECISIONS}/stream/*"},
                "dynamodb:GetShardIterator": {f"{DECISIONS}/stream/*"},
                "dynamodb:ListStreams": {f"{DECISIONS}/stream/*"},
                "dynamodb:Scan": {DECISIONS},
                "s3:ListBucket": {RECEIPTS},
                "s3:PutObject": {f"{RECEIPTS}/receipts/personal_loan/*"},
                "sqs:ChangeMessageVisibility": {FAILED_BATCHES},
                "sqs:DeleteMessage": {FAILED_BATCHES},
                "sqs:ReceiveMessage": {FAILED_BATCHES},
                "sqs:SendMessage": {FAILED_BATCHES},
                **USE_OF_KEY,
            },
        ),
        "archive/Evidence/Comparer/Role": function(
            "archive/Evidence/Comparer/Logs",
            {
                "s3:ListBucket": {RECEIPTS},
                "s3:GetObject": {receipts},
                "s3:PutObject": {f"{RESULTS}/comparisons/personal_loan/*"},
                METRICS: {"*"},
                **USE_OF_KEY,
            },
        ),
        "archive/Evidence/Schedule/Role": {"lambda:InvokeFunction": {COMPARER}},
        "archive/Evidence/ServedSet/Role": function(
            "archive/Evidence/ServedSet/Logs",
            {
                "s3:ListBucket": {RECEIPTS},
                "s3:GetObject": {receipts},
                "s3:PutObject": {f"{RESULTS}/training-sets/served/*"},
                **USE_OF_KEY,
            },
        ),
        "archive/Skew/Meter/Role": function(
            "archive/Skew/Meter/Logs",
            {
                "s3:ListBucket": {LAKE, RECEIPTS},
                "s3:GetObject": {receipts, f"{LAKE}/personal_loan/features/*"},
                "s3:PutObject": {f"{RESULTS}/skew/personal_loan/*"},
                "dynamodb:BatchGetItem": {REGISTRY},
                "secretsmanager:GetSecretValue": {SECRET},
                METRICS: {"*"},
                **USE_OF_KEY,
            },
        ),
        "archive/Erasure/Eraser/Role": function(
            "archive/Erasure/Eraser/Logs",
            {
                **covering,
                "dynamodb:Query": {REGISTRY, DECISIONS, f"{DECISIONS}/index/by-applicant"},
                "dynamodb:UpdateItem": {REGISTRY, DECISIONS},
                "s3:ListBucket": {LAKE, RECEIPTS},
                "s3:ListBucketVersions": {LAKE},
                "s3:GetObject": {f"{LAKE}/personal_loan/*"},
                "s3:DeleteObject": {f"{LAKE}/personal_loan/features/bureau/pushed/*"},
                "s3:DeleteObjectVersion": {f"{LAKE}/personal_loan/features/bureau/pushed/*"},
                "s3:PutObjectTagging": {f"{RECEIPTS}/receipts/personal_loan/*"},
                "secretsmanager:GetSecretValue": {SECRET},
                **USE_OF_KEY,
            },
        ),
        "archive/Skew/Schedule/Role": {"lambda:InvokeFunction": {SKEW_METER}},
        "archive/Monitoring/Monitor/Role": function(
            "archive/Monitoring/Monitor/Logs",
            {
                "s3:ListBucket": {MODELS, RECEIPTS, RESULTS},
                "s3:GetObject": {receipts, models, f"{RESULTS}/monitoring/personal_loan/*"},
                "s3:PutObject": {f"{RESULTS}/monitoring/personal_loan/*"},
                METRICS: {"*"},
                **USE_OF_KEY,
            },
        ),
        "archive/Monitoring/Workflow/Role": workflow({"lambda:InvokeFunction": {MONITOR}}),
        "archive/Monitoring/Triggers/ScheduleRole": {
            "states:StartExecution": {f"{machines}:{prefix}-monitoring"},
            "sqs:SendMessage": {"archive/Monitoring/Triggers/DeadLetters"},
        },
        "retraining/Retraining/Trainer/Role": function(
            "retraining/Retraining/Trainer/Logs",
            {
                "s3:ListBucket": {RESULTS},
                "s3:GetObject": {training_sets, training_runs, models},
                "s3:PutObject": {training_runs, models},
                "dynamodb:GetItem": {REGISTRY},
                "dynamodb:PutItem": {REGISTRY},
                "kms:Sign": {SIGNING_KEY},
                "kms:Verify": {SIGNING_KEY},
                **USE_OF_KEY,
            },
        ),
        "retraining/Rollout/Promoter/Role": function(
            "retraining/Rollout/Promoter/Logs",
            {
                **{
                    action: {REGISTRY}
                    for action in (
                        *("dynamodb:ConditionCheckItem", "dynamodb:GetItem", "dynamodb:PutItem"),
                        *("dynamodb:Query", "dynamodb:UpdateItem"),
                    )
                },
                "s3:GetObject": {models},
                "kms:Verify": {SIGNING_KEY},
                "states:StopExecution": {f"{executions_of}:{prefix}-rollout:*"},
                **({"sns:Publish": {INFORM_TOPIC}} if stage == "prod" else {}),
                **(USE_OF_ALARMS_KEY if stage == "prod" else USE_OF_KEY),
            },
        ),
        "retraining/Rollout/Approver/Role": function(
            "retraining/Rollout/Approver/Logs",
            {
                "dynamodb:GetItem": {REGISTRY},
                "dynamodb:PutItem": {REGISTRY},
                **approving,
                **USE_OF_KEY,
            },
        ),
        "retraining/Guard/Guard/Role": function(
            "retraining/Guard/Guard/Logs",
            {
                "dynamodb:Query": {REGISTRY},
                "lambda:InvokeFunction": {PROMOTER},
                "sns:Publish": {PAGE_TOPIC},
                **USE_OF_ALARMS_KEY,
            },
        ),
        "retraining/Rollout/Workflow/Role": workflow(
            {
                "lambda:InvokeFunction": {PROMOTER},
                ALARM_STATES: {"*"},
                **({} if stage == "local" else {FIGURES: {"*"}}),
            }
        ),
        f"{RETRAINING_TRIGGERS}/ArrivalsRole": {
            "states:StartExecution": {f"{machines}:{prefix}-retraining"}
        },
        f"{RETRAINING_TRIGGERS}/ScheduleRole": {
            "states:StartExecution": {f"{machines}:{prefix}-retraining"},
            "sqs:SendMessage": {f"{RETRAINING_TRIGGERS}/DeadLetters"},
        },
        "retraining/Retraining/Workflow/Role": workflow(
            {
                "lambda:InvokeFunction": {TRAINER, SERVED_SET},
                "dynamodb:DeleteItem": {REGISTRY},
                "dynamodb:GetItem": {REGISTRY},
                "dynamodb:PutItem": {REGISTRY},
                "states:StartExecution": {f"{machines}:{prefix}-rollout"},
                "states:DescribeExecution": {
                    f"{executions_of}:{prefix}-retraining:*",
                    f"{executions_of}:{prefix}-rollout:*",
                },
                "states:StopExecution": {f"{executions_of}:{prefix}-rollout:*"},
                # AWS's own rule tells of executions that end.
                "events:DescribeRule": rule_of_nested_executions,
                "events:PutRule": rule_of_nested_executions,
                "events:PutTargets": rule_of_nested_executions,
                **dict.fromkeys(
                    (
                        "athena:GetQueryExecution",
                        "athena:StartQueryExecution",
                        "athena:StopQueryExecution",
                    ),
                    workgroup,
                ),
                "athena:GetDataCatalog": {
                    f"arn:<Partition>:athena:{HERE}:datacatalog/AwsDataCatalog"
                },
                "glue:CreateDatabase": default_database,
                "glue:GetDatabase": catalog | default_database,
                "glue:GetDatabases": default_database,
                "glue:GetPartitions": catalog,
                "glue:GetTable": catalog,
                "s3:GetBucketLocation": {LAKE, RESULTS},
                "s3:ListBucket": {LAKE, RESULTS},
                "s3:ListBucketMultipartUploads": {RESULTS},
                "s3:GetObject": {f"{LAKE}/personal_loan/*", training_sets},
                "s3:PutObject": {training_sets},
                "s3:AbortMultipartUpload": {training_sets},
                "s3:ListMultipartUploadParts": {training_sets},
                **USE_OF_KEY,
            }
        ),
        # Its permissions are AWS's own policy, seen to by another test.
        API_LOGS: {},
        **(
            {EMPTIER: function("storage/Emptier/Emptier/Logs", emptying())}
            if STAGES[stage].emptier
            else {}
        ),
    }


def granted(deployment: Deployment) -> dict[str, Permissions]:
    """Return what the templates allow each role, in the form of ``expected``."""
    roles: dict[str, Permissions] = {path: {} for path in deployment.of_type(ROLE)}
    for path, policy in deployment.of_type(POLICY).items():
        stack = stack_of(path)
        for statement in statements(properties(policy)["PolicyDocument"]):
            resources = set(deployment.texts(statement["Resource"], stack))
            for role in deployment.texts(properties(policy)["Roles"], stack):
                for action in statement["Action"]:
                    roles[role].setdefault(action, set()).update(resources)
    return roles


def emptying() -> Permissions:
    """Return what the function may do that empties buckets when their stack is deleted."""
    buckets = {*(LAKE, MODELS, RESULTS, RECEIPTS), "storage/Buckets/AccessLogs"}
    objects = {f"{bucket}/*" for bucket in buckets}
    return {
        "cloudformation:DescribeStacks": {"<StackId>"},
        "s3:AbortMultipartUpload": objects,
        "s3:DeleteObject": objects,
        "s3:DeleteObjectVersion": objects,
        "s3:ListBucketMultipartUploads": buckets,
        "s3:ListBucketVersions": buckets,
    }


def assert_each_role_may_do_what_is_written(deployment: Deployment) -> None:
    stage = deployment.stage
    assert granted(deployment) == expected(stage.name, tracing=stage.tracing)


ROLLOUT, APPROVALS, LOCK, WATERMARK, ERASED_LIST = (
    f"personal_loan#{name}"
    for name in ("rollout", "approvals", "retraining", "materialization", "erased")
)
PROMOTER_ROLE = "retraining/Rollout/Promoter/Role"
HELD_TO: dict[str, set[tuple[str, str]]] = {
    "archive/Erasure/Eraser/Role": {
        *((action, ERASED_LIST) for action in ("GetItem", "Query", "UpdateItem"))
    },
    "archive/Skew/Meter/Role": {("BatchGetItem", ERASED_LIST)},
    "materialization/Features/Materializer/Role": {
        *((action, ERASED_LIST) for action in ("GetItem", "Query", "UpdateItem"))
    },
    "materialization/Features/Planner/Role": {("GetItem", WATERMARK)},
    "materialization/Features/Reconciler/Role": {("UpdateItem", WATERMARK)},
    "materialization/Freshness/Meter/Role": {("Query", "personal_loan")},
    "materialization/Push/Pusher/Role": {
        *((action, ERASED_LIST) for action in ("BatchGetItem", "GetItem", "Query", "UpdateItem"))
    },
    "retraining/Guard/Guard/Role": {("Query", ROLLOUT)},
    "retraining/Retraining/Trainer/Role": {
        *((action, "personal_loan") for action in ("GetItem", "PutItem")),
        *((action, LOCK) for action in ("GetItem", "PutItem")),
        ("GetItem", ROLLOUT),
    },
    "retraining/Retraining/Workflow/Role": {
        *((action, LOCK) for action in ("DeleteItem", "GetItem", "PutItem"))
    },
    "retraining/Rollout/Approver/Role": {
        *((action, APPROVALS) for action in ("GetItem", "PutItem")),
        ("GetItem", ROLLOUT),
    },
    PROMOTER_ROLE: {
        *((action, "personal_loan") for action in ("GetItem", "UpdateItem")),
        *((action, ROLLOUT) for action in ("ConditionCheckItem", "GetItem", "PutItem", "Query")),
    },
    RECORDS: {("GetItem", "personal_loan"), ("GetItem", ROLLOUT)},
    REHEARSAL: {("GetItem", ROLLOUT)},
    # They read the pointer and the model that it names, in one call with features and decisions.
    SCORER: {("BatchGetItem", "*")},
    BATCH: {("BatchGetItem", "*")},
}
"""Who may do what to which partitions of the registry: models, the pointer, approvals, the lock,
the watermark and the erased share one table, and conditions alone keep them apart.
"""


def assert_each_role_keeps_to_its_partitions_of_the_registry(deployment: Deployment) -> None:
    found: dict[str, set[tuple[str, str]]] = {}
    for path, policy in deployment.of_type(POLICY).items():
        for statement in statements(properties(policy)["PolicyDocument"]):
            if REGISTRY not in deployment.texts(statement["Resource"], stack_of(path)):
                continue
            condition = statement.get("Condition", {}).get("ForAllValues:StringEquals", {})
            (role,) = deployment.texts(properties(policy)["Roles"], stack_of(path))
            for action in statement["Action"]:
                assert action.startswith("dynamodb:"), path
                for partition in condition.get("dynamodb:LeadingKeys", ["*"]):
                    held_to = (action.removeprefix("dynamodb:"), partition)
                    found.setdefault(role, set()).add(held_to)
    # Where a person approves it notes that it asks, and looks at the word.
    asking = {("GetItem", APPROVALS), ("PutItem", APPROVALS)}
    asks = asking if deployment.stage.rollout.approval_hours else set()
    assert found == HELD_TO | {PROMOTER_ROLE: HELD_TO[PROMOTER_ROLE] | asks}


def test_each_role_keeps_to_its_partitions_of_the_registry(deployment: Deployment) -> None:
    assert_each_role_keeps_to_its_partitions_of_the_registry(deployment)


def assert_the_eraser_changes_nothing_of_a_record_but_its_end(deployment: Deployment) -> None:
    path = "archive/Erasure/Eraser/Role/DefaultPolicy"
    document = properties(deployment.at(path, POLICY))["PolicyDocument"]
    (statement,) = (
        found
        for found in statements(document)
        if DECISIONS in deployment.texts(found["Resource"], stack_of(path))
        and "dynamodb:UpdateItem" in found["Action"]
    )
    attributes = {"dynamodb:Attributes": ["application_id", "expires_at", "record"]}
    assert statement.get("Condition") == {"ForAllValues:StringEquals": attributes}


def test_the_eraser_changes_nothing_of_a_record_but_its_end(deployment: Deployment) -> None:
    assert_the_eraser_changes_nothing_of_a_record_but_its_end(deployment)


def conditions_of(deployment: Deployment) -> list[tuple[str, int]]:
    """Return each statement of a role that has a condition, by its policy and its place there."""
    return [
        (path, place)
        for path, policy in deployment.of_type(POLICY).items()
        for place, statement in enumerate(properties(policy)["PolicyDocument"]["Statement"])
        if "Condition" in statement
    ]


def test_a_condition_that_is_dropped_would_be_noticed(prod: Deployment) -> None:
    """Each of every role: what a permission is held to is as much of it as its resource."""
    conditions = conditions_of(prod)
    assert len(conditions) >= 60
    for path, place in conditions:
        document = copy.deepcopy(properties(prod.at(path, POLICY))["PolicyDocument"])
        del document["Statement"][place]["Condition"]
        mutant = prod.changed(path, POLICY, PolicyDocument=document)

        with pytest.raises((AssertionError, KeyError)):
            assert_what_roles_are_held_to(mutant)


def assert_a_listing_shows_what_is_ones_own(deployment: Deployment) -> None:
    for path, policy in deployment.of_type(POLICY).items():
        for statement in statements(properties(policy)["PolicyDocument"]):
            if {"s3:ListBucket", "s3:ListBucketVersions"} & set(statement["Action"]):
                # A bucket that empties itself at its end is listed whole.
                if path == f"{EMPTIER}/DefaultPolicy":
                    continue
                ((test, asked),) = statement["Condition"].items()
                assert test in {"StringLike", "StringLikeIfExists"}, path
                prefixes = asked["s3:prefix"]
                for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
                    assert re.fullmatch(r"[a-z_-]+/.*\*", prefix), path


def assert_what_roles_are_held_to(deployment: Deployment) -> None:
    for claim in (
        assert_each_role_keeps_to_its_partitions_of_the_registry,
        assert_the_eraser_changes_nothing_of_a_record_but_its_end,
        assert_a_listing_shows_what_is_ones_own,
        assert_keys_are_used_by_way_of_services_only,
        assert_metrics_are_published_in_this_services_namespace_only,
        test_who_measures_freshness_reads_nobodys_features,
    ):
        claim(deployment)


def with_statement(deployment: Deployment, role: str, statement: dict[str, Any]) -> Deployment:
    path = f"{role}/DefaultPolicy"
    document = properties(deployment.at(path, POLICY))["PolicyDocument"]
    widened = {**document, "Statement": [*document["Statement"], statement]}
    return deployment.changed(path, POLICY, PolicyDocument=widened)


def test_each_role_may_do_what_is_written_and_nothing_else(deployment: Deployment) -> None:
    assert_each_role_may_do_what_is_written(deployment)


@pytest.mark.parametrize("action", ["dynamodb:Scan", "dynamodb:DeleteItem", "s3:*", "*"])
def test_a_permission_too_many_would_be_noticed(prod: Deployment, action: str) -> None:
    allowed = {"Effect": "Allow", "Action": action, "Resource": "*"}

    with pytest.raises(AssertionError):
        assert_each_role_may_do_what_is_written(with_statement(prod, SCORER, allowed))


def test_no_role_holds_permissions_outside_of_these_policies(deployment: Deployment) -> None:
    for path, role in deployment.of_type(ROLE).items():
        managed = properties(role).get("ManagedPolicyArns", [])
        assert "Policies" not in properties(role)
        if path == API_LOGS:
            (policy,) = deployment.texts(managed, stack_of(path))
            assert policy.endswith("service-role/AmazonAPIGatewayPushToCloudWatchLogs")
        else:
            assert managed == [], path


def test_no_action_is_a_wildcard(deployment: Deployment) -> None:
    for permissions in granted(deployment).values():
        assert not [action for action in permissions if "*" in action]


def test_only_what_aws_cannot_narrow_is_allowed_everywhere(deployment: Deployment) -> None:
    everywhere = {
        action
        for permissions in granted(deployment).values()
        for action, resources in permissions.items()
        if "*" in resources
    }

    assert everywhere <= {*WORKFLOW_LOGS_AND_TRACES, METRICS, FIGURES, ALARM_STATES}


def test_keys_are_used_by_way_of_services_only(deployment: Deployment) -> None:
    assert_keys_are_used_by_way_of_services_only(deployment)


def assert_keys_are_used_by_way_of_services_only(deployment: Deployment) -> None:
    keys = {KEY, ALARMS_KEY}
    for path, policy in deployment.of_type(POLICY).items():
        for statement in statements(properties(policy)["PolicyDocument"]):
            if keys & set(deployment.texts(statement["Resource"], stack_of(path))) and any(
                action.startswith("kms:") for action in statement["Action"]
            ):
                services = statement["Condition"]["StringEquals"]["kms:ViaService"]
                for service in deployment.texts(services, stack_of(path)):
                    assert service.endswith(".<Region>.<URLSuffix>")


def test_who_moves_the_watermark_cannot_move_the_rollout_pointer(deployment: Deployment) -> None:
    for name in ("Planner", "Reconciler"):
        path = f"materialization/Features/{name}/Role/DefaultPolicy"
        document = properties(deployment.at(path, POLICY))["PolicyDocument"]
        (statement,) = (
            found
            for found in statements(document)
            if any(action.startswith("dynamodb:") for action in found["Action"])
        )
        assert statement["Condition"] == {
            "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["personal_loan#materialization"]}
        }


def test_metrics_are_published_in_this_services_namespace_only(deployment: Deployment) -> None:
    assert_metrics_are_published_in_this_services_namespace_only(deployment)


def assert_metrics_are_published_in_this_services_namespace_only(deployment: Deployment) -> None:
    publishing = {
        path: statement["Condition"]
        for path, policy in deployment.of_type(POLICY).items()
        for statement in statements(properties(policy)["PolicyDocument"])
        if METRICS in statement["Action"]
    }

    assert len(publishing) >= 5
    for path, condition in publishing.items():
        namespace = {"StringEquals": {"cloudwatch:namespace": "CreditDecisions"}}
        assert condition == namespace, path


def test_who_measures_freshness_reads_nobodys_features(deployment: Deployment) -> None:
    path = "materialization/Freshness/Meter/Role/DefaultPolicy"
    held_to = {
        statement["Action"][0]: statement["Condition"]["ForAllValues:StringEquals"]
        for statement in statements(properties(deployment.at(path, POLICY))["PolicyDocument"])
        if statement["Action"][0].startswith("dynamodb:")
    }

    notes = ["personal_loan/bureau#newest", "personal_loan/region_market#newest"]
    assert held_to == {
        "dynamodb:BatchGetItem": {"dynamodb:LeadingKeys": notes},
        # Models, neither the pointer nor the watermark.
        "dynamodb:Query": {"dynamodb:LeadingKeys": ["personal_loan"]},
    }


@pytest.mark.parametrize("role", [SCORER, BATCH, RECORDS])
def test_what_answers_writes_neither_features_nor_models_nor_the_registry(
    deployment: Deployment, role: str
) -> None:
    reading = {
        *("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"),
        *("s3:GetObject", "secretsmanager:GetSecretValue"),
    }

    writing = {
        resource
        for action, resources in granted(deployment)[role].items()
        if action not in reading and not action.startswith(("kms:", "logs:", "xray:"))
        for resource in resources
    }

    assert writing == {DECISIONS}


def test_the_trainer_alone_signs_and_the_promoter_alone_changes_what_is_registered(
    deployment: Deployment,
) -> None:
    roles = granted(deployment)

    signing = {role for role, may in roles.items() if SIGNING_KEY in may.get("kms:Sign", ())}
    assert signing == {"retraining/Retraining/Trainer/Role"}
    updating = {
        role for role, may in roles.items() if REGISTRY in may.get("dynamodb:UpdateItem", ())
    }
    assert updating == {
        "retraining/Rollout/Promoter/Role",
        # Of other partitions, see below and above: the watermark, and who was erased.
        "materialization/Features/Reconciler/Role",
        "materialization/Features/Materializer/Role",
        "materialization/Push/Pusher/Role",
        "archive/Erasure/Eraser/Role",
    }
