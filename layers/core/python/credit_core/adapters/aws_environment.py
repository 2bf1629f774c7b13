"""Region, endpoints and credentials as the environment states them, in Lambda all of it.

What it does not state, botocore finds (profiles, roles, unusual partitions); it takes a quarter of
a second to load, and is loaded only then.
"""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from credit_core.adapters.signature import Credentials
from credit_core.errors import ConfigurationError

if TYPE_CHECKING:
    from botocore.credentials import Credentials as FoundCredentials
    from botocore.session import Session

ORDINARY_REGION = re.compile(r"(af|ap|ca|cn|eu|il|me|mx|sa|us|us-gov)-[a-z]+-\d")
"""Regions of the partitions aws, aws-cn and aws-us-gov, where hosts have the one known form."""

OTHER_ENDPOINTS = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")


def region() -> str:
    """Return the region of this function or shell.

    Raises:
        ConfigurationError: None is configured.
    """
    # Lambda sets both; botocore knows the first only.
    name = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    found = name or _session().get_config_variable("region")
    if not found:
        raise ConfigurationError("no AWS region is configured; set AWS_DEFAULT_REGION")
    return str(found)


def endpoint(service: str) -> str:
    """Return the URL, without a path, under which a service answers in this region."""
    stated = stated_endpoint(service)
    if stated:
        return stated
    here = region()
    if ORDINARY_REGION.fullmatch(here) and not any(map(os.environ.get, OTHER_ENDPOINTS)):
        return f"https://{service}.{here}.amazonaws.com{'.cn' if here.startswith('cn-') else ''}"
    return str(_session().create_client(service, region_name=here).meta.endpoint_url)


def stated_endpoint(service: str) -> str | None:
    """Return the URL that the environment names instead of AWS's own: a local cloud's."""
    named = os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
    return (named or os.environ.get("AWS_ENDPOINT_URL") or "").rstrip("/") or None


def credentials() -> Credentials:
    """Return the credentials of this moment; those that botocore finds are renewed as it does.

    Raises:
        ConfigurationError: There are none.
    """
    access_key = os.environ.get("AWS_ACCESS_KEY_ID")
    secret_key = os.environ.get("AWS_SECRET_ACCESS_KEY")
    if access_key and secret_key:
        return Credentials(access_key, secret_key, os.environ.get("AWS_SESSION_TOKEN") or None)
    found = _found_credentials()
    if found is None:
        raise ConfigurationError("there are no AWS credentials, in the environment or elsewhere")
    frozen = found.get_frozen_credentials()
    return Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)


@cache
def _session() -> Session:
    from botocore.session import get_session  # noqa: PLC0415 (loaded only when it is needed)

    session: Any = get_session()
    return session  # type: ignore[no-any-return]


@cache
def _found_credentials() -> FoundCredentials | None:
    return _session().get_credentials()
