"""How many receipts a night's run reads in a second of a processor."""

from __future__ import annotations

import time

import pytest

from credit_core.use_cases.monitor import plan_day, tally_part
from tests.builders_monitoring import A_DAY, MonitoredDays

pytestmark = pytest.mark.performance

RECEIPTS, TIMES = 1_000, 5
LEAST_A_SECOND = 2_000
"""A quarter of what was measured; S3 gives a function some 300."""


def test_counting_receipts_takes_a_small_part_of_the_time_in_which_they_are_fetched() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, RECEIPTS, model=days.trained(on=100))
    (part,) = plan_day(days.archive, A_DAY, decisions_a_part=RECEIPTS)

    # The least: a processor that others use as well takes longer for the same.
    seconds = []
    for _ in range(TIMES):
        started = time.process_time()
        tally = tally_part(days.archive, part, manifest_of=days.manifest_of)
        seconds.append(time.process_time() - started)
        assert tally.decisions == RECEIPTS

    assert RECEIPTS / min(seconds) > LEAST_A_SECOND
