from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cdk_app import app as cdk_app
from cdk_app.components import layers
from layers.build import LayerError
from tests.infrastructure.templates import command_line_context

if TYPE_CHECKING:
    from pathlib import Path

    from layers.build import Platform


def test_missing_layers_end_the_synthesis_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_built(name: str, platform: Platform) -> Path:
        raise LayerError(f"layer {name} is not built for {platform}")

    monkeypatch.setattr(layers, "layer_archive", nothing_built)

    with pytest.raises(SystemExit, match=r"\Aerror: layer .+ is not built for host.*make layers\Z"):
        cdk_app.main(command_line_context())


def test_an_unknown_stage_is_named_with_those_that_exist() -> None:
    with pytest.raises(SystemExit, match=r"no stage 'staging'; there are local, dev, prod\Z"):
        cdk_app.main({**command_line_context(), "stage": "staging"})


def test_an_unknown_product_is_named_with_its_file() -> None:
    with pytest.raises(SystemExit, match=r"there is no file products/payday_loan\.py\Z"):
        cdk_app.main({**command_line_context(), "product": "payday_loan"})
