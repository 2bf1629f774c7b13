"""Which files a run takes, and into which parts they are cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import FilePart
from credit_core.use_cases.plan_materialization import (
    PUSHED_OVERLAP,
    LakeObject,
    PartBounds,
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
OVERLAP = timedelta(hours=72)
MANY_ROWS = 1_000_000


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


def planned(lake: ALake, prefix: str = ROOT, *, split_rows: int = MANY_ROWS) -> Plan:
    bounds = PartBounds(size=1_000, rows=split_rows)
    return plan_prefix(PRODUCT, prefix, lake=lake, footers=lake, bounds=bounds)


def swept(lake: ALake, watermark: FakeWatermark) -> Plan:
    return plan_sweep(
        PRODUCT,
        lake=lake,
        footers=lake,
        bounds=PartBounds(size=1_000, rows=MANY_ROWS),
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


def test_a_part_ends_before_it_has_more_rows_than_a_worker_has_time_for() -> None:
    """Rows of few bytes: it is not their size that bounds them."""
    file = a_file("narrow.parquet", size=900)
    groups = [RowGroup(60, 4, 104), RowGroup(40, 104, 204), RowGroup(1, 204, 304)]

    plan = planned(ALake([file], {file.key: groups}), split_rows=100)

    assert plan.parts == (
        FilePart(file.key, (0, 100), (4, 204)),
        FilePart(file.key, (100, 101), (204, 304)),
    )


def test_a_row_group_of_too_many_rows_becomes_pieces_of_the_same_bytes() -> None:
    file = a_file("narrow.parquet", size=900)
    groups = [RowGroup(10, 4, 14), RowGroup(250, 14, 814), RowGroup(5, 814, 820)]

    plan = planned(ALake([file], {file.key: groups}), split_rows=100)

    assert plan.parts == (
        FilePart(file.key, (0, 10), (4, 14)),
        FilePart(file.key, (10, 93), (14, 814)),
        FilePart(file.key, (93, 176), (14, 814)),
        FilePart(file.key, (176, 260), (14, 814)),
        FilePart(file.key, (260, 265), (814, 820)),
    )


def test_no_footer_is_read_of_a_file_that_is_too_small_for_too_many_rows() -> None:
    """Each is a request: the many small files of a sweep need none."""
    file = a_file("small.parquet", size=400)

    plan = planned(ALake([file], {file.key: [RowGroup(500, 4, 390)]}), split_rows=100)

    assert plan.parts == (FilePart(file.key),)


def test_a_file_of_one_row_group_stays_whole() -> None:
    file = a_file("big.parquet", size=2_100)

    plan = planned(ALake([file], {file.key: [RowGroup(10, 4, 2_000)]}))

    assert plan.parts == (FilePart(file.key),)


def test_a_large_file_without_a_footer_is_left_for_a_worker_to_refuse() -> None:
    """One bad file doesn't keep the others out of the plan."""
    plan = planned(ALake([a_file("good.parquet"), a_file("bad.parquet", size=2_000)]))

    assert names(plan) == ["bad.parquet", "good.parquet"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1_000), st.integers(1, 500)), max_size=30),
    st.integers(1, 2_000),
    st.integers(1, 2_000),
)
def test_parts_hold_each_row_once_within_their_bounds(
    sizes: list[tuple[int, int]], split_bytes: int, split_rows: int
) -> None:
    groups: list[RowGroup] = []
    byte = 4
    for count, length in sizes:
        groups.append(RowGroup(count, byte, byte + length))
        byte += length
    file = a_file("big.parquet", size=max(byte, split_bytes + 1))
    lake = ALake([file], {file.key: groups})

    bounds = PartBounds(size=split_bytes, rows=split_rows)

    parts = list(parts_of(file, footers=lake, bounds=bounds))

    total = sum(group.rows for group in groups)
    if parts == [FilePart(file.key)]:
        assert total <= split_rows
    else:
        rows = [part.rows for part in parts if part.rows]
        assert [first for first, _ in rows] == [0, *(last for _, last in rows[:-1])]
        assert rows[-1][1] == total
        assert all(0 < last - first <= split_rows for first, last in rows)
        # Only a row group that is larger by itself is beyond them.
        spans = {(group.first_byte, group.past_last_byte) for group in groups}
        gaps = sum(group.past_last_byte - group.first_byte for group in groups if not group.rows)
        for part in parts:
            assert part.span
            assert part.span in spans or 0 < part.span[1] - part.span[0] <= split_bytes + gaps


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


def test_pushed_rows_of_the_last_hour_are_swept_again_and_not_those_of_days() -> None:
    """Each is a file of one request, which bears the time at which it shows."""
    last = NOW - timedelta(hours=6)
    lake = ALake(
        [
            a_file("pushed/1.parquet", modified=last - PUSHED_OVERLAP - timedelta(seconds=1)),
            a_file("pushed/2.parquet", modified=last - PUSHED_OVERLAP),
            a_file("pushed.parquet", modified=last - OVERLAP),
        ]
    )

    plan = swept(lake, FakeWatermark(last))

    assert names(plan) == ["pushed.parquet", "pushed/2.parquet"]


def test_planning_moves_no_watermark() -> None:
    watermark = FakeWatermark(NOW - timedelta(hours=6))

    swept(ALake([a_file("new.parquet")]), watermark)

    assert watermark.at == NOW - timedelta(hours=6)
