"""Every command of the documents, typed at the local cloud; the runbooks' are among them.

A page whose commands only ask is typed with others at once, each command once however many pages
have it. A page that writes files, or has more of a shell than `credit`, is typed from its first
command to its last, in a folder of its own that looks like the checkout. What moves a model is
typed after all others, in the order in which a model can be moved. What other tests type,
``documents.RUN_BY`` says.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from credit_cli.checkout import Checkout
from credit_cli.errors import ExitCode
from tests.documents import (
    MOVES,
    Command,
    filled_in,
    left_open,
    moves_a_model,
    pages,
    starts_with,
    to_run,
)
from tests.end_to_end.conftest import CREDIT, Client, Credit
from tests.end_to_end.model_variants import register_variant, registry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment

pytestmark = pytest.mark.end_to_end

PRODUCT = "personal_loan"
AT_ONCE = 3
"""Each takes longer to start than to ask."""
LONGEST_SECONDS = 300
"""Of one command."""
BASH = "/bin/bash"
WRITES = re.compile(r"[<>|&;$`\n]|--out\b|--report\b")

WRITTEN = {"book", "model", "models", "receipts"}
"""What commands write into the folder in which they are typed."""

MAY_FIND = (
    "credit alarms",
    "credit archive check",
    "credit decisions replay",
    "credit models compare",
    "credit monitor",
    "credit skew check",
    "credit status",
)
"""What looks for something, and fails when it is there: on a day of tests it may be."""

EVERY = {page: to_run(page) for page in pages()}
ASKED = {
    page: asking
    for page, commands in EVERY.items()
    if (asking := [command for command in commands if not moves_a_model(command.text)])
}
MOVED = [
    command
    for move in MOVES
    for commands in EVERY.values()
    for command in commands
    if starts_with(command.text, move)
]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    said: str


def needs_a_shell(commands: Iterable[Command]) -> bool:
    """Whether one of a page's commands leaves something for the next."""
    return any(
        WRITES.search(command.text) or not starts_with(command.text, "credit")
        for command in commands
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the checkout's files are found, and none of them is written."""
    return linked(tmp_path_factory.mktemp("checkout"))


def linked(folder: Path) -> Path:
    """Make a folder look like the checkout, and return it."""
    for path in Checkout().root.iterdir():
        if path.name not in WRITTEN:
            (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def values(
    client: Client,
    aws: LocalAws,
    deployment: Deployment,
    *,
    credit: Credit,
    archived: Callable[[], None],
    checkout: Path,
) -> dict[str, str]:
    """What stands for the words in capitals, and the files that a page takes for given."""
    example = json.loads(Checkout().example_application.read_bytes())
    application_id = f"documents-{uuid.uuid4()}"
    answer = client(example | {"application_id": application_id})
    now = datetime.now(UTC)
    row = {
        "view": "region_market",
        "keys": {"addr_state": "CA"},
        "event_timestamp": now.isoformat(),
        "created_timestamp": now.isoformat(),
        "features": {
            "region_applications": 412,
            "region_median_income": 71000.0,
            "region_mean_loan_amount": 15250.0,
        },
    }
    (checkout / "row.json").write_text(json.dumps(row), encoding="utf-8")
    archived()
    for bucket, kept, folder in (
        ("ReceiptsBucket", f"receipts/{PRODUCT}/", "receipts"),
        ("ModelsBucket", f"{PRODUCT}/", f"models/{PRODUCT}"),
    ):
        copied(aws, deployment[bucket], kept, checkout / folder)
    runs = credit.json("runs", "list")
    return {
        "DAY": f"{now:%Y-%m-%d}",
        # Of this process's own cloud: another's is gone when its tests are done.
        "DIR": f"{Checkout().local.name}/sample",
        "ID": application_id,
        # Nobody's: what other tests ask about is not erased.
        "KEY": f"documents-{uuid.uuid4()}",
        "NAME": "push-dead-letters",
        "REQUEST_ID": str(answer.headers.get("x-amzn-RequestId", uuid.uuid4())),
        "RUN": str(runs["runs"][0]["run"]),
    }


def copied(aws: LocalAws, bucket: str, prefix: str, folder: Path) -> None:
    """Copy what lies under a prefix of a bucket, as `aws s3 sync` does."""
    s3 = aws.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", ()):
            path = folder / found["Key"].removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())


class Typist:
    """Types commands into a shell, with `credit` on the path."""

    def __init__(self, credit: Credit, values: Mapping[str, str]) -> None:
        self._environment = credit.environment | {
            "PATH": f"{CREDIT.parent}{os.pathsep}{os.environ['PATH']}"
        }
        self._values = values

    def type_one(self, text: str, folder: Path) -> Done:
        """Type one command."""
        done = subprocess.run(
            [BASH, "-c", filled_in(text, self._values)],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        return Done(done.returncode, (done.stdout + done.stderr).decode(errors="replace"))

    def type_page(self, commands: list[Command], folder: Path) -> list[Done]:
        """Type commands into one shell, which remembers folders and variables."""
        lines = []
        for number, command in enumerate(commands):
            said = shlex.quote(str(folder / f".said-{number}"))
            lines.append(f"{{ {filled_in(command.text, self._values)}\n}} >{said} 2>&1 </dev/null")
            lines.append(f"echo $? >{said}-code")
        script = folder / ".typed.sh"
        script.write_text("\n".join(lines), encoding="utf-8")
        subprocess.run(
            [BASH, str(script)],
            cwd=folder,
            env=self._environment,
            timeout=LONGEST_SECONDS * len(commands),
            check=False,
        )
        return [
            Done(
                int((folder / f".said-{number}-code").read_text()),
                (folder / f".said-{number}").read_text(encoding="utf-8", errors="replace"),
            )
            for number in range(len(commands))
        ]


@pytest.fixture(scope="module")
def typed(
    credit: Credit,
    values: dict[str, str],
    checkout: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Done]:
    """How each command of the pages ended, by its place."""
    typist = Typist(credit, values)
    shells = {page: found for page, found in ASKED.items() if needs_a_shell(found)}
    alone = {
        command.text: None
        for page, found in ASKED.items()
        if page not in shells
        for command in found
    }

    def in_a_folder_of_its_own(commands: list[Command]) -> list[Done]:
        folder = linked(tmp_path_factory.mktemp("page"))
        for name in ("row.json", "receipts", "models"):
            (folder / name).symlink_to(checkout / name)
        return typist.type_page(commands, folder)

    with ThreadPoolExecutor(AT_ONCE) as hands:
        # The longest first: the others are typed beside them.
        waits = [(found, hands.submit(in_a_folder_of_its_own, found)) for found in shells.values()]
        answers = dict(
            zip(alone, hands.map(lambda text: typist.type_one(text, checkout), alone), strict=True)
        )
    done = {
        command.place: ended
        for found, wait in waits
        for command, ended in zip(found, wait.result(), strict=True)
    }
    for page, found in ASKED.items():
        if page not in shells:
            done |= {command.place: answers[command.text] for command in found}
    return done


@pytest.mark.parametrize(
    "command", [command for found in ASKED.values() for command in found], ids=lambda c: c.place
)
def test_a_command_of_the_documents_does_what_it_says(
    typed: dict[str, Done], values: dict[str, str], command: Command
) -> None:
    assert not left_open(command.text) - set(values), command.text
    done = typed[command.place]

    finds = any(starts_with(command.text, kind) for kind in MAY_FIND)
    assert done.code in ({ExitCode.OK, ExitCode.FAILED} if finds else {ExitCode.OK}), done.said
    # A function's own, which `credit logs` quotes, has other words.
    assert "Traceback (most recent call last)" not in done.said


@pytest.mark.usefixtures("no_trial_ends")
def test_what_moves_a_model_does_so(
    credit: Credit,
    values: dict[str, str],
    checkout: Path,
    aws: LocalAws,
    deployment: Deployment,
) -> None:
    """A model that was listened to and withdrawn, then another one, promoted and taken back."""
    registry = registry_of(aws, deployment, PRODUCT)
    tried, chosen = (register_variant(aws, deployment, registry, PRODUCT) for _ in range(2))
    before = credit.json("models", "list")["pointer"]["champion"]
    on_trial = Typist(credit, values | {"VERSION": tried.version, "OTHER": chosen.version})
    promoted = Typist(credit, values | {"VERSION": chosen.version})

    for text in dict.fromkeys(command.text for command in MOVED):
        late = any(
            starts_with(text, move) for move in MOVES[MOVES.index("credit models promote") :]
        )
        done = (promoted if late else on_trial).type_one(text, checkout)
        assert done.code == ExitCode.OK, f"{text}: {done.said}"

    assert credit.json("models", "list")["pointer"]["champion"] == before
