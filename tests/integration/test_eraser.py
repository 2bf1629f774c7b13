"""The eraser as deployed: its handler in this process, on an emulator's tables and buckets."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.dynamodb_items import to_dynamodb
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.erasable_lake import S3ErasableLake
from credit_core.adapters.erased_receipts import DynamoApplicantRecords, S3EndingReceipts
from credit_core.adapters.erasures import DynamoErasures, DynamoTombstones
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.domain.erasure import Erasure, LakeSearch
from credit_core.domain.online_store import ERASED
from credit_core.domain.receipt_archive import archived_record
from credit_core.errors import (
    InvalidErasureError,
    InvalidFeatureFileError,
    StoreUnavailableError,
)
from credit_core.ports import FilePart, WriteCounts
from credit_core.settings import EraserSettings
from credit_core.use_cases.erase import Coverage
from tests.builders import PRODUCT, SECRET
from tests.builders_archive import a_receipt, a_review
from tests.builders_aws import create_table
from tests.builders_erasure import APPLICANT, hash_of
from tests.feature_rows import BUREAU, a_feature_row, a_lake_row, bureau_key, write_parquet
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from credit_core.domain.application_records import StoredRecord
    from tests.integration.conftest import LocalCloud

RECEIPT_DAYS, DUTY_DAYS = 1_095, 853
IDENTIFIER = APPLICANT["applicant_id"]
FILE = f"{PRODUCT.view_prefix(BUREAU)}part-0.parquet"
PUSHED = f"{PRODUCT.view_prefix(BUREAU)}pushed/2026-11-22/c0ffee.parquet"


@dataclass
class Context:
    """What Lambda says of the time that is left."""

    milliseconds: int = 900_000

    def get_remaining_time_in_millis(self) -> int:
        """Return it."""
        return self.milliseconds


class Eraser:
    """The function with tables, buckets and a secret of its own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mark = uuid.uuid4().hex[:8]
        self.s3, self.dynamodb = cloud.client("s3"), cloud.client("dynamodb")
        self.settings = EraserSettings(
            stage="test",
            product=PRODUCT.name,
            lake_bucket=f"lake-{mark}",
            receipts_bucket=f"receipts-{mark}",
            online_store_table=f"online-store-{mark}",
            decisions_table=f"decisions-{mark}",
            registry_table=f"registry-{mark}",
            entity_key_secret=f"entity-key-{mark}",
            receipt_days=RECEIPT_DAYS,
            duty_days=DUTY_DAYS,
            split_bytes=2**24,
            split_rows=2**20,
        )
        for bucket in (self.settings.lake_bucket, self.settings.receipts_bucket):
            self.s3.create_bucket(Bucket=bucket)
            self.s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        for kind in ("online-store", "decisions", "registry"):
            create_table(self.dynamodb, kind, name=f"{kind}-{mark}")
        cloud.client("secretsmanager").create_secret(
            Name=self.settings.entity_key_secret, SecretString=SECRET.decode()
        )
        for name, value in self.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.module = started("eraser")
        self.erasures = DynamoErasures(
            self.dynamodb, self.settings.registry_table, product=PRODUCT.name
        )
        self.tombstones = DynamoTombstones(self.dynamodb, self.settings.online_store_table)
        self.writer = PartiqlOnlineStoreWriter(
            self.dynamodb, self.settings.online_store_table, connections=2
        )

    def __call__(self, keys: object = APPLICANT, **event: Any) -> dict[str, Any]:
        answer = dict(self.module.handler({"keys": keys, **event}, Context()))
        json.dumps(answer)
        return answer

    def item(self, table: str, **key: str) -> dict[str, Any]:
        found = self.dynamodb.get_item(TableName=table, Key=to_dynamodb(key), ConsistentRead=True)
        return dict(found.get("Item", {}))

    def row(self, applicant_id: str = IDENTIFIER) -> dict[str, Any]:
        return self.item(self.settings.online_store_table, entity_key=bureau_key(applicant_id))

    def record(self, *records: StoredRecord, archived: bool = True) -> list[str]:
        """Put records into the table, and into the archive; return their keys in it."""
        keys = []
        for record in records:
            self.dynamodb.put_item(
                TableName=self.settings.decisions_table, Item=to_dynamodb(record)
            )
            found = archived_record(record, product=PRODUCT.name)
            keys.append(found.key)
            if archived:
                self.s3.put_object(
                    Bucket=self.settings.receipts_bucket, Key=found.key, Body=found.body
                )
        return keys

    def tags(self, key: str) -> list[Any]:
        found = self.s3.get_object_tagging(Bucket=self.settings.receipts_bucket, Key=key)
        return list(found["TagSet"])

    def upload(self, path: Path, key: str) -> None:
        self.s3.upload_file(str(path), self.settings.lake_bucket, key)

    def versions(self) -> list[str]:
        """Return the key of each version and mark in the lake."""
        found = self.s3.list_object_versions(Bucket=self.settings.lake_bucket)
        return sorted(
            each["Key"] for kind in ("Versions", "DeleteMarkers") for each in found.get(kind, [])
        )


@pytest.fixture
def eraser(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Eraser]:
    yield Eraser(local_cloud_bare, monkeypatch)
    entity_key_secret.cache_clear()


def rows_of(*applicants: str) -> Sequence[Any]:
    return [a_lake_row(place, applicant_id=each) for place, each in enumerate(applicants)]


def test_an_applicant_is_erased_and_certified(eraser: Eraser, tmp_path: Path) -> None:
    made = datetime.now(UTC) - timedelta(hours=1)
    eraser.writer.write([a_feature_row(), a_feature_row("applicant-2")], ttl=BUREAU.ttl)
    keys = eraser.record(a_receipt("a", at=made, applicant=hash_of()), a_review("a", at=made))
    (others,) = eraser.record(a_receipt("b", at=made, applicant=hash_of("applicant-2")))
    file = write_parquet(tmp_path / "rows.parquet", rows_of(IDENTIFIER, "applicant-2"))
    pushed = write_parquet(tmp_path / "pushed.parquet", rows_of(IDENTIFIER))
    eraser.upload(file, FILE)
    # An older version of it, as a repeated push leaves one.
    eraser.upload(pushed, PUSHED)
    eraser.upload(pushed, PUSHED)

    done = eraser()

    assert (done["complete"], done["already"]) == (True, False)
    assert eraser.row() == {
        "entity_key": {"S": bureau_key(IDENTIFIER)},
        "recency": {"S": ERASED},
    }
    assert "features" in eraser.row("applicant-2")
    ends = eraser.item(eraser.settings.decisions_table, application_id="a", record="decision")
    end = int(ends["expires_at"]["N"]) - made.timestamp()
    assert end == pytest.approx(DUTY_DAYS * 86_400, abs=2)
    assert [eraser.tags(key) for key in keys] == [[{"Key": "applicant", "Value": "erased"}]] * 2
    assert eraser.tags(others) == []
    assert eraser.versions() == [FILE]
    document = json.loads(done["certificate"])
    assert document["features"] == {"bureau": "removed"}
    assert document["lake"]["files"] == [{"key": FILE, "rows": 1}]
    assert document["lake"]["pushed_rows_removed"] == 1
    assert (document["kept"]["receipts"], document["kept"]["reviews"]) == (1, 1)
    assert IDENTIFIER not in json.dumps(done)


def test_again_it_answers_the_same_certificate(eraser: Eraser) -> None:
    eraser.writer.write([a_feature_row()], ttl=BUREAU.ttl)
    first = eraser()

    again = eraser()

    assert (again["already"], again["new"]) == (True, False)
    assert (again["certificate"], again["seal"]) == (first["certificate"], first["seal"])


def test_a_certificate_is_verified(eraser: Eraser) -> None:
    done = eraser()

    def genuine(text: str) -> object:
        return eraser(verify={"text": text, "seal": done["seal"]})["genuine"]

    assert genuine(done["certificate"]) is True
    assert genuine(done["certificate"].replace("none was stored", "removed")) is False


def test_a_search_that_has_no_time_goes_on_at_the_next_call(eraser: Eraser, tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "rows.parquet", rows_of(IDENTIFIER))
    for number in range(70):
        eraser.upload(file, f"{PRODUCT.view_prefix(BUREAU)}{number:03}.parquet")

    first = eraser(seconds=0)
    second = eraser(seconds=60)

    assert (first["complete"], first["searched_files"]) == (False, 64)
    assert second["complete"]
    found = json.loads(second["certificate"])["lake"]
    assert (found["searched_files"], found["rows_in_them"]) == (70, 70)


def test_a_receipt_that_is_not_archived_yet_is_waited_for(eraser: Eraser) -> None:
    receipt = a_receipt("a", at=datetime.now(UTC), applicant=hash_of())
    eraser.record(receipt, archived=False)

    waiting = eraser()
    eraser.record(receipt)
    done = eraser()

    assert (waiting["complete"], waiting["on_their_way"]) == (False, 1)
    assert done["complete"]


@pytest.mark.parametrize("event", [{}, {"keys": "applicant-1"}, {"keys": {"applicant_id": "x y"}}])
def test_an_event_without_keys_of_an_applicant_is_refused(
    eraser: Eraser, event: dict[str, Any]
) -> None:
    with pytest.raises(InvalidErasureError) as refused:
        eraser.module.handler(event, Context())

    assert "x y" not in str(refused.value)


def test_neither_log_nor_answer_repeats_the_keys(
    eraser: Eraser, caplog: pytest.LogCaptureFixture
) -> None:
    eraser()
    with pytest.raises(InvalidErasureError):
        eraser({"applicant_id": f"{IDENTIFIER} and more"})

    said = str([vars(record) for record in caplog.records])
    assert hash_of() in said
    assert IDENTIFIER not in said


# --- tombstones against writers ---------------------------------------------------------------


def test_no_write_replaces_a_tombstone(eraser: Eraser) -> None:
    eraser.tombstones.put([bureau_key(IDENTIFIER)])

    counts = eraser.writer.write([a_feature_row()], ttl=BUREAU.ttl)

    assert counts == WriteCounts(written=0, stale=1)
    assert eraser.row()["recency"] == {"S": ERASED}


def test_an_erasure_in_the_midst_of_a_materialization_wins(eraser: Eraser) -> None:
    """Writers of many rows of the applicant race with the tombstone, in both orders."""
    now = datetime.now(UTC)
    moments = [now - timedelta(seconds=second) for second in range(40)]

    def write(moment: datetime) -> None:
        eraser.writer.write([a_feature_row(event=moment)], ttl=BUREAU.ttl)

    with ThreadPoolExecutor(6) as pool:
        writes = [pool.submit(write, moment) for moment in reversed(moments)]
        pool.submit(eraser.tombstones.put, [bureau_key(IDENTIFIER)]).result()
        for done in writes:
            done.result()

    assert set(eraser.row()) == {"entity_key", "recency"}
    assert eraser.row()["recency"] == {"S": ERASED}


def test_a_tombstone_has_no_end_where_the_row_had_one(eraser: Eraser) -> None:
    eraser.writer.write([a_feature_row()], ttl=BUREAU.ttl)
    assert "expires_at" in eraser.row()

    assert eraser.tombstones.put([bureau_key(IDENTIFIER)]) == {bureau_key(IDENTIFIER): True}
    assert eraser.tombstones.put([bureau_key(IDENTIFIER)]) == {bureau_key(IDENTIFIER): False}

    assert "expires_at" not in eraser.row()


# --- the list ---------------------------------------------------------------------------------


def test_the_list_keeps_how_far_an_erasure_has_come(eraser: Eraser) -> None:
    at = datetime.now(UTC)
    begun = eraser.erasures.begin("ab", at=at)
    kept = Erasure(
        "ab",
        begun.erased_at,
        {"bureau": True},
        pushed=2,
        lake=LakeSearch("b", 3, 0, 1, 7, (("a", 7),)),
        certificate="{}",
        seal="c0ffee",
    )
    eraser.erasures.keep(kept)

    assert eraser.erasures.begin("ab", at=at + timedelta(days=1)) == kept


def test_the_list_knows_who_is_on_it(eraser: Eraser) -> None:
    applicants = [f"{number:064x}" for number in range(250)]
    for applicant in applicants[:120]:
        eraser.erasures.begin(applicant, at=datetime.now(UTC))
    eraser.erasures.announce({"bureau"})

    assert list(eraser.erasures.everybody()) == applicants[:120]
    assert eraser.erasures.among(applicants[100:]) == frozenset(applicants[100:120])
    assert eraser.erasures.among([]) == frozenset()


def test_views_are_announced_and_covered(eraser: Eraser) -> None:
    assert eraser.erasures.coverage() == Coverage(frozenset(), frozenset())

    eraser.erasures.announce({"a", "b"})
    eraser.erasures.cover({"a"})
    eraser.erasures.cover({"c"})

    assert eraser.erasures.coverage() == Coverage(frozenset("ab"), frozenset("ac"))


def test_how_hashes_are_made_is_said_once(eraser: Eraser) -> None:
    eraser.erasures.hash_by("c0ffee")
    eraser.erasures.hash_by("another")

    assert eraser.erasures.coverage().scheme == "c0ffee"


# --- faults -----------------------------------------------------------------------------------


def test_what_does_not_answer_is_told_without_the_applicant(eraser: Eraser) -> None:
    erasures = DynamoErasures(eraser.dynamodb, "no-such-table", product=PRODUCT.name)
    records = DynamoApplicantRecords(eraser.dynamodb, "no-such-table")
    a_decision = a_receipt("a")
    for call in (
        lambda: erasures.begin(hash_of(), at=datetime.now(UTC)),
        lambda: erasures.keep(Erasure(hash_of(), "")),
        lambda: erasures.among([hash_of()]),
        lambda: list(erasures.everybody()),
        erasures.coverage,
        lambda: erasures.announce({"a"}),
        lambda: DynamoTombstones(eraser.dynamodb, "no-such-table").put([bureau_key(IDENTIFIER)]),
        lambda: list(records.of_applicant(hash_of())),
        lambda: records.shorten(a_decision, to=datetime.now(UTC)),
        lambda: S3EndingReceipts(eraser.s3, "no-such-bucket", connections=1).mark(["ab"]),
        lambda: S3ErasableLake(eraser.s3, "no-such-bucket").remove("ab"),
    ):
        with pytest.raises(StoreUnavailableError, match=r"(NotFound|NoSuch)") as failed:
            call()
        assert hash_of() not in str(failed.value)


def test_a_record_that_ended_meanwhile_is_not_made_anew(eraser: Eraser) -> None:
    records = DynamoApplicantRecords(eraser.dynamodb, eraser.settings.decisions_table)

    records.shorten(a_receipt("gone"), to=datetime.now(UTC))

    assert not eraser.item(
        eraser.settings.decisions_table, application_id="gone", record="decision"
    )


def test_an_end_is_never_put_off(eraser: Eraser) -> None:
    records = DynamoApplicantRecords(eraser.dynamodb, eraser.settings.decisions_table)
    receipt = a_receipt("a", applicant=hash_of(), expires_at=1_000)
    eraser.record(receipt)

    records.shorten(receipt, to=datetime.now(UTC))

    found = eraser.item(eraser.settings.decisions_table, application_id="a", record="decision")
    assert found["expires_at"] == {"N": "1000"}


def test_rows_are_counted_in_any_file_that_has_the_keys(eraser: Eraser, tmp_path: Path) -> None:
    lake = S3ErasableLake(eraser.s3, eraser.settings.lake_bucket)
    eraser.upload(write_parquet(tmp_path / "a.parquet", rows_of("a", "b", "a")), "a.parquet")
    eraser.s3.put_object(Bucket=eraser.settings.lake_bucket, Key="b.parquet", Body=b"no Parquet")

    assert lake.count(FilePart("a.parquet"), {"applicant_id": "a"}) == (2, 3)
    for key, keys in (("b.parquet", {"applicant_id": "a"}), ("a.parquet", {"zipcode": "a"})):
        with pytest.raises(InvalidFeatureFileError):
            lake.count(FilePart(key), keys)
