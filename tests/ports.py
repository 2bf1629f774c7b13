"""A port for a server that a test starts."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

PORTS = range(20_000, 32_000)
"""None that Linux or macOS gives to whoever asks for any: one of those may be gone by the time
that its server listens, which can be minutes later."""


def a_free_port() -> int:
    """Return a port of this machine that nobody has."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
