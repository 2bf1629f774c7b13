"""The OpenAPI document of a product, and its page."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from credit_core.adapters.api_document import ApiDocument
from credit_core.adapters.http_proxy import ProxyRequest
from credit_core.domain.openapi import ERRORS, OPERATIONS, openapi_document
from credit_core.domain.openapi_page import CONTENT_SECURITY_POLICY, STYLE, openapi_page
from tests.builders import AN_APPLICATION, PRODUCT, a_body, a_scorer

A_CALL: dict[str, Any] = {
    "operation": "decide",
    "name": "declined",
    "summary": "A decline",
    "request": AN_APPLICATION,
    "response": {"status": 200, "headers": {}, "body": a_scorer()(a_body())},
}
DOCUMENT = openapi_document(PRODUCT, examples={"decide": [A_CALL]})
VOID = {"meta", "link", "br", "img", "hr"}


class Page(HTMLParser):
    """What a page is made of; it fails on an element that is never closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        given = {name: value or "" for name, value in attrs}
        self.attributes |= given.keys()
        self.ids += [given["id"]] if "id" in given else []
        self.targets += [given["href"]] if "href" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_an_application_is_described_with_units_ranges_and_what_may_be_null() -> None:
    fields = DOCUMENT["components"]["schemas"]["Application"]["properties"]

    assert list(fields) == list(AN_APPLICATION)
    assert fields["loan_amount"] == {
        "description": "Amount asked for (USD)",
        "type": "number",
        "minimum": 500,
        "maximum": 40_000,
    }
    assert fields["addr_state"] == {
        "description": "The state of residence, two letters (USPS)",
        "type": "string",
        "pattern": "^(?:[A-Z]{2})$",
    }
    assert {"type": "null"} in fields["employment_years"]["anyOf"]
    assert fields["verification_status"]["enum"] == ["not_verified", "source_verified", "verified"]


def test_a_recorded_call_is_an_example_of_request_and_answer() -> None:
    operation = DOCUMENT["paths"]["/v1/decisions"]["post"]

    request = operation["requestBody"]["content"]["application/json"]["examples"]["declined"]
    answer = operation["responses"]["200"]["content"]["application/json"]["examples"]["declined"]
    assert request["value"] == AN_APPLICATION
    assert answer["value"] == A_CALL["response"]["body"]


def test_every_reference_in_the_document_leads_somewhere() -> None:
    def references(part: Any) -> set[str]:
        if isinstance(part, list):
            return {found for item in part for found in references(item)}
        if not isinstance(part, dict):
            return set()
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*(references(item) for item in part.values()))

    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
        assert found


def test_the_page_is_whole_and_loads_nothing() -> None:
    page = Page(openapi_page(DOCUMENT))

    assert len(page.ids) == len(set(page.ids))
    assert {target for target in page.targets if not target.startswith("#")} == {"openapi.json"}
    assert {target[1:] for target in page.targets if target.startswith("#")} <= set(page.ids)
    assert not page.elements & {"script", "img", "link", "iframe", "form", "object"}
    assert (
        not {name for name in page.attributes if name.startswith("on")}
        | {"style"} & page.attributes
    )


def test_the_page_shows_every_operation_field_and_example() -> None:
    text = openapi_page(DOCUMENT)

    for operation in OPERATIONS:
        assert f'id="{operation.id}"' in text
    for name in AN_APPLICATION:
        assert f"<code>{name}</code>" in text
    assert "curl --silent" in text
    assert "&quot;probability_of_default&quot;" in text


def test_the_page_shows_each_error_and_patterns_as_messages_do() -> None:
    text = openapi_page(DOCUMENT)

    for status in ERRORS:
        assert f"<code>{status.value}</code>" in text
    assert "<code>[A-Z]{2}</code>" in text
    assert "^" not in text


def test_what_a_definition_says_is_text_on_the_page_and_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    feature = replace(PRODUCT.request_features[0], description=hostile)
    product = replace(
        PRODUCT,
        title=hostile,
        description=hostile,
        request_features=(feature, *PRODUCT.request_features[1:]),
    )
    call = A_CALL | {"summary": hostile, "request": AN_APPLICATION | {"applicant_id": hostile}}

    text = openapi_page(openapi_document(product, examples={"decide": [call]}))

    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_policy_allows_the_pages_own_style_and_nothing_else() -> None:
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")
    assert f"<style>{STYLE}</style>" in openapi_page(DOCUMENT)


@pytest.fixture
def served(tmp_path: Any) -> ApiDocument:
    (tmp_path / "1.json").write_text(json.dumps(A_CALL))
    return ApiDocument(PRODUCT, examples=tmp_path, token_url="https://auth.example.org/token")


def asked_at(path: str, **context: str) -> ProxyRequest:
    event = {"requestContext": {"path": path, **context}}
    return ProxyRequest(event, "request-1")


def test_the_served_document_names_the_deployments_addresses(served: ApiDocument) -> None:
    request = asked_at("/live/v1/openapi.json", domainName="abc.execute-api.eu-west-1.example")

    document = json.loads(str(served.document(request)["body"]))

    assert document["servers"] == [{"url": "https://abc.execute-api.eu-west-1.example/live"}]
    flows = document["components"]["securitySchemes"]["client"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == "https://auth.example.org/token"
    assert "declined" in json.dumps(document)


def test_without_a_domain_the_address_is_told_by_the_documents_own(served: ApiDocument) -> None:
    document = json.loads(str(served.document(asked_at("/live/v1/openapi.json"))["body"]))

    assert document["servers"] == [{"url": ".."}]


def test_a_custom_domain_without_a_stage_is_the_address(served: ApiDocument) -> None:
    page = str(served.page(asked_at("/v1/docs", domainName="credit.example.org"))["body"])

    assert "API=https://credit.example.org\n" in page
