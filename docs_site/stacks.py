"""The stacks of `prod` as the CDK synthesizes them, for the pages that tell what is deployed."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdk_app.stages import STAGES
from layers import build
from layers.build import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator

STAGE = "prod"
PRODUCT = "personal_loan"
ROOT = Path(__file__).resolve().parents[1]

type Resource = dict[str, Any]


@dataclass(frozen=True)
class Stacks:
    """Templates by the name of their stack, as in ``credit-prod-personal-loan-storage``."""

    prefix: str
    templates: dict[str, dict[str, Any]]

    def of_type(self, *types: str) -> Iterator[tuple[str, str, Resource]]:
        """Yield stack, path and properties of each resource of these types, by path."""
        found = [
            (stack, self._path(resource), resource.get("Properties", {}))
            for stack, template in self.templates.items()
            for resource in template["Resources"].values()
            if resource["Type"] in types
        ]
        yield from sorted(found, key=lambda each: each[1])

    def text(self, stack: str, value: Any) -> str:
        """Return a value of a template, with the path of a resource where one is referred to."""
        if isinstance(value, str):
            return value
        ((function, given),) = value.items()
        if function == "Fn::Join":
            return str(given[0]).join(self.text(stack, part) for part in given[1])
        if function == "Fn::ImportValue":
            return self._exported(given)
        if function == "Ref" and str(given).startswith("AWS::"):
            return f"<{given.removeprefix('AWS::')}>"
        if function == "Fn::Select":
            place, parts = given
            (separator, whole) = parts["Fn::Split"]
            return f"{self.text(stack, whole)}[{place} by {separator}]"
        name = given if function == "Ref" else given[0]
        return self._path(self.templates[stack]["Resources"][name])

    def texts(self, stack: str, value: Any) -> list[str]:
        """Return a value, or each of a list of values, as text."""
        return [self.text(stack, item) for item in (value if isinstance(value, list) else [value])]

    def _path(self, resource: Resource) -> str:
        path = str(resource["Metadata"]["aws:cdk:path"])
        return path.removeprefix(f"{self.prefix}-").removesuffix("/Resource")

    def _exported(self, name: str) -> str:
        for stack, template in self.templates.items():
            for output in template.get("Outputs", {}).values():
                if output.get("Export", {}).get("Name") == name:
                    return self.text(stack, output["Value"])
        raise KeyError(name)


@cache
def synthesized() -> Stacks:
    """Synthesize the stage, without account and network.

    The layers are this machine's, which `make demo` has built: no page shows what is in them.
    """
    from aws_cdk import App  # noqa: PLC0415 (it starts node)

    from cdk_app.app import add_stacks  # noqa: PLC0415 (as above)
    from credit_core.domain.product import load_product  # noqa: PLC0415 (with them)

    build.build(platform=Platform.HOST)
    stage = replace(STAGES[STAGE], layer_platform=Platform.HOST)
    given = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    context = given | {
        "aws:cdk:enable-path-metadata": True,
        "aws:cdk:disable-asset-staging": True,
    }
    with tempfile.TemporaryDirectory() as folder:
        app = App(outdir=folder, context=context)
        add_stacks(app, stage=stage, product=load_product(PRODUCT))
        app.synth()
        prefix = stage.serving(PRODUCT).prefix
        templates = {
            path.name.removesuffix(".template.json"): json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(Path(folder).glob(f"{prefix}-*.template.json"))
        }
    return Stacks(prefix, templates)
