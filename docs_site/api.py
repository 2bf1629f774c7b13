"""Reference: the API, from its OpenAPI document as `GET /v1/docs` shows it."""

from __future__ import annotations

import re

from credit_cli.openapi import document_of
from credit_core.domain.openapi_page import openapi_page
from credit_core.domain.product import load_product
from docs_site.markdown import page
from docs_site.stacks import PRODUCT

HEADING = re.compile(r'<h([234])(?: id="([^"]*)")?>(.*?)</h\1>')
SECTION = re.compile(r"</?section[^>]*>")
ROUTE = re.compile(r'<p class="route"><span class="method (\w+)">(\w+)</span>(.*?)</p>')


def api_page() -> str:
    """Return the page of the API; its own page's blocks, under headings that this site knows."""
    served = openapi_page(document_of(load_product(PRODUCT)))
    main = served.split('<main id="content">', 1)[1].rsplit("</main>", 1)[0]
    # What stands before the guide is for a deployment: its address and its document's.
    guide = main[main.index("<h2") :]
    text = ROUTE.sub(r'<p class="route"><code>\2 \3</code></p>', SECTION.sub("", guide))
    text = HEADING.sub(
        lambda found: (
            f"\n\n{'#' * int(found[1])} {found[3]}{f' {{#{found[2]}}}' if found[2] else ''}\n\n"
        ),
        text,
    )
    # One that scrolls can be reached by keyboard here as well; the site shows them alike.
    return page(
        "API",
        f"From the OpenAPI 3.1 document of `{PRODUCT}`, whose fields are those of that product; "
        "`credit api openapi --product NAME` prints that of yours, and each deployment serves its "
        "own at `GET /v1/openapi.json` and, as a page, at `GET /v1/docs`. Examples are calls that "
        "were made. For machines: [openapi-personal_loan.json](../api/openapi-personal_loan.json).",
        text,
    )
