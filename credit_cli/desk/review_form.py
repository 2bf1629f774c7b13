"""The form by which a person decides what the service referred, or decides otherwise."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from credit_cli.desk.application_form import said
from credit_cli.desk.figures import capital
from credit_cli.desk.markup import button, card, folded, notice, tag, verbatim
from credit_core.domain.pages.html import Markup, joined, paragraph
from credit_core.domain.policy_definition import MAXIMUM_REASONS
from credit_core.domain.review import CODES, LONGEST_REASON, LONGEST_REVIEWER, adverse_action_codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from credit_cli.desk.posting import Form
    from credit_core.domain.product import CreditProduct

NOT_KNOWN = "_UNKNOWN"
FIELDS = ("outcome", "reviewer", "reason", CODES)


@dataclass(frozen=True)
class TypedReview:
    """A review as it was typed. ``revision`` is of the decision that the person saw."""

    review_id: str
    revision: str
    outcome: str = ""
    reviewer: str = ""
    reason: str = ""
    codes: tuple[str, ...] = ()
    faults: Mapping[str, Sequence[str]] = field(default_factory=dict)
    problem: Markup = Markup("")  # noqa: RUF009 (text does not change)

    @classmethod
    def blank(cls, decision: Mapping[str, Any], *, reviewer: str, at: datetime) -> TypedReview:
        """Return a form to begin with: the codes are those that the decision gave.

        A reason of something that was not known has a code of its own, which no review may give.
        """
        reasons = [
            str(reason.get("code")).removesuffix(NOT_KNOWN)
            for reason in decision.get("reasons") or ()
        ]
        return cls(
            f"desk-{at:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            str(decision.get("revision", 1)),
            reviewer=reviewer,
            codes=tuple(dict.fromkeys(reasons)),
        )

    @classmethod
    def of(cls, form: Form) -> TypedReview:
        """Return what was typed."""
        return cls(
            form.get("review_id"),
            form.get("revision"),
            form.get("outcome"),
            form.get("reviewer"),
            form.get("reason").replace("\r\n", "\n"),
            tuple(dict.fromkeys(form.all(CODES))),
        )

    def document(self) -> dict[str, Any]:
        """Return the body that is sent; an approval has no codes, whatever was ticked."""
        return {
            "review_id": self.review_id,
            "revision": int(self.revision) if self._is_number(self.revision) else self.revision,
            "outcome": self.outcome,
            "reviewer": self.reviewer,
            "reason": self.reason,
            CODES: [] if self.outcome == "approve" else list(self.codes),
        }

    @staticmethod
    def _is_number(text: str) -> bool:
        return text.isascii() and text.isdecimal() and len(text) < 10  # noqa: PLR2004 (more than enough)


def code_texts(product: CreditProduct) -> dict[str, str]:
    """Return what each code tells the applicant."""
    texts = {
        feature.adverse_action.code: feature.adverse_action.text
        for feature in product.model_features
    }
    texts |= {rule.code: rule.text for rule in product.policy.rules}
    return {code: texts[code] for code in adverse_action_codes(product)}


def review_card(
    typed: TypedReview, *, action: str, texts: Mapping[str, str], referred: bool, again: bool
) -> Markup:
    """Return the form.

    Args:
        typed: What stands in it.
        action: Where it is sent.
        texts: What each code tells the applicant, the weightiest first.
        referred: Whether a person is waited for; else it is folded.
        again: Whether it was reviewed before.
    """
    form = tag(
        "form",
        tag("input", type="hidden", name="review_id", value=typed.review_id),
        tag("input", type="hidden", name="revision", value=typed.revision),
        _outcome(typed),
        _codes(typed, texts),
        _reason(typed),
        _reviewer(typed),
        tag("div", button("Record the review"), class_="actions"),
        method="post",
        action=action,
        novalidate=True,
        autocomplete="off",
    )
    if referred and not again:
        note = (
            f"You decide, on revision {typed.revision} as it stands above. It is recorded for good."
        )
        return card("Your review", form, anchor="review", note=note)
    words = "Review it once more" if again else "Decide otherwise"
    note = "The last review stands. Earlier ones stay recorded."
    opened = bool(typed.faults or typed.problem)
    return card(
        "Review",
        folded(words, paragraph(note, kind="note"), form, opened=opened),
        anchor="review",
    )


def conflict_notice(detail: str, page: str) -> Markup:
    """Return what is said where a review contradicts what is recorded."""
    return notice(
        tag("h2", "It was not recorded"),
        paragraph(f"{capital(detail)}."),
        paragraph(
            tag("a", "Look at the application as it is now", href=page),
            ". What you typed stands below until then.",
        ),
        kind="bad",
        role="alert",
    )


def _fault(name: str, typed: TypedReview) -> Markup:
    faults = typed.faults.get(name)
    if not faults:
        return Markup("")
    return tag("span", said(faults), class_="fault", id=f"{name}-fault")


def _kind(name: str, typed: TypedReview) -> str:
    return "field wrong" if typed.faults.get(name) else "field"


def _described(name: str, typed: TypedReview, *, hint: bool = True) -> str | None:
    known = [f"{name}-hint"] if hint else []
    known += [f"{name}-fault"] if typed.faults.get(name) else []
    return " ".join(known) or None


def _outcome(typed: TypedReview) -> Markup:
    choices = joined(
        tag(
            "div",
            tag(
                "input",
                type="radio",
                name="outcome",
                id=f"outcome-{value}",
                value=value,
                checked=typed.outcome == value,
            ),
            tag("label", words, for_=f"outcome-{value}"),
            class_="choice",
        )
        for value, words in (("approve", "Approve"), ("decline", "Decline"))
    )
    return tag(
        "fieldset",
        tag("legend", "You decide"),
        _fault("outcome", typed),
        choices,
        class_=_kind("outcome", typed),
        aria_describedby=_described("outcome", typed, hint=False),
    )


def _codes(typed: TypedReview, texts: Mapping[str, str]) -> Markup:
    boxes = joined(
        tag(
            "div",
            tag(
                "input",
                type="checkbox",
                name=CODES,
                id=f"code-{code}",
                value=code,
                checked=code in typed.codes,
            ),
            tag("label", text, " ", tag("small", code, class_="quiet"), for_=f"code-{code}"),
            class_="choice",
        )
        for code, text in texts.items()
    )
    hint = (
        f"From one to {MAXIMUM_REASONS}, as the applicant is told them; what the service found "
        "comes first. An approval has none."
    )
    return tag(
        "fieldset",
        tag("legend", "If you decline: the reasons"),
        tag("span", hint, class_="hint", id=f"{CODES}-hint"),
        _fault(CODES, typed),
        tag("div", boxes, class_="choices"),
        class_=_kind(CODES, typed),
        aria_describedby=_described(CODES, typed),
    )


def _reason(typed: TypedReview) -> Markup:
    return tag(
        "div",
        tag("label", "Why", for_="reason"),
        tag(
            "span",
            "For the file, not for the applicant. Name no person in it.",
            class_="hint",
            id="reason-hint",
        ),
        _fault("reason", typed),
        tag(
            "textarea",
            verbatim(typed.reason),
            id="reason",
            name="reason",
            rows=4,
            maxlength=LONGEST_REASON,
            aria_describedby=_described("reason", typed),
        ),
        class_=_kind("reason", typed),
    )


def _reviewer(typed: TypedReview) -> Markup:
    return tag(
        "div",
        tag("label", "Who you are", for_="reviewer"),
        tag("span", "Your name or sign in this house", class_="hint", id="reviewer-hint"),
        _fault("reviewer", typed),
        tag(
            "input",
            type="text",
            id="reviewer",
            name="reviewer",
            value=typed.reviewer,
            maxlength=LONGEST_REVIEWER,
            aria_describedby=_described("reviewer", typed),
        ),
        class_=_kind("reviewer", typed),
    )
