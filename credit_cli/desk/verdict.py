"""The head of a decision's page: what stands, whose it is, and what settled it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_cli.desk.figures import (
    OUTCOME_WORDS,
    moment_text,
    outcome_word,
    points_text,
    probability_text,
    small,
)
from credit_cli.desk.markup import tag
from credit_core.domain.pages.html import Markup, joined, paragraph
from credit_core.domain.pages.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.policy_definition import Policy

CAUSES = {
    "features_missing": "What has to be known of the applicant is missing",
    "features_stale": "What is known of the applicant is too old",
    "features_unreadable": "What is known of the applicant can't be read",
    "features_unavailable": "What is known of the applicant could not be read in time",
    "model_unavailable": "No model could be asked",
    "model_output_invalid": "The model's answer was no probability",
    "reasons_not_exact": "No exact reasons could be given",
    "internal_fault": "Something failed in the scorer",
}


def verdict_section(record: Mapping[str, Any], policy: Policy | None) -> Markup:
    """Return the outcome that stands, in words and colour, with the model's figures."""
    decision, standing = record["decision"], record["standing"]
    outcome, stands = str(decision["outcome"]), str(standing["outcome"])
    if standing["by"] == "person":
        head = f"{OUTCOME_WORDS.get(stands, stands)} by a person"
        reviewer = (record.get("reviews") or [{}])[-1].get("reviewer", "somebody")
        whose = (
            f"{reviewer} decided so, {moment_text(standing['at'])}. "
            f"The service had {outcome_word(outcome)} it: "
        )
    else:
        head, whose = OUTCOME_WORDS.get(outcome, outcome), ""
    settled = settled_by(decision, policy)
    if whose:
        settled = small(settled)
    figures = [
        ("Probability of default", probability_text(decision.get("probability_of_default"))),
        ("Points", points_text(decision.get("points"))),
    ]
    if decision.get("risk_band"):
        figures.append(("Risk band", str(decision["risk_band"])))
    return tag(
        "section",
        tag(
            "div",
            paragraph(f"Application {decision['application_id']}", kind="eyebrow"),
            tag("h1", head),
            paragraph(f"{whose}{settled}"),
        ),
        tag(
            "dl",
            joined(tag("div", tag("dt", name), tag("dd", value)) for name, value in figures),
            class_="figures",
        ),
        class_=f"card outcome {stands}",
        data_outcome=outcome,
        data_standing=stands,
        data_points=decision.get("points"),
    )


def settled_by(decision: Mapping[str, Any], policy: Policy | None) -> str:
    """Say what settled an outcome: a cut-off, a rule with its words, or a fault."""
    decider, cause = decision["decided_by"], decision.get("cause") or {}
    kind, code = str(decider.get("kind")), str(decider.get("code"))
    if kind == "cutoff":
        return _by_cutoff(code, policy)
    if kind == "rule":
        rule = next((one for one in policy.rules if one.code == code), None) if policy else None
        words = f": {small(rule.text)}" if rule else ""
        return f"By the rule {code}{words}."
    said = CAUSES.get(code, plain(code).capitalize())
    detail = cause.get("detail")
    again = (
        " This may pass: the same application may be sent again for another decision."
        if cause.get("retryable")
        else ""
    )
    return f"{said}{f' ({detail})' if detail else ''}.{again}"


def _by_cutoff(code: str, policy: Policy | None) -> str:
    if policy is None:
        return f"By the cut-off {code}."
    up_to, from_ = (
        f"{100 * at:g}\N{NO-BREAK SPACE}%" for at in (policy.approve_up_to, policy.decline_from)
    )
    words = {
        "approve_up_to": f"A probability of default up to {up_to} is approved.",
        "decline_from": f"A probability of default from {from_} on is declined.",
    }
    between = f"Between {up_to} and {from_} a person decides."
    return words.get(code, between)
