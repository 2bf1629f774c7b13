from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.decision import FeatureStatus
from credit_core.domain.erasure import TOLD_FILES, is_genuine
from credit_core.domain.judgement import Cause, ReferralCause
from credit_core.domain.online_store import ERASED, row_key, timestamp_text
from credit_core.domain.receipt_archive import archived_record
from credit_core.errors import ConfigurationError, InvalidErasureError, StoreUnavailableError
from credit_core.ports import FilePart
from credit_core.use_cases.erase import cover_erasures
from credit_core.use_cases.materialize import materialize
from tests.builders import NOW, PRODUCT, SECRET, a_body, a_scorer, a_timer, fresh_rows
from tests.builders_archive import a_receipt, a_review
from tests.builders_erasure import (
    APPLICANT,
    DUTY,
    KEPT,
    AnEraser,
    FakeApplicantRecords,
    FakeEnding,
    FakeErasableLake,
    FakeErasures,
    hash_of,
    read,
)
from tests.feature_rows import (
    BUREAU,
    FakeLake,
    FakeRejectedRows,
    a_feature_row,
    a_lake_row,
    bureau_key,
    never,
)
from tests.pushes import APusher, a_detail

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.application_records import Attribute
    from credit_core.domain.product import CreditProduct

KEY = bureau_key("applicant-1")
REGION = PRODUCT.view("region_market")
FILE = f"{PRODUCT.view_prefix(BUREAU)}part-0.parquet"
PUSHED = f"{PRODUCT.view_prefix(BUREAU)}pushed/2026-11-22/c0ffee.parquet"
IDENTIFIER = APPLICANT["applicant_id"]


def certificate(eraser: AnEraser, **options: Any) -> dict[str, Any]:
    done = eraser(**options)
    assert done.is_complete
    document: dict[str, Any] = json.loads(done.erasure.certificate)
    return document


def backfill(eraser: AnEraser, *rows: Any, at: datetime = NOW) -> None:
    materialize(
        PRODUCT,
        FilePart(FILE),
        lake=FakeLake({FILE: rows or (a_lake_row(),)}),
        store=eraser.store,
        rejected_rows=FakeRejectedRows(),
        secret=SECRET,
        as_of=at,
        wait=never,
    )


@pytest.fixture
def eraser() -> AnEraser:
    """An eraser beside a store that has a row of the applicant and one of another."""
    eraser = AnEraser()
    backfill(eraser, a_lake_row(), a_lake_row(applicant_id="applicant-2"))
    assert set(eraser.store.rows) == {KEY, bureau_key("applicant-2")}
    return eraser


def receipts(*records: Any) -> tuple[FakeApplicantRecords, FakeEnding]:
    """Return the table with the applicant's records, and the archive that has them all."""
    table: list[dict[str, Attribute]] = [
        dict(record) | ({"applicant": hash_of()} if record["record"] == "decision" else {})
        for record in records
    ]
    keys = {archived_record(record, product=PRODUCT.name).key for record in records}
    return FakeApplicantRecords(table), FakeEnding(keys)


# --- features ---------------------------------------------------------------------------------


def test_an_erased_applicant_is_referred_as_one_whom_nobody_knows(eraser: AnEraser) -> None:
    eraser()

    rows = fresh_rows() | read(eraser.store)
    scorer = a_scorer(rows=rows)
    decided = scorer.score(a_body(**APPLICANT), as_of=NOW, timer=a_timer())

    assert decided.decision is not None
    assert decided.decision.views["bureau"].status is FeatureStatus.MISSING
    assert (decided.outcome, decided.decision.judgement.cause) == (
        "refer",
        Cause(ReferralCause.FEATURES_MISSING, "bureau is missing"),
    )


def test_the_rows_of_others_stay(eraser: AnEraser) -> None:
    others = {key: row for key, row in eraser.store.rows.items() if key != KEY}

    eraser()

    assert {key: row for key, row in eraser.store.rows.items() if key != KEY} == others


def test_views_of_shared_entities_stay(eraser: AnEraser) -> None:
    assert set(certificate(eraser)["features"]) == {"bureau"}
    assert not [key for key in eraser.store.rows if f"/{REGION.name}#" in key]


def test_no_backfill_brings_features_back(eraser: AnEraser) -> None:
    eraser()

    later = NOW + timedelta(days=400)
    backfill(eraser, a_lake_row(event=later, created=later), at=later)

    assert eraser.store.rows[KEY].recency == ERASED


def test_no_push_brings_features_back_nor_enters_the_lake(eraser: AnEraser) -> None:
    eraser()
    pusher = APusher(store=eraser.store, erased=eraser.erasures)

    done = pusher(a_detail(IDENTIFIER), a_detail("applicant-3"))

    assert (done.written, done.erased, done.unsettled) == (1, 1, ())
    assert [row.keys for row in pusher.lake.rows.values()] == [("applicant-3",)]
    assert eraser.store.rows[KEY].recency == ERASED


def test_a_push_waits_where_it_is_not_known_who_was_erased() -> None:
    pusher = APusher()
    pusher.erased.available = False

    done = pusher(a_detail())

    assert [message for message, _ in done.unsettled] == ["message-0"]
    assert not pusher.lake.rows


@given(st.permutations(["erase", "old", "new", "push"]))
def test_whatever_comes_first_the_tombstone_stays(order: list[str]) -> None:
    """An erasure in the midst of a materialization is one of these orders, row by row."""
    eraser = AnEraser()
    steps: dict[str, Callable[[], object]] = {
        "erase": eraser,
        "old": lambda: backfill(eraser, a_lake_row(event=NOW - timedelta(days=3))),
        "new": lambda: backfill(eraser, a_lake_row(event=NOW - timedelta(seconds=1))),
        "push": lambda: APusher(store=eraser.store, erased=eraser.erasures)(a_detail(IDENTIFIER)),
    }

    for step in order:
        steps[step]()

    assert eraser.store.rows[KEY].recency == ERASED


def test_no_row_is_newer_than_a_tombstone() -> None:
    last = datetime.fromisoformat("9998-12-31T23:59:59.999+00:00")

    assert a_feature_row(event=last).recency < ERASED


# --- a view that is new -----------------------------------------------------------------------


def with_a_new_view(product: CreditProduct = PRODUCT) -> CreditProduct:
    features = tuple(replace(feature, name=f"second_{feature.name}") for feature in BUREAU.features)
    view = replace(BUREAU, name="second_bureau", features=features)
    return replace(product, feature_views=(*product.feature_views, view))


def covered(product: CreditProduct, eraser: AnEraser, *, secret: bytes = SECRET) -> int:
    return cover_erasures(
        product, secret=secret, erasures=eraser.erasures, tombstones=eraser.tombstones
    )


def test_a_view_that_is_new_gets_its_tombstones_before_its_first_row(eraser: AnEraser) -> None:
    eraser()
    product = with_a_new_view()

    put = covered(product, eraser)

    assert put == 2  # nobody had covered the bureau either
    assert eraser.store.rows[row_key(PRODUCT.name, "second_bureau", hash_of())].recency == ERASED
    assert not covered(product, eraser)


def test_an_erasure_by_an_older_release_covers_a_view_that_was_announced(
    eraser: AnEraser,
) -> None:
    covered(with_a_new_view(), eraser)

    assert set(certificate(eraser)["features"]) == {"bureau", "second_bureau"}


def test_an_erasure_beside_the_covering_of_a_view_misses_nothing() -> None:
    """Between the look at the list and the end of the covering an applicant is erased."""
    eraser = AnEraser()

    class ErasesMeanwhile(FakeErasures):
        def cover(self, views: Any) -> None:
            eraser.erasures = self
            eraser()
            super().cover(views)

    erasures = ErasesMeanwhile()
    eraser.erasures = erasures
    covered(with_a_new_view(), eraser)

    assert eraser.store.rows[row_key(PRODUCT.name, "second_bureau", hash_of())].recency == ERASED


def test_nothing_may_be_written_while_tombstones_lack(eraser: AnEraser) -> None:
    eraser()
    tombstones = eraser.tombstones
    tombstones.available = False

    with pytest.raises(StoreUnavailableError):
        cover_erasures(
            with_a_new_view(), secret=SECRET, erasures=eraser.erasures, tombstones=tombstones
        )

    assert "second_bureau" not in eraser.erasures.covered


def renamed(product: CreditProduct = PRODUCT) -> CreditProduct:
    """Return the product with another name for who applies."""
    assert product.applicant is not None
    entity = replace(product.applicant, name="customer")
    views = tuple(
        replace(view, entity=entity) if view.entity == product.applicant else view
        for view in product.feature_views
    )
    return replace(product, entities=(entity, *product.entities[1:]), feature_views=views)


def test_nothing_is_written_when_the_erased_would_come_back_under_another_hash(
    eraser: AnEraser,
) -> None:
    """A new secret or a renamed entity gives everybody another hash, and no tombstone holds."""
    eraser()

    for product, secret in ((PRODUCT, b"another"), (renamed(), SECRET)):
        with pytest.raises(ConfigurationError, match="would bring them back"):
            covered(product, eraser, secret=secret)
    # Where nobody was erased, nobody can come back.
    assert not covered(renamed(), AnEraser(), secret=b"another")


# --- receipts ---------------------------------------------------------------------------------


def test_receipts_end_with_the_duty_to_keep_them() -> None:
    made = NOW - timedelta(days=100)
    table, archive = receipts(a_receipt("a", at=made), a_review("a", at=NOW), a_receipt("b"))

    found = certificate(AnEraser(records=table, archive=archive))["kept"]

    assert [record["expires_at"] for record in table.records] == [
        int((moment + DUTY).timestamp()) for moment in (made, NOW, NOW)
    ]
    assert archive.marked == archive.keys
    assert (found["receipts"], found["reviews"], found["outcomes"]) == (2, 1, 0)
    assert found["until"] == timestamp_text(NOW + DUTY)
    assert "1002.12(b)" in found["by"]


def test_nothing_is_shortened_where_no_receipt_is_kept_beyond_the_duty() -> None:
    table, archive = receipts(a_receipt("a"))

    found = certificate(AnEraser(records=table, archive=archive, duty=KEPT + timedelta(days=1)))

    assert "expires_at" not in table.records[0]
    assert not archive.marked
    assert found["kept"]["until"] == timestamp_text(NOW + KEPT)


def test_a_receipt_that_is_on_its_way_to_the_archive_is_waited_for() -> None:
    table, archive = receipts(a_receipt("a"))
    keys, archive.keys = archive.keys, set()
    eraser = AnEraser(records=table, archive=archive)

    waiting = eraser()
    archive.keys = keys
    done = eraser()

    assert (waiting.is_complete, waiting.on_their_way) == (False, 1)
    assert waiting.document()["certificate"] == ""
    assert done.is_complete
    assert archive.marked == keys


def test_a_receipt_whose_object_has_ended_is_not_waited_for() -> None:
    table, archive = receipts(a_receipt("a", at=NOW - DUTY - timedelta(days=1)))
    archive.keys = set()

    assert AnEraser(records=table, archive=archive)().is_complete


# --- the lake ---------------------------------------------------------------------------------


def test_pushed_rows_go_and_the_lenders_files_are_named() -> None:
    loans = f"{PRODUCT.applications_prefix}loans.parquet"
    lake = FakeErasableLake(
        {
            FILE: [IDENTIFIER, "applicant-2", IDENTIFIER],
            PUSHED: [IDENTIFIER],
            PUSHED.replace("c0ffee", "others"): ["applicant-2"],
            # Rows that the lender moved into a larger file are the lender's.
            PUSHED.replace("c0ffee", "compacted"): [IDENTIFIER, "applicant-2"],
            loans: [IDENTIFIER],
            f"{PRODUCT.view_prefix(REGION)}part-0.parquet": ["north"],
            f"{PRODUCT.view_prefix(BUREAU)}_SUCCESS": [],
            f"{PRODUCT.view_prefix(BUREAU)}broken.parquet": None,
        }
    )

    found = certificate(AnEraser(lake=lake))["lake"]

    assert PUSHED not in lake.files
    assert found == {
        "searched_files": 6,
        "unreadable_files": 1,
        "pushed_rows_removed": 1,
        "files_with_the_applicant": 3,
        "rows_in_them": 4,
        "files": [
            {"key": loans, "rows": 1},
            {"key": FILE, "rows": 2},
            {"key": PUSHED.replace("c0ffee", "compacted"), "rows": 1},
        ],
    }


def test_a_search_goes_on_where_the_time_ended() -> None:
    names = [f"{PRODUCT.view_prefix(BUREAU)}{number:04}.parquet" for number in range(200)]
    lake = FakeErasableLake({name: [IDENTIFIER] for name in names})
    eraser = AnEraser(lake=lake)

    calls = 0
    while not (done := eraser(has_time=lambda: False)).is_complete:
        calls += 1

    assert calls == 3
    assert sorted(lake.searched) == names
    found = json.loads(done.erasure.certificate)["lake"]
    assert (found["files_with_the_applicant"], found["rows_in_them"]) == (200, 200)
    assert len(found["files"]) == TOLD_FILES


# --- the certificate --------------------------------------------------------------------------


def test_again_the_certificate_is_the_same(eraser: AnEraser) -> None:
    eraser.records, eraser.archive = receipts(a_receipt("a"))
    eraser.lake = FakeErasableLake({PUSHED: [IDENTIFIER], FILE: [IDENTIFIER]})
    first = eraser()

    again = eraser(at=NOW + timedelta(days=1))

    assert (first.already, first.is_new) == (False, True)
    assert (again.already, again.is_new) == (True, False)
    assert again.erasure.certificate == first.erasure.certificate
    assert json.loads(first.erasure.certificate)["features"] == {"bureau": "removed"}


def test_what_is_found_later_makes_another_certificate(eraser: AnEraser) -> None:
    first = eraser()
    eraser.records, eraser.archive = receipts(a_receipt("a"))

    again = eraser(at=NOW + timedelta(days=1))

    assert (again.already, again.is_new) == (True, True)
    document = json.loads(again.erasure.certificate)
    assert document["erased_at"] == first.erasure.erased_at
    assert (document["kept"]["receipts"], document["features"]) == (1, {"bureau": "removed"})


def test_a_certificate_holds_no_identifier(eraser: AnEraser) -> None:
    eraser.records, eraser.archive = receipts(a_receipt("a"))
    eraser.lake = FakeErasableLake({PUSHED: [IDENTIFIER], FILE: [IDENTIFIER]})

    assert IDENTIFIER not in json.dumps(eraser().document())


def test_a_certificate_is_known_by_its_seal(eraser: AnEraser) -> None:
    done = eraser().erasure

    assert is_genuine(done.certificate, done.seal, secret=SECRET)
    forged = done.certificate.replace("removed", "altered")
    assert not is_genuine(forged, done.seal, secret=SECRET)
    assert not is_genuine(done.certificate, "é", secret=SECRET)


# --- who is erased ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "applicant_id is missing"),
        ({"applicant_id": "x y"}, "applicant_id does not match [A-Za-z0-9_.:-]{1,64}"),
        ({"applicant_id": 7}, "applicant_id is not text"),
        ({"applicant_id": None}, "applicant_id is null"),
        ({"secret-name": "a"}, "applicant_id is missing; 1 other key than applicant_id"),
    ],
)
def test_keys_that_are_no_applicants_are_refused_without_their_values(
    eraser: AnEraser, keys: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidErasureError) as refused:
        eraser(keys)

    assert str(refused.value) == message
    assert not eraser.erasures.known
