"""The signer against AWS's published examples and, on thousands of requests, botocore's."""

from __future__ import annotations

import hashlib
import random
import string
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from credit_core.adapters.signature import Credentials, Signer

if TYPE_CHECKING:
    from collections.abc import Sequence

EXAMPLE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
S3_EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)
SUITE_AT, S3_AT = "20150830T123600Z", "20130524T000000Z"
SUITE_HOST, S3_HOST = "example.amazonaws.com", "examplebucket.s3.amazonaws.com"
EMPTY = hashlib.sha256(b"").hexdigest()
RANDOM_REQUESTS = 2_000


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def signed_by_botocore(
    credentials: Credentials,
    *,
    service: str,
    region: str,
    at: str,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
) -> str:
    """Return the authorization header that botocore makes at that instant."""
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    moment = datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    with pytest.MonkeyPatch.context() as clock:
        clock.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
        kind(BotocoreCredentials(*credentials), service, region).add_auth(request)
    return str(request.headers["Authorization"])


# --- AWS's published examples --------------------------------------------------------------
# From the Signature Version 4 test suite (its names), the IAM User Guide ("iam list-users"), and
# the Amazon S3 API Reference, "Examples: Signature Calculations" ("s3 ...").

FORM = ("content-type", "application/x-www-form-urlencoded")
IAM_FORM = ("content-type", "application/x-www-form-urlencoded; charset=utf-8")
PUBLISHED: dict[str, tuple[dict[str, Any], str]] = {
    "get-vanilla": (
        {},
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        {"query": "Param1=value1&Param2=value2"},
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-unreserved": (
        {"path": "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"},
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-utf8": (
        {"path": "/%E1%88%B4"},
        "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
    ),
    "get-header-value-trim": (
        {"more": [("my-header1", "value1"), ("my-header2", '"a b c"')]},
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": (
        {"method": "POST"},
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-header-key-sort": (
        {"method": "POST", "more": [("my-header1", "value1")]},
        "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-x-www-form-urlencoded": (
        {"method": "POST", "more": [FORM], "body": b"Param1=value1"},
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "iam list-users": (
        {
            "service": "iam",
            "host": "iam.amazonaws.com",
            "query": "Action=ListUsers&Version=2010-05-08",
            "more": [IAM_FORM],
        },
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
    "s3 get object": (
        {
            "service": "s3",
            "host": S3_HOST,
            "path": "/test.txt",
            "more": [("range", "bytes=0-9"), ("x-amz-content-sha256", EMPTY)],
        },
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "s3 list objects": (
        {
            "service": "s3",
            "host": S3_HOST,
            "query": "max-keys=2&prefix=J",
            "more": [("x-amz-content-sha256", EMPTY)],
        },
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_example_has_its_published_signature(name: str) -> None:
    """And the one that botocore makes, so that a figure copied wrongly is noticed."""
    request, expected = PUBLISHED[name]
    service = request.get("service", "service")
    at, credentials = (S3_AT, S3_EXAMPLE) if service == "s3" else (SUITE_AT, EXAMPLE)
    host, path = request.get("host", SUITE_HOST), request.get("path", "/")
    method, query = request.get("method", "GET"), request.get("query", "")
    body, more = request.get("body", b""), request.get("more", [])
    headers = sorted([("host", host), ("x-amz-date", at), *more])

    authorization = Signer(service, "us-east-1").authorization(
        credentials,
        at=at,
        method=method,
        path=path,
        headers=headers,
        payload_sha256=sha256(body),
        query=query,
    )

    assert authorization.rpartition("Signature=")[2] == expected
    assert authorization == signed_by_botocore(
        credentials,
        service=service,
        region="us-east-1",
        at=at,
        method=method,
        url=f"https://{host}{unquote(path)}" + (f"?{query}" if query else ""),
        headers=dict(more),
        body=body,
    )


def test_the_published_signing_key_is_derived() -> None:
    """Source: AWS General Reference, "Examples of how to derive a signing key"."""
    key = Signer("iam", "us-east-1")._signing_key(EXAMPLE.secret_key, "20120215")

    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


# --- botocore, on any request --------------------------------------------------------------


def a_text(chance: random.Random, letters: Sequence[str], most: int) -> str:
    return "".join(chance.choices(letters, k=chance.randint(1, most)))


def test_signatures_are_botocores_for_thousands_of_requests() -> None:
    """Any key, token, instant, region, body and header; one signer for each service and region.

    So the kept signing key is asked for by many identities and days in any order.
    """
    chance = random.Random(20150830)  # noqa: S311 (an example)
    signers: dict[tuple[str, str], Signer] = {}
    identities = [
        Credentials(
            a_text(chance, string.ascii_uppercase + string.digits, 20),
            a_text(chance, string.ascii_letters + string.digits + "+/", 40),
            chance.choice(
                [None, a_text(chance, string.ascii_letters + string.digits + "+/=", 900)]
            ),
        )
        for _ in range(5)
    ]
    printable = string.ascii_letters + string.digits + "!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"

    for _ in range(RANDOM_REQUESTS):
        service = chance.choice(["dynamodb", "secretsmanager", "s3"])
        region = chance.choice(["us-east-1", "eu-central-1", "cn-north-1"])
        identity = chance.choice(identities)
        day = datetime(2026, 12, 30, tzinfo=UTC) + timedelta(days=chance.randrange(4))
        moment = day + timedelta(seconds=chance.randrange(86_400))
        at = moment.strftime("%Y%m%dT%H%M%SZ")
        body = chance.randbytes(chance.randrange(300))
        key = a_text(chance, string.ascii_letters + string.digits + "-._~%/", 60)
        path = f"/{key.replace('%', '%2B')}" if service == "s3" else "/"
        host = f"{service}.{region}.amazonaws.com"
        more = {
            f"x-amz-meta-{n}": a_text(chance, printable, 40) for n in range(chance.randrange(4))
        }
        headers = {"host": host, "x-amz-date": at, **more}
        if service == "s3":
            headers["x-amz-content-sha256"] = sha256(body)
        if identity.token:
            headers["x-amz-security-token"] = identity.token
        signer = signers.setdefault((service, region), Signer(service, region))

        assert signer.authorization(
            identity,
            at=at,
            method="POST",
            path=path,
            headers=sorted(headers.items()),
            payload_sha256=sha256(body),
        ) == signed_by_botocore(
            identity,
            service=service,
            region=region,
            at=at,
            method="POST",
            url=f"https://{host}{path}",
            headers=more,
            body=body,
        )
