"""Score a batch: each application alone, several at once, within a time of its own."""

from __future__ import annotations

import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from datetime import datetime

    from credit_core.ports import Timer
    from credit_core.use_cases.score import Answer


class ScoreBatch:
    """Scores batches; several applications at once, because each waits for the store.

    Args:
        score: The use case for one application; any number of threads may call it.
        threads: How many applications are judged at once.
        now: Returns the instant; each application is decided at its own.
        timer: Returns a timer for an application, with at most the given seconds left.
    """

    def __init__(
        self,
        score: Callable[..., Answer],
        *,
        threads: int,
        now: Callable[[], datetime],
        timer: Callable[[float], Timer],
    ) -> None:
        self._score = score
        self._threads = threads
        self._now = now
        self._timer = timer

    def __call__(self, applications: Sequence[str], *, timer: Timer) -> list[Answer | Exception]:
        """Return for each application its answer, or the error with which it alone failed.

        Applications under one id are judged one after another, in their order; so the first one
        decides, as if each had been sent when the one before it was answered.

        Args:
            applications: The text of each application.
            timer: Knows how much time is left for all of them.
        """
        answers: dict[int, Answer | Exception] = {}

        def judge(places: Sequence[int]) -> None:
            for place in places:
                answers[place] = self._judge(applications[place], timer)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(judge, _by_id(applications)):
                pass
        in_order = [answers[place] for place in range(len(applications))]
        # The traceback of an error leads back to this dictionary: emptied, it is no cycle that
        # would keep the error, and all that its frames hold, until the next garbage collection.
        answers.clear()
        return in_order

    def _judge(self, application: str, timer: Timer) -> Answer | Exception:
        left = timer.remaining_seconds()
        if left <= 0:
            return StoreUnavailableError("the batch's time was over before this application's turn")
        try:
            return self._score(application, as_of=self._now(), timer=self._timer(left))
        except Exception as error:  # noqa: BLE001 (what fails one application harms no other)
            return error


def _by_id(applications: Sequence[str]) -> list[list[int]]:
    """Return the places of the applications of each id; one without a readable id is alone."""
    places: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place, application in enumerate(applications):
        places[_id(application) or place].append(place)
    return list(places.values())


def _id(application: str) -> str | None:
    try:
        document = json.loads(application)
    except (ValueError, RecursionError):
        return None
    found = document.get("application_id") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None
