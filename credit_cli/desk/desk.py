"""The desk as its pages see it: a product, what they stand in, and whom they ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_cli.desk.evidence import Evidence
    from credit_cli.desk.office import AnswerTimes, Office
    from credit_cli.desk.shell import Shell
    from credit_core.domain.product import CreditProduct


@dataclass(frozen=True)
class Rooms:
    """Whom the pages ask: the API and the records of decisions, and what models are made of."""

    office: Office
    evidence: Evidence


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def nothing() -> None:
    """Do nothing."""


MOST_NOTED = 500


@dataclass
class Notes:
    """What the desk remembers while it runs: how long answers took, and who reviewed last.

    Nothing of an applicant is among it.
    """

    reviewer: str = ""
    _times: dict[str, AnswerTimes] = field(default_factory=dict)

    def note(self, application_id: str, times: AnswerTimes) -> None:
        """Remember how long the answer to an application took; the oldest are forgotten."""
        self._times.pop(application_id, None)
        self._times[application_id] = times
        while len(self._times) > MOST_NOTED:
            del self._times[next(iter(self._times))]

    def times(self, application_id: str) -> AnswerTimes | None:
        """Return how long the answer took, if it was asked for here."""
        return self._times.get(application_id)


@dataclass(frozen=True)
class Desk:
    """One desk, about one deployment of one product.

    ``rooms`` is asked at every page. It may raise CliError, as while nothing is deployed: the page
    then says so, and the next one looks again. ``forget`` is called after an error, since what was
    found before may be gone.
    """

    product: CreditProduct
    shell: Shell
    rooms: Callable[[], Rooms]
    clock: Callable[[], datetime] = now
    forget: Callable[[], None] = nothing
    notes: Notes = field(default_factory=Notes)

    @property
    def office(self) -> Office:
        """The API, and the records of decisions.

        Raises:
            CliError: Nothing is deployed, or it can't be reached.
        """
        return self.rooms().office

    @property
    def evidence(self) -> Evidence:
        """What models and days are made of.

        Raises:
            CliError: Nothing is deployed, or it can't be reached.
        """
        return self.rooms().evidence
