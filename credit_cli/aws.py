"""Clients of AWS's APIs: of the local cloud, or of the account that a shell is logged in to.

Of the local cloud the endpoint is always stated and is always this machine; credentials are the
emulator's; no profile, configuration file, proxy or variable of the caller's is looked at. So no
command can touch an AWS account unless it names one of its stages, whatever the shell that started
it is logged in to.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from credit_cli.errors import PreconditionError
from credit_cli.local_cloud import HOST, REGION
from credit_cli.target import unless_misspelt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ACCESS_KEY = SECRET_KEY = "test"  # noqa: S105 (what the emulator takes; it opens nothing)
ACCOUNT = "000000000000"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


LONGEST_FUNCTION_SECONDS = 900
"""How long a function may run. Source: AWS Lambda Developer Guide, "Lambda quotas"."""


class Aws(ABC):
    """An account as its clients see it, the local cloud's or a real one."""

    @abstractmethod
    def client(self, service: str) -> Any:
        """Return a client as boto3 makes it. The caller states its type."""

    @property
    @abstractmethod
    def place(self) -> str:
        """What a message calls it."""

    @abstractmethod
    def api_url(self, outputs: Mapping[str, str]) -> str:
        """Return the base of the decision API from the stacks' outputs; `/v1/...` follows.

        Raises:
            KeyError: An output is not there.
        """

    @abstractmethod
    def token_url(self, outputs: Mapping[str, str]) -> str:
        """Return the token endpoint of the user pool from the stacks' outputs.

        Raises:
            KeyError: An output is not there.
        """


@dataclass(frozen=True)
class LocalAws(Aws):
    """The local cloud as an AWS client sees it.

    Raises:
        PreconditionError: The endpoint is not this machine.
    """

    endpoint_url: str

    def __post_init__(self) -> None:
        require_local(self.endpoint_url)

    @property
    def place(self) -> str:
        """What a message calls it."""
        return "the local cloud"

    def api_url(self, outputs: Mapping[str, str]) -> str:
        """Return where the local cloud runs an API; the URL of the outputs is AWS's."""
        api = f"{outputs['RestApiId']}/{outputs['RestApiStage']}"
        return f"{self.endpoint_url}/restapis/{api}/_user_request_"

    def token_url(self, outputs: Mapping[str, str]) -> str:  # noqa: ARG002 (as on AWS)
        """Return the one token endpoint of the local cloud."""
        return f"{self.endpoint_url}/oauth2/token"

    def client(self, service: str) -> Any:
        """Return a client as boto3 makes it, without the cost of importing boto3.

        The caller states its type.
        """
        import botocore.session  # noqa: PLC0415 (it takes its time, and help needs none)
        from botocore.config import Config  # noqa: PLC0415 (as above)

        session = botocore.session.Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        return session.create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "max_attempts": 3},
                # None would look for proxies in the environment.
                proxies={},
                use_dualstack_endpoint=False,
                use_fips_endpoint=False,
                s3={"addressing_style": "path"},
            ),
        )


class AccountAws(Aws):
    """The AWS account that this shell is logged in to, by whichever way botocore knows.

    Variables, profiles, single sign-on and roles of the machine: all as the AWS CLI takes them.

    Args:
        stage: The stage that is deployed there.

    Raises:
        PreconditionError: No region is configured.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        import botocore.session  # noqa: PLC0415 (as above)

        self._session = botocore.session.Session()
        # botocore reads AWS_DEFAULT_REGION and profiles; Lambda and newer SDKs set AWS_REGION.
        region = os.environ.get("AWS_REGION") or self._session.get_config_variable("region")
        if not region:
            raise PreconditionError(
                f"no AWS region is configured, so {stage} can't be found",
                hint=unless_misspelt("set AWS_REGION"),
            )
        self.region = str(region)

    @cached_property
    def account(self) -> str:
        """The account's id, as AWS itself says it."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def place(self) -> str:
        """What a message calls it."""
        return f"{self.stage} in account {self.account}, {self.region}"

    def client(self, service: str) -> Any:
        """Return a client; one that calls functions waits as long as a function may run."""
        from botocore.config import Config  # noqa: PLC0415 (as above)

        calls_functions = service == "lambda"
        return self._session.create_client(
            service,
            region_name=self.region,
            config=Config(
                connect_timeout=5,
                read_timeout=LONGEST_FUNCTION_SECONDS + 10 if calls_functions else 60,
                # A function that is called again runs again.
                retries={"mode": "standard", "max_attempts": 1 if calls_functions else 5},
            ),
        )

    def api_url(self, outputs: Mapping[str, str]) -> str:
        """Return the API's URL, as API Gateway gave it."""
        return outputs["ApiUrl"].rstrip("/")

    def token_url(self, outputs: Mapping[str, str]) -> str:
        """Return the token endpoint of the user pool's domain."""
        return outputs["TokenUrl"]


def require_local(endpoint_url: str) -> None:
    """Check that an endpoint is the local cloud.

    Raises:
        PreconditionError: It is not.
    """
    parts = urlsplit(endpoint_url)
    if parts.scheme != "http" or parts.hostname != HOST:
        raise PreconditionError(f"{endpoint_url!r} is not the local cloud; nothing was done")


def cdk_environment(endpoint_url: str, *, binaries: Path, scratch: Path) -> dict[str, str]:
    """Return the environment in which the CDK CLI reaches the local cloud only.

    Args:
        endpoint_url: The local cloud.
        binaries: Folder of node and python, first on the PATH.
        scratch: Folder for its home and temporary files.

    Raises:
        PreconditionError: The endpoint is not this machine.
    """
    require_local(endpoint_url)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("AWS_", "CDK_", "PYTHON", "NODE_"))
        and name.lower() not in PROXY_VARIABLES
    }
    return kept | {
        "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "AWS_ENDPOINT_URL": endpoint_url,
        # The CLI uploads assets with a client that reads only this one.
        "AWS_ENDPOINT_URL_S3": endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_DEFAULT_ACCOUNT": ACCOUNT,
        "CDK_DEFAULT_REGION": REGION,
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "NODE_DISABLE_COMPILE_CACHE": "1",
    }
