"""An alarm that changed its state, as CloudWatch tells it through SNS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

RINGS = "ALARM"


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """Which alarm changed to which state, when, and why in CloudWatch's words."""

    name: str
    state: str
    at: datetime
    why: str = ""

    @property
    def rings(self) -> bool:
        """Whether the alarm went off."""
        return self.state == RINGS

    @property
    def event(self) -> str:
        """The same text for this change however often it is delivered.

        >>> from datetime import UTC
        >>> AlarmChange("page", "ALARM", datetime(2026, 3, 1, 9, tzinfo=UTC)).event
        'alarm page of 2026-03-01 09:00:00 UTC'
        """
        return f"alarm {self.name} of {self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    @classmethod
    def from_message(cls, text: str) -> AlarmChange | None:
        """Read an SNS message, None where it tells of no alarm.

        Source: Amazon CloudWatch User Guide, "Notifying users on alarm changes".
        """
        try:
            told = json.loads(text)
            at = datetime.fromisoformat(told["StateChangeTime"])
            change = cls(str(told["AlarmName"]), str(told["NewStateValue"]), at)
        except (KeyError, TypeError, ValueError):
            return None
        if at.tzinfo is None:
            return None
        return cls(change.name, change.state, at, str(told.get("NewStateReason", "")))
