"""An upgrade from the last release replaces nothing that holds state, nor what others hold."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.release import (
    KEPT,
    broken_by,
    fixed_properties,
    read,
    snapshot,
)
from tests.infrastructure.templates import STATEFUL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.infrastructure.release import Snapshot
    from tests.infrastructure.templates import Deployment

STORAGE, SCORING = "credit-prod-personal-loan-storage", "credit-prod-personal-loan-scoring"

type Change = Callable[[Snapshot], None]


def of(deployment: Deployment) -> Snapshot:
    return snapshot(deployment, version="next")


def the_one(release: Snapshot, stack: str, type_: str, name: str) -> tuple[str, dict[str, Any]]:
    """Return the one kept resource of a type whose logical id begins so."""
    ((id_, found),) = (
        (id_, found)
        for id_, found in release["stacks"][stack]["kept"].items()
        if found["type"] == type_ and id_.startswith(name)
    )
    return id_, found


def decisions(release: Snapshot) -> dict[str, Any]:
    return the_one(release, STORAGE, "AWS::DynamoDB::Table", "TablesDecisions")[1]


def test_an_upgrade_from_the_last_release_replaces_nothing(deployment: Deployment) -> None:
    assert broken_by(read(deployment.stage.name), of(deployment)) == []


def test_a_release_says_what_it_was(deployment: Deployment) -> None:
    released = read(deployment.stage.name)

    assert re.fullmatch(r"\d+\.\d+\.\d+", released["release"])
    assert {found["type"] for stack in released["stacks"].values() for found in kept(stack)} <= KEPT


def kept(stack: dict[str, Any]) -> list[dict[str, Any]]:
    return list(stack["kept"].values())


def test_all_that_holds_state_is_in_a_release(deployment: Deployment) -> None:
    release = of(deployment)

    for type_ in STATEFUL:
        expected = len(deployment.of_type(type_))
        found = sum(
            resource["type"] == type_
            for stack in release["stacks"].values()
            for resource in kept(stack)
        )
        assert found == expected > 0


def lose_a_table(release: Snapshot) -> None:
    id_, _ = the_one(release, STORAGE, "AWS::DynamoDB::Table", "TablesDecisions")
    del release["stacks"][STORAGE]["kept"][id_]


def move_a_table(release: Snapshot) -> None:
    id_, table = the_one(release, STORAGE, "AWS::DynamoDB::Table", "TablesDecisions")
    del release["stacks"][STORAGE]["kept"][id_]
    release["stacks"][SCORING]["kept"][id_] = table


def rename_a_stack(release: Snapshot) -> None:
    release["stacks"]["credit-prod-loans-storage"] = release["stacks"].pop(STORAGE)


def rename_a_table(release: Snapshot) -> None:
    decisions(release)["fixed"]["TableName"] = "decisions"


def change_a_key(release: Snapshot) -> None:
    (partition, _sort) = decisions(release)["fixed"]["KeySchema"]
    partition["AttributeName"] = "customer_id"


def change_a_stream(release: Snapshot) -> None:
    decisions(release)["fixed"]["StreamSpecification/StreamViewType"] = "NEW_AND_OLD_IMAGES"


def change_an_index(release: Snapshot) -> None:
    decisions(release)["indexes"]["by-applicant"]["Projection"] = {"ProjectionType": "ALL"}


def make_two_indexes(release: Snapshot) -> None:
    indexes = decisions(release)["indexes"]
    decisions(release)["indexes"] = {"one": {}, "other": {}} | indexes


def replace_an_index(release: Snapshot) -> None:
    indexes = decisions(release)["indexes"]
    indexes["by-person"] = indexes.pop("by-applicant")


def change_the_signing_key(release: Snapshot) -> None:
    _, key = the_one(release, STORAGE, "AWS::KMS::Key", "ModelsKey")
    key["fixed"]["KeySpec"] = "RSA_2048"


def name_a_bucket(release: Snapshot) -> None:
    _, bucket = the_one(release, STORAGE, "AWS::S3::Bucket", "BucketsReceipts")
    bucket["fixed"]["BucketName"] = "receipts"


def rename_the_domain(release: Snapshot) -> None:
    _, domain = the_one(release, SCORING, "AWS::Cognito::UserPoolDomain", "Access")
    domain["fixed"]["Domain"] = "another"


def make_it_another_type(release: Snapshot) -> None:
    decisions(release)["type"] = "AWS::DynamoDB::GlobalTable"


def let_it_be_deleted(release: Snapshot) -> None:
    decisions(release)["removal"] = ["Delete", "Delete"]


def drop_an_export(release: Snapshot) -> None:
    release["stacks"][STORAGE]["exports"].popitem()


def change_an_export(release: Snapshot) -> None:
    exports = release["stacks"][STORAGE]["exports"]
    exports[next(iter(exports))] = {"Ref": "Another"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lose_a_table, r"storage/TablesDecisions\w+: AWS::DynamoDB::Table is gone from here"),
        (move_a_table, r"storage/TablesDecisions\w+: AWS::DynamoDB::Table is gone from here"),
        (rename_a_stack, r"credit-prod-personal-loan-storage is gone"),
        (rename_a_table, r"TablesDecisions\w+: TableName is another, which replaces it"),
        (change_a_key, r"TablesDecisions\w+: KeySchema is another, which replaces it"),
        (change_a_stream, r"StreamSpecification/StreamViewType is another, which replaces it"),
        (change_an_index, r"TablesDecisions\w+: its index by-applicant is another"),
        (make_two_indexes, r"TablesDecisions\w+: 2 indexes change at once: one, other"),
        (replace_an_index, r"2 indexes change at once: by-applicant, by-person"),
        (change_the_signing_key, r"ModelsKey\w+: KeySpec is another, which replaces it"),
        (name_a_bucket, r"BucketsReceipts\w+: BucketName is another, which replaces it"),
        (rename_the_domain, r"Domain is another, which replaces it"),
        (make_it_another_type, r"AWS::DynamoDB::Table has become AWS::DynamoDB::GlobalTable"),
        (let_it_be_deleted, r"its removal is \['Delete', 'Delete'\], was \['Retain', 'Retain'\]"),
        (drop_an_export, r"other stacks import .+, which is gone"),
        (change_an_export, r"other stacks import .+, which has another value"),
    ],
)
def test_what_an_upgrade_would_break_is_said(prod: Deployment, change: Change, said: str) -> None:
    release = of(prod)
    upgrade = copy.deepcopy(release)
    change(upgrade)

    (found,) = broken_by(release, upgrade)

    assert re.search(said, found)


def test_a_template_with_another_key_schema_would_be_noticed(prod: Deployment) -> None:
    """From the template on, as an upgrade is made."""
    other = [{"AttributeName": "id", "KeyType": "HASH"}]
    mutant = prod.changed("storage/Tables/Decisions", "AWS::DynamoDB::Table", KeySchema=other)

    (found,) = broken_by(of(prod), of(mutant))

    assert found.endswith("KeySchema is another, which replaces it")


def test_what_is_new_in_an_upgrade_breaks_nothing(prod: Deployment) -> None:
    release = of(prod)
    before = copy.deepcopy(release)
    del decisions(before)["indexes"]["by-applicant"]
    drop_an_export(before)
    id_, _ = the_one(before, STORAGE, "AWS::DynamoDB::Table", "TablesOnlineStore")
    del before["stacks"][STORAGE]["kept"][id_]

    assert broken_by(before, release) == []


@pytest.mark.parametrize(
    ("type_", "properties"),
    [
        (
            "AWS::DynamoDB::Table",
            [
                *("ImportSourceSpecification", "KeySchema"),
                *("StreamSpecification/StreamViewType", "TableName"),
            ],
        ),
        ("AWS::Logs::LogGroup", ["LogGroupName"]),
        ("AWS::KMS::Key", ["KeySpec", "KeyUsage", "MultiRegion"]),
    ],
)
def test_what_replaces_a_resource_is_known_from_cloudformations_schemas(
    type_: str, properties: list[str]
) -> None:
    assert fixed_properties(type_) == properties
