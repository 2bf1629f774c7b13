"""Documents that others made, shown as they are and kept from the desk.

A model's report and a day's page are whole HTML files of their own. They come from buckets that
pipelines write to: the browser gives them an origin of their own, in which no script runs, nothing
is loaded and nothing can be sent, so that whatever is in them cannot act as the person at the desk.
"""

from __future__ import annotations

from starlette.responses import Response

POLICY = (
    "sandbox; default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "style-src 'unsafe-inline'"
)
"""Its own style sheet, and nothing else; what the file itself asks for in a meta element holds,
too."""


def framed(body: bytes) -> Response:
    """Return an HTML file as a page of its own."""
    return Response(
        body,
        media_type="text/html",
        headers={
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            # HTML's standard has a browser refuse a page with both a sandbox and another policy.
            "Cross-Origin-Opener-Policy": "unsafe-none",
            "Cache-Control": "no-store",
        },
    )
