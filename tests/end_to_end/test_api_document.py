"""The API as deployed, attacked with the document that it serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from openapi_spec_validator import validate

from credit_cli.api import ClientKind, fetch_token, send
from tests.document_attack import findings

if TYPE_CHECKING:
    from pathlib import Path

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Caller

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def started(callers: dict[str, Caller]) -> None:
    """Every function behind the API answers: one that starts may take too long for a client."""
    for path in ("/v1/decisions", "/v1/decision-batches"):
        assert callers["application"]("POST", path, {}).status == 400
    assert callers["desk"]("GET", "/v1/health").status == 200
    assert callers["desk"]("GET", "/v1/model").status == 200


@pytest.mark.usefixtures("started")
def test_schemathesis_finds_nothing(aws: LocalAws, deployment: Deployment, tmp_path: Path) -> None:
    """Every operation, each with a token of a kind of client that may call it."""
    tokens = {
        scope.rpartition("/")[2]: token.access_token
        for token in (fetch_token(aws, deployment, kind) for kind in ClientKind)
        for scope in token.scope.split()
    }

    code, output = findings(deployment.api_url, tokens, tmp_path, examples=5)

    assert code == 0, output


def test_document_and_page_need_no_token(deployment: Deployment) -> None:
    served = send("GET", f"{deployment.api_url}/v1/openapi.json", {})
    page = send("GET", f"{deployment.api_url}/v1/docs", {})

    document = json.loads(served.body)
    validate(document)
    assert page.ok
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in document["paths"]:
        assert path in page.body.decode()
