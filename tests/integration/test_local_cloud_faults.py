"""The local cloud's life on a made-up checkout: no emulator, every fault put in by hand."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import namedtuple
from typing import TYPE_CHECKING

import pytest

from credit_cli import local_cloud, processes
from credit_cli.checkout import Checkout, enforces
from credit_cli.errors import (
    LocalCloudError,
    PortTakenError,
    PreconditionError,
    UnreachableError,
    UsageError,
)
from credit_cli.local_cloud import LocalCloud, emulator_environment, wanted_port
from tests.ports import a_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERING = """#!{python}
import http.server, os, subprocess, sys
port = int(os.environ["GATEWAY_PORT"])
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *words): pass
worker = os.environ["TMPDIR"] + "/worker.py"
open(worker, "w").write("import time; time.sleep(600)")
subprocess.Popen([sys.executable, worker])
server = http.server.HTTPServer(("127.0.0.1", port), Health)
print(f"Running on http://127.0.0.1:{{port}} (CTRL + C to quit)", flush=True)
server.serve_forever()
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout whose environments are there and whose emulator only answers."""
    checkout = Checkout(tmp_path / "clone")
    an_emulator(checkout, ANSWERING.format(python=sys.executable))
    for tool in (checkout.binaries / "node", checkout.cdk):
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.touch()
    return checkout


@pytest.fixture
def cloud(checkout: Checkout) -> Iterator[LocalCloud]:
    cloud = LocalCloud(checkout)
    yield cloud
    cloud.stop()


def an_emulator(checkout: Checkout, script: str) -> None:
    checkout.cloud_python.parent.mkdir(parents=True, exist_ok=True)
    checkout.cloud_python.write_text(script)
    checkout.cloud_python.chmod(0o755)


def a_recorded_cloud(checkout: Checkout, *, pid: int, started: str) -> None:
    checkout.local.mkdir(parents=True, exist_ok=True)
    state = {"pid": pid, "started": started, "port": 4566}
    (checkout.local / "cloud.json").write_text(json.dumps(state))


def test_a_started_cloud_is_found_again_by_another_command(
    cloud: LocalCloud, checkout: Checkout
) -> None:
    port = a_free_port()

    started = cloud.start(port)

    assert LocalCloud(checkout).running() == started
    assert started.endpoint_url == f"http://127.0.0.1:{port}"


def test_starting_again_keeps_the_cloud_that_runs(cloud: LocalCloud) -> None:
    port = a_free_port()

    assert cloud.start(port) == cloud.start(port)


def test_starting_on_another_port_names_the_one_in_use(cloud: LocalCloud) -> None:
    port = a_free_port()
    cloud.start(port)

    with pytest.raises(UsageError, match=f"runs on port {port}, not {port + 1}"):
        cloud.start(port + 1)


def test_stopping_ends_the_workers_too_and_leaves_no_file(
    cloud: LocalCloud, checkout: Checkout
) -> None:
    started = cloud.start(a_free_port())
    group = [found for found in processes.running() if found.group == started.pid]
    assert len(group) == 2

    assert cloud.stop()

    assert not [found for found in processes.running() if found.group == started.pid]
    assert not checkout.local.exists()
    assert cloud.running() is None


def test_workers_are_ended_even_when_the_cloud_itself_was_killed(cloud: LocalCloud) -> None:
    started = cloud.start(a_free_port())
    os.kill(started.pid, 9)
    wait_until_gone(started.pid)
    assert cloud.running() is None

    assert cloud.stop()

    assert not [found for found in processes.running() if found.group == started.pid]


def test_stopping_twice_is_no_error(cloud: LocalCloud) -> None:
    cloud.start(a_free_port())

    assert [cloud.stop(), cloud.stop()] == [True, False]


def test_a_process_id_given_to_another_program_is_not_touched(
    cloud: LocalCloud, checkout: Checkout
) -> None:
    with subprocess.Popen(["/bin/sleep", "60"], start_new_session=True) as bystander:
        a_recorded_cloud(checkout, pid=bystander.pid, started="an hour before")

        assert cloud.running() is None
        assert not cloud.stop()

        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}'])
def test_a_broken_state_file_means_that_nothing_runs(
    cloud: LocalCloud, checkout: Checkout, content: str
) -> None:
    checkout.local.mkdir(parents=True)
    (checkout.local / "cloud.json").write_text(content)

    assert cloud.running() is None
    with pytest.raises(UnreachableError, match="not running"):
        cloud.require_running()


def test_a_taken_port_is_named_with_what_to_do(cloud: LocalCloud) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(PortTakenError, match=f"port {port} of 127.0.0.1 is taken") as error:
            cloud.start(port)

    assert error.value.hint is not None
    assert "CREDIT_LOCAL_PORT=" in error.value.hint


def test_a_port_taken_on_all_interfaces_is_noticed_too(cloud: LocalCloud) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))  # noqa: S104 (the very case)
        other.listen()

        with pytest.raises(PortTakenError):
            cloud.start(other.getsockname()[1])


def test_an_emulator_that_dies_at_its_start_is_quoted(
    cloud: LocalCloud, checkout: Checkout
) -> None:
    an_emulator(checkout, "#!/bin/sh\necho 'no module named ministack'\nexit 1\n")

    with pytest.raises(LocalCloudError, match="ended at its start: no module named ministack"):
        cloud.start(a_free_port())

    assert cloud.running() is None


def test_an_emulator_that_never_answers_is_stopped(
    cloud: LocalCloud, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_cloud, "START_SECONDS", 0.3)
    silent = f"#!{sys.executable}\nimport time; time.sleep(600)\n"
    an_emulator(checkout, silent)

    with pytest.raises(LocalCloudError, match="did not answer within"):
        cloud.start(a_free_port())

    emulator = str(checkout.cloud_python)
    assert not [found for found in processes.running() if emulator in found.command]


def test_another_checkouts_cloud_on_the_port_is_not_taken_for_ours(
    cloud: LocalCloud, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, but ours never said that it listens there."""
    monkeypatch.setattr(local_cloud, "START_SECONDS", 0.5)
    an_emulator(checkout, ANSWERING.format(python=sys.executable).replace("Running on", "Not on"))

    with pytest.raises(LocalCloudError, match="did not answer"):
        cloud.start(a_free_port())


def test_a_nearly_full_disk_is_said_before_anything_starts(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 (as shutil has it)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100e9, 99e9, 1.04e9))

    with pytest.raises(PreconditionError, match=r"1\.0 GB are free.*needs 2 GB"):
        cloud.start(a_free_port())


def test_missing_environments_lead_to_make_env(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match=r"\.cloud-venv/bin/python") as error:
        LocalCloud(Checkout(tmp_path)).start(a_free_port())

    assert error.value.hint == "run: make env"


def test_two_commands_never_work_on_one_local_cloud_at_once(checkout: Checkout) -> None:
    with (
        LocalCloud(checkout).exclusively(),
        pytest.raises(LocalCloudError, match="another `credit` command"),
        LocalCloud(checkout).exclusively(),
    ):
        pass


def test_two_checkouts_do_not_hold_each_other_up(checkout: Checkout, tmp_path: Path) -> None:
    other = Checkout(tmp_path / "other")
    other.build.mkdir(parents=True)

    with LocalCloud(checkout).exclusively(), LocalCloud(other).exclusively():
        pass


def test_the_emulator_gets_nothing_of_the_callers_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")

    environment = emulator_environment(tmp_path, 4566)

    assert not {"AWS_PROFILE", "HTTPS_PROXY", "PYTHONPATH"} & set(environment)
    assert environment["BIND_HOST"] == "127.0.0.1"
    for name in ("HOME", "TMPDIR", "STATE_DIR", "S3_DATA_DIR"):
        assert environment[name].startswith(str(tmp_path))


def test_a_local_cloud_that_enforces_permissions_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the usual one, in a folder of its own; only the tests ask for it."""
    checkout = Checkout(tmp_path)
    monkeypatch.delenv("CREDIT_LOCAL_ENFORCE", raising=False)
    assert (checkout.local.name, enforces()) == (".local", False)
    assert emulator_environment(tmp_path, 4566)["AUTH"] == "false"

    monkeypatch.setenv("CREDIT_LOCAL_ENFORCE", "1")

    assert (checkout.local.name, enforces()) == (".local-enforcing", True)
    assert emulator_environment(tmp_path, 4566, enforcing=True)["AUTH"] == "true"


def test_a_local_cloud_with_a_name_lies_beside_the_usual_one(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCloud(checkout).exclusively():
        monkeypatch.setenv("CREDIT_LOCAL_NAME", "second")

        assert checkout.local.name == ".local.second"
        assert LocalCloud(checkout).see_log == "its log: .local.second/cloud.log"
        with LocalCloud(checkout).exclusively():
            pass

    monkeypatch.setenv("CREDIT_LOCAL_NAME", "enforcing")
    named = checkout.local
    monkeypatch.setenv("CREDIT_LOCAL_ENFORCE", "1")
    enforcing_and_named = checkout.local
    monkeypatch.delenv("CREDIT_LOCAL_NAME")
    assert len({named, enforcing_and_named, checkout.local}) == 3


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "A", "-", " "])
def test_a_name_that_is_no_folder_is_refused(
    name: str, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDIT_LOCAL_NAME", name)

    with pytest.raises(UsageError, match="is no name of a local cloud"):
        LocalCloud(checkout)


def test_the_port_comes_from_the_option_then_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CREDIT_LOCAL_PORT", raising=False)
    assert wanted_port() == 4566
    monkeypatch.setenv("CREDIT_LOCAL_PORT", "5000")
    assert wanted_port() == 5000
    assert wanted_port(6000) == 6000


@pytest.mark.parametrize("text", ["80", "65536", "-1", "http", ""])
def test_a_port_that_cannot_be_opened_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDIT_LOCAL_PORT", text)

    with pytest.raises(UsageError, match="not a port from 1024 to 65535"):
        wanted_port()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while processes.find(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
