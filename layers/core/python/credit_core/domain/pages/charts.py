"""Plots that more than one page draws. Each takes figures that are ready, and returns SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.pages.svg import Picture, Scale, shortened, text_width
from credit_core.domain.pages.words import decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

BAR_STEP = 20


def whole_percent(share: float) -> str:
    """Return a share for an axis."""
    return f"{share * 100:.3g} %"


def bars(
    title: str,
    rows: Sequence[tuple[str, float, str]],
    *,
    width: int,
    limits: Sequence[float] = (),
) -> str:
    """Draw a bar per row: its name, its length and its figure."""
    left = min(16 + max(text_width(name) for name, _, _ in rows), width * 0.5)
    room = max(text_width(said) for _, _, said in rows) + 14
    picture = Picture(title, width, BAR_STEP * len(rows) + (26 if limits else 10))
    picture.figures = ", ".join(f"{name} {said}" for name, _, said in rows)
    longest = max([length for _, length, _ in rows if np.isfinite(length)] + list(limits) + [1e-9])
    scale = Scale(0, longest, left, width - room)
    bottom = BAR_STEP * len(rows) + 6
    for limit in limits:
        picture.rule((scale(limit), 4), (scale(limit), bottom), "cutoff")
        picture.text(scale(limit), bottom + 15, decimal(limit, 2), "tick", anchor="middle")
    for place, (name, length, said) in enumerate(rows):
        height = 6 + BAR_STEP * place
        picture.text(left - 8, height + 14, shortened(name, left - 8), anchor="end")
        drawn = length if np.isfinite(length) else 0.0
        beyond = " beyond" if limits and drawn > max(limits) else ""
        picture.box(left, height + 3, scale(drawn) - left, 13, f"bar{beyond}")
        picture.text(scale(drawn) + 6, height + 14, said, "figure")
    picture.rule((left, 4), (left, bottom), "axis")
    return picture.svg()
