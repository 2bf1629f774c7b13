"""How a workflow gets into an account: a token, a role, and what that one's credentials may ask."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import botocore.session

from cdk_app.components.github_roles import AUDIENCE, ISSUER
from credit_cli.aws import LocalAws
from credit_cli.local_cloud import REGION
from tests.delivery_app import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECTS = {
    "LocalRole": f"repo:{REPOSITORY}:environment:local",
    "DiffRole": f"repo:{REPOSITORY}:pull_request",
}
NOT_KNOWN_BY_TAG = "cognito-idp:DescribeUserPoolClient"
"""The emulator finds no tags of a user pool, so that the condition on them never holds there."""


def a_token(subject: str, **claims: str) -> str:
    """Return a token as GitHub's; the emulator looks at what it says, and at no signature."""
    said = {"iss": f"https://{ISSUER}", "aud": AUDIENCE, "sub": subject, **claims}
    parts = ({"alg": "RS256", "typ": "JWT"}, {key: found for key, found in said.items() if found})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
    return ".".join((*(part.decode().rstrip("=") for part in encoded), "c2lnbmF0dXJl"))


def variables(aws: LocalAws, role: str, token: str) -> dict[str, str]:
    """Return what the action that configures credentials leaves for the steps that follow.

    Raises:
        ClientError: The role does not trust the token.
    """
    sts: Any = aws.client("sts")
    found = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="workflow", WebIdentityToken=token
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ENDPOINT_URL_S3": aws.endpoint_url,
    }


@dataclass(frozen=True)
class RoleAws(LocalAws):
    """The local cloud as a role's session sees it."""

    session: Mapping[str, str]

    def client(self, service: str) -> Any:
        """Return a client with the role's credentials."""
        return botocore.session.Session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.session["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.session["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.session["AWS_SESSION_TOKEN"],
        )
