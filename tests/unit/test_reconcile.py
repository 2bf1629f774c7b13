"""What a run came to: sums, verdicts, and when the watermark moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.errors import StoreUnavailableError
from credit_core.ports import FilePart, Tally
from credit_core.use_cases.reconcile import (
    REPEATED_AT_ONCE,
    Counts,
    Limits,
    Outcome,
    count_rejected,
    reconcile,
)
from tests.builders import NOW
from tests.feature_rows import FakeWatermark
from tests.pushes import FakeMetrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NONE_TOLERATED = Limits(rejected_rows_share=0, failed_files_share=0)
TWO_FILES = (FilePart("a"), FilePart("b", (0, 10), (4, 90)), FilePart("b", (10, 30), (90, 300)))


@dataclass
class ARun:
    """The record of a run, in memory."""

    parts: Sequence[FilePart] = TWO_FILES
    tallied: dict[int, Tally] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    missing: Mapping[int, FilePart] = field(default_factory=dict)

    def plan(self) -> Sequence[FilePart]:
        return self.parts

    def tallies(self) -> Mapping[int, Tally]:
        return self.tallied

    def keep_missing(self, parts: Mapping[int, FilePart]) -> None:
        self.missing = parts

    def keep_summary(self, document: Mapping[str, Any]) -> None:
        self.summary = dict(document)


def a_sound_run() -> ARun:
    return ARun(
        tallied={
            0: Tally("a", "bureau", read=5, written=5),
            1: Tally("b[0-10]", "market", read=10, written=7, stale=3),
            2: Tally("b[10-30]", "market", read=20, written=18, stale=1, rejected=1),
        }
    )


def judged(
    run: ARun,
    *,
    limits: Limits = Limits(rejected_rows_share=0.1, failed_files_share=0),  # noqa: B008 (frozen)
    watermark: FakeWatermark | None = None,
    sweep: bool = False,
    hidden: int = 0,
    missing_before: int | None = None,
    repeated_in_bulk: bool = False,
) -> Outcome:
    return reconcile(
        run,
        run_id="run-1",
        prefix="p/features/",
        hidden=hidden,
        moves_watermark_to=NOW if sweep else None,
        watermark=watermark or FakeWatermark(),
        limits=limits,
        missing_before=missing_before,
        repeated_in_bulk=repeated_in_bulk,
    )


def test_the_sums_are_those_of_all_parts_and_of_each_view() -> None:
    run = a_sound_run()

    outcome = judged(run)

    assert (outcome.files, outcome.parts) == (2, 3)
    assert outcome.counts == Counts(read=35, written=30, stale=4, rejected=1)
    assert outcome.views == {
        "bureau": Counts(read=5, written=5),
        "market": Counts(read=30, written=25, stale=4, rejected=1),
    }
    assert outcome.verdict is None
    assert run.summary["run_id"] == "run-1"
    assert run.summary["read"] == 35
    assert run.summary["verdict"] is None


# --- Verdicts -------------------------------------------------------------------------------


def the_verdict(outcome: Outcome) -> tuple[str, str]:
    assert outcome.verdict is not None
    return outcome.verdict.error, outcome.verdict.cause


def test_a_prefix_without_files_is_a_mistake_of_whoever_asked() -> None:
    assert the_verdict(judged(ARun(()))) == ("NoFiles", "there is no file under p/features/")


@pytest.mark.parametrize("nothing_to_do", [{"sweep": True}, {"hidden": 1}])
def test_a_sweep_without_news_and_a_hidden_file_are_no_mistakes(
    nothing_to_do: dict[str, Any],
) -> None:
    assert judged(ARun(()), **nothing_to_do).verdict is None


def test_a_refused_file_fails_the_run_and_is_named_with_its_cause() -> None:
    run = a_sound_run()
    run.tallied[0] = Tally("a", refused="a: column x is missing; bureau expects text")

    error, cause = the_verdict(judged(run))

    assert error == "FilesFailed"
    assert cause == "1 of 2 files failed: a: column x is missing; bureau expects text"
    assert run.summary["failed"] == [
        {"part": "a", "cause": "a: column x is missing; bureau expects text"}
    ]


def test_a_file_counts_once_however_many_of_its_parts_were_refused() -> None:
    run = a_sound_run()
    for number in (1, 2):
        run.tallied[number] = Tally(run.parts[number].name, refused=f"part {number}")

    tolerant = Limits(rejected_rows_share=1, failed_files_share=0.5)

    assert judged(run, limits=tolerant).verdict is None


def test_the_sentence_stays_short_however_many_files_were_refused() -> None:
    parts = [FilePart(f"file-{number}") for number in range(5_000)]
    tallies = {n: Tally(part.name, refused=f"{part.name}: no") for n, part in enumerate(parts)}

    _, cause = the_verdict(judged(ARun(parts, tallies)))

    assert cause.startswith("5000 of 5000 files failed: file-0: no, file-1: no, file-2: no")
    assert cause.endswith("and 4997 more")


def test_counts_that_do_not_add_up_fail_the_run() -> None:
    run = a_sound_run()
    run.tallied[0] = replace(run.tallied[0], written=4)

    assert the_verdict(judged(run)) == (
        "CountsDoNotReconcile",
        "a: 5 rows read are not 4 written + 0 stale + 0 rejected",
    )


def test_a_part_that_read_other_rows_than_planned_fails_the_run() -> None:
    run = a_sound_run()
    run.tallied[1] = Tally("b[0-10]", "market", read=9, written=9)

    assert the_verdict(judged(run))[1] == "b[0-10]: 9 rows read of 10 planned"


def test_a_part_tallied_twice_fails_the_run() -> None:
    run = a_sound_run()
    run.tallied[3] = run.tallied[0]

    error, cause = the_verdict(judged(run))

    assert error == "CountsDoNotReconcile"
    assert cause == "a was tallied twice, or was never planned"


def test_a_tally_of_another_part_fails_the_run() -> None:
    run = a_sound_run()
    run.tallied[0] = Tally("c", "bureau")

    assert the_verdict(judged(run))[1] == "a has the tally of c"


@pytest.mark.parametrize(("share", "fails"), [(0.0, True), (0.02, True), (0.03, False)])
def test_too_many_rejected_rows_fail_the_run(share: float, *, fails: bool) -> None:
    outcome = judged(a_sound_run(), limits=Limits(share, 0))

    assert (outcome.verdict is not None) == fails
    if fails:
        error, cause = the_verdict(outcome)
        assert error == "TooManyRejected"
        assert "1 of 35 rows" in cause
        assert "rejected/run-1/" in cause


# --- Parts whose workers failed -------------------------------------------------------------


def without_tallies(run: ARun, *numbers: int) -> ARun:
    for number in numbers:
        del run.tallied[number]
    return run


def test_parts_without_a_tally_are_tried_again_before_anything_is_judged() -> None:
    run = without_tallies(a_sound_run(), 0, 2)

    outcome = judged(run, limits=NONE_TOLERATED)

    assert outcome.missing == (0, 2)
    assert outcome.verdict is None
    assert run.summary["missing"] == ["a", "b[10-30]"]


def test_a_part_that_leaves_no_tally_though_its_worker_succeeded_fails_the_run() -> None:
    run = without_tallies(a_sound_run(), 0)

    outcome = judged(run, missing_before=1)

    assert the_verdict(outcome) == ("CountsDoNotReconcile", "a has no tally")


def test_trying_again_goes_on_while_it_helps() -> None:
    outcome = judged(without_tallies(a_sound_run(), 0), missing_before=2)

    assert outcome.missing == (0,)
    assert outcome.verdict is None


def a_run_of_many(*, missing: int) -> ARun:
    parts = [FilePart(f"file-{number}") for number in range(missing + 10)]
    return ARun(parts, {n: Tally(parts[n].name, "bureau") for n in range(10)})


def test_few_missing_parts_are_repeated_one_by_one() -> None:
    run = a_run_of_many(missing=REPEATED_AT_ONCE)

    outcome = judged(run)

    assert outcome.verdict is None
    assert not outcome.in_bulk
    assert run.missing == {}


@pytest.mark.parametrize("missing_before", [None, 5_000])
def test_many_missing_parts_are_repeated_in_bulk_while_it_helps(missing_before: int | None) -> None:
    """One by one, thousands would fill the history of the run before they are done."""
    run = a_run_of_many(missing=4_000)

    outcome = judged(run, missing_before=missing_before, repeated_in_bulk=True)

    assert outcome.verdict is None
    assert outcome.in_bulk
    assert run.missing == {number: run.parts[number] for number in range(10, 4_010)}


def test_where_repetition_in_bulk_helps_none_the_run_fails_in_a_workers_own_words() -> None:
    """One by one, that is: in bulk each failure is caught, and a verdict could not be redriven."""
    run = a_run_of_many(missing=4_000)

    outcome = judged(run, missing_before=4_000, repeated_in_bulk=True)

    assert outcome.verdict is None
    assert not outcome.in_bulk
    assert len(outcome.missing) == 4_000


def test_parts_that_leave_no_tally_though_their_workers_succeeded_end_the_repetition() -> None:
    outcome = judged(a_run_of_many(missing=4_000), missing_before=4_000)

    assert the_verdict(outcome)[0] == "CountsDoNotReconcile"
    assert not outcome.in_bulk


# --- The watermark --------------------------------------------------------------------------


def test_a_good_sweep_moves_the_watermark() -> None:
    watermark = FakeWatermark(NOW - timedelta(hours=6))

    judged(a_sound_run(), sweep=True, watermark=watermark)

    assert watermark.at == NOW


def test_the_watermark_never_moves_back() -> None:
    watermark = FakeWatermark(NOW + timedelta(hours=1))

    assert judged(a_sound_run(), sweep=True, watermark=watermark).verdict is None
    assert watermark.at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("wrong", ["refused", "rejected", "missing", "unreconciled"])
def test_a_sweep_that_is_not_good_leaves_the_watermark(wrong: str) -> None:
    run, watermark = a_sound_run(), FakeWatermark()
    match wrong:
        case "refused":
            run.tallied[0] = Tally("a", refused="a: no Parquet")
        case "missing":
            without_tallies(run, 0)
        case "unreconciled":
            run.tallied[0] = replace(run.tallied[0], written=4)

    judged(run, sweep=True, watermark=watermark, limits=NONE_TOLERATED)

    assert watermark.at is None


def test_no_run_but_a_sweep_moves_the_watermark() -> None:
    watermark = FakeWatermark()

    judged(a_sound_run(), watermark=watermark)

    assert watermark.at is None


def rejected_of(outcome: Outcome, metrics: FakeMetrics) -> list[float]:
    count_rejected(outcome, stage="test", product="loan", metrics=metrics, as_of=NOW)
    for found in metrics.measurements:
        assert (found.metric, found.dimensions) == (
            "RejectedRows",
            {"Stage": "test", "Product": "loan"},
        )
    return [found.value for found in metrics.measurements]


def test_rejected_rows_are_told_of_though_the_run_tolerates_them() -> None:
    outcome = judged(a_sound_run())

    assert outcome.verdict is None
    assert rejected_of(outcome, FakeMetrics()) == [1]


def test_a_run_that_rejected_nothing_says_nothing() -> None:
    run = a_sound_run()
    run.tallied[2] = Tally("b[10-30]", "market", read=20, written=20)

    assert rejected_of(judged(run), FakeMetrics(available=False)) == []


def test_rows_are_counted_once_though_parts_are_tried_again() -> None:
    outcome = judged(without_tallies(a_sound_run(), 0))

    assert outcome.again
    assert outcome.counts.rejected == 1
    assert rejected_of(outcome, FakeMetrics()) == []


def test_a_count_that_did_not_arrive_is_no_success() -> None:
    with pytest.raises(StoreUnavailableError):
        rejected_of(judged(a_sound_run()), FakeMetrics(available=False))
