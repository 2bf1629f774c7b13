"""The loan desk as a person starts it, on the local cloud."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any

from credit_cli.checkout import Checkout
from tests.end_to_end.conftest import CREDIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.conftest import Caller, Credit

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\?key=\S+")
START_SECONDS = 60
STOP_SECONDS = 20
EXAMPLES = Checkout().root / "docs" / "api" / "examples" / "personal_loan"
AMOUNTS = (None, 40_000, 30_000, 20_000, 10_000, 5_000, 1_000)


@dataclass(frozen=True)
class OpenDesk:
    """A desk that listens. ``address`` holds its key; ``base`` does not."""

    address: str
    said: list[str]

    @property
    def base(self) -> str:
        """Scheme, host and port."""
        return self.address.partition("/?")[0]


@contextmanager
def opened(credit: Credit) -> Iterator[OpenDesk]:
    """Start `credit desk` at a free port; end it as Ctrl-C does."""
    command = [str(CREDIT), "desk", "--no-browser", "--port", "0"]
    with subprocess.Popen(
        command,
        cwd=Checkout().root,
        env=credit.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        said: list[str] = []
        lines: Queue[str] = Queue()

        def hear() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                lines.put(line)

        hearing = threading.Thread(target=hear, daemon=True)
        hearing.start()
        try:
            yield OpenDesk(_address(lines, said), said)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
            # It reads to the end before the pipe is closed under it.
            hearing.join(STOP_SECONDS)


def _address(lines: Queue[str], said: list[str]) -> str:
    while True:
        try:
            found = ADDRESS.search(lines.get(timeout=START_SECONDS))
        except Empty:
            raise AssertionError(f"the desk printed no address: {said}") from None
        if found:
            return found[0]


def an_application_that(
    outcome: str, caller: Caller, an_application: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Return an application with that outcome by the model, under an id that nobody used.

    The API's recorded examples are tried first, and then with other amounts: a retrained champion
    may judge them otherwise.
    """
    recorded = [
        json.loads(path.read_bytes()).get("request") for path in sorted(EXAMPLES.glob("*.json"))
    ]
    known = [
        {name: value for name, value in request.items() if name != "application_id"}
        for request in recorded
        if isinstance(request, dict) and "loan_amount" in request
    ]
    for amount in AMOUNTS:
        for request in known:
            changes = request if amount is None else request | {"loan_amount": amount}
            answer = caller("POST", "/v1/decisions", an_application(**changes))
            if answer.status != 200:
                continue
            decided = answer.document()
            if decided["outcome"] == outcome and decided["decided_by"]["kind"] == "cutoff":
                return an_application(**changes)
    raise AssertionError(f"no known application has the outcome {outcome}")
