"""`credit desk`: the loan desk, a web app on this machine."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
import webbrowser
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.errors import CliError, PreconditionError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.target import target
from credit_cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"
PORT = 8600
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def desk(
    *,
    port: Annotated[
        int, typer.Option(help="Of 127.0.0.1; 0 takes one that is free.", min=0, max=65_535)
    ] = PORT,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, and open nothing.")
    ] = False,
    product: DeployedProduct = DEFAULT_PRODUCT,
) -> None:
    """Open the loan desk in a browser: score, review referrals, look at decisions and models.

    It listens on this machine alone, and whoever opens it needs the key in the address that it
    prints. It ends with Ctrl-C.

    Examples:
        credit desk  # of the local cloud
        credit desk --no-browser --port 8601  # print the address, open nothing
        credit --stage dev desk  # of the AWS account of this shell
    """
    from credit_cli.desk.app import desk_app  # noqa: PLC0415 (a web server takes its time)
    from credit_cli.desk.connection import Connection  # noqa: PLC0415 (as above)
    from credit_cli.desk.desk import Desk  # noqa: PLC0415 (as above)
    from credit_cli.desk.serving import serve  # noqa: PLC0415 (as above)
    from credit_cli.desk.shell import Shell  # noqa: PLC0415 (as above)

    known = known_product(product)
    connection = Connection(known)
    chosen = target()
    place = "the local cloud" if chosen.is_local else chosen.stage
    try:
        connection()
        place = connection.place
    except CliError as error:
        if not chosen.is_local:
            raise
        typer.echo(f"{error.message}; the desk says so until it is", err=True)
    shell = Shell(known.title, stage=chosen.stage, place=place)
    with listening(port) as taken:
        at = taken.getsockname()[1]
        key = secrets.token_urlsafe(24)
        room = Desk(known, shell, connection, forget=connection.forget)
        address = f"http://{HOST}:{at}/?key={key}"
        say(f"The loan desk of {known.name}, on {place}:\n{address}")
        say("Ctrl-C ends it.")
        sys.stdout.flush()
        with opened(address, wanted=not no_browser):
            serve(desk_app(room, key=key, port=at), taken)
    say("The desk is closed.")


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Hold a port of this machine.

    Raises:
        PreconditionError: Another program has it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, port))
            taken.listen(128)
        except OSError as error:
            raise PreconditionError(
                f"port {port} of {HOST} can't be had: {error.strerror}",
                hint="another desk may be open; choose another port: credit desk --port 8601",
            ) from None
        yield taken


@contextmanager
def opened(address: str, *, wanted: bool) -> Iterator[None]:
    """Open a browser at an address where a person sits at a screen.

    What a browser is started with can be read by everybody on the machine, so it is a file that
    only this person can read, and that leads to the address.
    """
    if not wanted or not has_screen():
        yield
        return
    with tempfile.TemporaryDirectory(prefix="credit-desk-") as folder:
        page = Path(folder) / "open.html"
        page.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Loan desk</title>'
            f'<meta http-equiv="refresh" content="0; url={address}">'
            f'<p><a href="{address}">To the loan desk</a></p>'
        )
        page.chmod(0o600)
        webbrowser.open(page.as_uri())
        yield


def has_screen() -> bool:
    """Tell whether a person at a terminal sees a screen that a browser can open on."""
    if not sys.stdout.isatty():
        return False
    return sys.platform == "darwin" or any(os.environ.get(name) for name in DISPLAYS)
