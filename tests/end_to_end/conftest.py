"""The local cloud, deployed and filled by the very command that a person types."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import api
from credit_cli.aws import LocalAws
from credit_cli.checkout import NAME_VARIABLE, Checkout, enforces
from credit_cli.deployment import Deployment
from credit_cli.local_cloud import LocalCloud
from tests.end_to_end.enforcement import as_the_emulator_asks
from tests.end_to_end.on_call import ENDING_TRIALS, OnCall
from tests.ports import a_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEMO_SECONDS = 900
ARCHIVED_SECONDS = 120
DEMO_VARIABLE = "CREDIT_TESTS_DEMO"
"""What `credit demo` printed, for tests that others start on a cloud where it has run."""
FIRST = ("master", "gw0")
"""What pytest-xdist calls the only process, and the first of several."""
CREDIT = Path(sys.executable).parent / "credit"


@dataclass(frozen=True)
class Credit:
    """The `credit` command, run as a person runs it."""

    environment: dict[str, str]

    def __call__(
        self, *words: str, check: bool = True, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [str(CREDIT), *words],
            cwd=Checkout().root,
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=DEMO_SECONDS,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"credit {' '.join(words)}: {done.stderr.decode()}", pytrace=False)
        return done

    def json(self, *words: str) -> dict[str, Any]:
        """Return the JSON object that a command prints."""
        document = json.loads(self(*words, "--json").stdout)
        assert isinstance(document, dict)
        return document


@dataclass(frozen=True)
class Client:
    """A client application with a token of its own."""

    deployment: Deployment
    token: str

    def __call__(self, application: dict[str, Any], *, token: str | None = None) -> api.Answer:
        """Post an application, patiently: the local cloud throttles as AWS does."""
        body = json.dumps(application).encode()
        answer = self.post(body, token=token)
        for _ in range(60):
            if answer.status not in {429, 502, 503, 504}:
                break
            time.sleep(0.1)
            answer = self.post(body, token=token)
        return answer

    def post(self, body: bytes, *, token: str | None = None) -> api.Answer:
        """Post bytes once."""
        bearer = self.token if token is None else token
        return api.request_decision(self.deployment.api_url, bearer, body)


@dataclass(frozen=True)
class Caller:
    """An application of one kind, which may call some routes and not others."""

    deployment: Deployment
    token: str

    def __call__(self, method: str, path: str, document: object = None) -> api.Answer:
        """Call a route, patiently; a document is sent as JSON, text as it is."""
        answer = self.once(method, path, document)
        for _ in range(60):
            if answer.status not in {429, 502, 503, 504}:
                break
            time.sleep(0.1)
            answer = self.once(method, path, document)
        return answer

    def once(self, method: str, path: str, document: object = None) -> api.Answer:
        """Call a route once."""
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        text = document if isinstance(document, str) else json.dumps(document)
        body = None if document is None else text.encode()
        return api.send(method, f"{self.deployment.api_url}{path}", headers, body=body)


@pytest.fixture(scope="session")
def cloud_of_ones_own(worker_id: str) -> Iterator[None]:
    """Where several processes test at once, all but the first mean a local cloud of their own."""
    with pytest.MonkeyPatch.context() as environment:
        if worker_id not in FIRST:
            environment.setenv(NAME_VARIABLE, worker_id)
        yield


@pytest.fixture(scope="session")
def credit(cloud_of_ones_own: None) -> Iterator[Credit]:  # noqa: ARG001 (before all others)
    """The command, with the local cloud up: the one that runs, else one of the tests' own."""
    ran_before = LocalCloud(Checkout()).running() is not None
    environment = dict(os.environ)
    if not ran_before:
        environment["CREDIT_LOCAL_PORT"] = str(a_free_port())
    credit = Credit(environment)
    yield credit
    if not ran_before:
        credit("local", "down")


@pytest.fixture(scope="session")
def demo(credit: Credit) -> dict[str, Any]:
    """What `credit demo --json` prints when all is there.

    Where CREDIT_LOCAL_ENFORCE=1 is set, the local cloud enforces IAM.
    """
    if DEMO_VARIABLE in os.environ:
        return dict(json.loads(os.environ[DEMO_VARIABLE]))
    if enforces():
        running = LocalAws(credit.json("local", "up")["endpoint_url"])
        deployment = Deployment.read(running, "personal_loan")
        assert deployment is not None
        as_the_emulator_asks(running, deployment)
    return credit.json("demo")


@pytest.fixture(scope="session")
def aws(demo: dict[str, Any]) -> LocalAws:
    return LocalAws(demo["deployment"]["endpoint_url"])


@pytest.fixture(scope="session")
def deployment(aws: LocalAws) -> Deployment:
    deployment = Deployment.read(aws, "personal_loan")
    assert deployment is not None
    return deployment


@pytest.fixture(scope="session")
def client(aws: LocalAws, deployment: Deployment) -> Client:
    return Client(deployment, api.fetch_token(aws, deployment).access_token)


@pytest.fixture(scope="session")
def callers(aws: LocalAws, deployment: Deployment) -> dict[str, Caller]:
    """A caller of each kind, and ``nobody``, who has no token."""
    callers = {
        str(kind): Caller(deployment, api.fetch_token(aws, deployment, kind).access_token)
        for kind in api.ClientKind
    }
    return {**callers, "nobody": Caller(deployment, "")}


@pytest.fixture(scope="session")
def archived(credit: Credit) -> Callable[[], None]:
    """Return what waits until all that was decided is archived."""

    def archived() -> None:
        deadline = time.monotonic() + ARCHIVED_SECONDS
        while credit("archive", "check", check=False).returncode:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    return archived


@pytest.fixture
def no_trial_ends(aws: LocalAws, deployment: Deployment) -> None:
    """No alarm rings that takes models back: other tests may have made them ring."""
    on_call = OnCall(aws, deployment)
    for alarm in ENDING_TRIALS:
        on_call.calm(alarm)


@pytest.fixture
def an_application() -> Callable[..., dict[str, Any]]:
    """The example application under an id that no other test run has used."""
    example: dict[str, Any] = json.loads(Checkout().example_application.read_bytes())

    def build(**changes: Any) -> dict[str, Any]:
        return example | {"application_id": f"end-to-end-{uuid.uuid4()}"} | changes

    return build
