"""What a release holds that no later one may replace, and what a later one would do to it.

``make release-snapshot`` writes it into ``tests/infrastructure/releases``, when a release is made
and at no other time: the tests compare with what is deployed out there.
"""

from __future__ import annotations

import json
import sys
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

from cdk_app.stages import STAGES
from layers import build
from tests.infrastructure.conftest import synthesize
from tests.infrastructure.templates import ROOT, imports_of, properties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.infrastructure.templates import Deployment, Resource

RELEASES = Path(__file__).parent / "releases"
REGION = "us-east-1"

KEPT = {
    *("AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::Logs::LogGroup", "AWS::S3::Bucket"),
    *("AWS::SQS::Queue", "AWS::SecretsManager::Secret", "AWS::StepFunctions::StateMachine"),
    "AWS::Cognito::UserPool",
    # They hold nothing, and others hold their names: clients of the API and of the event bus,
    # whoever subscribed to a topic, whoever queries the lake.
    *("AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage", "AWS::Athena::WorkGroup"),
    *("AWS::Cognito::UserPoolClient", "AWS::Cognito::UserPoolDomain"),
    *("AWS::Cognito::UserPoolResourceServer", "AWS::Events::EventBus", "AWS::Glue::Database"),
    *("AWS::KMS::Alias", "AWS::SNS::Topic"),
}
"""Types whose replacement loses state, or an address that somebody outside uses."""

REFUSED: Mapping[str, tuple[str, ...]] = {
    "AWS::Cognito::UserPool": ("AliasAttributes", "UsernameAttributes", "UsernameConfiguration"),
    # Another view has another stream, whose name other stacks import.
    "AWS::DynamoDB::Table": ("StreamSpecification/StreamViewType",),
    "AWS::KMS::Key": ("KeySpec", "KeyUsage", "MultiRegion"),
    "AWS::S3::Bucket": ("ObjectLockEnabled",),
}
"""What CloudFormation's schemas call changeable and the service does not change."""

INDEXES = "GlobalSecondaryIndexes"

type Snapshot = dict[str, Any]


@cache
def fixed_properties(type_: str) -> list[str]:
    """Return the properties of a type whose change replaces it, or is refused.

    A property inside another has a slash, as in ``TableInput/Name``.

    Source: ``createOnlyProperties`` and ``conditionalCreateOnlyProperties`` of the CloudFormation
    resource schemas, as cfn-lint ships them.
    """
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, type_).schema
    stated = [
        pointer.removeprefix("/properties/")
        for name in ("createOnlyProperties", "conditionalCreateOnlyProperties")
        for pointer in schema.get(name, ())
    ]
    return sorted({*stated, *REFUSED.get(type_, ())})


def snapshot(deployment: Deployment, *, version: str) -> Snapshot:
    """Return what a release holds: its stacks, what they keep, and what they import."""
    prefix = deployment.stage.prefix
    return {
        "release": version,
        "stacks": {
            f"{prefix}-{stack}": {
                "exports": {
                    name: output["Value"]
                    for name, output in _exports(template)
                    if any(name in imports_of(other) for other in deployment.templates.values())
                },
                "kept": {
                    id_: _kept(resource)
                    for id_, resource in template["Resources"].items()
                    if resource["Type"] in KEPT
                },
            }
            for stack, template in deployment.templates.items()
        },
    }


def broken_by(before: Snapshot, after: Snapshot) -> list[str]:
    """Return what an upgrade from one to the other would replace, lose or fail at, in words."""
    found = []
    for stack, was in before["stacks"].items():
        now = after["stacks"].get(stack)
        if now is None:
            found.append(f"{stack} is gone")
            continue
        for id_, resource in was["kept"].items():
            found += [f"{stack}/{id_}: {fault}" for fault in _faults(resource, now["kept"], id_)]
        for name, value in was["exports"].items():
            # The stack that imports it is upgraded later: until then CloudFormation holds it.
            if name not in now["exports"]:
                found.append(f"{stack}: other stacks import {name}, which is gone")
            elif now["exports"][name] != value:
                found.append(f"{stack}: other stacks import {name}, which has another value")
    return found


def read(stage: str) -> Snapshot:
    """Return the last release of a stage."""
    released: Snapshot = json.loads(_file(stage).read_text())
    return released


def write(deployment: Deployment, *, version: str) -> Path:
    """Make a stage as it is now the last release."""
    file = _file(deployment.stage.name)
    document = snapshot(deployment, version=version)
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return file


def _file(stage: str) -> Path:
    return RELEASES / f"{stage}.json"


def _exports(template: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for output in template.get("Outputs", {}).values():
        if "Export" in output:
            yield output["Export"]["Name"], output


def _kept(resource: Resource) -> dict[str, Any]:
    fixed = {
        pointer: value
        for pointer in fixed_properties(resource["Type"])
        if (value := _at(properties(resource), pointer)) is not None
    }
    indexes = {
        index["IndexName"]: {name: index[name] for name in ("KeySchema", "Projection")}
        for index in properties(resource).get(INDEXES, ())
    }
    return {
        "type": resource["Type"],
        "fixed": fixed,
        **({"indexes": indexes} if indexes else {}),
        # What happens to it when it goes after all.
        "removal": [
            resource.get(policy, "Delete") for policy in ("DeletionPolicy", "UpdateReplacePolicy")
        ],
    }


def _at(found: Any, pointer: str) -> Any:
    for name in pointer.split("/"):
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found


def _faults(was: Mapping[str, Any], kept: Mapping[str, Any], id_: str) -> list[str]:
    now = kept.get(id_)
    if now is None:
        return [f"{was['type']} is gone from here"]
    if now["type"] != was["type"]:
        return [f"{was['type']} has become {now['type']}"]
    faults = [
        f"{name} is another, which replaces it"
        for name in sorted({*was["fixed"], *now["fixed"]})
        if was["fixed"].get(name) != now["fixed"].get(name)
    ]
    before, after = was.get("indexes", {}), now.get("indexes", {})
    faults += [
        f"its index {name} is another, which an index can't become"
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    changed = sorted(before.keys() ^ after.keys())
    if len(changed) > 1:
        # DynamoDB makes or removes one index in an update of a table, and CloudFormation fails.
        faults.append(f"{len(changed)} indexes change at once: {', '.join(changed)}")
    if now["removal"] != was["removal"]:
        faults.append(f"its removal is {now['removal']}, was {was['removal']}")
    return faults


def main() -> None:
    """Write the snapshot of each stage, under the version that pyproject.toml states."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, stage in STAGES.items():
        build.build(platform=stage.layer_platform)
        with tempfile.TemporaryDirectory() as folder:
            file = write(synthesize(stage, Path(folder)), version=version)
        sys.stdout.write(f"{file.relative_to(ROOT)}: {name} {version}\n")


if __name__ == "__main__":
    main()
