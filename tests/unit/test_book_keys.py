"""Made-up keys: distinct, and as their patterns have them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from credit_cli.book.keys import KeyMaker
from credit_cli.errors import UsageError
from credit_core.domain.product import EntityKey, KeyType


@pytest.mark.parametrize(
    ("pattern", "least"),
    [
        (r"[A-Za-z0-9_.:-]{1,64}", 1_000_000),
        (r"[A-Z]{2}", 676),
        (r"\d{8}_\d{4}", 1_000_000),
        (r"^LC-A[0-9a-f]{12}$", 1_000_000),
        (r"(?:DE|AT)\w+", 1_000_000),
        (r"[^a-z]{3}", 36**3),
        (r"(?P<year>\d{4})-?[01]", 20_000),
        (r"(?i:ab)+x?.*", 1_000_000),
        (r"[._-]+", 1_000_000),
        (r"one", 1),
    ],
)
def test_text_keys_match_their_pattern_and_differ(pattern: str, least: int) -> None:
    maker = KeyMaker.for_key(EntityKey("key", pattern=pattern))
    numbers = np.unique(np.linspace(0, min(maker.capacity, least) - 1, 500).astype(np.int64))

    keys = maker(numbers)

    assert maker.capacity >= least
    assert len(set(keys)) == len(numbers)
    assert [key for key in keys if not re.fullmatch(pattern, key)] == []


def test_integer_keys_are_beyond_32_bits_and_exact() -> None:
    key = EntityKey("key", dtype=KeyType.INTEGER)
    maker = KeyMaker.for_key(key)

    keys = maker(np.array([0, 1, maker.capacity - 1], dtype=np.int64))

    assert keys[0] > 2**32
    assert keys[1] == keys[0] + 1
    assert not any(key.value_fault(int(number)) for number in keys)


@pytest.mark.parametrize("pattern", [r"(?=A)[A-Z]{4}", r"([A-Z])\1", r"\b[A-Z]+\bx", r"\s+"])
def test_a_pattern_beyond_us_is_named(pattern: str) -> None:
    with pytest.raises(UsageError, match="no keys can be made up for key: its pattern"):
        KeyMaker.for_key(EntityKey("key", pattern=pattern))
