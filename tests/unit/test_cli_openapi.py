"""`credit api openapi`: the document, printed or written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from credit_cli.errors import ExitCode
from credit_cli.main import run
from credit_cli.openapi import document_of
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_document_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["api", "openapi"]) == ExitCode.OK

    assert json.loads(capsys.readouterr().out) == document_of(PRODUCT)


def test_the_document_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "document.json"

    assert run(["api", "openapi", "--product", "credit_card", "--out", str(out)]) == ExitCode.OK

    assert json.loads(out.read_bytes())["info"]["title"] == "Credit decisions: credit card"


def test_a_place_that_cannot_be_written_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["api", "openapi", "--out", str(tmp_path / "no" / "document.json")])

    assert code == ExitCode.USAGE
    assert "can't be written" in capsys.readouterr().err


def test_an_unknown_product_is_refused() -> None:
    assert run(["api", "openapi", "--product", "boat_loan"]) == ExitCode.USAGE
