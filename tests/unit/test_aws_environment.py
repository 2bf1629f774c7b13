"""Region, endpoints and credentials: ours where the environment states them, else botocore's."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider

from credit_core.adapters import aws_environment
from credit_core.adapters.aws_calls import Bucket
from credit_core.errors import ConfigurationError

REGIONS = sorted(
    {
        region
        for session in [botocore.session.get_session()]
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("dynamodb", partition)
    }
)
SERVICES = ("dynamodb", "secretsmanager", "s3")


@cache
def rules_of(service: str) -> EndpointProvider:
    """Return botocore's rules for a service's endpoints; a client of each region takes minutes."""
    loader = botocore.session.get_session().get_component("data_loader")
    return EndpointProvider(
        loader.load_service_model(service, "endpoint-rule-set-1"), loader.load_data("partitions")
    )


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    aws_environment._session.cache_clear()
    aws_environment._found_credentials.cache_clear()


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_the_endpoints_that_botocore_knows(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for S3 in us-east-1, which botocore still calls by its global name."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)

    for service in SERVICES:
        known = rules_of(service).resolve_endpoint(Region=region).url
        if known == "https://s3.amazonaws.com":
            known = "https://s3.us-east-1.amazonaws.com"
        assert aws_environment.endpoint(service) == known


def test_some_regions_are_known_without_botocore_and_some_only_with_it() -> None:
    ordinary = {name for name in REGIONS if aws_environment.ORDINARY_REGION.fullmatch(name)}

    assert {"us-east-1", "eu-central-2", "us-gov-west-1", "cn-north-1"} <= ordinary
    assert {name for name in REGIONS if name.startswith(("us-iso", "eu-iso"))}.isdisjoint(ordinary)


@pytest.mark.parametrize("variable", aws_environment.OTHER_ENDPOINTS)
def test_fips_and_dual_stack_endpoints_are_botocores(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv(variable, "true")

    known = botocore.session.get_session().create_client("dynamodb").meta.endpoint_url

    assert aws_environment.endpoint("dynamodb") == known
    assert known != "https://dynamodb.us-east-1.amazonaws.com"


def test_an_endpoint_of_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566/")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:4567")

    assert aws_environment.endpoint("dynamodb") == "http://127.0.0.1:4566"
    assert aws_environment.endpoint("s3") == "http://127.0.0.1:4567"


@pytest.mark.parametrize(
    ("variables", "host", "prefix"),
    [
        ({}, "models.s3.eu-central-1.amazonaws.com", "/"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "127.0.0.1:4566", "/models/"),
    ],
)
def test_a_bucket_is_part_of_the_host_at_aws_and_of_the_path_elsewhere(
    variables: dict[str, str], host: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    bucket = Bucket("models")

    assert (bucket._origin.host_header, bucket._prefix) == (host, prefix)


def test_credentials_are_those_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    for secret, token in (("first", "token"), ("second", None)):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
        if token:
            monkeypatch.setenv("AWS_SESSION_TOKEN", token)

        assert aws_environment.credentials() == ("key", secret, token)


def test_credentials_of_a_profile_are_found_by_botocore(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("aws") / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = profile-key\naws_secret_access_key = profile-secret\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    assert aws_environment.credentials() == ("profile-key", "profile-secret", None)


def test_without_region_or_credentials_the_deployment_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        aws_environment.region()
    with pytest.raises(ConfigurationError, match="credentials"):
        aws_environment.credentials()


def test_botocore_stays_unloaded_where_the_environment_says_all() -> None:
    program = (
        "import sys\n"
        "from credit_core.adapters import aws_environment\n"
        "from credit_core.adapters.aws_calls import Bucket\n"
        "Bucket('models'), aws_environment.endpoint('dynamodb'), aws_environment.credentials()\n"
        "print('botocore' in sys.modules)"
    )
    environment = {
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }

    found = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )

    assert found.stdout == "False\n"
