"""The real emulator, started and stopped by the command's own code, in a checkout of its own."""

from __future__ import annotations

import io
import json
import socket
import zipfile
from typing import TYPE_CHECKING

import pytest

from credit_cli import processes
from credit_cli.aws import LocalAws
from credit_cli.checkout import ROOT, Checkout
from credit_cli.errors import PortTakenError
from credit_cli.local_cloud import LocalCloud, RunningCloud
from tests.ports import a_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_lambda import LambdaClient

HANDLER = """
import importlib.util, os, tempfile
def handler(event, context):
    return {
        "home": os.environ["HOME"],
        "scratch": tempfile.gettempdir(),
        "endpoint": os.environ["AWS_ENDPOINT_URL"],
        "numpy": importlib.util.find_spec("numpy") is not None,
        "proxies": [name for name in os.environ if name.lower().endswith("_proxy")],
    }
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A second checkout on this machine that shares the installed environments."""
    for name in (".venv", ".cloud-venv", "node_modules"):
        (tmp_path / name).symlink_to(ROOT / name)
    return Checkout(tmp_path)


@pytest.fixture
def cloud(checkout: Checkout) -> Iterator[LocalCloud]:
    cloud = LocalCloud(checkout)
    yield cloud
    cloud.stop()


@pytest.fixture
def running(cloud: LocalCloud) -> RunningCloud:
    return cloud.start(a_free_port())


def invoke_a_function(running: RunningCloud) -> dict[str, object]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("handler.py", HANDLER)
    functions: LambdaClient = LocalAws(running.endpoint_url).client("lambda")
    functions.create_function(
        FunctionName="probe",
        Runtime="python3.13",
        Handler="handler.handler",
        Role="arn:aws:iam::000000000000:role/none",
        Code={"ZipFile": archive.getvalue()},
    )
    answer = functions.invoke(FunctionName="probe")
    document = json.loads(answer["Payload"].read())
    assert isinstance(document, dict)
    return document


def test_a_function_sees_the_emulators_environment_and_nothing_of_ours(
    running: RunningCloud, checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example")

    seen = invoke_a_function(running)

    assert seen == {
        "home": str(checkout.local / "home"),
        "scratch": str(checkout.local / "tmp"),
        "endpoint": running.endpoint_url,
        # A package missing from a layer must be noticed here, not on AWS.
        "numpy": False,
        "proxies": [],
    }


def test_stopping_ends_the_emulator_with_its_workers_and_frees_the_port(
    cloud: LocalCloud, running: RunningCloud, checkout: Checkout
) -> None:
    invoke_a_function(running)
    assert sum(process.group == running.pid for process in processes.running()) >= 2

    assert cloud.stop()

    assert not [process for process in processes.running() if process.group == running.pid]
    assert not checkout.local.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0


def test_it_listens_on_this_machine_only(running: RunningCloud) -> None:
    addresses = {
        found[4][0]
        for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        if not str(found[4][0]).startswith("127.")
    }
    for address in addresses:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex((address, running.port)) != 0


def test_a_second_checkout_is_told_of_the_port_and_harms_nothing(
    running: RunningCloud, cloud: LocalCloud, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in (".venv", ".cloud-venv", "node_modules"):
        (other / name).symlink_to(ROOT / name)
    second = LocalCloud(Checkout(other))

    with pytest.raises(PortTakenError):
        second.start(running.port)
    assert not second.stop()

    assert cloud.running() == running
