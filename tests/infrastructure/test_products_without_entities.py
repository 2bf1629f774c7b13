"""A product of request features alone: no key of an applicant, and no feature view."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aws_cdk import App

from cdk_app.app import add_stacks
from cdk_app.stages import STAGES
from credit_core.domain.product import load_product_file
from layers import build
from tests.infrastructure.templates import ROOT, command_line_context, findings_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_it_is_deployed_by_the_same_app_and_nothing_asks_for_no_key(
    stage: str, tmp_path: Path
) -> None:
    """DynamoDB, IAM and CloudWatch each refuse an empty list."""
    product = load_product_file(ROOT / "examples" / "german_credit.py")
    build.build(platform=STAGES[stage].layer_platform)
    app = App(
        outdir=str(tmp_path),
        context={**command_line_context(), "aws:cdk:disable-asset-staging": True},
    )

    add_stacks(app, stage=STAGES[stage], product=product)
    assembly = app.synth()

    templates = "".join(json.dumps(stack.template) for stack in assembly.stacks)
    assert findings_in(tmp_path) == ()
    assert '"dynamodb:LeadingKeys": []' not in templates
    assert '"CustomDataIdentifier": []' not in templates
    assert "AWS::DynamoDB::Table" in templates
