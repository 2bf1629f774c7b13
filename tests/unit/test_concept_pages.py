"""What the concepts state in figures is what the code computes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from credit_core.domain.policy import outcome_of, points
from credit_core.domain.product import load_product

CONCEPTS = Path(__file__).resolve().parents[2] / "docs" / "concepts"
PAGE = (CONCEPTS / "points.md").read_text(encoding="utf-8")
PICTURE = (CONCEPTS / "points.svg").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| (\d+) % \| ([\d.]+) to 1 \| ([\d.]+) \| ends (\w) \| (\w+)", PAGE, re.MULTILINE
)
POLICY = load_product("personal_loan").policy


def test_the_table_of_points_has_each_end_of_a_band_but_the_last() -> None:
    ends = [(f"{100 * band.up_to:.0f}", band.name) for band in POLICY.bands[:-1]]

    assert [(row[0], row[3]) for row in ROWS] == ends


@pytest.mark.parametrize(("percent", "odds", "stated", "band", "outcome"), ROWS)
def test_the_table_of_points_is_the_policys(
    percent: str, odds: str, stated: str, band: str, outcome: str
) -> None:
    share = int(percent) / 100
    log_odds = float(np.log(share / (1 - share)))

    assert f"{points(POLICY, log_odds):.1f}" == stated
    assert round((1 - share) / share, 1) == float(odds)
    assert outcome_of(POLICY, share).value == outcome
    assert f">{stated}<" in PICTURE, f"the picture has another end of band {band}"


def test_the_picture_says_in_words_what_it_shows() -> None:
    assert "<title" in PICTURE
    assert "<desc" in PICTURE
