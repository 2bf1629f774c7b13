"""The pages that are made from code, and where they lie on the site."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from docs_site.alarms import alarms_page
from docs_site.api import api_page
from docs_site.command import command_page
from docs_site.definition import definition_page
from docs_site.errors import errors_page
from docs_site.functions import functions_page
from docs_site.metrics import metrics_page
from docs_site.stacks import synthesized
from docs_site.stages import stages_page

if TYPE_CHECKING:
    from docs_site.stacks import Stacks

FOLDER = "reference"


@cache
def generated_pages() -> dict[str, str]:
    """Return the text of each page by its path among the documents, in their order."""
    return pages_of(synthesized())


def pages_of(stacks: Stacks) -> dict[str, str]:
    """Return the pages, with what these stacks say."""
    pages = {
        "command.md": command_page(),
        "api.md": api_page(),
        "product-definition.md": definition_page(),
        "metrics.md": metrics_page(stacks),
        "alarms.md": alarms_page(stacks),
        "stages.md": stages_page(),
        "functions.md": functions_page(stacks),
        "errors.md": errors_page(),
    }
    return {f"{FOLDER}/{name}": text for name, text in pages.items()}
