"""The security baseline: each promise is kept by every stage, and a breach of it is noticed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from aws_cdk import RemovalPolicy

from cdk_app.components.api_routes import BATCHES_PATH
from cdk_app.components.firewall import MANAGED_RULES, at_most
from cdk_app.components.log_protection import LONGEST_EXPRESSION, applicant_keys
from credit_core.domain.batch_body import MAXIMUM_BATCH_BYTES
from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties, stack_of, statements
from tests.infrastructure.test_permissions import (
    assert_a_listing_shows_what_is_ones_own,
    granted,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.infrastructure.templates import Deployment, Resource

type Promise = Callable[[Deployment], None]
type Breach = Callable[[Deployment], Deployment]

BUCKET, BUCKET_POLICY = "AWS::S3::Bucket", "AWS::S3::BucketPolicy"
FUNCTION, MACHINE = "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"
KEY, LOGS, POLICY, ROLE = (
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
)
INVOKING, QUEUE_POLICY, TOPIC_POLICY = (
    "AWS::Lambda::Permission",
    "AWS::SQS::QueuePolicy",
    "AWS::SNS::TopicPolicy",
)
QUEUE, TOPIC = "AWS::SQS::Queue", "AWS::SNS::Topic"
API_STAGE, SECRET_TYPE = "AWS::ApiGateway::Stage", "AWS::SecretsManager::Secret"
WEB_ACL, ASSOCIATION = "AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation"
FIREWALL_LOG = "AWS::WAFv2::LoggingConfiguration"

DATA_KEY, SIGNING_KEY = "storage/Data/Key", "storage/Models/Key"
FIREWALL = "scoring/Api/Firewall"
LIVE = "scoring/Api/RestApi/DeploymentStage.live"
LAKE, MODELS, RECEIPTS = (f"storage/Buckets/{name}" for name in ("Lake", "Models", "Receipts"))
ONLINE_STORE, DECISIONS, REGISTRY = (
    f"storage/Tables/{name}" for name in ("OnlineStore", "Decisions", "Registry")
)
SCORER, BATCH = "scoring/Scorer/Scorer/Role", "scoring/Batch/Batch/Role"
RECORDS, TRAINER = "scoring/Records/Records/Role", "retraining/Retraining/Trainer/Role"
PROMOTER = "retraining/Rollout/Promoter/Role"
MATERIALIZER, PUSHER = (
    "materialization/Features/Materializer/Role",
    "materialization/Push/Pusher/Role",
)
EMPTIER = re.compile(r"storage/.*Emptier/Role")
ERASER = re.compile(r".*Eraser/Role")

KEYS_ARE_USED_BY = frozenset(
    {
        *("cloudwatch.amazonaws.com", "events.amazonaws.com"),
        "logs.<Region>.<URLSuffix>",
    }
)
"""Services that encrypt in their own name, not in that of a role."""

REGULATION_B_DAYS = 31 * 25
"""25 months at their longest. Source: 12 CFR 1002.12(b)."""

WRITES = frozenset(
    f"dynamodb:{action}"
    for action in (
        *("BatchWriteItem", "DeleteItem", "PartiQLDelete", "PartiQLInsert", "PartiQLUpdate"),
        *("PutItem", "UpdateItem"),
    )
)
REMOVES = frozenset({"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PartiQLDelete"})
ENDS_OBJECTS = frozenset(
    f"s3:{action}"
    for action in (
        *("BypassGovernanceRetention", "DeleteBucket", "DeleteBucketPolicy", "DeleteObject"),
        *("DeleteObjectVersion", "PutBucketObjectLockConfiguration", "PutBucketPolicy"),
        *("PutBucketVersioning", "PutLifecycleConfiguration", "PutObjectRetention"),
    )
)
SECRET_NAME = re.compile(r"(?i)(password|passwd|secret|token|api_?key|private_?key|credential)")
SECRET_VALUE = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|-----BEGIN|\beyJ[A-Za-z0-9_-]{20,}|"
    r"\{\{resolve:(secretsmanager|ssm-secure)"
)


def assert_a_firewall_stands_before_the_api(deployment: Deployment) -> None:
    limits = deployment.stage.firewall
    if limits is None:
        assert deployment.of_type(WEB_ACL) == {}
        return
    association = properties(deployment.at(f"{FIREWALL}/Association", ASSOCIATION))
    assert deployment.text(association["WebACLArn"], "scoring") == f"{FIREWALL}/WebAcl"
    assert deployment.text(association["ResourceArn"], "scoring").endswith(f"/stages/{LIVE}")
    firewall = properties(deployment.at(f"{FIREWALL}/WebAcl", WEB_ACL))
    # What no rule blocks is let in: the API asks for a token itself.
    assert firewall["DefaultAction"] == {"Allow": {}}
    rules = {rule["Name"]: rule for rule in firewall["Rules"]}
    for name in MANAGED_RULES:
        assert rules[name]["OverrideAction"] == {"None": {}}, name
        group = rules[name]["Statement"]["ManagedRuleGroupStatement"]
        assert (group["VendorName"], group["Name"]) == ("AWS", name)
        counted = {rule["Name"] for rule in group.get("RuleActionOverrides", [])}
        assert counted <= {"NoUserAgent_HEADER", "SizeRestrictions_BODY"}, name
        assert not group.get("ExcludedRules"), name
    for name in ("FloodFromOneAddress", "OversizedBody", "OversizedBatch"):
        assert rules[name]["Action"] == {"Block": {}}, name
    flood = rules["FloodFromOneAddress"]["Statement"]["RateBasedStatement"]
    assert flood["Limit"] == limits.requests_per_address_in_five_minutes
    assert flood["AggregateKeyType"] == "IP"
    assert "ScopeDownStatement" not in flood
    size, other = rules["OversizedBody"]["Statement"]["AndStatement"]["Statements"]
    batch, posted, stated = rules["OversizedBatch"]["Statement"]["AndStatement"]["Statements"]
    # The path that the one leaves out is the path that the other is about.
    assert other == {"NotStatement": {"Statement": batch}}
    assert batch["ByteMatchStatement"]["SearchString"] == BATCHES_PATH
    assert batch["ByteMatchStatement"]["PositionalConstraint"] == "ENDS_WITH"
    assert batch["ByteMatchStatement"]["FieldToMatch"] == {"UriPath": {}}
    assert posted["ByteMatchStatement"]["SearchString"] == "POST"
    constraint = size["SizeConstraintStatement"]
    assert (constraint["ComparisonOperator"], constraint["Size"]) == ("GT", limits.body_bytes)
    # What is beyond what the firewall looks at is over the limit, too.
    assert constraint["FieldToMatch"] == {"Body": {"OversizeHandling": "MATCH"}}
    length = stated["NotStatement"]["Statement"]["RegexMatchStatement"]
    assert length["RegexString"] == at_most(MAXIMUM_BATCH_BYTES)


def assert_the_firewall_keeps_no_request(deployment: Deployment) -> None:
    for firewall in map(properties, deployment.of_type(WEB_ACL).values()):
        measured = (firewall, *firewall["Rules"])
        assert not any(part["VisibilityConfig"]["SampledRequestsEnabled"] for part in measured)
        log = properties(deployment.at(f"{FIREWALL}/Logging", FIREWALL_LOG))
        (destination,) = deployment.texts(log["LogDestinationConfigs"], "scoring")
        group = properties(deployment.at(f"{FIREWALL}/Log", LOGS))
        assert destination.endswith(deployment.text(group["LogGroupName"], "scoring"))
        hidden = log["RedactedFields"]
        for header in ("authorization", "cookie"):
            assert {"SingleHeader": {"Name": header}} in hidden
        assert {"QueryString": {}} in hidden
        assert log["LoggingFilter"]["DefaultBehavior"] == "DROP"
        (kept,) = log["LoggingFilter"]["Filters"]
        assert kept["Conditions"] == [{"ActionCondition": {"Action": "BLOCK"}}]


def logs_of(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield who writes a log and the path of the group that it goes to."""
    for path, function in deployment.of_type(FUNCTION).items():
        yield (
            path,
            deployment.text(properties(function)["LoggingConfig"]["LogGroup"], stack_of(path)),
        )
    for path, machine in deployment.of_type(MACHINE).items():
        for destination in properties(machine)["LoggingConfiguration"]["Destinations"]:
            arn = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]
            yield path, deployment.text(arn, stack_of(path))
    for path, stage in deployment.of_type(API_STAGE).items():
        arn = properties(stage)["AccessLogSetting"]["DestinationArn"]
        # Of the group's ARN, without the ":*" at its end.
        found = re.search(r"[A-Za-z]+/[A-Za-z/]*AccessLog", deployment.text(arn, stack_of(path)))
        assert found
        yield path, found[0]


def assert_every_log_is_its_writers_own(deployment: Deployment) -> None:
    written = dict(logs_of(deployment))
    groups = set(deployment.of_type(LOGS))
    assert set(written.values()) <= groups
    assert len(set(written.values())) == len(written)
    # A group that nobody writes by name: API Gateway's own, and the firewall's.
    assert groups - set(written.values()) <= {"scoring/Api/ExecutionLog", f"{FIREWALL}/Log"}


def assert_logs_are_kept_for_a_time_encrypted_and_masked(deployment: Deployment) -> None:
    for path, group in deployment.of_type(LOGS).items():
        found = properties(group)
        assert found["RetentionInDays"] >= 1, path
        assert deployment.text(found["KmsKeyId"], stack_of(path)) == DATA_KEY, path
        if not deployment.stage.log_protection:
            assert "DataProtectionPolicy" not in found
            continue
        audit, mask = found["DataProtectionPolicy"]["Statement"]
        assert audit["Operation"] == {"Audit": {"FindingsDestination": {}}}, path
        assert mask["Operation"] == {"Deidentify": {"MaskConfig": {}}}, path
        names = {deployment.text(name, stack_of(path)) for name in mask["DataIdentifier"]}
        identifiers = "arn:<Partition>:dataprotection::aws:data-identifier"
        for name in ("EmailAddress", "Ssn-US", "CreditCardNumber", "AwsSecretKey"):
            assert f"{identifiers}/{name}" in names, path
        (applicant,) = found["DataProtectionPolicy"]["Configuration"]["CustomDataIdentifier"]
        assert applicant["Name"] in names


def assert_no_log_holds_a_body(deployment: Deployment) -> None:
    for path, stage in deployment.of_type(API_STAGE).items():
        for settings in properties(stage)["MethodSettings"]:
            assert settings["DataTraceEnabled"] is False, path
            assert settings["LoggingLevel"] == "ERROR", path
    for path, machine in deployment.of_type(MACHINE).items():
        logging = properties(machine)["LoggingConfiguration"]
        assert logging["IncludeExecutionData"] is False, path
    for path, function in deployment.of_type(FUNCTION).items():
        variables = properties(function).get("Environment", {}).get("Variables", {})
        # Powertools would write down each event.
        assert not {"POWERTOOLS_DEV", "POWERTOOLS_LOGGER_LOG_EVENT"} & set(variables), path


def assert_keys_rotate_and_are_for_this_account(deployment: Deployment) -> None:
    for path, key in deployment.of_type(KEY).items():
        found = properties(key)
        if found.get("KeyUsage", "ENCRYPT_DECRYPT") == "ENCRYPT_DECRYPT":
            assert found["EnableKeyRotation"] is True, path
        for statement in statements(found["KeyPolicy"]):
            principal = statement["Principal"]
            if statement["Effect"] == "Deny":
                continue
            if "Service" in principal:
                assert deployment.text(principal["Service"], stack_of(path)) in KEYS_ARE_USED_BY
                assert statement["Condition"], path
            else:
                (name,) = deployment.texts(principal["AWS"], stack_of(path))
                assert name.endswith("::<AccountId>:root"), path


def assert_the_archive_is_locked(deployment: Deployment) -> None:
    bucket = properties(deployment.at(RECEIPTS, BUCKET))
    rules = bucket["LifecycleConfiguration"]["Rules"]
    kept = {
        "TagFilters" in rule: rule["ExpirationInDays"]
        for rule in rules
        if "ExpirationInDays" in rule
    }
    assert kept[False] == deployment.stage.receipt_days
    for rule in rules:
        # Of all objects, whatever they are called.
        assert not {"Filter", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "Prefix"} & set(rule)
        if "NoncurrentVersionExpiration" in rule:
            # An old version is an object whose time is over: it must not have another one.
            assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert all(
        "NoncurrentVersionExpiration" in rule for rule in rules if "ExpirationInDays" in rule
    )
    if deployment.stage.removal is not RemovalPolicy.RETAIN:
        assert "ObjectLockConfiguration" not in bucket
        return
    assert bucket["ObjectLockEnabled"] is True
    locked = bucket["ObjectLockConfiguration"]
    retention = locked["Rule"]["DefaultRetention"]
    assert locked["ObjectLockEnabled"] == "Enabled"
    assert retention["Mode"] == "COMPLIANCE"
    # Those of an erased applicant, which bear a tag, end no earlier either.
    assert REGULATION_B_DAYS <= retention["Days"] <= min(kept.values())


def assert_nobody_ends_the_key_of_what_is_locked(deployment: Deployment) -> None:
    denied = {
        action
        for statement in statements(properties(deployment.at(DATA_KEY, KEY))["KeyPolicy"])
        if statement["Effect"] == "Deny"
        and statement["Principal"] == {"AWS": "*"}
        and "Condition" not in statement
        for action in statement["Action"]
    }
    ending = {"kms:DisableKey", "kms:ScheduleKeyDeletion"}
    assert denied == (ending if deployment.stage.receipts_locked else set())


def assert_nobody_can_delete_the_archive(deployment: Deployment) -> None:
    policy = properties(deployment.at(f"{RECEIPTS}/Policy", BUCKET_POLICY))["PolicyDocument"]
    denied = {
        action
        for statement in statements(policy)
        if statement["Effect"] == "Deny"
        and statement["Principal"] == {"AWS": "*"}
        and "Condition" not in statement
        for action in statement["Action"]
    }
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} <= denied
    for role, permissions in granted(deployment).items():
        ending = {
            action: resources
            for action, resources in permissions.items()
            if action in ENDS_OBJECTS or "*" in action
        }
        if EMPTIER.fullmatch(role) and deployment.stage.removal is RemovalPolicy.DESTROY:
            # What belongs to a stack that is being deleted, its policy first.
            assert ending.keys() == {"s3:DeleteObject", "s3:DeleteObjectVersion"}
        elif ERASER.fullmatch(role):
            # Of rows that were pushed into the lake.
            assert all(
                resource.startswith(f"{LAKE}/") and "/pushed/" in resource
                for resources in ending.values()
                for resource in resources
            )
        else:
            assert not ending, role


def assert_what_decides_changes_nothing_that_it_decides_by(deployment: Deployment) -> None:
    roles = granted(deployment)
    for role in (SCORER, BATCH, RECORDS):
        changed = set(
            chain.from_iterable(
                resources
                for action, resources in roles[role].items()
                if action in WRITES or action.startswith(("s3:Put", "s3:Delete"))
            )
        )
        assert changed == {DECISIONS}, role


def assert_the_trainer_cannot_move_the_pointer(deployment: Deployment) -> None:
    """It registers models, in a partition of their own, and invokes nobody who moves one."""
    policy = properties(deployment.at(f"{TRAINER}/DefaultPolicy", POLICY))["PolicyDocument"]
    written = [statement for statement in statements(policy) if WRITES & set(statement["Action"])]
    assert written
    for statement in written:
        assert WRITES & set(statement["Action"]) == {"dynamodb:PutItem"}
        held_to = statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
        # Models, and the lock of its own run: the pointer lies in neither.
        assert set(held_to) <= {"personal_loan", "personal_loan#retraining"}
    assert not {"lambda:InvokeFunction", "states:StartExecution"} & set(
        granted(deployment)[TRAINER]
    )


def assert_only_the_materialization_and_erasure_write_features(deployment: Deployment) -> None:
    roles = granted(deployment)
    writing = {
        role
        for role, permissions in roles.items()
        if any(ONLINE_STORE in permissions.get(action, ()) for action in WRITES)
    }
    assert {role for role in writing if not ERASER.fullmatch(role)} == {MATERIALIZER, PUSHER}
    removing = {
        role
        for role, permissions in roles.items()
        for table in (ONLINE_STORE, DECISIONS)
        if any(table in permissions.get(action, ()) for action in REMOVES)
    }
    assert all(ERASER.fullmatch(role) for role in removing)


def texts_in(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, inner in value.items():
                yield name
                yield from texts_in(inner)
        case list():
            for inner in value:
                yield from texts_in(inner)


def assert_secrets_are_in_secrets_manager_only(deployment: Deployment) -> None:
    for stack, template in deployment.templates.items():
        for text in texts_in(template):
            assert not SECRET_VALUE.search(text), stack
        for output in template.get("Outputs", {}).values():
            assert "ClientSecret" not in json.dumps(output["Value"]), stack
    for path, secret in deployment.of_type(SECRET_TYPE).items():
        assert "SecretString" not in properties(secret), path
        assert properties(secret)["GenerateSecretString"]["PasswordLength"] >= 32, path
    for path, function in deployment.of_type(FUNCTION).items():
        variables = properties(function).get("Environment", {}).get("Variables", {})
        for name, value in variables.items():
            if SECRET_NAME.search(name):
                # Where a secret is, never one itself.
                assert not isinstance(value, str), f"{path} {name}"
                found = deployment.text(value, stack_of(path))
                assert found == "storage/EntityKey/Secret" or found.startswith("https://"), name


def assert_nobody_outside_is_let_in(deployment: Deployment) -> None:
    for type_ in (BUCKET_POLICY, QUEUE_POLICY, TOPIC_POLICY):
        for path, policy in deployment.of_type(type_).items():
            for statement in statements(properties(policy)["PolicyDocument"]):
                if statement["Effect"] == "Allow":
                    assert set(statement["Principal"]) == {"Service"}, path
                    assert statement["Condition"], path
    for path, permission in deployment.of_type(INVOKING).items():
        found = properties(permission)
        principal = deployment.text(found["Principal"], stack_of(path))
        assert principal.endswith(".amazonaws.com"), path
        assert found.get("SourceArn") or found.get("SourceAccount"), path
    for path, role in deployment.of_type(ROLE).items():
        for statement in statements(properties(role)["AssumeRolePolicyDocument"]):
            assert set(statement["Principal"]) == {"Service"}, path
    assert deployment.of_type("AWS::Lambda::Url") == {}


def assert_queues_and_topics_refuse_plain_http(deployment: Deployment) -> None:
    for type_, policies, named in (
        (QUEUE, QUEUE_POLICY, "Queues"),
        (TOPIC, TOPIC_POLICY, "Topics"),
    ):
        refusing = {
            target
            for path, policy in deployment.of_type(policies).items()
            for target in deployment.texts(properties(policy)[named], stack_of(path))
            for statement in statements(properties(policy)["PolicyDocument"])
            if statement["Effect"] == "Deny"
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        }
        assert refusing == set(deployment.of_type(type_))


def changing(path: str, type_: str, **changes: Any) -> Breach:
    return lambda deployment: deployment.changed(path, type_, **changes)


def editing(path: str, type_: str, name: str, edit: Callable[[Any], Any]) -> Breach:
    """Change one property by what it is."""

    def breach(deployment: Deployment) -> Deployment:
        found = json.loads(json.dumps(properties(deployment.at(path, type_))[name]))
        return deployment.changed(path, type_, **{name: edit(found)})

    return breach


def allowing(role: str, action: str, resource: Any = "*") -> Breach:
    """Give a role one permission more."""

    def widened(document: Any) -> Any:
        allowed = {"Effect": "Allow", "Action": action, "Resource": resource}
        return {**document, "Statement": [*document["Statement"], allowed]}

    return editing(f"{role}/DefaultPolicy", POLICY, "PolicyDocument", widened)


def on_table(role: str, action: str, table: str) -> Breach:
    """Give a role one more permission on a table, by what its stack knows the table as."""

    def breach(deployment: Deployment) -> Deployment:
        stack = stack_of(role)
        known = (
            resource
            for path, policy in deployment.of_type(POLICY).items()
            if stack_of(path) == stack
            for statement in statements(properties(policy)["PolicyDocument"])
            for resource in (
                statement["Resource"]
                if isinstance(statement["Resource"], list)
                else [statement["Resource"]]
            )
            if deployment.text(resource, stack) == table
        )
        return allowing(role, action, next(known))(deployment)

    return breach


def without_statement(path: str, type_: str, sid: str) -> Breach:
    def narrowed(document: Any) -> Any:
        kept = [found for found in document["Statement"] if found.get("Sid") != sid]
        assert len(kept) < len(document["Statement"])
        return {**document, "Statement": kept}

    return editing(path, type_, "PolicyDocument", narrowed)


def without_key_statement(sid: str) -> Breach:
    return editing(
        DATA_KEY,
        KEY,
        "KeyPolicy",
        lambda policy: {
            "Statement": [found for found in policy["Statement"] if found.get("Sid") != sid]
        },
    )


def with_rule(name: str, **changes: Any) -> Breach:
    def edit(rules: Any) -> Any:
        return [rule | changes if rule["Name"] == name else rule for rule in rules]

    return editing(f"{FIREWALL}/WebAcl", WEB_ACL, "Rules", edit)


def without_rule(name: str) -> Breach:
    return editing(
        f"{FIREWALL}/WebAcl",
        WEB_ACL,
        "Rules",
        lambda rules: [rule for rule in rules if rule["Name"] != name],
    )


def first_of(type_: str, breach: Callable[[str, Resource], dict[str, Any]]) -> Breach:
    """Change the first resource of a type."""

    def changed(deployment: Deployment) -> Deployment:
        path, found = next(iter(deployment.of_type(type_).items()))
        return deployment.changed(path, type_, **breach(path, found))

    return changed


def listing_everything(deployment: Deployment) -> Deployment:
    path = "archive/Archive/Archiver/Role"

    def edit(document: Any) -> Any:
        for statement in document["Statement"]:
            if statement["Action"] == "s3:ListBucket":
                del statement["Condition"]
                statement["Condition"] = {"StringLike": {"s3:prefix": "*"}}
        return document

    return editing(f"{path}/DefaultPolicy", POLICY, "PolicyDocument", edit)(deployment)


def open_to_everybody(path: str, type_: str) -> Breach:
    def edit(document: Any) -> Any:
        opened = {"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": {"AWS": "*"}}
        return {**document, "Statement": [*document["Statement"], opened]}

    return editing(path, type_, "PolicyDocument", edit)


def with_variable(path: str, name: str, value: str) -> Breach:
    def edit(environment: Any) -> Any:
        return {"Variables": environment["Variables"] | {name: value}}

    return editing(path, FUNCTION, "Environment", edit)


@dataclass(frozen=True)
class Promised:
    """What every stage keeps, and in which ways prod could break it."""

    promise: Promise
    breaches: dict[str, Breach]


SCORER_FUNCTION = "scoring/Scorer/Scorer/Function"
SCORER_LOG = "scoring/Scorer/Scorer/Logs"
MATERIALIZATION = "materialization/Features/Workflow/StateMachine"

BASELINE = (
    Promised(
        assert_a_firewall_stands_before_the_api,
        {
            "another api": changing(f"{FIREWALL}/Association", ASSOCIATION, ResourceArn="another"),
            **{f"no {name}": without_rule(name) for name in MANAGED_RULES},
            "rules that only count": with_rule(
                "AWSManagedRulesCommonRuleSet", OverrideAction={"Count": {}}
            ),
            "no limit of requests": without_rule("FloodFromOneAddress"),
            "no limit of bodies": without_rule("OversizedBody"),
            "no limit of batches": without_rule("OversizedBatch"),
            "everything blocked": changing(
                f"{FIREWALL}/WebAcl", WEB_ACL, DefaultAction={"Block": {}}
            ),
            "batches of another path": editing(
                f"{FIREWALL}/WebAcl",
                WEB_ACL,
                "Rules",
                lambda rules: json.loads(json.dumps(rules).replace(BATCHES_PATH, "s")),
            ),
            "a limit that only counts": with_rule("OversizedBody", Action={"Count": {}}),
        },
    ),
    Promised(
        assert_the_firewall_keeps_no_request,
        {
            "samples": with_rule(
                "OversizedBody", VisibilityConfig={"SampledRequestsEnabled": True}
            ),
            "what is let in": editing(
                f"{FIREWALL}/Logging",
                FIREWALL_LOG,
                "LoggingFilter",
                lambda found: json.loads(json.dumps(found).replace("BLOCK", "ALLOW")),
            ),
            "cookies": editing(
                f"{FIREWALL}/Logging",
                FIREWALL_LOG,
                "RedactedFields",
                lambda fields: [found for found in fields if "cookie" not in json.dumps(found)],
            ),
            "tokens": changing(f"{FIREWALL}/Logging", FIREWALL_LOG, RedactedFields=[]),
            "all requests": changing(
                f"{FIREWALL}/Logging", FIREWALL_LOG, LoggingFilter={"DefaultBehavior": "KEEP"}
            ),
        },
    ),
    Promised(
        assert_every_log_is_its_writers_own,
        {
            "another function's log": editing(
                SCORER_FUNCTION,
                FUNCTION,
                "LoggingConfig",
                lambda config: config | {"LogGroup": "/aws/lambda/anything"},
            ),
        },
    ),
    Promised(
        assert_logs_are_kept_for_a_time_encrypted_and_masked,
        {
            "for ever": changing(SCORER_LOG, LOGS, RetentionInDays=0),
            "in the clear": changing(SCORER_LOG, LOGS, KmsKeyId="alias/aws/logs"),
            "unmasked": editing(
                SCORER_LOG,
                LOGS,
                "DataProtectionPolicy",
                lambda policy: policy | {"Statement": policy["Statement"][:1] * 2},
            ),
            "keys of applicants": editing(
                SCORER_LOG,
                LOGS,
                "DataProtectionPolicy",
                lambda policy: policy | {"Configuration": {"CustomDataIdentifier": [{"Name": ""}]}},
            ),
        },
    ),
    Promised(
        assert_no_log_holds_a_body,
        {
            "requests": editing(
                LIVE,
                API_STAGE,
                "MethodSettings",
                lambda settings: [found | {"DataTraceEnabled": True} for found in settings],
            ),
            "events": with_variable(SCORER_FUNCTION, "POWERTOOLS_LOGGER_LOG_EVENT", "true"),
            "inputs of runs": editing(
                MATERIALIZATION,
                MACHINE,
                "LoggingConfiguration",
                lambda logging: logging | {"IncludeExecutionData": True},
            ),
        },
    ),
    Promised(
        assert_keys_rotate_and_are_for_this_account,
        {
            "data key": changing(DATA_KEY, KEY, EnableKeyRotation=False),
            "alarms' key": changing("storage/Alarms/Key", KEY, EnableKeyRotation=False),
            "another service": editing(
                DATA_KEY,
                KEY,
                "KeyPolicy",
                lambda policy: {
                    "Statement": [
                        *policy["Statement"],
                        {
                            **policy["Statement"][-1],
                            "Principal": {"Service": "ec2.amazonaws.com"},
                        },
                    ]
                },
            ),
            "everybody": editing(
                DATA_KEY,
                KEY,
                "KeyPolicy",
                lambda policy: {
                    "Statement": [
                        *policy["Statement"],
                        {"Effect": "Allow", "Action": "kms:*", "Principal": {"AWS": "*"}},
                    ]
                },
            ),
            "any service's use": editing(
                DATA_KEY,
                KEY,
                "KeyPolicy",
                lambda policy: {
                    "Statement": [found | {"Condition": {}} for found in policy["Statement"]]
                },
            ),
        },
    ),
    Promised(
        assert_the_archive_is_locked,
        {
            "no lock": changing(RECEIPTS, BUCKET, ObjectLockEnabled=False),
            "a lock with a way round": editing(
                RECEIPTS,
                BUCKET,
                "ObjectLockConfiguration",
                lambda lock: (
                    lock | {"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 805}}}
                ),
            ),
            "a short lock": editing(
                RECEIPTS,
                BUCKET,
                "ObjectLockConfiguration",
                lambda lock: (
                    lock | {"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 700}}}
                ),
            ),
            "some objects alone": editing(
                RECEIPTS,
                BUCKET,
                "LifecycleConfiguration",
                lambda lifecycle: {
                    "Rules": [rule | {"Prefix": "receipts/x"} for rule in lifecycle["Rules"]]
                },
            ),
            "old versions": editing(
                RECEIPTS,
                BUCKET,
                "LifecycleConfiguration",
                lambda lifecycle: {
                    "Rules": [
                        rule | {"NoncurrentVersionExpiration": {"NoncurrentDays": 365}}
                        if "NoncurrentVersionExpiration" in rule
                        else rule
                        for rule in lifecycle["Rules"]
                    ]
                },
            ),
        },
    ),
    Promised(
        assert_nobody_ends_the_key_of_what_is_locked,
        {"the key's end": without_key_statement("NobodyEndsTheKey")},
    ),
    Promised(
        assert_nobody_can_delete_the_archive,
        {
            "a policy that allows it": without_statement(
                f"{RECEIPTS}/Policy", BUCKET_POLICY, "NothingIsRemoved"
            ),
            **{
                action: allowing("archive/Archive/Archiver/Role", action)
                for action in (*sorted(ENDS_OBJECTS), "s3:*", "*")
            },
        },
    ),
    Promised(
        assert_what_decides_changes_nothing_that_it_decides_by,
        {
            "features": on_table(SCORER, "dynamodb:PutItem", ONLINE_STORE),
            "the pointer": on_table(SCORER, "dynamodb:UpdateItem", REGISTRY),
            "models": allowing(BATCH, "s3:PutObject"),
            "by records": on_table(RECORDS, "dynamodb:UpdateItem", REGISTRY),
        },
    ),
    Promised(
        assert_the_trainer_cannot_move_the_pointer,
        {
            "any partition": on_table(TRAINER, "dynamodb:PutItem", REGISTRY),
            "an update": on_table(TRAINER, "dynamodb:UpdateItem", REGISTRY),
            "by the promoter": allowing(TRAINER, "lambda:InvokeFunction"),
            "by a rollout": allowing(TRAINER, "states:StartExecution"),
        },
    ),
    Promised(
        assert_only_the_materialization_and_erasure_write_features,
        {
            "the scorer writes": on_table(SCORER, "dynamodb:UpdateItem", ONLINE_STORE),
            "the pusher removes": on_table(PUSHER, "dynamodb:DeleteItem", ONLINE_STORE),
            "the scorer removes decisions": on_table(SCORER, "dynamodb:DeleteItem", DECISIONS),
        },
    ),
    Promised(assert_a_listing_shows_what_is_ones_own, {"everything": listing_everything}),
    Promised(
        assert_secrets_are_in_secrets_manager_only,
        {
            "a variable": with_variable(SCORER_FUNCTION, "API_KEY", "hunter2"),
            "an access key": with_variable(SCORER_FUNCTION, "NAME", "AKIA" + "A" * 16),
            "resolved at deployment": with_variable(
                SCORER_FUNCTION, "NAME", "{{resolve:secretsmanager:key}}"
            ),
            "a literal": changing(
                "storage/EntityKey/Secret", SECRET_TYPE, SecretString="correct horse"
            ),
            "a short one": changing(
                "storage/EntityKey/Secret", SECRET_TYPE, GenerateSecretString={"PasswordLength": 8}
            ),
        },
    ),
    Promised(
        assert_nobody_outside_is_let_in,
        {
            "a bucket": open_to_everybody(f"{MODELS}/Policy", BUCKET_POLICY),
            "a queue": open_to_everybody("materialization/Push/Queue/Policy", QUEUE_POLICY),
            "a topic": open_to_everybody("storage/Alarms/Page/Policy", TOPIC_POLICY),
            "an invocation": first_of(INVOKING, lambda _path, _found: {"SourceArn": None}),
            "an account": first_of(INVOKING, lambda _path, _found: {"Principal": "*"}),
            "a role": changing(
                SCORER,
                ROLE,
                AssumeRolePolicyDocument={
                    "Statement": [{"Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]
                },
            ),
        },
    ),
    Promised(
        assert_queues_and_topics_refuse_plain_http,
        {
            "a queue": changing(
                "materialization/Push/Queue/Policy", QUEUE_POLICY, PolicyDocument={"Statement": []}
            ),
            "a topic": changing(
                "storage/Alarms/Page/Policy", TOPIC_POLICY, PolicyDocument={"Statement": []}
            ),
        },
    ),
)


@pytest.mark.parametrize("promise", [found.promise for found in BASELINE])
def test_the_baseline_holds(deployment: Deployment, promise: Promise) -> None:
    promise(deployment)


@pytest.mark.parametrize(
    ("promise", "breach"),
    [
        pytest.param(found.promise, breach, id=f"{found.promise.__name__}-{name}")
        for found in BASELINE
        for name, breach in found.breaches.items()
    ],
)
def test_a_breach_of_the_baseline_would_be_noticed(
    prod: Deployment, promise: Promise, breach: Breach
) -> None:
    mutant = breach(prod)

    with pytest.raises((AssertionError, KeyError)):
        promise(mutant)


@pytest.mark.parametrize("limit", [10, 99, 100, 1_000, 16_384, 1_638_400])
def test_a_stated_length_is_let_through_up_to_the_limit(limit: int) -> None:
    allowed = re.compile(at_most(limit))

    near = (0, 1, 9, limit // 10, limit // 2, limit - 10, limit - 1, limit)
    assert all(allowed.search(str(length)) for length in near if length >= 0)
    beyond = (limit + 1, limit + 9, limit * 2, limit * 10)
    assert not any(allowed.search(str(length)) for length in beyond)
    assert not any(allowed.search(text) for text in ("", "-1", "1e3", "12x", "0x1", " "))


def test_a_log_shows_an_applicants_key_by_what_stands_before_it() -> None:
    for name, expression in applicant_keys(load_product("personal_loan")).items():
        key = name.replace("-", "_")
        found = re.compile(expression)
        request = json.dumps({key: "A-00042", "loan_amount": 1_000})
        assert len(expression) <= LONGEST_EXPRESSION
        # Outside of brackets and braces there is nothing that CloudWatch would not take.
        assert re.fullmatch(r"[A-Za-z0-9_#=@/;, ^$?\[\]{}|\\*+.-]+", expression)
        assert found.search(request)
        assert found.search(json.dumps({"body": request}))
        assert found.search(json.dumps({"message": json.dumps({"body": request})}))
        for about_the_name in (f"{key} is missing", f'"{key}","loan_amount"', f"{key}, {key}"):
            assert not found.search(about_the_name)
