"""A decision in words for a person."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_cli.api import Answer

VERDICTS = {
    "approve": "Approved",
    "decline": "Declined",
    "refer": "Referred to a person",
}
DECIDERS = {"rule": "rule", "cutoff": "cut-off", "fault": "fault"}
TIMING = re.compile(r"(?P<stage>[\w-]+)\s*;\s*dur=(?P<ms>[\d.]+)")
LABEL_WIDTH = 10


def decision_lines(answer: Answer | None, decision: Mapping[str, Any]) -> list[str]:
    """Return a decision as lines of text, the verdict first.

    Args:
        answer: The HTTP answer it came in, for its headers and its round trip; None for a decision
            that was read from its receipt.
        decision: The document in it.
    """
    lines = [verdict(decision), *cause_lines(decision)]
    label = "Against" if decision.get("outcome") == "approve" else "Reasons"
    lines += reason_lines(decision.get("reasons") or [], label=label)
    for view, status in (decision.get("feature_status") or {}).items():
        lines.append(f"{'Read':<{LABEL_WIDTH}}{view}: {freshness(status)}")
    model = decision.get("model") or {}
    described = (
        f"{model.get('version')} ({model.get('role')}), SHA-256 {str(model.get('sha256'))[:12]}…"
        if model
        else "none was asked"
    )
    lines.append(f"{'Model':<{LABEL_WIDTH}}{described}; policy {decision.get('policy_version')}")
    replayed = False
    if answer is not None:
        lines.append(f"{'Time':<{LABEL_WIDTH}}{timing(answer)}")
        replayed = answer.headers.get("Idempotency-Replayed") == "true"
    revision = decision.get("revision", 1)
    lines.append(
        f"{'Receipt':<{LABEL_WIDTH}}{decision.get('application_id')}, "
        f"{f'revision {revision}, ' if revision != 1 else ''}decided "
        f"{decision.get('decided_at')}{', returned again byte for byte' if replayed else ''}"
    )
    return lines


def verdict(decision: Mapping[str, Any]) -> str:
    """Say the outcome with what the model estimated.

    >>> verdict({"outcome": "approve", "probability_of_default": 0.0312, "points": 612.4})
    'Approved: probability of default 3.12 %, 612 points'
    >>> verdict({"outcome": "x", "probability_of_default": 0.2, "points": 9, "risk_band": "E"})
    'x: probability of default 20.00 %, 9 points, risk band E'
    >>> verdict({"outcome": "refer", "probability_of_default": None})
    'Referred to a person'
    """
    outcome = VERDICTS.get(str(decision.get("outcome")), str(decision.get("outcome")))
    probability = decision.get("probability_of_default")
    if probability is None:
        return outcome
    percent, band = f"{100 * probability:.2f} %", decision.get("risk_band")
    estimated = f"probability of default {percent}, {decision['points']:.0f} points"
    return f"{outcome}: {estimated}{f', risk band {band}' if band else ''}"


def cause_lines(decision: Mapping[str, Any]) -> list[str]:
    """Say what settled the outcome: the cause of a referral, else the rule or the cut-off.

    >>> cause_lines({"cause": None, "decided_by": {"kind": "rule", "code": "MINIMUM_INCOME"}})
    ['Decided   by the rule MINIMUM_INCOME']
    >>> cause_lines({"cause": None, "decided_by": {"kind": "cutoff", "code": "decline_from"}})
    ['Decided   by the cut-off decline_from']
    """
    cause, decider = decision.get("cause"), decision.get("decided_by")
    if cause:
        lines = [f"{'Because':<{LABEL_WIDTH}}{cause.get('detail')} ({cause.get('code')})"]
        if cause.get("retryable"):
            again = "this may pass: the same application may be sent again for another decision"
            lines.append(f"{'':<{LABEL_WIDTH}}{again}")
        return lines
    if decider:
        kind = DECIDERS.get(str(decider.get("kind")), str(decider.get("kind")))
        return [f"{'Decided':<{LABEL_WIDTH}}by the {kind} {decider.get('code')}"]
    return []


def reason_lines(reasons: list[Mapping[str, Any]], *, label: str) -> list[str]:
    """Say each reason with the points it cost, the costliest first as they come.

    A rule's reason cost no points: it settled the outcome.
    """
    return [
        f"{'' if number else label:<{LABEL_WIDTH}}{_points(reason)}"
        f"{reason['text']} ({reason['feature']})"
        for number, reason in enumerate(reasons)
    ]


def _points(reason: Mapping[str, Any]) -> str:
    points = reason["contribution_points"]
    return "" if points is None else f"{points:+6.1f} points  "


def freshness(status: Mapping[str, Any]) -> str:
    """Say how old what was read is.

    >>> freshness({"status": "fresh", "age_seconds": 7200, "event_timestamp": "T"})
    'fresh, 2 hours old, of T'
    >>> freshness({"status": "missing", "age_seconds": None, "event_timestamp": None})
    'missing'
    """
    seconds = status.get("age_seconds")
    if seconds is None:
        return str(status.get("status"))
    return f"{status.get('status')}, {age(seconds)} old, of {status.get('event_timestamp')}"


def age(seconds: float) -> str:
    """Say a duration in its largest whole unit.

    >>> age(59), age(86_400), age(200_000)
    ('59 seconds', '24 hours', '2 days')
    """
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * length or (seconds >= length and unit != "day"):
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return f"{seconds:.0f} seconds"


def timing(answer: Answer) -> str:
    """Say the time per stage, from the Server-Timing header, and the round trip.

    Source:
        W3C Server Timing, section 2.
    """
    stages = TIMING.findall(answer.headers.get("Server-Timing", ""))
    words = ", ".join(f"{stage} {float(ms):.1f}" for stage, ms in stages)
    seen = f"{answer.seconds * 1_000:.0f} ms seen from here"
    return f"{words} ms; {seen}" if words else seen
