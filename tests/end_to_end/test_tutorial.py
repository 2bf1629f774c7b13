"""The tutorial, typed from its first line to its last, on a checkout and a cloud of its own."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.documents import fences
from tests.scratch_checkout import ScratchCheckout, scratch_checkout

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.documents import Fence

pytestmark = pytest.mark.end_to_end

PAGE = "docs/tutorial.md"
EDITED = "products/personal_loan.py"
INSTEAD = {"make demo": "credit demo", "make local-down": "credit local down"}
"""Make installs first, into the checkout that it is called in; the rest is the same."""
AT_A_TERMINAL = "credit desk"
ARCHIVED = "credit archive check"
ARCHIVED_SECONDS = 120
FIGURE = re.compile(r"\d\w*(?:[-.,:]\w+)*")
SPAN = re.compile(r"(?<![\w.,])\d+ (?:d|h|min|s)(?: \d+ (?:h|min|s))?(?!\w)")
"""As `credit_cli/durations.py` writes it: what takes seconds here takes a minute elsewhere."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchCheckout]:
    checkout = scratch_checkout(tmp_path_factory.mktemp("tutorial"))
    yield checkout
    checkout.type("credit local down")


def words_of(line: str) -> str:
    """Return a line without what differs from run to run.

    >>> words_of("Receipt   example-0001, decided 2026-11-22T21:46:33.256Z")
    'Receipt example-#, decided #'
    >>> words_of("1 min 3 s   14.22 %") == words_of("21 s   14.22 %")
    True
    """
    return " ".join(FIGURE.sub("#", SPAN.sub("#", line)).split())


def is_an_edit(fence: Fence) -> bool:
    return all(line.startswith(("-", "+")) for line in fence.text.splitlines())


def edit(checkout: ScratchCheckout, fence: Fence) -> None:
    """Change the line that the page shows with a minus into the one with a plus."""
    before, after = (
        "\n".join(line[1:] for line in fence.text.splitlines() if line.startswith(sign))
        for sign in "-+"
    )
    path = checkout.root / EDITED
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{fence.place}: {EDITED} has no such line, or several"
    path.write_text(text.replace(before, after), encoding="utf-8")


def typed(checkout: ScratchCheckout, line: str) -> subprocess.CompletedProcess[str]:
    """Type a line; what was recorded in the last seconds may be on its way to the archive."""
    deadline = time.monotonic() + ARCHIVED_SECONDS
    done = checkout.type(line)
    while done.returncode and line == ARCHIVED and time.monotonic() < deadline:
        done = checkout.type(line)
    return done


def test_the_tutorial_goes_as_it_says(checkout: ScratchCheckout) -> None:
    """Each command succeeds, and prints what the page shows, figures aside."""
    printed = ""
    for fence in fences(PAGE):
        if fence.language == "sh":
            printed = ""
            for line in fence.text.splitlines():
                done = typed(checkout, INSTEAD.get(line, line))
                assert done.returncode == 0, f"{fence.place}: {line}\n{done.stdout}"
                printed += done.stdout
        elif is_an_edit(fence):
            edit(checkout, fence)
        elif fence.text != AT_A_TERMINAL:
            said = {words_of(line) for line in printed.splitlines()}
            shown = {words_of(line) for line in fence.text.splitlines() if line != "..."}
            assert shown <= said, f"{fence.place}: not printed: {shown - said}\n{printed}"
