"""`credit demo`: from nothing to a decided application."""

from __future__ import annotations

import time

from credit_cli.api import curl
from credit_cli.checkout import Checkout
from credit_cli.local_cloud import LocalCloud
from credit_cli.local_commands import Port, chosen_port
from credit_cli.rendering import decision_lines
from credit_cli.terminal import Json, print_json, progress_for, say


def demo(
    *,
    port: Port = None,
    as_json: Json = False,
) -> None:
    """Go from nothing to a decided application on the local cloud.

    To see all of it at once: the local cloud is started, the product deployed, invented data
    brought in, a model trained and rolled out, and one applicant decided. A first run takes
    minutes, another one seconds. Nothing leaves this machine.

    Examples:
        credit demo
        credit demo --port 4600  # where another program has the port

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 the API does not answer.
    """
    from credit_cli.demo import (  # noqa: PLC0415 (NumPy and DuckDB take half a second)
        quality_lines,
        run_demo,
    )

    checkout, progress = Checkout(), progress_for(as_json=as_json)
    started = time.monotonic()
    with LocalCloud(checkout).exclusively():
        done = run_demo(checkout, progress, port=chosen_port(checkout, port))
    seconds = time.monotonic() - started
    if as_json:
        print_json(done.as_document(progress) | {"seconds": round(seconds, 1)})
        return
    say("")
    for line in decision_lines(done.answer, done.decision) + quality_lines(done.champion):
        say(line)
    say(f"\nThe same over HTTP:\n{curl(done.deployment.api_url)}")
    say(f"\nDone in {seconds:.1f} s. Stop it with: make local-down")
