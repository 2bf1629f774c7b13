"""The desk as an ASGI application: its pages behind the door, and what becomes of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from credit_cli.desk import (
    comparison,
    decision_page,
    drift,
    find_page,
    models,
    referrals_page,
    score_page,
)
from credit_cli.desk.door import Door
from credit_cli.desk.faults import foreseen
from credit_cli.desk.shell import STYLE_PATH, TITLES
from credit_cli.desk.style import DESK_STYLE
from credit_cli.errors import CliError
from credit_core.errors import fault_location

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, HTTPExceptionHandler, Message, Receive, Scope, Send

    from credit_cli.desk.desk import Desk
    from credit_cli.desk.shell import Shell

PAGES = (score_page, decision_page, referrals_page, find_page, comparison, models, drift)
"""In this order their routes are tried."""


def desk_app(desk: Desk, *, key: str, port: int) -> Starlette:
    """Return the application.

    Args:
        desk: What it is about.
        key: Who comes in has to know it.
        port: At which it will listen, for who may be meant by an address.
    """
    return Starlette(
        routes=[
            Route(STYLE_PATH, style),
            *(route for page in PAGES for route in page.routes(desk)),
        ],
        middleware=[
            Middleware(Door, key=key, port=port, shell=desk.shell),
            Middleware(Told, desk=desk),
        ],
        exception_handlers={HTTPException: _http_error(desk.shell)},
    )


def style(_request: Request) -> Response:
    """Answer the style sheet."""
    kept = {"Cache-Control": "max-age=31536000, immutable"}
    return Response(DESK_STYLE, media_type="text/css", headers=kept)


def _http_error(shell: Shell) -> HTTPExceptionHandler:
    def page(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (it is registered for no other)
        title = TITLES.get(error.status_code, error.detail)
        words = CliError(
            "there is no such page" if error.detail == "Not Found" else error.detail.rstrip(".")
        )
        return shell.error_page(words, status=error.status_code) if title else Response()

    return page


class Told:
    """Answers a page's error in words, as the command line would say it.

    Of an error without words, the terminal gets the type and the place, and no message: it might
    hold an applicant's value.
    """

    def __init__(self, app: ASGIApp, *, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if started:
                raise
            self._desk.forget()
            words = self._words(scope, error)
            await self._desk.shell.error_page(words)(scope, receive, send)

    def _words(self, scope: Scope, error: Exception) -> CliError:
        known = foreseen(error)
        if known is not None:
            return known
        place = fault_location(error)
        typer.echo(f"{scope['method']} {scope['path']} failed: {place}", err=True)
        return CliError(f"the desk itself failed: {place}", hint="the terminal says it too")
