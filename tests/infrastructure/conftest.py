from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aws_cdk import App

from cdk_app.app import add_stacks
from cdk_app.stages import STAGES
from credit_core.domain.product import load_product
from layers import build
from tests.infrastructure.templates import Deployment, command_line_context, findings_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cdk_app.stages import Stage


def synthesize(stage: Stage, folder: Path, *, product: str = "personal_loan") -> Deployment:
    app = App(
        outdir=str(folder),
        # Archives of layers are neither copied nor hashed: templates alone are looked at.
        context={**command_line_context(), "aws:cdk:disable-asset-staging": True},
    )
    add_stacks(app, stage=stage, product=load_product(product))
    app.synth()
    stage = stage.serving(product)
    prefix = f"{stage.prefix}-"
    return Deployment(
        stage=stage,
        templates={
            path.name.removeprefix(prefix).removesuffix(".template.json"): json.loads(
                path.read_text()
            )
            for path in sorted(folder.glob("*.template.json"))
        },
        findings=findings_in(folder),
    )


@pytest.fixture(scope="session")
def deployments(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Deployment]:
    """Every stage, synthesized once: starting the CDK takes longer than all that is claimed."""
    for platform in {stage.layer_platform for stage in STAGES.values()}:
        build.build(platform=platform)
    return {
        name: synthesize(stage, tmp_path_factory.mktemp(f"assembly-{name}"))
        for name, stage in STAGES.items()
    }


@pytest.fixture(params=tuple(STAGES))
def deployment(request: pytest.FixtureRequest, deployments: Mapping[str, Deployment]) -> Deployment:
    """Each stage in turn."""
    return deployments[request.param]


@pytest.fixture
def prod(deployments: Mapping[str, Deployment]) -> Deployment:
    return deployments["prod"]


@pytest.fixture
def local(deployments: Mapping[str, Deployment]) -> Deployment:
    return deployments["local"]


@pytest.fixture
def scaled(deployments: Mapping[str, Deployment]) -> list[Deployment]:
    return [found for found in deployments.values() if found.stage.scaling]
