"""Who may come in: this machine, by an address of its own, with the key of this start.

A web page that somebody else's server sent to the same browser must be able neither to read the
desk nor to send it a form, under whatever name it looks up 127.0.0.1.
"""

from __future__ import annotations

import hmac
import urllib.parse
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from credit_cli.desk.markup import link, tag
from credit_cli.desk.shell import STYLE_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from credit_cli.desk.shell import Shell

KEY = "key"
OPEN_PATHS = frozenset({STYLE_PATH})
SAFE_METHODS = frozenset({"GET", "HEAD"})

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src data:; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing is run, nothing is loaded from elsewhere; pictures state their widths in attributes."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    # Without a referrer a browser would state no origin of a form either.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every response, unless its page states another."""


class Door:
    """Lets a request in, or answers it itself.

    Args:
        app: The desk.
        key: Of this start; part of the address that the command prints.
        port: At which the desk listens.
        shell: For the page of who stays outside.
    """

    def __init__(self, app: ASGIApp, *, key: str, port: int, shell: Shell) -> None:
        self._app = app
        self._key = key
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        # Cookies are of a host, whatever the port: two desks keep two of them.
        self._cookie = f"credit-desk-{port}"
        self._shell = shell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["type"] != "http":
            return
        refused = self._answer(scope)
        await (refused or self._app)(scope, receive, with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """Return what a request is answered with here, or None if it may come in."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("this is no address of the desk\n", status_code=421)
        if scope["method"] not in SAFE_METHODS and not is_own(headers, host):
            return PlainTextResponse("this form is of another site\n", status_code=403)
        if scope["path"] in OPEN_PATHS:
            return None
        query = urllib.parse.parse_qs(scope["query_string"].decode("latin-1"))
        given = query.get(KEY)
        if given is not None and self._is_key(given[0]):
            return self._welcome(scope, headers, query)
        if self._is_key(self._cookie_of(headers)):
            return None
        return self._stranger()

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._key.encode())

    def _cookie_of(self, headers: Headers) -> str:
        # Other servers of this machine have cookies here too, and of any form: Python's own parser
        # would give up at one that is none by the letter.
        return cookie_parser(headers.get("cookie", "")).get(self._cookie, "")

    def _welcome(self, scope: Scope, headers: Headers, query: Mapping[str, list[str]]) -> Response:
        """Return the same address without the key, which is in a cookie from then on."""
        others = [(name, value) for name in query if name != KEY for value in query[name]]
        path = "/" + urllib.parse.quote(scope["path"].lstrip("/"), safe="/:@!$&'()*+,;=~-._")
        place = f"{path}?{urllib.parse.urlencode(others)}" if others else path
        response: Response
        if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
            response = RedirectResponse(place, status_code=303)
        else:
            # Who comes from a file or another site brings no strict cookie along a redirect.
            response = HTMLResponse(
                '<!doctype html><html lang="en"><meta charset="utf-8"><title>Loan desk</title>'
                + tag("meta", http_equiv="refresh", content=f"0; url={place}")
                + tag("p", link("To the loan desk", place))
            )
        response.set_cookie(self._cookie, self._key, httponly=True, samesite="strict", path="/")
        return response

    def _stranger(self) -> Response:
        title = "This desk needs its key"
        words = (
            "Open the address that the command credit desk printed: it holds the key. "
            "If you had this desk open and followed a link to it, reload this page."
        )
        return self._shell.outside(title, words)


def is_own(headers: Headers, host: str) -> bool:
    """Tell whether a form comes from the desk itself, by what the browser says of its origin."""
    origin = headers.get("origin")
    if origin is not None:
        return origin == f"http://{host}"
    return headers.get("sec-fetch-site") == "same-origin"
