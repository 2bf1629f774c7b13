"""Addresses of the desk's pages."""

from __future__ import annotations

from urllib.parse import quote

DECISIONS = "/decisions"


def decision_path(application_id: str, *, anchor: str = "") -> str:
    """Return the address of a decision's page.

    >>> decision_path("a/b")
    '/decisions/a%2Fb'
    """
    return f"{DECISIONS}/{quote(application_id, safe=':@')}{f'#{anchor}' if anchor else ''}"
