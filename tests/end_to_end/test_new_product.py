"""The guide to a product of one's own, typed from its first command to its last.

It is typed in a copy of the checkout with a local cloud of its own: a new product is a new file
under ``products/``, which no other test should meet. What the guide shows is compared with what was
printed; numbers may differ a little, as they do between machines.
"""

from __future__ import annotations

import re
import shlex
import sys
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from credit_cli.checkout import Checkout
from tests.documents import commands, fences, filled_in
from tests.scratch_checkout import ScratchCheckout, scratch_checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.end_to_end

GUIDE = "docs/guides/your-own-product.md"
PROMOTE = re.compile(r"credit models promote (\S+)")
NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")
VARYING = (
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}"), "VERSION"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "INSTANT"),
    (re.compile(r"\d+\.\d s(?=  )"), "SECONDS"),
    (re.compile(r"SHA-256 [0-9a-f]{12}…"), "SHA-256"),
    (re.compile(r"^Time  .*$"), "Time"),
)
"""What is another each time."""
SKIPPED = "..."
TOLERANCE = 0.05
"""Of what is shown: another machine adds numbers up in another order."""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchCheckout]:
    """Somebody who types the guide's commands in a checkout."""
    stranger = scratch_checkout(tmp_path_factory.mktemp("checkout"))
    yield stranger
    stranger.type("credit local down")


def test_the_guide_leads_from_a_file_to_a_decided_application(stranger: ScratchCheckout) -> None:
    """Each command of the guide does what the guide shows."""
    shown = {fence.line: fence.text for fence in fences(GUIDE) if fence.language == "text"}
    typed = [it for it in commands(GUIDE) if not it.needs_aws]
    version = ""
    for place, command in enumerate(typed):
        line = filled_in(command.text, {"VERSION": version})
        done = stranger.type(line)
        printed = done.stdout
        assert done.returncode == 0, f"{command.place}: {line}\n{printed}"
        if found := PROMOTE.search(printed):
            version = found[1] if found[1] != "VERSION" else version
        end = typed[place + 1].line if place + 1 < len(typed) else 10**9
        for at, text in shown.items():
            if command.line < at < end:
                require_shown(text, printed, f"{GUIDE}:{at}")
    assert "Declined" in printed or "declined" in printed


def require_shown(text: str, printed: str, place: str) -> None:
    """Check that a page shows what a command printed; ``...`` stands for any lines."""
    # A slow machine says now and then what it is at.
    said = [line for line in printed.splitlines() if not line.startswith("  … ")]
    lines = [masked(line) for line in said]
    start = 0
    for block in re.split(rf"(?m)^{re.escape(SKIPPED)}$\n?", text):
        wanted = [masked(line) for line in block.splitlines() if line.strip()]
        if not wanted:
            continue
        found = next(
            (
                at
                for at in range(start, len(lines))
                if all(
                    alike(one or "", other or "")
                    for one, other in zip_longest(
                        wanted, [it for it in lines[at:] if it.strip()][: len(wanted)]
                    )
                )
            ),
            None,
        )
        assert found is not None, f"{place} shows\n{block}\nbut what was printed is\n{printed}"
        start = found + 1


def masked(line: str) -> str:
    for pattern, word in VARYING:
        line = pattern.sub(word, line)
    return " ".join(line.split())


def alike(shown: str, printed: str) -> bool:
    """Whether two lines differ in nothing but numbers, and in these by little."""
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(
        abs(one - other) <= TOLERANCE * max(abs(one), abs(other), 1)
        for one, other in ((_number(a), _number(b)) for a, b in pairs)
    )


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def test_lines_that_differ_in_more_than_small_numbers_are_told_apart() -> None:
    assert alike("AUC 0.790, 1,000 loans", "AUC 0.792, 1,001 loans")
    assert not alike("AUC 0.790", "AUC 0.590")
    assert not alike("Declined: 50 %", "Approved: 50 %")
    with pytest.raises(AssertionError, match="but what was printed"):
        require_shown("one\n...\nthree", "one\ntwo\n", "here")
    require_shown("one\n...\nthree", "one\ntwo\nthree\n", "here")


def test_the_command_of_the_guide_is_that_of_the_copy(stranger: ScratchCheckout) -> None:
    """Otherwise the guide's product would lie among those of the checkout."""
    script = "from credit_cli.checkout import ROOT; print(ROOT)"
    done = stranger.type(f"{sys.executable} -c {shlex.quote(script)}")

    assert done.returncode == 0
    assert Path(done.stdout.strip()) == stranger.root.resolve() != Checkout().root
