"""Synthesized templates, read by the names that the CDK app gives and never by hashed ids."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cdk_app.stages import Stage

ROOT = Path(__file__).resolve().parents[2]

type Template = dict[str, Any]
type Resource = dict[str, Any]

STATEFUL = (
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
    "AWS::S3::Bucket",
    "AWS::SecretsManager::Secret",
    "AWS::Cognito::UserPool",
)


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The six templates of one stage by short name (``storage``), and what the checks found."""

    stage: Stage
    templates: Mapping[str, Template]
    findings: tuple[str, ...] = ()

    def of_type(self, type_: str) -> dict[str, Resource]:
        """Return the resources of a type by path, as in ``storage/Tables/Decisions``."""
        return {path: found for path, found in self._resources() if found["Type"] == type_}

    def at(self, path: str, type_: str) -> Resource:
        """Return the one resource of that type at a path."""
        return self.of_type(type_)[path]

    def text(self, value: Any, stack: str) -> str:
        """Return a template's value with references replaced by the path of what they name."""
        match value:
            case str():
                return value
            case {"Ref": str(name)} if name.startswith("AWS::"):
                return f"<{name.removeprefix('AWS::')}>"
            case {"Ref": str(id_)} | {"Fn::GetAtt": [str(id_), _]}:
                return self._path(stack, id_)
            case {"Fn::ImportValue": str(name)}:
                owner, output = self._exports()[name]
                return self.text(output["Value"], owner)
            case {"Fn::Join": [str(glue), [*parts]]}:
                return glue.join(self.text(part, stack) for part in parts)
            case {"Fn::Select": [int(index), {"Fn::Split": [str(separator), split]}]}:
                parts = self.text(split, stack).split(separator)
                # Of a value that AWS fills in there is nothing to split yet.
                return parts[index] if len(parts) > index else f"{parts[-1]}[{index}]"
        raise AssertionError(f"cannot read {value}")

    def texts(self, value: Any, stack: str) -> list[str]:
        """Return a value, or each of a list of values, as text."""
        return [self.text(item, stack) for item in (value if isinstance(value, list) else [value])]

    def changed(self, path: str, type_: str, **properties: Any) -> Deployment:
        """Return a copy in which one resource has other properties; None removes one."""
        mutant = replace(self, templates=copy.deepcopy(dict(self.templates)))
        found = mutant.at(path, type_).setdefault("Properties", {})
        for name, value in properties.items():
            if value is None:
                found.pop(name)
            else:
                found[name] = value
        return mutant

    def _resources(self) -> Iterator[tuple[str, Resource]]:
        for stack, template in self.templates.items():
            for id_, found in template["Resources"].items():
                yield self._path(stack, id_), found

    def _path(self, stack: str, id_: str) -> str:
        path = str(self.templates[stack]["Resources"][id_]["Metadata"]["aws:cdk:path"])
        return path.removeprefix(f"{self.stage.prefix}-").removesuffix("/Resource")

    def _exports(self) -> dict[str, tuple[str, dict[str, Any]]]:
        return {
            output["Export"]["Name"]: (stack, output)
            for stack, template in self.templates.items()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }


def command_line_context() -> dict[str, Any]:
    """Return what the CDK's command line would hand to the app."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    # The readable path of each resource.
    return {**context, "aws:cdk:enable-path-metadata": True}


def findings_in(folder: Path) -> tuple[str, ...]:
    """Return what the checks found in an assembly, a line each."""
    report = json.loads((folder / "validation-report.json").read_text())
    return tuple(
        f"{violation['ruleName']}: {violation['description']}"
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
    )


def imports_of(value: Any) -> set[str]:
    """Return the exports of other stacks that a template, or a part of one, imports."""
    match value:
        case {"Fn::ImportValue": str(name)}:
            return {name}
        case dict():
            return {name for part in value.values() for name in imports_of(part)}
        case list():
            return {name for part in value for name in imports_of(part)}
    return set()


def stack_of(path: str) -> str:
    """Return the short name of the stack that a path lies in."""
    return path.split("/", 1)[0]


def properties(resource: Resource) -> dict[str, Any]:
    """Return a resource's properties."""
    return dict(resource.get("Properties", {}))


def statements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a policy's statements, with actions as a list."""
    for statement in document["Statement"]:
        actions = statement["Action"]
        yield {**statement, "Action": [actions] if isinstance(actions, str) else actions}
