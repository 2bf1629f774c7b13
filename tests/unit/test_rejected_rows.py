from __future__ import annotations

from credit_core.adapters.rejected_rows import rejected_key


def test_rejected_rows_lie_under_the_run_and_the_name_of_their_file() -> None:
    assert rejected_key("run-1", "p/features/v/a.parquet[0-10]") == (
        "rejected/run-1/p/features/v/a.parquet[0-10].jsonl"
    )


def test_the_rows_of_a_file_with_the_longest_name_can_be_kept_too() -> None:
    """Else a run could never end well, whatever its rows."""
    names = ["ü" * 512, "ü" * 511 + "u"]

    keys = {rejected_key("run-1", name) for name in names}

    assert len(keys) == 2
    assert all(len(key.encode()) <= 1_024 for key in keys)
