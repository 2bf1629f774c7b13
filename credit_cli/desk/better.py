"""What would have come out better: the smallest change that the applicant could have made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from credit_cli.desk.figures import (
    capital,
    outcome_word,
    points_text,
    probability_text,
    value_text,
)
from credit_cli.desk.markup import card, tag
from credit_cli.errors import CliError
from credit_core.domain.pages.html import Markup, joined, paragraph
from credit_core.domain.pages.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.product import CreditProduct

TITLE = "What would have changed it"


def better_card(
    explanation: Mapping[str, Any] | CliError, application_id: str, product: CreditProduct
) -> Markup:
    """Return the counterfactual, or why there is none."""
    if isinstance(explanation, CliError):
        return Markup("")
    found = explanation.get("counterfactual")
    if not found:
        why = explanation.get("no_counterfactual") or {}
        if why.get("code") == "approved":
            return Markup("")
        detail = str(why.get("detail") or "nothing is known of it")
        return card(TITLE, paragraph(f"{capital(detail)}."), anchor="better")
    known = {feature.name: feature for feature in product.model_features}
    rows = []
    for change in found["changes"]:
        feature = known.get(change["feature"])
        unit = feature.unit if feature else None
        named = feature.description if feature else plain(change["feature"])
        rows.append(
            tag(
                "tr",
                tag("th", named, scope="row"),
                tag("td", value_text(change["from"], unit), class_="number"),
                tag("td", tag("b", value_text(change["to"], unit)), class_="number"),
                data_feature=change["feature"],
            )
        )
    head = tag(
        "tr",
        tag("th", "Had they said", scope="col"),
        tag("th", "Instead of", scope="col", class_="number"),
        tag("th", "This", scope="col", class_="number"),
    )
    outcome = str(found["outcome"])
    words = joined(
        (
            "It would have been ",
            tag("span", outcome_word(outcome), class_=f"badge {outcome}"),
            f": {probability_text(found['probability_of_default'])}, ",
            f"{points_text(found['points'])} points.",
        )
    )
    small = "No smaller change would do. " if found.get("smallest") else ""
    note = (
        f"{small}All else as it was on that day; a promise it is not, since features and models "
        "move on."
    )
    return card(
        TITLE,
        tag("table", tag("thead", head), tag("tbody", joined(rows)), class_="changes"),
        paragraph(words),
        paragraph(note, kind="note"),
        tag(
            "p",
            tag(
                "a",
                "Fill in a new application so",
                href=f"/?like={quote(application_id, safe='')}&better=1",
                class_="button second",
            ),
        ),
        anchor="better",
    )
