"""Every record of every decision is archived once, whatever fails on the way."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.receipt_archive import Days, archived_record, day_of
from credit_core.errors import DamagedReceiptError, StoreUnavailableError
from credit_core.ports import Kept
from credit_core.use_cases.archive import Comparison, DayCounts, Redriven, archive, compare, redrive
from tests.builders import NOW
from tests.builders_archive import (
    A_DAY,
    TODAY,
    YESTERDAY,
    FakeArchive,
    FakeFailedBatches,
    FakeRecords,
    a_failed_batch,
    a_receipt,
    a_review,
    an_outcome,
    keys_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_core.domain.application_records import Attribute, StoredRecord
    from credit_core.domain.receipt_archive import ArchivedRecord

PRODUCT = "personal_loan"
KEPT_SINCE = TODAY - 30 * A_DAY
IDS = st.text(min_size=1, max_size=64)


def key(record: StoredRecord) -> str:
    return archived_record(record, product=PRODUCT).key


def archived_all(records: Sequence[StoredRecord]) -> FakeArchive:
    into = FakeArchive()
    archive(records, as_of=NOW, product=PRODUCT, into=into)
    return into


def compared(days: Days, *, records: FakeRecords, archive: FakeArchive) -> Comparison:
    return compare(
        days, as_of=NOW, kept_since=KEPT_SINCE, product=PRODUCT, records=records, archive=archive
    )


@dataclass
class Service:
    """Table, archive and queue together."""

    records: FakeRecords
    archive: FakeArchive
    failed_batches: FakeFailedBatches

    def redrive(self, days: Days | None = None) -> Redriven:
        return redrive(
            days,
            as_of=NOW,
            kept_since=KEPT_SINCE,
            product=PRODUCT,
            records=self.records,
            archive=self.archive,
            failed_batches=self.failed_batches,
        )


# --- what is kept of a record --------------------------------------------------------------


def test_a_receipt_and_what_it_becomes_later_are_one_object() -> None:
    first = a_receipt(outcome="refer", retryable=True)
    reviewed = {**first, "added": 1}
    superseded = {**first, "record": "superseded/0001"}

    into = archived_all([first, reviewed, superseded])

    assert keys_of(into.objects) == ["day=2026-11-20/application=application-1/decision/0001.json"]
    assert into.writes == 1
    assert (
        len({archived_record(r, product=PRODUCT).body for r in (first, reviewed, superseded)}) == 1
    )


def test_a_receipt_that_supersedes_another_is_kept_beside_it() -> None:
    into = archived_all([a_receipt(), a_receipt(revision=2)])

    assert [name[-9:] for name in keys_of(into.objects)] == ["0001.json", "0002.json"]


def test_a_receipt_written_without_a_revision_is_the_first() -> None:
    assert key(a_receipt(revision=...)) == key(a_receipt(revision=1))


def test_each_kind_lies_under_the_day_on_which_it_was_made() -> None:
    later = NOW + 40 * A_DAY
    into = archived_all([a_receipt(), a_review(at=NOW + A_DAY), an_outcome(at=later)])

    assert keys_of(into.objects) == [
        "day=2026-11-20/application=application-1/decision/0001.json",
        "day=2026-11-21/application=application-1/review/r-1.json",
        "day=2026-12-30/application=application-1/outcome/repaid.json",
    ]


def test_when_a_record_ends_in_the_table_is_no_part_of_it() -> None:
    for record in (a_receipt(), a_review()):
        ending = {**record, "expires_at": 1_800_000_000}

        assert archived_record(ending, product=PRODUCT) == archived_record(record, product=PRODUCT)


def test_a_record_that_has_ended_is_not_archived_again() -> None:
    """DynamoDB removes it days late, and whatever touches it till then comes by the stream."""
    ended = {**a_receipt("ended"), "expires_at": int(NOW.timestamp())}
    kept = {**a_receipt("kept"), "expires_at": int(NOW.timestamp()) + 1}

    into = archived_all([ended, kept])

    assert list(into.objects) == [key(kept)]


def test_a_record_that_has_ended_does_not_lack() -> None:
    ended = {**a_receipt("ended"), "expires_at": int(NOW.timestamp())}
    service = Service(FakeRecords([ended]), FakeArchive(), FakeFailedBatches())

    done = service.redrive(Days())

    assert (done.before.missing, done.kept.new) == (frozenset(), 0)
    assert not service.archive.objects


def test_the_day_is_that_of_utc() -> None:
    in_auckland = datetime(2026, 11, 21, 0, 30, tzinfo=timezone(timedelta(hours=13)))
    receipt = a_receipt(decided_at=in_auckland.isoformat())

    assert archived_record(receipt, product=PRODUCT).day == date(2026, 11, 20)


def test_an_object_is_one_line_of_json_with_bytes_in_base64() -> None:
    body = archived_record(a_receipt(), product=PRODUCT).body

    assert body.count(b"\n") == 1
    assert body.endswith(b"}\n")
    document = json.loads(body)
    assert document["terms"] == "eJwA/w=="
    assert document["revision"] == 1
    assert document["record"] == "decision/0001"
    assert list(document) == sorted(document)


@given(attributes=st.permutations(sorted(a_receipt().items(), key=str)))
def test_the_order_of_attributes_changes_no_byte(attributes: list[tuple[str, Attribute]]) -> None:
    assert archived_record(dict(attributes), product=PRODUCT) == archived_record(
        a_receipt(), product=PRODUCT
    )


@given(one=IDS, other=IDS)
def test_different_applications_never_share_a_key(one: str, other: str) -> None:
    assert (key(a_receipt(one)) == key(a_receipt(other))) is (one == other)


@given(application_id=IDS)
def test_an_id_stays_within_its_part_of_the_key(application_id: str) -> None:
    parts = key(a_receipt(application_id)).split("/")

    assert parts[:3] == ["receipts", PRODUCT, "day=2026-11-20"]
    assert len(parts) == 6
    assert not {"", ".", ".."} & set(parts)


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_a_key_says_its_day(moment: datetime) -> None:
    found = archived_record(a_receipt(at=moment), product=PRODUCT)

    assert day_of(found.key) == found.day == moment.date()


@pytest.mark.parametrize(
    "damage",
    [
        {"application_id": ...},
        {"record": ...},
        {"record": "gossip/1"},
        {"decided_at": ...},
        {"decided_at": "yesterday"},
        {"decided_at": "2026-11-20T12:00:00"},
        {"revision": "one"},
        {"revision": 0},
    ],
)
def test_a_record_that_does_not_say_what_it_is_is_damaged(damage: dict[str, object]) -> None:
    with pytest.raises(DamagedReceiptError):
        archived_record(a_receipt(**damage), product=PRODUCT)  # type: ignore[arg-type]


# --- from the stream -----------------------------------------------------------------------


def test_a_batch_that_comes_twice_changes_nothing() -> None:
    into = FakeArchive()
    batch = [a_receipt("a"), a_receipt("b"), a_review("a")]

    assert archive(batch, as_of=NOW, product=PRODUCT, into=into) == Kept(new=3)
    assert archive(batch, as_of=NOW, product=PRODUCT, into=into) == Kept(known=3)

    assert into.writes == 3


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_poison_record_stops_no_other_and_is_not_passed_over(place: int) -> None:
    into = FakeArchive()
    batch = [a_receipt("a"), a_receipt("b")]
    batch.insert(place, a_receipt("poison", decided_at=...))

    with pytest.raises(StoreUnavailableError, match=r"1 of 3 .* poison decision: decided_at"):
        archive(batch, as_of=NOW, product=PRODUCT, into=into)

    assert len(into.objects) == 2


def test_what_the_archive_does_not_take_fails_the_batch_after_all_others_are_kept() -> None:
    into = FakeArchive(refusing=("application=b/",))

    with pytest.raises(StoreUnavailableError, match=r"1 of 3 records .* AccessDenied"):
        archive(
            [a_receipt("a"), a_receipt("b"), a_receipt("c")], as_of=NOW, product=PRODUCT, into=into
        )

    assert len(into.objects) == 2


def test_a_failure_tells_no_value_of_an_applicant() -> None:
    secret = '{"annual_income": 71234.56}'
    batch = [a_receipt("a", request=secret), a_receipt("b", request=secret, decided_at=...)]

    with pytest.raises(StoreUnavailableError) as caught:
        archive(batch, as_of=NOW, product=PRODUCT, into=FakeArchive(refusing=("application=a/",)))

    assert "71234" not in str(caught.value)


# --- table and archive compared ------------------------------------------------------------


def test_counts_are_per_day_and_what_is_missing_is_named() -> None:
    there = [a_receipt("a"), a_receipt("b", at=NOW - A_DAY)]
    lacking = a_receipt("c")
    into = archived_all(there)

    found = compared(Days(), records=FakeRecords([*there, lacking]), archive=into)

    assert found.days == {TODAY: DayCounts(2, 1), YESTERDAY: DayCounts(1, 1)}
    assert found.missing == {key(lacking)}
    assert found.document()["missing_keys"] == [key(lacking)]
    assert found.unknown == 0


def test_only_the_days_asked_for_are_compared() -> None:
    records = FakeRecords([a_receipt("a"), a_receipt("b", at=NOW - 5 * A_DAY)])
    days = Days(YESTERDAY, TODAY)

    found = compared(days, records=records, archive=FakeArchive())

    assert list(found.days) == [TODAY]
    assert records.asked == [days]


def test_what_the_archive_kept_for_its_time_does_not_lack() -> None:
    """The table keeps receipts for ever; the bucket lets go of them."""
    lacking = a_receipt("lacking", at=NOW - 30 * A_DAY)
    records = FakeRecords([a_receipt("ended", at=NOW - 31 * A_DAY), lacking])

    found = compared(Days(), records=records, archive=FakeArchive())

    assert found.missing == {key(lacking)}
    assert records.asked == [Days(KEPT_SINCE)]


def test_what_the_archive_has_beyond_the_table_is_counted() -> None:
    into = archived_all([a_receipt("a"), a_receipt("restored-away")])

    found = compared(Days(), records=FakeRecords([a_receipt("a")]), archive=into)

    assert (found.unknown, found.missing) == (1, frozenset())


def test_a_record_seen_under_both_its_names_counts_once() -> None:
    """The table is read page by page, while a receipt is superseded."""
    records = FakeRecords([a_receipt(), a_receipt(record="superseded/0001")])

    found = compared(Days(), records=records, archive=FakeArchive())

    assert found.days == {TODAY: DayCounts(1, 0)}


def test_a_damaged_record_is_told() -> None:
    records = FakeRecords([a_receipt("a", decided_at=...)])

    found = compared(Days(), records=records, archive=FakeArchive())

    assert found.damaged == {"a decision": "a decision: decided_at is no moment"}


# --- redriven ------------------------------------------------------------------------------


def test_after_a_redrive_each_record_is_there_once_and_the_batches_are_gone() -> None:
    items = [a_receipt(str(number)) for number in range(50)]
    service = Service(
        FakeRecords(items), archived_all(items[:20]), FakeFailedBatches([a_failed_batch()])
    )

    done = service.redrive()

    assert (done.batches, done.kept.new, done.is_complete) == (1, 30, True)
    assert sorted(service.archive.objects) == sorted(map(key, items))
    assert service.archive.writes == 50
    assert service.failed_batches == FakeFailedBatches()


def test_the_days_of_all_failed_batches_are_redriven() -> None:
    batches = [a_failed_batch(NOW - 3 * A_DAY, NOW - 2 * A_DAY), a_failed_batch(NOW)]
    service = Service(FakeRecords(), FakeArchive(), FakeFailedBatches(batches))

    service.redrive()

    assert service.records.asked == [Days(TODAY - 3 * A_DAY, TODAY)]


def test_without_failed_batches_nothing_is_read() -> None:
    service = Service(FakeRecords(), FakeArchive(), FakeFailedBatches())

    assert service.redrive() == Redriven(batches=0)
    assert service.records.asked == []


def test_days_that_are_named_are_filled_though_no_batch_failed() -> None:
    """Nobody gave up what the stream forgot before anybody read it."""
    service = Service(FakeRecords([a_receipt()]), FakeArchive(), FakeFailedBatches())

    done = service.redrive(Days(TODAY, TODAY))

    assert (done.batches, done.kept.new) == (0, 1)


def test_a_redrive_does_not_write_again_what_the_archive_kept_for_its_time() -> None:
    ended, lacking = (a_receipt(str(days), at=NOW - days * A_DAY) for days in (31, 30))
    service = Service(
        FakeRecords([ended, lacking]),
        FakeArchive(),
        FakeFailedBatches([a_failed_batch(NOW - 31 * A_DAY)]),
    )

    done = service.redrive(Days())

    assert list(service.archive.objects) == [key(lacking)]
    assert done.is_complete
    assert service.failed_batches == FakeFailedBatches()


def test_what_is_still_refused_keeps_its_batches_waiting() -> None:
    service = Service(
        FakeRecords([a_receipt("a"), a_receipt("b")]),
        FakeArchive(refusing=("application=b/",)),
        FakeFailedBatches([a_failed_batch()]),
    )

    done = service.redrive()

    assert not done.is_complete
    assert done.kept.new == 1
    assert service.failed_batches.waiting == [a_failed_batch()]
    service.archive.refusing = ()
    assert service.redrive().is_complete
    assert service.archive.writes == 2


def test_a_poison_record_keeps_its_batch_waiting_and_stops_no_other() -> None:
    service = Service(
        FakeRecords([a_receipt("poison", decided_at=...), a_receipt("a")]),
        FakeArchive(),
        FakeFailedBatches([a_failed_batch()]),
    )

    done = service.redrive()

    assert (done.is_complete, done.kept.new) == (False, 1)
    assert done.document()["before"]["damaged"].keys() == {"poison decision"}
    assert service.failed_batches.waiting == [a_failed_batch()]


def test_a_redrive_that_breaks_off_puts_its_batches_back() -> None:
    service = Service(
        FakeRecords([a_receipt()], broken=True),
        FakeArchive(),
        FakeFailedBatches([a_failed_batch()]),
    )

    with pytest.raises(StoreUnavailableError):
        service.redrive()

    assert service.failed_batches.waiting == [a_failed_batch()]


class Flaky(FakeArchive):
    """An archive that takes a record or refuses it by chance."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.chance = chance

    def keep(self, records: Sequence[ArchivedRecord]) -> Kept:
        self.refusing = tuple(record.key for record in records if self.chance.random() < 0.4)
        return super().keep(records)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_whatever_fails_in_the_end_there_is_one_object_for_each_record(
    seed: int, retries: int
) -> None:
    """A stream that is followed with failures, retries and giving up, and then redriven."""
    items = [a_receipt(str(number)) for number in range(12)] + [a_review("3"), an_outcome("4")]
    flaky = Flaky(random.Random(seed))  # noqa: S311 (the same each time, no secret)
    service = Service(FakeRecords(items), flaky, FakeFailedBatches())
    for start in range(0, len(items), 5):
        for _ in range(1 + retries):
            try:
                archive(items[start : start + 5], as_of=NOW, product=PRODUCT, into=service.archive)
                break
            except StoreUnavailableError:
                continue
        else:
            service.failed_batches.waiting.append(a_failed_batch())
    while service.failed_batches.waiting:
        service.redrive()

    assert sorted(service.archive.objects) == sorted(map(key, items))
    assert service.archive.writes == len(items)
