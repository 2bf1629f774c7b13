"""From the reference applicant's points to this applicant's, reason by reason, to the hundredth.

It is a table whose cells hold the bars, so that a screen reader reads what the eye sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credit_cli.desk.figures import points_text, signed_points, value_text
from credit_cli.desk.markup import tag
from credit_core.domain.pages.html import Markup, joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_SHOWN = 10
"""Inputs with a bar of their own, the largest; the others are one bar."""
LEAST_HUNDREDTHS = 50
"""Of a point: what moved less is among the others."""
EDGE_SHARE = 0.03
CUT = "cut"
"""Class of the lines at cut-offs."""


@dataclass(frozen=True)
class Row:
    """A bar: what it is of, and how many hundredths of a point it is long.

    ``kind`` is ``start``, ``reason``, ``others`` or ``end``; a start and an end stand from zero.
    """

    kind: str
    label: str
    hundredths: int
    note: str = ""


def waterfall_rows(
    contributions: Sequence[Mapping[str, Any]],
    *,
    points: float,
    reference_points: float | None,
    units: Mapping[str, str | None],
) -> list[Row]:
    """Return the bars. The first and all between sum to the last, exactly.

    Args:
        contributions: As the explanation has them, the largest first.
        points: Of the applicant, as the decision says.
        reference_points: Of the reference applicant; None where the policy is not known, then they
            are what is left.
        units: Of the inputs, by name.

    What the rounding of each to a hundredth leaves over is among the others.
    """
    end = round(points * 100)
    parts = [(given, round(given["contribution_points"] * 100)) for given in contributions]
    start = (
        end - sum(length for _, length in parts)
        if reference_points is None
        else round(reference_points * 100)
    )
    shown = [
        (given, length) for given, length in parts[:MOST_SHOWN] if abs(length) >= LEAST_HUNDREDTHS
    ]
    folded = len(parts) - len(shown)
    if folded == 1 and len(parts) <= MOST_SHOWN and parts[-1][1]:
        shown, folded = parts, 0
    rest = end - start - sum(length for _, length in shown)
    rows = [Row("start", "Reference applicant", start, "the typical loan that was repaid")]
    rows += [
        Row("reason", given["description"], length, compared(given, units.get(given["feature"])))
        for given, length in shown
    ]
    if folded:
        label = f"The other {folded}, together" if folded > 1 else "The other one"
        rows.append(Row("others", label, rest))
    elif rest:
        rows.append(Row("others", "Rounding", rest))
    rows.append(Row("end", "This applicant", end))
    return rows


def compared(given: Mapping[str, Any], unit: str | None) -> str:
    """Say an input's value, and the reference applicant's if it is another."""
    value, reference = given.get("value"), given.get("reference")
    text = value_text(value, unit)
    if value == reference:
        return f"{text}, as the reference applicant"
    return f"{text}; reference {value_text(reference, unit)}"


def waterfall_table(rows: Sequence[Row], *, cutoffs: Sequence[tuple[str, float]]) -> Markup:
    """Return the bars as a table.

    Args:
        rows: As ``waterfall_rows`` returns them.
        cutoffs: Points at which the outcome changes, each with the outcome below or above it.
    """
    ends = running(rows)
    low = min(min(pair) for pair in ends)
    high = max(max(pair) for pair in ends)
    edge = max((high - low) * EDGE_SHARE, 100)

    def place(hundredths: float) -> float:
        return 100 * (hundredths - low + edge) / (high - low + 2 * edge)

    lines = [
        tag("i", class_=f"{CUT} {kind}", style=f"left:{place(at * 100):.2f}%")
        for kind, at in cutoffs
        if low - edge < at * 100 < high + edge
    ]
    body = []
    for row, (begin, end) in zip(rows, ends, strict=True):
        if row.kind in {"start", "end"}:
            mark = tag("b", class_=f"pin {row.kind}", style=f"left:{place(end):.2f}%")
        else:
            left, width = place(min(begin, end)), abs(place(end) - place(begin))
            kind = "down" if row.hundredths < 0 else "up"
            style = f"left:{left:.2f}%;width:{max(width, 0.4):.2f}%"
            mark = tag("b", class_=f"fall {kind} {row.kind}", style=style)
        total = row.kind in {"start", "end"}
        figure = (points_text if total else signed_points)(row.hundredths / 100)
        body.append(
            tag(
                "tr",
                tag(
                    "th",
                    tag("span", row.label),
                    tag("small", row.note) if row.note else "",
                    scope="row",
                ),
                tag(
                    "td", tag("div", *lines, mark, class_="lane"), class_="bars", aria_hidden="true"
                ),
                tag("td", figure, class_="number"),
                data_kind=row.kind,
                data_points=f"{row.hundredths / 100:.2f}",
            )
        )
    head = tag(
        "tr",
        tag("th", "From the reference applicant to this one", scope="col"),
        tag("td", class_="bars", aria_hidden="true"),
        tag("th", "Points", scope="col", class_="number"),
    )
    return tag(
        "table",
        tag("thead", head),
        tag("tbody", joined(body)),
        id="waterfall",
        class_="waterfall",
    )


def running(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Return where each bar begins and ends, in hundredths of a point."""
    ends: list[tuple[int, int]] = []
    at = 0
    for row in rows:
        before = row.hundredths if row.kind in {"start", "end"} else at
        at = row.hundredths if row.kind in {"start", "end"} else at + row.hundredths
        ends.append((before, at))
    return ends
