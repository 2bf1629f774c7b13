"""Which files a run takes, and into which parts they are cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import FilePart
from credit_core.use_cases.plan_materialization import (
    LakeObject,
    Plan,
    RowGroup,
    part_document,
    part_of_document,
    parts_of,
    plan_prefix,
    plan_sweep,
)
from tests.builders import NOW, PRODUCT
from tests.feature_rows import BUREAU, FakeWatermark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

ROOT = "personal_loan/features/"
BUREAU_PREFIX = PRODUCT.view_prefix(BUREAU)
OVERLAP = timedelta(hours=24)


@dataclass
class ALake:
    """Listed objects, and the row groups of the large ones."""

    files: Sequence[LakeObject]
    groups: Mapping[str, Sequence[RowGroup]] = field(default_factory=dict)

    def objects(self, prefix: str) -> Iterator[LakeObject]:
        yield from sorted(file for file in self.files if file.key.startswith(prefix))

    def row_groups(self, key: str) -> Sequence[RowGroup]:
        if key not in self.groups:
            raise InvalidFeatureFileError(f"{key}: expected a whole, readable Parquet file")
        return self.groups[key]


def a_file(name: str, *, size: int = 100, modified: datetime = NOW) -> LakeObject:
    return LakeObject(f"{BUREAU_PREFIX}{name}", size, modified)


def planned(lake: ALake, prefix: str = ROOT, *, split_bytes: int = 1_000) -> Plan:
    return plan_prefix(PRODUCT, prefix, lake=lake, footers=lake, split_bytes=split_bytes)


def swept(lake: ALake, watermark: FakeWatermark) -> Plan:
    return plan_sweep(
        PRODUCT,
        lake=lake,
        footers=lake,
        split_bytes=1_000,
        watermark=watermark,
        overlap=OVERLAP,
        as_of=NOW,
    )


def names(plan: Plan) -> list[str]:
    return [part.name.removeprefix(BUREAU_PREFIX) for part in plan.parts]


# --- A prefix -------------------------------------------------------------------------------


def test_every_file_below_a_prefix_is_a_part() -> None:
    plan = planned(ALake([a_file("b.parquet"), a_file("a.parquet")]))

    assert names(plan) == ["a.parquet", "b.parquet"]
    assert (plan.files, plan.hidden, plan.watermark) == (2, 0, None)


def test_an_uploaded_file_is_taken_alone() -> None:
    lake = ALake([a_file("part-1"), a_file("part-10")])

    assert names(planned(lake, f"{BUREAU_PREFIX}part-1")) == ["part-1"]


@pytest.mark.parametrize(
    "hidden",
    ["_SUCCESS", ".part.parquet.crc", "_temporary/0/part.parquet", ".staging/x.parquet", "day=1/"],
)
def test_what_athena_passes_over_is_passed_over(hidden: str) -> None:
    plan = planned(ALake([a_file(hidden), a_file("day=1/part.parquet")]))

    assert names(plan) == ["day=1/part.parquet"]
    assert (plan.files, plan.hidden) == (1, 1)


@pytest.mark.parametrize("prefix", ["", "personal_loan", "personal_loan/applications/", "other/"])
def test_what_holds_no_features_of_the_product_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidFeatureFileError, match=f"expected a prefix that begins with {ROOT}"):
        planned(ALake([]), prefix)


# --- Parts of a large file ------------------------------------------------------------------


def test_a_large_file_is_cut_between_row_groups() -> None:
    file = a_file("big.parquet", size=2_100)
    groups = [RowGroup(10, 4, 404), RowGroup(20, 404, 904), RowGroup(30, 904, 2_000)]

    plan = planned(ALake([file], {file.key: groups}))

    assert plan.files == 1
    assert plan.parts == (
        FilePart(file.key, (0, 30), (4, 904)),
        FilePart(file.key, (30, 60), (904, 2_000)),
    )


def test_a_file_of_one_row_group_stays_whole() -> None:
    file = a_file("big.parquet", size=2_100)

    plan = planned(ALake([file], {file.key: [RowGroup(10, 4, 2_000)]}))

    assert plan.parts == (FilePart(file.key),)


def test_a_large_file_without_a_footer_is_left_for_a_worker_to_refuse() -> None:
    """One bad file doesn't keep the others out of the plan."""
    plan = planned(ALake([a_file("good.parquet"), a_file("bad.parquet", size=2_000)]))

    assert names(plan) == ["bad.parquet", "good.parquet"]


@given(
    st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 500)), max_size=30),
    st.integers(1, 2_000),
)
def test_parts_hold_each_row_once_within_their_bytes(
    sizes: list[tuple[int, int]], split_bytes: int
) -> None:
    groups: list[RowGroup] = []
    byte = 4
    for count, length in sizes:
        groups.append(RowGroup(count, byte, byte + length))
        byte += length
    file = a_file("big.parquet", size=max(byte, split_bytes + 1))
    lake = ALake([file], {file.key: groups})

    parts = list(parts_of(file, footers=lake, split_bytes=split_bytes))

    if parts != [FilePart(file.key)]:
        rows = [part.rows for part in parts if part.rows]
        assert [first for first, _ in rows] == [0, *(last for _, last in rows[:-1])]
        assert rows[-1][1] == sum(group.rows for group in groups)
        assert all(part.span and part.span[0] < part.span[1] for part in parts)


def test_a_part_is_read_back_from_the_plan_as_it_was() -> None:
    for part in (FilePart("k"), FilePart("k", (0, 5), (4, 90))):
        assert part_of_document(part_document(7, part)) == part


# --- A sweep --------------------------------------------------------------------------------


def test_the_first_sweep_takes_everything() -> None:
    old = a_file("old.parquet", modified=NOW - timedelta(days=3_000))

    plan = swept(ALake([old]), FakeWatermark())

    assert names(plan) == ["old.parquet"]
    assert plan.watermark == NOW


def test_a_sweep_takes_what_came_since_the_last_and_looks_back_further() -> None:
    """An upload in pieces bears the time of its beginning and shows at its end."""
    last = NOW - timedelta(hours=6)
    lake = ALake(
        [
            a_file("before.parquet", modified=last - OVERLAP - timedelta(seconds=1)),
            a_file("begun-before.parquet", modified=last - OVERLAP),
            a_file("since.parquet", modified=last + timedelta(hours=1)),
        ]
    )

    plan = swept(lake, FakeWatermark(last))

    assert names(plan) == ["begun-before.parquet", "since.parquet"]


def test_planning_moves_no_watermark() -> None:
    watermark = FakeWatermark(NOW - timedelta(hours=6))

    swept(ALake([a_file("new.parquet")]), watermark)

    assert watermark.at == NOW - timedelta(hours=6)
