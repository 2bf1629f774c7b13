"""The CDK CLI's wrapper, with a made-up CLI that prints what the real one prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credit_cli.aws import LocalAws, cdk_environment
from credit_cli.checkout import Checkout
from credit_cli.deployment import CdkCli, Deployed, Deployment
from credit_cli.errors import DeploymentError, PreconditionError

if TYPE_CHECKING:
    from pathlib import Path

ENDPOINT = "http://127.0.0.1:4566"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def a_cdk(checkout: Checkout, script: str) -> CdkCli:
    checkout.cdk.parent.mkdir(parents=True)
    checkout.cdk.write_text(f"#!/bin/sh\n{script}\n")
    checkout.cdk.chmod(0o755)
    return CdkCli(checkout, ENDPOINT)


def test_a_failed_deployment_quotes_the_line_that_says_why(checkout: Checkout) -> None:
    cdk = a_cdk(
        checkout,
        "echo 'credit-local-storage: deploying... [1/5]';"
        "echo '❌  credit-local-storage failed: Table limit exceeded' >&2;"
        "echo '    at deploy (cdk.js:1)'; exit 1",
    )

    with pytest.raises(DeploymentError) as error:
        cdk.deploy(lambda _: None, product="personal_loan")

    assert error.value.message == (
        "cdk deploy failed: credit-local-storage failed: Table limit exceeded"
    )
    assert error.value.hint == "its whole output: .local/cdk.log"
    assert "at deploy (cdk.js:1)" in (checkout.local / "cdk.log").read_text()


def test_a_deployment_says_which_stacks_it_changed(checkout: Checkout) -> None:
    cdk = a_cdk(
        checkout,
        "echo '✅  credit-local-storage'; echo ' ✅  credit-local-scoring (no changes)'",
    )

    deployed = cdk.deploy(lambda _: None, product="personal_loan")

    assert deployed == Deployed(
        changed=("credit-local-storage",), unchanged=("credit-local-scoring",)
    )


def test_events_become_progress(checkout: Checkout) -> None:
    cdk = a_cdk(
        checkout,
        "echo 'credit-local-storage |  3/12 | 06:12:01 | CREATE_COMPLETE | AWS::S3::Bucket'",
    )
    told: list[str] = []

    cdk.deploy(told.append, product="personal_loan")

    assert told == ["credit-local-storage, 3 of 12 resources"]


def test_the_cdk_sees_the_local_cloud_and_no_account(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://elsewhere.example")
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    monkeypatch.setenv("NODE_OPTIONS", "--inspect")
    a_cdk(checkout, "env > seen").deploy(lambda _: None, product="personal_loan")

    seen = dict(
        line.split("=", 1) for line in (checkout.root / "seen").read_text().splitlines() if line
    )

    assert seen["AWS_ENDPOINT_URL"] == seen["AWS_ENDPOINT_URL_S3"] == ENDPOINT
    assert (seen["AWS_ACCESS_KEY_ID"], seen["AWS_SECRET_ACCESS_KEY"]) == ("test", "test")
    assert seen["AWS_CONFIG_FILE"] == seen["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
    assert seen["PATH"].startswith(f"{checkout.binaries}:")
    assert seen["HOME"].startswith(str(checkout.local))
    unwanted = {
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "https_proxy",
        "NODE_OPTIONS",
    }
    assert not unwanted & set(seen)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://dynamodb.us-east-1.amazonaws.com",
        "http://10.0.0.7:4566",
        "https://127.0.0.1:4566",
        "http://127.0.0.1.example.com",
        "",
    ],
)
def test_no_endpoint_but_this_machine_is_ever_used(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="is not the local cloud; nothing was done"):
        LocalAws(endpoint)
    with pytest.raises(PreconditionError):
        cdk_environment(endpoint, binaries=tmp_path, scratch=tmp_path)


def test_clients_ignore_the_callers_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://s3.example")

    client = LocalAws(ENDPOINT).client("s3")

    assert client.meta.endpoint_url == ENDPOINT
    assert client.meta.region_name == "us-east-1"
    assert client._request_signer._credentials.access_key == "test"


def test_the_status_shows_the_names_that_the_stacks_put_out() -> None:
    deployment = Deployment(
        LocalAws(ENDPOINT), {"RestApiId": "abc", "RestApiStage": "v", "LakeBucket": "lake"}
    )

    resources = deployment.resources()

    assert resources["api_url"] == f"{ENDPOINT}/restapis/abc/v/_user_request_"
    assert resources["lake_bucket"] == "lake"
    assert resources["decisions_table"] is None


def test_an_output_that_is_not_there_leads_to_a_deployment() -> None:
    with pytest.raises(DeploymentError, match="the output LakeBucket") as error:
        Deployment(LocalAws(ENDPOINT), {})["LakeBucket"]

    assert error.value.hint == "run: credit local up"
