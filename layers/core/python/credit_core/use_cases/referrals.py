"""A page of the referral queue."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from credit_core.domain.application_records import compact_json
from credit_core.domain.referrals import LARGEST_PAGE, USUAL_PAGE, Place, referral
from credit_core.domain.strict_json import repeatable_name
from credit_core.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from credit_core.ports import ReferralQueue

LIMIT, AFTER = "limit", "after"
MOST_DIGITS = 3


@dataclass(frozen=True, slots=True)
class PageAsked:
    """How many referrals are asked for, and behind which place."""

    limit: int = USUAL_PAGE
    after: Place | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> PageAsked:
        """Return what the parameters of a request ask for.

        Raises:
            InvalidRequestError: With every parameter at fault.

        >>> PageAsked.of({"limit": "10"})
        PageAsked(limit=10, after=None)
        """
        faults = [
            Fault(repeatable_name(name), "is no parameter of this call")
            for name in parameters
            if name not in {LIMIT, AFTER}
        ]
        limit, after = parameters.get(LIMIT, str(USUAL_PAGE)), parameters.get(AFTER)
        if not _is_size(limit):
            faults.append(Fault(LIMIT, f"must be a whole number from 1 to {LARGEST_PAGE}"))
        place = None if after is None else Place.at(after)
        if after is not None and place is None:
            faults.append(Fault(AFTER, "must be the `next` of an earlier answer"))
        if faults:
            raise InvalidRequestError(faults)
        return cls(int(limit), place)


def waiting_referrals(queue: ReferralQueue, asked: PageAsked, *, as_of: datetime) -> str:
    """Return the JSON of a page of what waits for a person, oldest first.

    ``next`` is the cursor of the page after it, null where this one is the last.

    Raises:
        StoreUnavailableError: The store did not answer.
    """
    # One more tells whether there is another page.
    found = queue.waiting(after=asked.after, as_of=as_of, at_once=asked.limit + 1)
    records = list(islice(found, asked.limit + 1))
    page = records[: asked.limit]
    more = len(records) > asked.limit
    return compact_json(
        {
            "referrals": [referral(record) for record in page],
            "next": Place.of(page[-1]).cursor if more else None,
        }
    )


def _is_size(text: str) -> bool:
    return (
        text.isascii()
        and text.isdecimal()
        and len(text) <= MOST_DIGITS
        and 1 <= int(text) <= LARGEST_PAGE
    )
