"""Clients and environments that reach the local cloud and can reach nothing else.

The endpoint is always stated and is always this machine; credentials are the emulator's; no
profile, configuration file, proxy or variable of the caller's is looked at. So no command here
can touch an AWS account, whatever the shell that started it is logged in to.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config

from credit_cli.errors import PreconditionError
from credit_cli.local_cloud import HOST, REGION

if TYPE_CHECKING:
    from pathlib import Path

ACCESS_KEY = SECRET_KEY = "test"  # noqa: S105 (what the emulator takes; it opens nothing)
ACCOUNT = "000000000000"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True)
class LocalAws:
    """The local cloud as an AWS client sees it.

    Raises:
        PreconditionError: The endpoint is not this machine.
    """

    endpoint_url: str

    def __post_init__(self) -> None:
        require_local(self.endpoint_url)

    def client(self, service: str) -> Any:
        """Return a client as boto3 makes it, without the cost of importing boto3.

        The caller states its type.
        """
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
