from __future__ import annotations

import io

import pytest

from credit_cli.progress import Progress


def test_a_step_prints_its_result_and_its_duration() -> None:
    stream = io.StringIO()

    with Progress(stream).step("Layers") as step:
        step.result = "core 0.1 MB [x]"

    words = stream.getvalue().split()
    assert words[:2] == ["✓", "Layers"]
    assert words[3:] == ["s", "core", "0.1", "MB", "[x]"]


def test_a_step_that_fails_is_marked_and_the_error_goes_on() -> None:
    stream = io.StringIO()
    progress = Progress(stream)

    with pytest.raises(ValueError, match="boom"), progress.step("Layers"):
        raise ValueError("boom")

    assert stream.getvalue().startswith("✗ Layers")
    assert [step.name for step in progress.steps] == ["Layers"]


def test_a_log_is_not_flooded_with_what_a_step_does() -> None:
    stream = io.StringIO()

    with Progress(stream).step("CDK deploy") as step:
        for number in range(1000):
            step.update(f"{number} of 1000 resources")

    assert len(stream.getvalue().splitlines()) == 1


def test_a_long_step_says_in_a_log_that_it_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("credit_cli.progress.PLAIN_UPDATE_SECONDS", 0.0)
    stream = io.StringIO()

    with Progress(stream).step("CDK deploy") as step:
        step.update("3 of 12 resources")

    assert stream.getvalue().splitlines()[0] == "  … CDK deploy: 3 of 12 resources"


def test_a_part_of_a_step_is_what_the_step_is_doing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("credit_cli.progress.PLAIN_UPDATE_SECONDS", 0.0)
    stream = io.StringIO()

    with Progress(stream).step("Retraining") as step, step.part("Candidates") as part:
        part.update("fold 3 of 5")

    assert stream.getvalue().splitlines()[:2] == [
        "  … Retraining: Candidates",
        "  … Retraining: Candidates: fold 3 of 5",
    ]
