"""What was recorded of an application: its decision, what it took the place of, what came later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_cli.desk.figures import moment_text, outcome_word, points_text, probability_text
from credit_cli.desk.markup import card, folded, link, tag, verbatim
from credit_cli.desk.paths import decision_path
from credit_cli.desk.verdict import settled_by
from credit_core.domain.pages.html import Markup, joined, paragraph
from credit_core.domain.rollout import Shadow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_cli.desk.receipt_view import ReceiptView


def history_card(record: Mapping[str, Any], texts: Mapping[str, str]) -> Markup:
    """Return everything in order of time.

    Args:
        record: As the API has it.
        texts: Words for the applicant, by code.
    """
    entries = [_decided(one, superseded=True) for one in record.get("superseded") or ()]
    entries.append(_decided(record["decision"], superseded=False))
    entries += [_reviewed(one, texts) for one in record.get("reviews") or ()]
    entries += [_reported(one) for one in record.get("outcomes") or ()]
    return card(
        "What happened",
        tag("ol", joined(tag("li", entry) for entry in entries), class_="steps"),
        anchor="history",
    )


def _decided(decision: Mapping[str, Any], *, superseded: bool) -> Markup:
    revision = decision.get("revision", 1)
    words = f"{outcome_word(decision.get('outcome')).capitalize()} by the service"
    if superseded:
        words += ", and decided again since"
    parts = [
        tag("b", words),
        f", revision {revision}" if revision != 1 or superseded else "",
        paragraph(moment_text(decision.get("decided_at")), kind="quiet"),
    ]
    if superseded:
        parts.append(paragraph(settled_by(decision, None)))
    return joined(parts)


def _reviewed(review: Mapping[str, Any], texts: Mapping[str, str]) -> Markup:
    codes = [
        tag("li", texts.get(code, code), " ", tag("span", code, class_="quiet mono"))
        for code in review.get("adverse_action_codes") or ()
    ]
    return joined(
        (
            tag("b", f"{outcome_word(review.get('outcome')).capitalize()} by "),
            tag("b", str(review.get("reviewer"))),
            f", who saw revision {review.get('revision')}",
            paragraph(moment_text(review.get("reviewed_at")), kind="quiet"),
            paragraph(f"“{review.get('reason')}”"),
            tag("ul", *codes) if codes else "",
        )
    )


def _reported(outcome: Mapping[str, Any]) -> Markup:
    return joined(
        (
            tag("b", f"{str(outcome.get('outcome')).capitalize()}"),
            f", on {outcome.get('date')}",
            paragraph(f"Reported {moment_text(outcome.get('reported_at'))}", kind="quiet"),
        )
    )


def model_card(decision: Mapping[str, Any], receipt: ReceiptView) -> Markup:
    """Return which model decided by which policy, and what the other one said."""
    model = decision.get("model")
    if model:
        version = str(model.get("version"))
        named: Markup | str = joined(
            (link(version, f"/models/{version}"), f", {model.get('role')}")
        )
    else:
        named = "no model was asked"
    rows = [("Model", named), ("Policy", str(decision.get("policy_version")))]
    if model:
        rows.append(("SHA-256", tag("code", str(model.get("sha256")))))
    shadow = receipt.shadow
    if isinstance(shadow, Shadow):
        said = f"no answer: {shadow.fault}"
        if shadow.probability_of_default is not None and shadow.points is not None:
            said = (
                f"{outcome_word(shadow.outcome)}, "
                f"{probability_text(shadow.probability_of_default)}, "
                f"{points_text(shadow.points)} points"
            )
        rows.append((f"The {shadow.role} beside it", joined((shadow.version, tag("br"), said))))
    elif shadow:
        rows.append(("The model beside it", shadow))
    entries = joined(joined((tag("dt", name), tag("dd", said))) for name, said in rows)
    return card("Who decided", tag("dl", entries), anchor="model")


def receipt_card(application_id: str, receipt: ReceiptView) -> Markup:
    """Return the whole receipt, folded, and where to get it as a file."""
    path = decision_path(application_id)
    if receipt.problem:
        return card(
            "The receipt",
            paragraph(f"It can't be shown: {receipt.problem}."),
            anchor="receipt",
        )
    documents = receipt.documents()
    shown = json.dumps(documents, indent=2, ensure_ascii=False)
    summary = f"All {len(documents)} records" if len(documents) > 1 else "The record"
    return card(
        "The receipt",
        paragraph(
            "Everything that was recorded: what was sent, the features that were read, the "
            "model's input, the terms. Who applied is in it only as a keyed hash."
        ),
        tag(
            "p",
            tag("a", "Download it as JSON", href=f"{path}/receipt.json", class_="button second"),
            " ",
            tag(
                "a",
                "Decide it again from the receipt",
                href=f"{path}/replay",
                class_="button second",
            ),
            class_="row",
        ),
        folded(summary, tag("pre", verbatim(shown), tabindex="0"), anchor="receipt-json"),
        anchor="receipt",
    )
