"""The OpenAPI document and its page, as the deployed API answers them."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from credit_core.domain.application_records import compact_json
from credit_core.domain.openapi import OPENAPI_PATH, PAGE_PATH, openapi_document
from credit_core.domain.openapi_page import CONTENT_SECURITY_POLICY, openapi_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from credit_core.adapters.http_proxy import ProxyRequest
    from credit_core.domain.product import CreditProduct

BESIDE_THE_DOCUMENT = ".."
"""The API's address, seen from its document: what is said where the gateway names no domain."""
CACHE_SECONDS = 300
"""It changes with a deployment only; a client may see the one before for so long."""


def recorded_examples(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the recorded calls in a folder by their operation, in the order of their files.

    A folder that is not there holds none: a product may be deployed before calls are recorded.
    """
    examples: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        call = json.loads(path.read_bytes())
        examples.setdefault(call["operation"], []).append(call)
    return examples


class ApiDocument:
    """Describes the API of one product; the document is made once per process.

    Args:
        product: The product.
        examples: The folder of the product's recorded calls.
        token_url: Where tokens are issued.
    """

    def __init__(self, product: CreditProduct, *, examples: Path, token_url: str) -> None:
        self._product = product
        self._examples = examples
        self._token_url = token_url
        self._made: dict[str, dict[str, Any]] = {}

    def document(self, request: ProxyRequest) -> dict[str, object]:
        """Answer the document, for machines."""
        body = compact_json(self._of(request, OPENAPI_PATH))
        return self._answer(body, {"Content-Type": "application/json"})

    def page(self, request: ProxyRequest) -> dict[str, object]:
        """Answer the page, for people."""
        return self._answer(
            openapi_page(self._of(request, PAGE_PATH)),
            {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": CONTENT_SECURITY_POLICY,
                "Referrer-Policy": "no-referrer",
            },
        )

    def _of(self, request: ProxyRequest, path: str) -> dict[str, Any]:
        server_url = server_of(request.event, path)
        if server_url not in self._made:
            # One address is the rule; whatever a caller makes of the host is not collected.
            self._made = {
                server_url: openapi_document(
                    self._product,
                    examples=self._recorded,
                    server_url=server_url,
                    token_url=self._token_url,
                )
            }
        return self._made[server_url]

    @cached_property
    def _recorded(self) -> dict[str, list[dict[str, Any]]]:
        return recorded_examples(self._examples)

    def _answer(self, body: str, headers: Mapping[str, str]) -> dict[str, object]:
        always = {
            "Cache-Control": f"public, max-age={CACHE_SECONDS}",
            "X-Content-Type-Options": "nosniff",
        }
        return {"statusCode": 200, "headers": {**always, **headers}, "body": body}


def server_of(event: Mapping[str, Any], path: str) -> str:
    """Return the API's address, from the request that asked for one of its paths.

    The path of the request's context holds the stage, or what a custom domain maps it to.

    >>> server_of({"requestContext": {"domainName": "a.org", "path": "/live/v1/docs"}}, "/v1/docs")
    'https://a.org/live'
    """
    context = event["requestContext"]
    if "domainName" not in context:
        return BESIDE_THE_DOCUMENT
    return f"https://{context['domainName']}{context['path'].removesuffix(path)}"
