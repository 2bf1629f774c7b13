from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, NoReturn

import pytest

from credit_cli import lake
from credit_cli.aws import LocalAws
from credit_core.domain.product import load_product

if TYPE_CHECKING:
    from pathlib import Path


def load_while(error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    monkeypatch.setattr(lake, "write_sample", fail)
    lake.load_sample(
        LocalAws("http://127.0.0.1:9"),
        "lake",
        load_product("personal_loan"),
        last_day=date(2026, 11, 21),
        scratch=folder,
    )


def test_an_interrupted_query_is_an_interrupted_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_while(RuntimeError("Query interrupted"), tmp_path, monkeypatch)


def test_another_fault_of_the_query_stays_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        load_while(RuntimeError("out of memory"), tmp_path, monkeypatch)
