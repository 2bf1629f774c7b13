"""The server of the desk: one process, no log of requests, ended by Ctrl-C."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket

    from starlette.types import ASGIApp

GIVE_UP_SECONDS = 5
"""How long answers that are under way may take after Ctrl-C."""


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until a person ends it."""
    server = uvicorn.Server(configuration(app))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listening])


def configuration(app: ASGIApp) -> uvicorn.Config:
    """Return how the server runs: it writes no line about a request."""
    return uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        timeout_graceful_shutdown=GIVE_UP_SECONDS,
    )
