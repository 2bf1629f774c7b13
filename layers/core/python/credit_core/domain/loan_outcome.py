"""What became of a loan, as its servicing reports it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from credit_core.domain.application import APPLICATION_ID_PATTERN
from credit_core.domain.strict_body import StrictBody, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

BEHIND_UTC, AHEAD_OF_UTC = timedelta(hours=12), timedelta(hours=14)
"""How far the world's calendars lie from UTC's; a date carries no time zone."""


class LoanOutcome(StrEnum):
    """What became of a loan."""

    REPAID = "repaid"
    DEFAULTED = "defaulted"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What became of an application's loan, and on which day."""

    application_id: str
    outcome: LoanOutcome
    day: date

    def as_document(self) -> dict[str, object]:
        """Return the report as it was sent."""
        return {
            "application_id": self.application_id,
            "outcome": self.outcome,
            "date": self.day.isoformat(),
        }


def _is_date(text: str) -> str:
    date.fromisoformat(text)
    return text


class OutcomeBody(StrictBody):
    """The body of a report."""

    application_id: Annotated[str, Field(pattern=rf"^(?:{APPLICATION_ID_PATTERN})$")]
    outcome: Literal["repaid", "defaulted", "withdrawn"]
    date: Annotated[
        str,
        Field(
            pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            description="The day on which it was repaid, defaulted or withdrawn",
            json_schema_extra={"format": "date"},
        ),
        AfterValidator(_is_date),
    ]


def read_outcome_report(body: str | bytes | None) -> OutcomeReport:
    """Return the report in a request body.

    Raises:
        InvalidRequestError: With every fault of the body, each with its path.
    """
    given = read_body(OutcomeBody, body)
    return OutcomeReport(
        given.application_id, LoanOutcome(given.outcome), date.fromisoformat(given.date)
    )


def default_within(
    reported: Mapping[LoanOutcome, date], *, decided_on: date, horizon: timedelta
) -> bool | None:
    """Return whether a loan defaulted within the horizon; None where that was not reported.

    A loan that was repaid, or that defaulted later, did not. A withdrawn application has no loan.

    >>> default_within({LoanOutcome.DEFAULTED: date(2026, 3, 1)}, decided_on=date(2026, 1, 1),
    ...     horizon=timedelta(days=365))
    True
    """
    if LoanOutcome.WITHDRAWN in reported or not reported:
        return None
    defaulted_on = reported.get(LoanOutcome.DEFAULTED)
    return defaulted_on is not None and defaulted_on - decided_on <= horizon


def order_fault(report: OutcomeReport, *, earlier: LoanOutcome, day: date) -> str | None:
    """Return why an outcome can't follow one that was reported before, or None.

    A withdrawn application has no loan. A repayment ends a loan: a default lies before it, and what
    is recovered of a default comes with it or later.

    Args:
        report: The outcome, another one than the earlier.
        earlier: What was reported before.
        day: The day of that.
    """
    if LoanOutcome.WITHDRAWN in {report.outcome, earlier}:
        return f"{earlier} was reported before"
    if earlier is LoanOutcome.REPAID and report.day >= day:
        return "it was repaid by then, and a repaid loan does not default"
    if earlier is LoanOutcome.DEFAULTED and report.day < day:
        return "it defaulted after that, and a repaid loan does not default"
    return None


def date_fault(day: date, *, decided_at: datetime, as_of: datetime) -> str | None:
    """Return what is wrong with the day of an outcome, or None.

    Args:
        day: A day of the lender's calendar, wherever the lender is.
        decided_at: When the application was decided.
        as_of: Now.
    """
    if day < (decided_at - BEHIND_UTC).date():
        return "is before the decision"
    if day > (as_of + AHEAD_OF_UTC).date():
        return "is in the future"
    return None
