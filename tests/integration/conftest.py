"""A local cloud with nothing deployed, for adapters whose dialect moto does not speak.

moto 5.2 runs PartiQL, but neither refuses an INSERT of an existing key nor checks an UPDATE's
condition; MiniStack does both, as DynamoDB does.
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.clients import client, pipeline_config
from tests.ports import a_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOUD_PYTHON = Path(__file__).parents[2] / ".cloud-venv" / "bin" / "python"
START_SECONDS = 60


@dataclass(frozen=True)
class LocalCloud:
    """A running emulator."""

    endpoint_url: str

    def client(self, service: str) -> Any:
        """Return a client; the fixture has set the environment that it reads."""
        return client(service, pipeline_config())

    def point_clients_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set the environment that clients read."""
        for name, value in {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def local_cloud_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Run one emulator for the whole session, on a port that is free."""
    if not CLOUD_PYTHON.exists():
        pytest.fail("the emulator is not installed; run: make env")
    folder = tmp_path_factory.mktemp("local-cloud")
    port = a_free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        # Athena works in UTC; its engine here takes the machine's time zone.
        "TZ": "UTC",
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": "us-east-1",
    }
    log = folder / "ministack.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(CLOUD_PYTHON), "-m", "ministack"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            _wait_until_healthy(port, process, log)
            yield LocalCloud(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def local_cloud_bare(
    local_cloud_process: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> LocalCloud:
    """Point this test's clients at the emulator; tests keep apart by names of their own."""
    local_cloud_process.point_clients_here(monkeypatch)
    return local_cloud_process


def _wait_until_healthy(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    pytest.fail(f"the emulator did not start: {log.read_text(errors='replace')[-2_000:]}")
