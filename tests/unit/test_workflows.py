"""The workflows: what they may do, and where each of their lines is tried.

What only AWS's own side of it shows is in ``tests/infrastructure/test_delivery.py`` and
``tests/end_to_end/test_enforced_permissions.py``.
"""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.infrastructure.templates import ROOT
from tests.workflow_runs import FOLDER, Workflow, line, lines, run, workflows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BINARIES = Path(sys.executable).parent
IMAGE = "ubuntu-24.04"
PINNED = re.compile(r"[\w-]+/[\w/-]+@[0-9a-f]{40}")
PINNED_LINE = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # v\d+\.\d+\.\d+$")

WRITES = {
    ("deploy.yml", "dev"): {"id-token"},
    ("deploy.yml", "prod"): {"id-token"},
    ("deploy-stage.yml", "deploy"): {"id-token"},
    ("pull-request.yml", "diff"): {"id-token"},
    ("release.yml", "publish"): {"attestations", "contents", "id-token"},
}
"""Jobs that may do more than read. A token for AWS is asked for with ``id-token``."""

IN_AN_ENVIRONMENT = {("deploy-stage.yml", "deploy")}

TRIED = {
    "checks.yml: Checks": "tests/unit: it is what runs these tests",
    "checks.yml: Tests, on the local cloud too": "tests/unit: it is what runs all others",
    "pull-request.yml: Synthesize": "tests/infrastructure/test_delivery.py",
    "pull-request.yml: Install the CDK's command line": "tests/infrastructure/test_delivery.py",
    "pull-request.yml: Compare": "tests/end_to_end/test_enforced_permissions.py",
    "pull-request.yml: Say why": "tests/unit/test_workflows.py",
    "deploy.yml: Build the layers and synthesize": "tests/infrastructure/test_delivery.py",
    "deploy-stage.yml: Install": "tests/infrastructure/test_delivery.py",
    "deploy-stage.yml: Deploy": "tests/end_to_end/test_enforced_permissions.py",
    "deploy-stage.yml: Look whether it is well": "tests/end_to_end/test_enforced_permissions.py",
    "release.yml: Write the notes": "tests/unit/test_release_notes.py",
    "release.yml: Gather the files": "tests/infrastructure/test_release_files.py",
    "release.yml: Check what was handed over": "tests/infrastructure/test_release_files.py",
    "release.yml: Publish": "tests/infrastructure/test_release_files.py",
    "audit.yml: Audit the locks": "tests/integration/test_audit.py",
}
"""Where each ``run:`` of a workflow is run by a test, word for word."""


def faults(file: str, workflow: Workflow) -> Iterator[str]:
    """Yield what a workflow may do that it should not, a line each."""
    if workflow.get("permissions") != {}:
        yield f"{file}: begins with permissions"
    called = set(workflow["on"]) == {"workflow_call"}
    if dangerous := {"pull_request_target", "workflow_run"} & set(workflow["on"]):
        yield f"{file}: started by {dangerous}, with rights, for code from outside"
    jobs = workflow["jobs"]
    if not called and "concurrency" not in workflow and file != "deploy.yml":
        yield f"{file}: two at once"
    for name, job in jobs.items():
        place = f"{file}, {name}"
        if "permissions" not in job:
            yield f"{place}: permissions are not stated"
        writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        if writes != WRITES.get((file, name), set()):
            yield f"{place}: may write {sorted(writes)}"
        if ("environment" in job) != ((file, name) in IN_AN_ENVIRONMENT):
            yield f"{place}: environment {job.get('environment')}"
        if "uses" not in job:
            yield from faults_of_steps(place, job)
    if "secrets." in yaml.safe_dump(workflow):
        yield f"{file}: a stored secret"


def faults_of_steps(place: str, job: dict[str, Any]) -> Iterator[str]:
    """Yield what a job with steps of its own does wrong."""
    if job.get("runs-on") != IMAGE:
        yield f"{place}: runs on {job.get('runs-on')}"
    if not 0 < job.get("timeout-minutes", 0) <= 90:
        yield f"{place}: no limit of time"
    for step in job["steps"]:
        used = step.get("uses", "")
        if used and not PINNED.fullmatch(used):
            yield f"{place}: {used} is not pinned to a commit"
        keeps_none = step.get("with", {}).get("persist-credentials") is False
        if used.startswith("actions/checkout@") and not keeps_none:
            yield f"{place}: leaves the token in the checkout"
        if "run" in step and "${{" in step["run"]:
            yield f"{place}: writes somebody's words into a script"
        if "run" in step and "name" not in step:
            yield f"{place}: a line without a name"


def everything_wrong() -> list[str]:
    return [fault for file, workflow in workflows().items() for fault in faults(file, workflow)]


def test_a_workflow_may_do_what_is_written_here_and_nothing_else() -> None:
    assert everything_wrong() == []


def job_of(workflow: Workflow, name: str) -> dict[str, Any]:
    return dict(workflow["jobs"][name])


BREACHES: dict[str, tuple[str, Callable[[Workflow], object]]] = {
    "rights for all jobs": (
        "checks.yml",
        lambda found: found.update(permissions={"contents": "write"}),
    ),
    "the default rights": ("checks.yml", lambda found: found["jobs"]["check"].pop("permissions")),
    "a token for AWS": (
        "checks.yml",
        lambda found: found["jobs"]["test"]["permissions"].update({"id-token": "write"}),
    ),
    "code from outside, with rights": (
        "pull-request.yml",
        lambda found: found["on"].update(pull_request_target={}),
    ),
    "a tag in place of a commit": (
        "checks.yml",
        lambda found: found["jobs"]["check"]["steps"][0].update(uses="actions/checkout@v6"),
    ),
    "a stored key": (
        "deploy-stage.yml",
        lambda found: found["jobs"]["deploy"]["env"].update(KEY="${{ secrets.AWS_KEY }}"),
    ),
    "a token left behind": (
        "deploy-stage.yml",
        lambda found: found["jobs"]["deploy"]["steps"][0].pop("with"),
    ),
    "no environment": (
        "deploy-stage.yml",
        lambda found: found["jobs"]["deploy"].pop("environment"),
    ),
    "two at once": ("release.yml", lambda found: found.pop("concurrency")),
    "for ever": ("audit.yml", lambda found: found["jobs"]["audit"].pop("timeout-minutes")),
    "whatever is newest": (
        "audit.yml",
        lambda found: found["jobs"]["audit"].update({"runs-on": "ubuntu-latest"}),
    ),
    "somebody's words": (
        "pull-request.yml",
        lambda found: found["jobs"]["no-diff"]["steps"][0].update(
            run="echo ${{ github.event.pull_request.title }}"
        ),
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_would_be_noticed(name: str) -> None:
    file, breach = BREACHES[name]
    workflow = copy.deepcopy(workflows()[file])

    breach(workflow)

    assert list(faults(file, workflow)) != []


def test_an_action_is_the_same_commit_everywhere_and_says_which_version() -> None:
    commits: dict[str, set[str]] = {}
    for path in sorted(FOLDER.glob("*.yml")):
        for text in path.read_text(encoding="utf-8").splitlines():
            if "uses: " in text and "uses: ./" not in text:
                found = PINNED_LINE.search(text)
                assert found, text
                commits.setdefault(found["action"], set()).add(found["commit"])
    assert {action: len(found) for action, found in commits.items()} == dict.fromkeys(commits, 1)


def test_a_stage_is_never_deployed_twice_at_once_nor_broken_off() -> None:
    concurrency = workflows()["deploy-stage.yml"]["jobs"]["deploy"]["concurrency"]

    assert concurrency["group"] == "deploy-${{ inputs.stage }}-${{ inputs.product }}"
    assert concurrency["cancel-in-progress"] is False


def test_prod_waits_for_dev_and_gets_what_dev_got() -> None:
    jobs = workflows()["deploy.yml"]["jobs"]

    assert jobs["prod"]["needs"] == "dev"
    assert jobs["dev"]["needs"] == "assemble"
    assert jobs["assemble"]["needs"] == "checks"
    assert "github.ref == 'refs/heads/main'" in jobs["assemble"]["if"]
    assert jobs["dev"]["uses"] == jobs["prod"]["uses"] == "./.github/workflows/deploy-stage.yml"
    (uploaded,) = (
        step["with"]["name"]
        for step in jobs["assemble"]["steps"]
        if "upload" in step.get("uses", "")
    )
    steps = workflows()["deploy-stage.yml"]["jobs"]["deploy"]["steps"]
    (downloaded,) = (step["with"]["name"] for step in steps if "download" in step.get("uses", ""))
    assert uploaded == downloaded


def test_with_a_role_no_line_of_a_pull_requests_code_is_run() -> None:
    """What the request changes is data there: templates. Tools are those of its base."""
    job = workflows()["pull-request.yml"]["jobs"]["diff"]

    (checkout,) = (step for step in job["steps"] if "checkout@" in step.get("uses", ""))
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "--ignore-scripts" in line("pull-request.yml: Install the CDK's command line")


def test_forks_are_told_why_they_are_not_compared(tmp_path: Path) -> None:
    jobs = workflows()["pull-request.yml"]["jobs"]
    summary = tmp_path / "summary.md"

    done = run(line("pull-request.yml: Say why"), tmp_path, {"GITHUB_STEP_SUMMARY": str(summary)})

    assert done.returncode == 0, done.stderr
    assert "DIFF_ROLE" in summary.read_text()
    # One of the two, whatever the request.
    head = "github.event.pull_request.head.repo.full_name"
    assert jobs["diff"]["if"] == f"vars.DIFF_ROLE != '' && {head} == github.repository"
    assert jobs["no-diff"]["if"] == f"vars.DIFF_ROLE == '' || {head} != github.repository"


def test_every_line_is_tried_by_a_test() -> None:
    assert {found.name for found in lines()} == set(TRIED)
    for name, place in TRIED.items():
        path, _, why = place.partition(": ")
        assert (ROOT / path).exists(), place
        if not why:
            # The line is run by its name, so that the test runs what the workflow says today.
            assert name in (ROOT / path).read_text(encoding="utf-8"), f"{path} does not run {name}"


def test_continuous_integration_runs_the_same_here_and_on_github() -> None:
    assert line("checks.yml: Checks") == ".ci/run check"
    assert line("checks.yml: Tests, on the local cloud too") == ".ci/run test"


def stand_in(folder: Path, name: str, script: str) -> None:
    """Put a command into a folder that says what it was called with."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ("", "check test"),
        ("check", "check"),
        ("test", "integration end-to-end performance"),
    ],
)
def test_either_half_of_continuous_integration_runs_alone(
    tmp_path: Path, words: str, called: str
) -> None:
    stand_in(tmp_path / "bin", "make", f'echo "$@" >> {tmp_path}/called')
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"

    done = run(f"{ROOT / '.ci' / 'run'} {words}", tmp_path, {"PATH": path})

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "called").read_text().split(maxsplit=1) == ["--keep-going", f"{called}\n"]


def test_a_failed_half_fails_continuous_integration(tmp_path: Path) -> None:
    stand_in(tmp_path / "bin", "make", "exit 3")
    path = f"{tmp_path / 'bin'}:/usr/bin:/bin"

    assert run(str(ROOT / ".ci" / "run"), tmp_path, {"PATH": path}).returncode != 0


def parts_of_check() -> list[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (parts,) = re.findall(r"^check: (.*?)\s+##", makefile, re.MULTILINE)
    return str(parts).split()


def test_pre_commit_runs_what_make_check_runs() -> None:
    """Each part once, in the same order, whatever was changed, and by this checkout's own tools."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))

    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    hooks = repository["hooks"]
    assert [hook["entry"] for hook in hooks] == [f"make {part}" for part in parts_of_check()]
    for hook in hooks:
        assert hook["language"] == "system"
        assert (hook["always_run"], hook["pass_filenames"]) == (True, False)


A_JOB = "permissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n"
A_LINE = A_JOB + "    steps:\n      - run: "


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("actionlint",), f"on: push\n{A_JOB}    needs: [b]\n"),
        (("actionlint",), f"on: push\n{A_LINE}echo ${{{{ steps.none.outputs.x }}}}\n"),
        pytest.param(
            *(("actionlint",), f"on: push\n{A_LINE}rm -r $FOLDER/*\n"),
            marks=pytest.mark.skipif(
                shutil.which("shellcheck", path=str(BINARIES)) is None,
                reason="shellcheck has no wheel for this machine",
            ),
        ),
        (("zizmor", "--offline", "--quiet"), f"on: pull_request_target\n{A_LINE}make check\n"),
    ],
)
def test_a_fault_in_a_workflow_is_found_by_lint(
    tmp_path: Path, command: tuple[str, ...], text: str
) -> None:
    """They are in `make check`, and would be of no use if they found nothing."""
    faulty = tmp_path / "faulty.yml"
    faulty.write_text(text)
    tool, *options = command

    done = subprocess.run(
        [str(BINARIES / tool), *options, str(faulty)],
        env={"PATH": f"{BINARIES}:/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )

    assert done.returncode != 0
