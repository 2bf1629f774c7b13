"""The audit of the locks, against services of this machine that say what they are told to."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.templates import ROOT
from tests.workflow_runs import line, run

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

ONE = "layers/runtime/requirements.txt"
NODE_PATH = "/-/npm/v1/security/advisories/bulk"


def osv(package: str) -> dict[str, Any]:
    """Return a vulnerability as https://ossf.github.io/osv-schema/ has it."""
    affected = {
        "package": {"name": package, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "999"}]}],
    }
    return {"id": "OSV-1", "aliases": [], "summary": "made up", "affected": [affected]}


def advisory(package: str) -> dict[str, Any]:
    """Return what Node's index answers about a package."""
    found = {"id": 1, "url": "https://example.invalid/1", "title": "made up", "severity": "high"}
    return {package: [{**found, "vulnerable_versions": "<999.0.0", "cwe": [], "cvss": {}}]}


@contextmanager
def services(*, python: str = "", node: str = "", status: int = 200) -> Iterator[str]:
    """Answer that one package of either index is vulnerable, if one is named."""

    class Service(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == NODE_PATH:
                answer = advisory(node) if node else {}
            else:
                name = json.loads(body)["package"]["name"]
                answer = {"vulns": [osv(name)]} if name == python else {}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def audited(url: str, *, locks: str = "") -> subprocess.CompletedProcess[str]:
    """Run the workflow's line, and ask these services: of all locks, or of one alone."""
    text = line("audit.yml: Audit the locks") + (f" LOCKS={locks}" if locks else "")
    flags = f"--vulnerability-service osv --osv-url {url}/v1/query"
    return run(f'{text} AUDIT_FLAGS="{flags}"', ROOT, {"npm_config_registry": f"{url}/"})


def test_locks_without_a_known_vulnerability_pass() -> None:
    with services() as url:
        done = audited(url)

    assert done.returncode == 0, done.stdout + done.stderr
    locks = [*ROOT.glob("requirements/*.txt"), *ROOT.glob("layers/*/requirements.txt")]
    said = done.stdout + done.stderr
    assert said.count("No known vulnerabilities found") == len(locks)
    assert said.count("found 0 vulnerabilities") == 2


@pytest.mark.parametrize(("python", "node"), [("onnxruntime", ""), ("", "aws-cdk")])
def test_a_known_vulnerability_fails_and_is_named(python: str, node: str) -> None:
    with services(python=python, node=node) as url:
        done = audited(url, locks=ONE)

    assert done.returncode != 0
    assert (python or node) in done.stdout


def test_a_service_that_does_not_answer_fails() -> None:
    """A silent pass would be worse than no audit."""
    with services(status=500) as url:
        done = audited(url, locks=ONE)

    assert done.returncode != 0
