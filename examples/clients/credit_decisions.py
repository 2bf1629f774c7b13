"""A client of the decision API, of Python's standard library alone: copy it into your system.

It keeps a token and renews it, gives up a call after two seconds, and sends the same application
again as long as no answer came. docs/how-to/connect-an-application.md has the rules.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OK, UNAUTHORIZED = 200, 401
SEND_AGAIN = frozenset({429, 500, 502, 503, 504})
SPARE_SECONDS = 60
"""A token is renewed that much before its end: clocks differ."""

type Answer = tuple[int | None, dict[str, Any]]
"""Status and document; no status where no answer came."""


class RefusedError(Exception):
    """The API will not do this as it was asked; sending it again changes nothing."""


class NoDecisionError(Exception):
    """No answer came for as long as the client is patient; the same may be sent again later."""


@dataclass
class CreditDecisions:
    """Asks for decisions. One object serves many threads.

    Args:
        api: Output ``ApiUrl``.
        token_url: Output ``TokenUrl``.
        client_id: Of a client of the kind ``application``.
        client_secret: That client's.
        timeout_seconds: After which a call is given up.
        patience_seconds: For which it is sent again.
        first_wait_seconds: Before the second try; each wait is twice the one before.
    """

    api: str
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    timeout_seconds: float = 2
    patience_seconds: float = 60
    first_wait_seconds: float = 1
    _token: str = field(default="", init=False, repr=False)
    _good_until: float = field(default=0.0, init=False, repr=False)
    _renewing: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def decide(self, application: Mapping[str, Any]) -> dict[str, Any]:
        """Return the decision on an application.

        Its ``application_id`` is yours. Keep it before the first call and send the same id with
        the same fields whenever you call again: it is decided once.

        Raises:
            RefusedError: The application, or this client, is refused.
            NoDecisionError: No answer came within ``patience_seconds``.
        """
        body = json.dumps(application).encode()
        give_up, wait_seconds = time.monotonic() + self.patience_seconds, self.first_wait_seconds
        referral: dict[str, Any] | None = None
        while True:
            status, document = self._post(body)
            if status == OK:
                referral = document
                if not (document["cause"] or {}).get("retryable"):
                    return document
            elif status is not None and status not in SEND_AGAIN:
                faults = document.get("faults", [])
                raise RefusedError(f"{status}: {document.get('detail', 'refused')} {faults}")
            if time.monotonic() + wait_seconds > give_up:
                break
            # Clients that failed together must not come back together.
            time.sleep(wait_seconds * (0.5 + secrets.randbelow(1_000) / 1_000))
            wait_seconds *= 2
        if referral is None:
            raise NoDecisionError(f"no answer within {self.patience_seconds:g} s, last: {status}")
        return referral

    def _post(self, body: bytes) -> Answer:
        answer: Answer = (None, {})
        for renew in (False, True):
            token = self._bearer(renew=renew)
            if token is None:
                return None, {}
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            answer = self._send(f"{self.api}/v1/decisions", body, headers)
            if answer[0] != UNAUTHORIZED:
                break
        return answer

    def _bearer(self, *, renew: bool) -> str | None:
        """Return a token, or None where the endpoint did not answer."""
        with self._renewing:
            if not renew and time.monotonic() < self._good_until:
                return self._token
            asked_at = time.monotonic()
            credentials = f"{self.client_id}:{self.client_secret}".encode()
            form = {"grant_type": "client_credentials", "scope": "decisions/decide"}
            headers = {
                "Authorization": f"Basic {base64.b64encode(credentials).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            status, document = self._send(
                self.token_url, urllib.parse.urlencode(form).encode(), headers
            )
            if status is None or status in SEND_AGAIN:
                return None
            if status != OK:
                raise RefusedError(f"no token for {self.client_id}: {status}")
            self._token = document["access_token"]
            self._good_until = asked_at + document["expires_in"] - SPARE_SECONDS
            return self._token

    def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="POST")  # noqa: S310 (the lender's own addresses)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:  # noqa: S310
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                try:
                    return error.code, json.loads(error.read())
                except (ValueError, OSError):
                    return error.code, {}
        except (OSError, ValueError, http.client.HTTPException):
            return None, {}
