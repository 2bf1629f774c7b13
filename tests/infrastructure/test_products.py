"""A product is one file: with it alone the app makes every stack, and of no other product."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from aws_cdk import App

from cdk_app.app import add_stacks
from cdk_app.stages import STAGES
from credit_core.domain.lake_tables import lake_tables
from credit_core.domain.product import load_product, product_names
from layers import build
from tests.infrastructure.templates import command_line_context, findings_in

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = STAGES["local"]
NAMES = re.compile(r'"(?:\w*Name|Domain|WorkGroup)": "(?:alias/)?(credit[-_]local[^"]*)"')


@pytest.mark.parametrize("name", product_names())
def test_every_product_is_deployed_by_the_same_app(name: str, tmp_path: Path) -> None:
    product = load_product(name)
    build.build(platform=LOCAL.layer_platform)
    app = App(
        outdir=str(tmp_path),
        context={**command_line_context(), "aws:cdk:disable-asset-staging": True},
    )

    add_stacks(app, stage=LOCAL, product=product)
    assembly = app.synth()

    templates = "".join(json.dumps(stack.template) for stack in assembly.stacks)
    assert [other for other in product_names() if f"{other}/" in templates] == [name]
    assert all(f'"{table.name}"' in templates for table in lake_tables(product))
    assert findings_in(tmp_path) == ()
    # Two products lie beside each other in a stage: neither takes the other's names.
    prefix = LOCAL.serving(name).prefix
    named = [*(stack.stack_name for stack in assembly.stacks), *NAMES.findall(templates)]
    assert len(named) > len(assembly.stacks)
    assert [other for other in named if not other.replace("_", "-").startswith(prefix)] == []
