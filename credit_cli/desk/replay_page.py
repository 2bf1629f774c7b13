"""Whether a decision comes out again: computed from its receipt and its model alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_cli.desk.markup import link, tag
from credit_cli.desk.paths import decision_path
from credit_cli.replay_rendering import WORDS
from credit_core.domain.pages.html import Markup, paragraph
from credit_core.domain.pages.html import Table as HtmlTable
from credit_core.use_cases.replay import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_core.use_cases.replay import Replay

GOOD = frozenset({Verdict.IDENTICAL, Verdict.FAULT})


def replay_content(application_id: str, replays: Sequence[Replay]) -> list[Markup]:
    """Return what the page of a replay holds."""
    parts = [
        paragraph(f"Application {application_id}", kind="eyebrow"),
        tag("h1", "Decided again"),
        paragraph(
            "Recomputed from the receipt and the registered model, without the features of today "
            "and without the service.",
            kind="lead",
        ),
    ]
    for replay in replays:
        good = replay.verdict in GOOD
        words = f"Revision {replay.revision}: {WORDS[replay.verdict]}"
        said = [tag("h2", words)]
        if replay.verdict is Verdict.IDENTICAL:
            said.append(paragraph("Every figure of the answer came out again, bit for bit."))
        if replay.note:
            said.append(paragraph(f"{replay.note}."))
        parts.append(
            tag(
                "div",
                *said,
                class_=f"notice {'good' if good else 'bad'}",
                data_verdict=replay.verdict.value,
            )
        )
        if replay.differences:
            rows = [
                (difference.field, str(difference.recorded), str(difference.replayed))
                for difference in replay.differences
            ]
            parts.append(
                HtmlTable(
                    caption="What differs",
                    headings=("Field", "Recorded", "Replayed"),
                    rows=rows,
                    words=3,
                ).html()
            )
    parts.append(
        tag("p", link("Back to the decision", decision_path(application_id)), class_="actions")
    )
    return parts
