"""AWS Signature Version 4, as lean as a hot path wants it: the signing key is kept for its day.

Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials(NamedTuple):
    """Who signs. ``token`` is None for credentials that do not expire."""

    access_key: str
    secret_key: str
    token: str | None


class Signer:
    """Signs requests to one service in one region. Any number of threads may use one."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def authorization(
        self,
        credentials: Credentials,
        *,
        at: str,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        payload_sha256: str,
        query: str = "",
    ) -> str:
        """Return the value of the ``authorization`` header.

        Args:
            credentials: Who signs.
            at: The instant, as in the ``x-amz-date`` header: ``20150830T123600Z``.
            method: GET or POST.
            path: Canonical, that is encoded once for S3 and twice for every other service.
            headers: All that are signed: names in lower case and in order, values without
                surrounding or repeated spaces.
            payload_sha256: SHA-256 of the body, hexadecimal.
            query: Canonical: names and values encoded, in order of names, then of values.
        """
        day = at[:8]
        signed = ";".join([name for name, _ in headers])
        lines = "\n".join([f"{name}:{value}" for name, value in headers])
        request = f"{method}\n{path}\n{query}\n{lines}\n\n{signed}\n{payload_sha256}"
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        text = f"{ALGORITHM}\n{at}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = self._signing_key(credentials.secret_key, day)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )

    def _signing_key(self, secret_key: str, day: str) -> bytes:
        known_day, known_secret, key = self._key
        if known_day != day or known_secret != secret_key:
            key = f"AWS4{secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = day, secret_key, key
        return key
