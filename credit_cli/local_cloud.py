"""The local cloud: MiniStack in one process group of its own, all its files under `.local/`.

What is deployed lives in the emulator's memory, so a local cloud that has ended is gone; what it
left on disk is of no use and `start` sweeps it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from credit_cli import processes
from credit_cli.checkout import enforces
from credit_cli.errors import LocalCloudError, PortTakenError, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credit_cli.checkout import Checkout

HOST = "127.0.0.1"
REGION = "us-east-1"
DEFAULT_PORT = 4566
PORT_VARIABLE = "CREDIT_LOCAL_PORT"
START_SECONDS = 30.0
"""It takes one second; a busy machine may need more."""
POLL_SECONDS = 0.1
CONCURRENT_EXECUTIONS = 8
"""Lambda workers at once. Each is a process that unzips its layers, 90 to 240 MB, anew; what comes
beyond is throttled, as an AWS account does at its own limit."""


@dataclass(frozen=True)
class RunningCloud:
    """A local cloud that runs. The same fields make its state file."""

    pid: int
    started: str
    port: int

    @property
    def endpoint_url(self) -> str:
        """Where every AWS API of the local cloud answers."""
        return f"http://{HOST}:{self.port}"


def wanted_port(option: int | None = None) -> int:
    """Return the port to start on: the option, else the environment's, else 4566.

    Raises:
        UsageError: It is not a port an ordinary program can open.
    """
    text = str(option) if option is not None else os.environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if not text.isdigit() or not 1024 <= int(text) <= 65535:  # noqa: PLR2004 (TCP's bounds)
        raise UsageError(f"{text!r} is not a port from 1024 to 65535")
    return int(text)


class LocalCloud:
    """A local cloud of a checkout: the one of its folder."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.folder = checkout.local
        self.log = self.folder / "cloud.log"
        self._state_file = self.folder / "cloud.json"

    @property
    def see_log(self) -> str:
        """Where a person finds what it said."""
        return f"its log: {self.checkout.relative(self.log)}"

    @contextlib.contextmanager
    def exclusively(self) -> Iterator[None]:
        """Hold its lock, so that two commands never start or stop it at once.

        Raises:
            LocalCloudError: Another command holds it.
        """
        # Not in its folder, because that comes and goes under the lock.
        self.checkout.build.mkdir(exist_ok=True)
        with (self.checkout.build / f"{self.folder.name[1:]}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LocalCloudError(
                    "another `credit` command is at work on this checkout's local cloud",
                    hint="wait until it is done, or end it",
                ) from None
            yield

    def running(self) -> RunningCloud | None:
        """Return the local cloud if it runs, else None."""
        state = self._recorded()
        return state if state is not None and self._lives(state) else None

    def require_running(self) -> RunningCloud:
        """Return the local cloud.

        Raises:
            UnreachableError: It does not run.
        """
        cloud = self.running()
        if cloud is None:
            raise UnreachableError("the local cloud is not running", hint="run: make demo")
        return cloud

    def start(self, port: int) -> RunningCloud:
        """Start it, unless it runs, and return when it answers.

        Raises:
            PreconditionError: The environments or the disk space it needs are not there.
            PortTakenError: Something else listens on the port.
            UsageError: It runs already, on another port.
            LocalCloudError: It ended, or did not answer in time.
        """
        cloud = self.running()
        if cloud is not None:
            if cloud.port != port:
                raise UsageError(
                    f"the local cloud of this checkout runs on port {cloud.port}, not {port}",
                    hint="stop it first: make local-down",
                )
            return cloud
        self.checkout.require_environments()
        self.checkout.require_disk()
        _require_free(port)
        self._sweep()
        process = self._launch(port)
        started = processes.find(process.pid)
        cloud = RunningCloud(process.pid, started.started if started else "", port)
        self._state_file.write_text(json.dumps(asdict(cloud)), encoding="utf-8")
        try:
            self._wait_until_it_answers(process, cloud)
        except BaseException:
            processes.stop_group(process.pid)
            process.wait()
            self._state_file.unlink(missing_ok=True)
            raise
        # It outlives this command on purpose; without a return code Popen would warn of that.
        process.returncode = 0
        return cloud

    def stop(self) -> bool:
        """Stop it and every process it started, and remove its files; tell if it was running.

        Raises:
            LocalCloudError: A process or a file resists.
        """
        stopped = self._sweep()
        if self.folder.exists():
            raise LocalCloudError(f"{self.checkout.relative(self.folder)} can't be removed")
        return stopped

    def _listens(self, cloud: RunningCloud) -> bool:
        """Whether it answers, and says itself that it listens there.

        The second, because another checkout may have taken the port a moment ago.
        """
        said = self.log.read_text(encoding="utf-8", errors="replace")
        return f"Running on {cloud.endpoint_url}" in said and answers(cloud.endpoint_url)

    def _recorded(self) -> RunningCloud | None:
        try:
            return RunningCloud(**json.loads(self._state_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _lives(self, cloud: RunningCloud) -> bool:
        process = processes.find(cloud.pid)
        return process is not None and process.started == cloud.started

    def _owns_group(self, cloud: RunningCloud) -> bool:
        """Whether the recorded group is still ours: its leader, or a worker it left behind."""
        return any(
            (process.pid == cloud.pid and process.started == cloud.started)
            or (process.group == cloud.pid and str(self.folder) in process.command)
            for process in processes.running()
        )

    def _sweep(self) -> bool:
        """Stop what runs and remove the folder; tell whether there was something to stop."""
        cloud = self._recorded()
        owned = cloud is not None and self._owns_group(cloud)
        if cloud is not None and owned:
            processes.stop_group(cloud.pid)
            if self._owns_group(cloud):
                raise LocalCloudError(f"process {cloud.pid} does not end")
        shutil.rmtree(self.folder, ignore_errors=True)
        return owned

    def _launch(self, port: int) -> subprocess.Popen[bytes]:
        for name in ("home", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [str(self.checkout.cloud_python), *program(enforcing=enforces())],
                cwd=self.folder,
                env=emulator_environment(self.folder, port, enforcing=enforces()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], cloud: RunningCloud) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise LocalCloudError(
                    f"the local cloud ended at its start: {last_line(self.log)}",
                    hint=self.see_log,
                )
            if self._listens(cloud):
                return
            time.sleep(POLL_SECONDS)
        raise LocalCloudError(
            f"the local cloud did not answer within {START_SECONDS:.0f} s",
            hint=self.see_log,
        )


BEHIND_TLS = """
from ministack import app as emulator

answer = emulator.app

async def behind_tls(scope, receive, send):
    await answer({**scope, "scheme": "https"}, receive, send)

emulator.app = behind_tls
emulator.main()
"""
"""The emulator as it is reached through something that ends TLS before it: policies that refuse
plain HTTP, as each bucket's, queue's and topic's does, are about that scheme.
"""


def program(*, enforcing: bool) -> tuple[str, str]:
    """Return what the emulator's interpreter runs."""
    return ("-c", BEHIND_TLS) if enforcing else ("-m", "ministack")


def emulator_environment(folder: Path, port: int, *, enforcing: bool = False) -> dict[str, str]:
    """Return the whole environment the emulator and its Lambda workers get.

    Nothing of the caller's is passed on: no proxy, no AWS setting, no PYTHONPATH. Whatever is
    written stays in the folder. The Docker socket named does not exist, because the emulator
    removes at its start any container that it takes for a left-over.
    """
    return {
        "PATH": os.defpath,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "DOCKER_HOST": f"unix://{folder / 'no-docker.sock'}",
        "LANG": "C.UTF-8",
        "TZ": "UTC",  # Athena's time zone; its engine here would take the machine's
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "LAMBDA_ACCOUNT_CONCURRENCY": str(CONCURRENT_EXECUTIONS),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Whom it knows by `test` is the account's root, who may do everything; functions and the
        # CDK's roles are themselves.
        "AUTH": str(enforcing).lower(),
    }


def answers(endpoint_url: str) -> bool:
    """Tell whether a local cloud answers there."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{endpoint_url}/_ministack/health", timeout=2) as response:
            return bool(response.status == 200)  # noqa: PLR2004 (HTTP: OK)
    except OSError:
        return False


def last_line(log: Path) -> str:
    """Return the last line of a log that says something."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    except OSError:
        return "no log"
    return next((line for line in reversed(lines) if line), "no message")[:300]


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.settimeout(1)
        # One on all interfaces would let us bind to this one, on some systems.
        if probe.connect_ex((HOST, port)) == 0:
            raise PortTakenError(port)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise PortTakenError(port) from None
