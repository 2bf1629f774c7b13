"""Where an applicant stands between the cut-offs, in points and in probability of default."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from credit_cli.desk.figures import points_text, probability_text
from credit_cli.desk.markup import tag
from credit_core.domain.pages.html import WIDE, Markup, figure, joined
from credit_core.domain.pages.svg import Picture, Scale, text_width
from credit_core.domain.policy import points

if TYPE_CHECKING:
    from credit_core.domain.policy_definition import Policy

NARROW = 340
"""About the room there is on a telephone."""
MARGIN_POINTS = 25
TOP, BAND = 58, 34
"""Where the zones begin, and how high they are."""


def points_at(policy: Policy, probability_of_default: float) -> float:
    """Return the points of a probability of default between 0 and 1, both excluded."""
    return points(policy, math.log(probability_of_default / (1 - probability_of_default)))


def cutoffs(policy: Policy) -> list[tuple[str, float]]:
    """Return the points at which the outcome changes, each with the outcome from there on."""
    return [
        ("decline", points_at(policy, policy.decline_from)),
        ("approve", points_at(policy, policy.approve_up_to)),
    ]


def scale_figure(
    policy: Policy,
    *,
    applicant: float,
    probability: float,
    reference: float | None,
) -> Markup:
    """Return the picture of the scale with the applicant on it.

    Args:
        policy: Of the decision.
        applicant: Points of the applicant.
        probability: The probability of default, as the decision says.
        reference: Points of the reference applicant, None where not known.
    """
    caption = (
        f"More points are safer: {policy.base_points:g} are odds of {policy.base_odds:g} to 1, and "
        f"every {policy.points_to_double_odds:g} more double them."
    )

    def draw(width: int) -> str:
        return _draw(policy, width, applicant, probability, reference)

    both = (
        tag("div", Markup(draw(WIDE)), class_="wide"),
        tag("div", Markup(draw(NARROW)), class_="narrow"),
    )
    return figure(joined(both), caption)


def _draw(
    policy: Policy, width: int, applicant: float, probability: float, reference: float | None
) -> str:
    declined, approved = (at for _, at in cutoffs(policy))
    known = [applicant, declined, approved, *([reference] if reference is not None else [])]
    spread = max(approved - declined, 2 * MARGIN_POINTS)
    low = min(min(known) - MARGIN_POINTS, declined - spread)
    high = max(max(known) + MARGIN_POINTS, approved + spread)
    across = Scale(low, high, 8, width - 8)
    picture = Picture("The applicant on the scale of points", width, 148)
    picture.figures = (
        f"{points_text(applicant)} points, a probability of default of "
        f"{probability_text(probability)}; up to {points_text(declined)} points are declined, from "
        f"{points_text(approved)} on approved"
    )
    zones = (
        ("decline", "declined", low, declined),
        ("refer", "a person", declined, approved),
        ("approve", "approved", approved, high),
    )
    for kind, words, start, end in zones:
        left, right = across(start), across(end)
        picture.box(left, TOP, right - left, BAND, f"zone {kind}")
        if right - left > text_width(words) + 6:
            picture.text((left + right) / 2, TOP + 22, words, kind, anchor="middle")
    bottom = TOP + BAND
    for at, share in ((declined, policy.decline_from), (approved, policy.approve_up_to)):
        picture.rule((across(at), TOP - 3), (across(at), bottom + 3), "cutoff")
        anchor = "end" if at == declined else "start"
        shift = -4 if at == declined else 4
        picture.text(across(at) + shift, TOP - 7, f"{100 * share:g} %", "tick", anchor=anchor)
    _bands(picture, policy, across, bottom)
    for mark in across.ticks(9 if width > NARROW else 4):
        picture.rule((across(mark), bottom + 24), (across(mark), bottom + 28), "axis")
        picture.text(across(mark), bottom + 42, f"{mark:g}", "tick", anchor="middle")
    picture.rule((across.start, bottom + 24), (across.end, bottom + 24), "axis")
    if reference is not None:
        picture.dot(across(reference), bottom + 24, "dot other", 4)
        picture.text(
            _within(across(reference), "reference", width),
            bottom + 54,
            "reference",
            "tick",
            anchor="middle",
        )
    said = f"{points_text(applicant)} points · {probability_text(probability)}"
    at = across(applicant)
    picture.text(_within(at, said, width, 1.25), 18, said, "big", anchor="middle")
    picture.rule((at, 26), (at, bottom + 24), "stem")
    picture.area([(at - 6, 26), (at + 6, 26), (at, 36)], "here")
    return picture.svg()


def _bands(picture: Picture, policy: Policy, across: Scale, bottom: float) -> None:
    """Draw the letters of the risk bands below the zones."""
    upper = across.high
    for band in policy.bands:
        lower = points_at(policy, band.up_to) if band.up_to < 1 else across.low
        left, right = across(lower), across(upper)
        if right - left > text_width(band.name) + 4:
            picture.text((left + right) / 2, bottom + 17, band.name, "tick", anchor="middle")
        if band.up_to < 1 and across.low < lower < across.high:
            picture.rule((left, bottom), (left, bottom + 24), "grid")
        upper = lower


def _within(at: float, said: str, width: int, size: float = 1.0) -> float:
    """Return where the middle of a text stands so that it stays within the picture."""
    half = text_width(said) * size / 2 + 2
    return min(max(at, half), width - half)
