"""A function that is called while others take all that Lambda lets in."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from credit_cli import invocation
from credit_cli.aws import LocalAws
from credit_cli.deployment import Deployment
from credit_cli.errors import CliError


@dataclass
class Functions:
    """Lambda, which turns the first calls away."""

    turned_away: int
    code: str = "TooManyRequestsException"
    calls: int = 0

    def invoke(self, **_: object) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.turned_away:
            raise ClientError({"Error": {"Code": self.code, "Message": "no"}}, "Invoke")
        return {"Payload": io.BytesIO(b'{"revision": 3}')}


@dataclass(frozen=True)
class Aws(LocalAws):
    functions: Functions

    def client(self, service: str) -> Functions:
        assert service == "lambda"
        return self.functions


def asked(functions: Functions) -> dict[str, Any]:
    aws = Aws("http://127.0.0.1:9", functions)
    deployment = Deployment(aws, {"PromoterFunction": "promoter"})
    return invocation.invoked(aws, deployment, "PromoterFunction", {}, called="promoter")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation, "AGAIN_SECONDS", 0.001)


def test_a_model_is_taken_back_although_applicants_take_all_concurrency() -> None:
    functions = Functions(turned_away=20)

    assert asked(functions) == {"revision": 3}
    assert functions.calls == 21


def test_where_nobody_is_let_in_it_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invocation, "CROWDED_SECONDS", 0.01)

    with pytest.raises(CliError, match="no concurrency was left for the promoter"):
        asked(Functions(turned_away=10_000))


def test_another_refusal_is_not_tried_again() -> None:
    functions = Functions(turned_away=1, code="AccessDeniedException")

    with pytest.raises(ClientError):
        asked(functions)
    assert functions.calls == 1
