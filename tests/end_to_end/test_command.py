"""`credit` on a cloud: with --json one document and nothing else, and what a shell completes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.checkout import Checkout
from credit_cli.command_reference import reference
from tests.end_to_end.conftest import CREDIT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Credit

pytestmark = pytest.mark.end_to_end

TESTS = Path(__file__).resolve().parents[1]
AT_ONCE = 2

RUN_HERE = {
    "credit alarms list": "alarms",
    "credit alarms show": "alarms show scorer-latency",
    "credit archive check": "archive check",
    "credit capacity": "capacity --requests-per-second 5",
    "credit decisions replay": "decisions replay {id}",
    "credit decisions show": "decisions show {id}",
    "credit load": "load --rate 2 --seconds 1",
    "credit local status": "local status",
    "credit logs": "logs --query slowest",
    "credit models compare": "models compare",
    "credit models diff": "models diff {version} {version}",
    "credit models history": "models history",
    "credit models list": "models list",
    "credit models show": "models show",
    "credit products check": "products check personal_loan",
    "credit products list": "products list",
    "credit queues clear": "queues clear push-undecryptable",
    "credit queues list": "queues",
    "credit queues show": "queues show push-dead-letters",
    "credit referrals": "referrals",
    "credit runs list": "runs retraining",
    "credit score": "score examples/application.json",
    "credit skew check": "skew check",
    "credit status": "status",
    "credit token": "token",
}
"""Commands that leave a deployment as it is, or add a record to it."""

RUN_ELSEWHERE = {
    "credit alarms test": "end_to_end/test_alarms.py",
    "credit archive redrive": "end_to_end/test_archive.py",
    "credit dataset build": "unit/test_cli_dataset.py",
    "credit dataset served": "unit/test_cli_evidence.py",
    "credit decisions review": "end_to_end/test_referrals.py",
    "credit demo": "end_to_end/conftest.py",
    "credit erase": "end_to_end/test_erasure.py",
    "credit local down": "unit/test_cli_main.py",
    "credit local metrics": "end_to_end/test_alarms.py",
    "credit local up": "end_to_end/conftest.py",
    "credit materialize": "end_to_end/test_materialization.py",
    "credit models approve": "integration/test_cli_models.py",
    "credit models promote": "end_to_end/test_rollout.py",
    "credit models register": "integration/test_cli_models.py",
    "credit models reject": "integration/test_cli_models.py",
    "credit models retire": "integration/test_cli_models.py",
    "credit models rollback": "end_to_end/test_rollout.py",
    "credit models shadow": "end_to_end/test_rollout.py",
    "credit models share": "end_to_end/test_rollout.py",
    "credit models withdraw": "end_to_end/test_rollout.py",
    "credit monitor": "end_to_end/test_monitoring.py",
    "credit products new": "integration/test_new_product.py",
    "credit prometheus exporter": "end_to_end/test_prometheus.py",
    "credit push": "end_to_end/test_push.py",
    "credit queues redrive": "end_to_end/test_on_call.py",
    "credit retrain": "end_to_end/test_retraining.py",
    "credit runs show": "end_to_end/test_on_call.py",
    "credit sample generate": "unit/test_cli_sample.py",
    "credit train": "integration/test_cli_train.py",
}
"""Commands that change a deployment or take their time, and the test that has its own reason."""


WRITES_THE_REPOSITORY = {"credit api record-examples"}
"""It replaces recorded examples by others, with other times and ids."""


def test_each_command_that_prints_json_is_run_by_a_test() -> None:
    with_json = {
        command.name
        for command in reference()
        if "--json" in {option.name for option in command.options}
    }

    assert with_json == {*RUN_HERE, *RUN_ELSEWHERE, *WRITES_THE_REPOSITORY}
    for name, test in RUN_ELSEWHERE.items():
        text = (TESTS / test).read_text(encoding="utf-8")
        assert re.search(rf"\b{re.escape(name.split()[-1])}\b", text), f"{test}: {name}"


@pytest.fixture(scope="module")
def printed(credit: Credit, demo: dict[str, Any]) -> dict[str, subprocess.CompletedProcess[bytes]]:
    """What each of these commands printed."""
    found = {"id": demo["decision"]["application_id"], "version": demo["champion"]["version"]}

    def run(words: str) -> subprocess.CompletedProcess[bytes]:
        return credit(*words.format(**found).split(), "--json", check=False)

    with ThreadPoolExecutor(AT_ONCE) as runner:
        return dict(zip(RUN_HERE, runner.map(run, RUN_HERE.values()), strict=True))


@pytest.mark.parametrize("name", RUN_HERE)
def test_json_is_one_document_and_nothing_else(
    name: str, printed: dict[str, subprocess.CompletedProcess[bytes]]
) -> None:
    done = printed[name]

    assert done.returncode in {0, 1}, done.stderr.decode()
    assert isinstance(json.loads(done.stdout), dict)
    assert b"Traceback" not in done.stderr
    assert b"\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("models promote", lambda demo: demo["champion"]["version"]),
        ("logs", lambda _: "scorer"),
        ("runs", lambda _: "retraining"),
        ("queues show", lambda _: "push-dead-letters"),
        ("alarms show", lambda _: "scorer-latency"),
    ],
)
def test_what_is_deployed_is_completed(
    words: str,
    expected: Callable[[dict[str, Any]], str],
    credit: Credit,
    demo: dict[str, Any],
) -> None:
    typed = ["credit", *words.split()]
    environment = credit.environment | {
        "_CREDIT_COMPLETE": "complete_bash",
        "COMP_WORDS": f"{' '.join(typed)} ",
        "COMP_CWORD": str(len(typed)),
        "CREDIT_COMPLETION_SECONDS": "20",
    }

    done = subprocess.run(
        [CREDIT], cwd=Checkout().root, env=environment, capture_output=True, check=True
    )

    assert expected(demo) in done.stdout.decode().split()
    assert done.stderr == b""


def test_a_stage_that_does_not_answer_holds_nobody_up(credit: Credit, tmp_path: Path) -> None:
    environment = {
        name: value for name, value in credit.environment.items() if not name.startswith("AWS_")
    } | {
        "_CREDIT_COMPLETE": "complete_bash",
        "COMP_WORDS": "credit --stage prod models promote ",
        "COMP_CWORD": "5",
        "AWS_ENDPOINT_URL": "http://10.255.255.1",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }

    done = subprocess.run(
        [CREDIT],
        cwd=Checkout().root,
        env=environment,
        capture_output=True,
        check=True,
        timeout=15,
    )

    assert done.stdout.strip() == b""
    assert done.stderr == b""
