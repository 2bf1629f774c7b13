"""The functions behind a small gateway, attacked by schemathesis with their own document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.domain.openapi import SCOPES
from tests.document_attack import findings
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.gateway import Gateway, served
from tests.handlers import started
from tests.integration.test_scorer_handler import Deployment, a_model_on_the_amount

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import LocalCloud

SCORERS = ("scorer", "batch")


@pytest.fixture
def gateway(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """The API's functions, with features of one applicant and a model."""
    deployment = Deployment(local_cloud_bare)
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    entity_key_secret.cache_clear()
    functions = {}
    for name in (*SCORERS, "records"):
        for variable, value in (EXAMPLE_ENVIRONMENTS[name] | deployment.environment).items():
            monkeypatch.setenv(variable, value)
        functions[name] = started(name)
    yield Gateway({name: function.handler for name, function in functions.items()})
    for name in SCORERS:
        functions[name].scorer.cache_clear()
    entity_key_secret.cache_clear()


def test_schemathesis_finds_nothing(gateway: Gateway, tmp_path: Path) -> None:
    with served(gateway) as url:
        code, output = findings(
            url, {scope: f"decisions/{scope}" for scope in SCOPES}, tmp_path, examples=10
        )

    assert code == 0, output
    assert gateway.calls > 200
