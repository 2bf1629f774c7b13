"""Add up what became of every part of a run, and judge the run.

Each worker leaves a tally of its part. A run is right when every planned part has exactly one, and
in each of them read = written + stale + rejected.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.places import REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from credit_core.ports import FilePart, Metrics, Tally
    from credit_core.use_cases.plan_materialization import Watermark

REPEATED_AT_ONCE = 200
"""Parts without a tally that are named for another try; more would not fit a state's 256 KiB.

More are repeated in bulk, as they were tried first. One by one, each leaves seven events in the
history of the run, three more for each retry, and a history ends at 25,000.
"""
TOLD_FAILURES = 3
"""Faults in the sentence on which a run ends; the run's summary has all of them."""


class RunRecord(Protocol):
    """What a run left behind so far."""

    def plan(self) -> Sequence[FilePart]:
        """Return the planned parts, each at the index that is its number.

        Raises:
            StoreUnavailableError: It could not be read.
        """

    def tallies(self) -> Mapping[int, Tally]:
        """Return the tallies by the number of their part.

        Raises:
            StoreUnavailableError: They could not be read.
        """

    def keep_missing(self, parts: Mapping[int, FilePart]) -> None:
        """Keep the parts that are repeated in bulk, by their number.

        Raises:
            StoreUnavailableError: They could not be kept.
        """

    def keep_summary(self, document: Mapping[str, Any]) -> None:
        """Keep what the run came to.

        Raises:
            StoreUnavailableError: It could not be kept.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run tolerates: shares of the rows read and of the files planned; 0 is none."""

    rejected_rows_share: float
    failed_files_share: float


@dataclass(frozen=True, slots=True)
class Counts:
    """The sums over parts."""

    read: int = 0
    written: int = 0
    stale: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a run failed: a name for machines and a sentence for people."""

    error: str
    cause: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    ``missing`` are the numbers of parts without a tally: their workers failed, and may succeed
    when they are tried again. As long as they are, there is no verdict. They are repeated
    ``in_bulk`` where they are many; each failure is then that part's alone. While parts are tried
    ``again``, the sums are not the run's yet.
    """

    prefix: str
    files: int
    parts: int
    counts: Counts
    views: Mapping[str, Counts]
    refused: Mapping[str, str]
    missing: tuple[int, ...] = ()
    in_bulk: bool = False
    verdict: Verdict | None = None
    again: bool = False
    planned: Sequence[FilePart] = field(default=(), repr=False)

    def document(self) -> dict[str, Any]:
        """Return the JSON object that is kept as the run's summary."""
        return {
            "prefix": self.prefix,
            "files": self.files,
            "parts": self.parts,
            **asdict(self.counts),
            "views": {name: asdict(counts) for name, counts in self.views.items()},
            "failed": [{"part": name, "cause": cause} for name, cause in self.refused.items()],
            "missing": [self.planned[number].name for number in self.missing],
            "verdict": asdict(self.verdict) if self.verdict else None,
        }


def reconcile(
    record: RunRecord,
    *,
    run_id: str,
    prefix: str,
    hidden: int,
    moves_watermark_to: datetime | None,
    watermark: Watermark,
    limits: Limits,
    missing_before: int | None,
    repeated_in_bulk: bool,
) -> Outcome:
    """Add up the tallies, judge the run, keep its summary; after a good sweep move the watermark.

    Args:
        record: What the run left behind.
        run_id: The run's id.
        prefix: What it was asked to do.
        hidden: How many files its plan passed over.
        moves_watermark_to: Where a sweep moves the watermark to; None for other runs.
        watermark: The sweeps' watermark.
        limits: What is tolerated.
        missing_before: How many parts lacked a tally before they were last tried again.
        repeated_in_bulk: Whether that was in bulk, where a worker's failure doesn't end the run.

    Raises:
        StoreUnavailableError: A store did not answer; doing it again is safe.
    """
    planned, tallies = record.plan(), record.tallies()
    missing = tuple(number for number in range(len(planned)) if number not in tallies)
    known = [tally for number, tally in tallies.items() if number < len(planned)]
    refused = {tally.part: tally.refused for tally in known if tally.refused}
    fewer = missing_before is None or len(missing) < missing_before
    in_bulk = fewer and len(missing) > REPEATED_AT_ONCE
    # If that didn't help, one by one: then the run fails with a worker's own words, or goes on.
    again = bool(missing) and (fewer or repeated_in_bulk)
    outcome = Outcome(
        prefix=prefix,
        files=len({part.key for part in planned}),
        parts=len(planned),
        counts=added(known),
        views={
            view: added(tally for tally in known if tally.view == view)
            for view in sorted({tally.view for tally in known if tally.view})
        },
        refused=refused,
        missing=missing,
        in_bulk=in_bulk,
        again=again,
        verdict=None
        if again
        else verdict(
            planned,
            tallies,
            run_id=run_id,
            prefix=prefix,
            # A sweep that finds nothing new has nothing to do. Neither has a run for a hidden file.
            may_be_empty=moves_watermark_to is not None or hidden > 0,
            limits=limits,
        ),
        planned=planned,
    )
    record.keep_summary({"run_id": run_id, **outcome.document()})
    if in_bulk:
        record.keep_missing({number: planned[number] for number in missing})
    if moves_watermark_to and not again and not outcome.verdict:
        watermark.move(moves_watermark_to)
    return outcome


def count_rejected(
    outcome: Outcome, *, stage: str, product: str, metrics: Metrics, as_of: datetime
) -> None:
    """Publish how many rows a run rejected, once it is over and if there were any.

    A run tolerates some and succeeds; whoever delivered them would not hear of it otherwise.

    Args:
        outcome: What the run came to.
        stage: The deployment, a dimension of the metric.
        product: Whose rows they are.
        metrics: Where they are counted.
        as_of: Now.

    Raises:
        StoreUnavailableError: They are not known to be counted; reconciling again is safe.
    """
    if outcome.counts.rejected and not outcome.again:
        named = dimensions(stage=stage, product=product)
        counted = Measurement(Metric.REJECTED_ROWS, outcome.counts.rejected, Unit.COUNT, named)
        metrics.publish([counted], at=as_of)


def added(tallies: Iterable[Tally]) -> Counts:
    """Return the sums of tallies."""
    names = Counts.__dataclass_fields__
    total: Counter[str] = Counter()
    for tally in tallies:
        total.update({name: getattr(tally, name) for name in names})
    return Counts(**{name: total[name] for name in names})


def verdict(
    planned: Sequence[FilePart],
    tallies: Mapping[int, Tally],
    *,
    run_id: str,
    prefix: str,
    may_be_empty: bool,
    limits: Limits,
) -> Verdict | None:
    """Return why a run failed, or None if it succeeded."""
    if not planned and not may_be_empty:
        return Verdict("NoFiles", f"there is no file under {prefix}")
    known = {number: tally for number, tally in tallies.items() if number < len(planned)}
    refused = {number: tally.refused for number, tally in known.items() if tally.refused}
    files = {part.key for part in planned}
    failed_files = {planned[number].key for number in refused}
    if len(failed_files) > limits.failed_files_share * len(files):
        more = f" and {len(refused) - TOLD_FAILURES} more" if len(refused) > TOLD_FAILURES else ""
        return Verdict(
            "FilesFailed",
            f"{len(failed_files)} of {len(files)} files failed: "
            f"{', '.join(list(refused.values())[:TOLD_FAILURES])}{more}",
        )
    faults = [*count_faults(planned, tallies)]
    if faults:
        more = f" and {len(faults) - TOLD_FAILURES} more" if len(faults) > TOLD_FAILURES else ""
        return Verdict("CountsDoNotReconcile", "; ".join(faults[:TOLD_FAILURES]) + more)
    counts = added(known.values())
    if counts.rejected > limits.rejected_rows_share * counts.read:
        return Verdict(
            "TooManyRejected",
            f"{counts.rejected} of {counts.read} rows were rejected; the limit is a share of "
            f"{limits.rejected_rows_share}. They lie, with reasons, under {REJECTED}{run_id}/ in "
            "the results bucket",
        )
    return None


def count_faults(planned: Sequence[FilePart], tallies: Mapping[int, Tally]) -> Iterable[str]:
    """Yield each way in which tallies don't account for the planned parts exactly once."""
    for number, part in enumerate(planned):
        tally = tallies.get(number)
        if tally is None:
            yield f"{part.name} has no tally"
        elif tally.part != part.name:
            yield f"{part.name} has the tally of {tally.part}"
        elif not tally.refused:
            if not tally.adds_up:
                yield (
                    f"{part.name}: {tally.read} rows read are not {tally.written} written"
                    f" + {tally.stale} stale + {tally.rejected} rejected"
                )
            if part.rows and tally.read != part.rows[1] - part.rows[0]:
                yield (
                    f"{part.name}: {tally.read} rows read of {part.rows[1] - part.rows[0]} planned"
                )
    for number in sorted(set(tallies) - set(range(len(planned)))):
        yield f"{tallies[number].part} was tallied twice, or was never planned"
