"""A materializer that can be killed: forks a process for each order, which calls the real handler.

Importing what the handler needs takes longer than a whole run. So it is imported once here, and
each run is a fork of this process, killed by its process id as a crash would end it.

It reads orders as lines of JSON, ``{"run_id": ..., "parts": [...]}``; it answers each with the
process id, and ``{"wait": pid}`` with how that process ended.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any


def load_handler(path: str) -> Any:
    """Return the module of a function's handler."""
    spec = importlib.util.spec_from_file_location("handler", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Serve orders until the input ends."""
    handler = load_handler(sys.argv[1]).handler
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # The handler logs to standard output; here that is for answers.
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            _, status = os.waitpid(order["wait"], 0)
            answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
            continue
        pid = os.fork()
        if pid == 0:
            for part in order["parts"]:
                handler({"run_id": order["run_id"], "part": part}, None)
            os._exit(0)
        answers.write(f"{pid}\n")


if __name__ == "__main__":
    main()
