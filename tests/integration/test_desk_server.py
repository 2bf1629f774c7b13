"""`credit desk` as a process: the address it prints, what it answers, and how it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from credit_cli.checkout import Checkout
from credit_cli.desk_command import has_screen, listening, opened
from credit_cli.errors import PreconditionError

if TYPE_CHECKING:
    from collections.abc import Iterator

CREDIT = Path(sys.executable).parent / "credit"
SECONDS = 90


@contextmanager
def a_desk(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command; it is ended if the test did not."""
    with subprocess.Popen(
        [str(CREDIT), "desk", "--no-browser", *words],
        cwd=Checkout().root,
        env={**os.environ, "CREDIT_STAGE": "local"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    """Return the address that the command prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("http://"):
            return line.strip()
    assert process.stderr is not None
    pytest.fail(f"no address was printed: {process.stderr.read()}")


def asked(address: str, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=SECONDS)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, response.read().decode()
    finally:
        connection.close()


def test_the_desk_opens_with_the_address_it_prints_and_closes_with_ctrl_c() -> None:
    with a_desk("--port", "0") as process:
        address = address_of(process)
        parts = urlsplit(address)

        status, headers, _ = asked(address, f"/?{parts.query}")
        assert status == 303
        cookie = headers["set-cookie"].partition(";")[0]
        status, headers, page = asked(address, "/", Cookie=cookie)
        assert (status, "server" in headers) == (200, False)
        assert 'id="application"' in page
        assert asked(address, "/")[0] == 401
        assert asked(address, "/", Cookie=cookie, Host="evil.example")[0] == 421

        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 0
    assert out.endswith("The desk is closed.\n")
    assert "GET" not in out + err, "no request is logged"
    assert "Traceback" not in err


def test_it_listens_on_this_machine_alone() -> None:
    with listening(0) as taken:
        assert taken.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_told_in_two_lines() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with a_desk("--port", str(port)) as process:
            _, err = process.communicate(timeout=SECONDS)

        assert process.returncode == 1
        assert f"error: port {port} of 127.0.0.1 can't be had" in err
        assert "credit desk --port" in err
        with pytest.raises(PreconditionError), listening(port):
            pass


def test_a_product_that_there_is_not_is_told() -> None:
    with a_desk("--product", "nothing") as process:
        _, err = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert "products/nothing.py" in err


def test_no_browser_is_opened_where_nobody_sees_a_screen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nobody(_address: str) -> bool:
        raise AssertionError

    monkeypatch.setattr("webbrowser.open", nobody)
    with opened("http://127.0.0.1:1/?key=k", wanted=False):
        pass
    assert not has_screen()
    with opened("http://127.0.0.1:1/?key=k", wanted=True):
        pass


def test_the_key_is_in_a_file_of_this_person_alone_and_not_in_a_browsers_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Path] = []

    def open_it(address: str) -> bool:
        assert "secret-key" not in address
        page = Path(urlsplit(address).path)
        assert page.stat().st_mode & 0o077 == 0
        assert "secret-key" in page.read_text()
        seen.append(page)
        return True

    monkeypatch.setattr("webbrowser.open", open_it)
    monkeypatch.setattr("credit_cli.desk_command.has_screen", lambda: True)
    with opened("http://127.0.0.1:1/?key=secret-key", wanted=True):
        (page,) = seen
    assert not page.exists()
