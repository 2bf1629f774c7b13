"""The documents as tests read them: pages, links, fences, and the commands that a person types.

A fence says what it holds. ``sh`` holds commands, one a line, and each is run by a test: by
``end_to_end/test_documents.py``, or by the one that ``RUN_BY`` names. ``sh aws`` needs an AWS
account, so that only its words are looked at. Words in capitals stand for what a person fills in;
the test that types them has values for them.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from docs_site.links import FENCE, SPAN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BESIDE_DOCS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")
LANGUAGES = ("sh", "text", "json", "yaml", "python", "java", "mermaid")
AWS = "aws"

DAY = "2026-11-22"
STANDING_FOR = {"DAY": DAY, "SECONDS": "900"}
"""What a word in capitals stands for where a command takes no word in its place."""

CAPITALS = re.compile(r"(?<![\w-])[A-Z][A-Z_]{1,}(?![\w-])")
NOT_FILLED_IN = {"ALARM", "API", "AWS", "OK"}
"""Words in capitals that are what they are."""

RUN_BY: Mapping[str, str] = {
    "make env": ".ci/run",
    "make check": ".ci/run",
    "make test": ".ci/run",
    "make demo": "tests/end_to_end/conftest.py::demo",
    "credit demo": "tests/end_to_end/conftest.py::demo",
    "make local-down": "tests/end_to_end/conftest.py::credit",
    "credit local down": "tests/end_to_end/conftest.py::credit",
    "make local-up": "tests/end_to_end/conftest.py::demo",
    "credit local up": "tests/end_to_end/conftest.py::demo",
    "credit local up --product": "tests/end_to_end/test_new_product.py",
    "make layers": "tests/infrastructure/conftest.py::deployments",
    "pytest": ".ci/run",
    "python benchmarks/decode.py": "tests/performance/test_benchmarks.py",
    "python benchmarks/materialization.py": "tests/performance/test_benchmarks.py",
    "python benchmarks/point_in_time_join.py": "tests/performance/test_benchmarks.py",
    "credit alarms test": "tests/end_to_end/test_alarms.py",
    "credit dataset served": "tests/end_to_end/test_evidence.py",
    "credit desk": "tests/integration/test_desk_server.py",
    "credit logs scorer --follow": "tests/unit/test_cli_logs.py",
    "credit models approve": "tests/integration/test_cli_models.py",
    "credit models register": "tests/integration/test_cli_models.py",
    "credit models reject": "tests/integration/test_cli_models.py",
    "credit retrain": "tests/end_to_end/test_retraining.py",
    "credit train": "tests/integration/test_cli_train.py",
}
"""What runs a command that takes minutes, or takes the tests' cloud away, by its beginning."""

PAGES_RUN_BY = {
    "docs/guides/your-own-product.md": "tests/end_to_end/test_new_product.py",
    "docs/tutorial.md": "tests/end_to_end/test_tutorial.py",
}
"""Which test types a page as a whole, in a checkout and on a cloud of its own."""

MOVES = (
    "credit models diff",
    "credit models shadow",
    "credit models share",
    "credit models withdraw",
    "credit models promote",
    "credit models rollback",
    "credit models retire",
)
"""Commands that move one model, in the order in which a model can be moved."""


@dataclass(frozen=True)
class Fence:
    """A block of a page. ``line`` is that of its first line of text, counted from 1."""

    page: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, as editors and terminals show it."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A line that a person types."""

    page: str
    line: int
    text: str
    needs_aws: bool = False

    @property
    def place(self) -> str:
        """Where it is, as editors and terminals show it."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Return every document, from the root of the repository."""
    found = [path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md")]
    return [*BESIDE_DOCS, *sorted(found)]


@cache
def text_of(page: str) -> str:
    """Return what a page says."""
    return (ROOT / page).read_text(encoding="utf-8")


def fences(page: str, text: str | None = None) -> list[Fence]:
    """Return the blocks of a page."""
    text = text_of(page) if text is None else text
    found = []
    for block in FENCE.finditer(text):
        first, _, rest = block[0].partition("\n")
        language, _, mark = first.strip().strip("`").strip().partition(" ")
        body = rest.rpartition("\n")[0]
        line = text.count("\n", 0, block.start()) + 2
        found.append(Fence(page, line, language, mark, body))
    return found


def commands(page: str, text: str | None = None) -> list[Command]:
    """Return the commands of a page's fences, in order, each whole."""
    found = []
    for fence in fences(page, text):
        if fence.language != "sh":
            continue
        for line, words in _lines(fence.text):
            found.append(Command(page, fence.line + line, words, needs_aws=fence.mark == AWS))
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield commands with the number of their line; what goes on in the next lines is whole."""
    lines = iter(enumerate(text.splitlines()))
    for number, first in lines:
        line = _without_comment(first)
        while line.endswith("\\"):
            line = f"{line[:-1].rstrip()} {_without_comment(next(lines)[1]).strip()}"
        here = re.search(r"<<-?\s*'?(\w+)'?", line)
        if here:
            for _, more in lines:
                line += f"\n{more}"
                if more.strip() == here[1]:
                    break
        if line.strip():
            yield number, line.strip()


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s\s)#.*", "", line).rstrip()


def spoken(page: str) -> Iterator[Command]:
    """Yield the commands of `credit` that a page's sentences name, where they are whole."""
    text = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text_of(page))
    for found in SPAN.finditer(text):
        words = " ".join(found[0].strip("`").split())
        if words.startswith("credit ") and not re.search(r"\.\.\.|…|<|\|", words):
            yield Command(page, text.count("\n", 0, found.start()) + 1, words)


def simple_commands(line: str) -> list[list[str]]:
    """Return the words of each command of a line, without what is around them.

    Raises:
        ValueError: A quotation doesn't end.

    >>> simple_commands("A=1 credit token > file && TOKEN=$(credit token --json | jq .a)")
    [['credit', 'token'], ['credit', 'token', '--json'], ['jq', '.a']]
    """
    line = line.split("\n", 1)[0]
    inner = re.findall(r"\$\(((?:[^()]|\([^()]*\))*)\)", line)
    outer = re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "X", line)
    lexer = shlex.shlex(outer, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if set(word) <= set("|&;"):
            found.append([])
        elif set(word) <= set("<>&"):
            skip = True
        elif skip:
            skip = False
        else:
            found[-1].append(word)
    return [
        *filter(None, map(_without_assignments, found)),
        *(command for part in inner for command in simple_commands(part)),
    ]


def _without_assignments(words: list[str]) -> list[str]:
    while words and re.match(r"\w+=", words[0]):
        words = words[1:]
    return words


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """Return a command with values for its words in capitals.

    >>> filled_in("credit monitor --day DAY", {"DAY": "2026-11-22"})
    'credit monitor --day 2026-11-22'
    """
    return CAPITALS.sub(lambda found: values.get(found[0], found[0]), text)


def left_open(text: str) -> set[str]:
    """Return the words in capitals that nobody has filled in.

    >>> left_open("credit models show VERSION --json")
    {'VERSION'}
    """
    bare = re.sub(r"'[^']*'|\$\{?\w+\}?|\w+=", " ", text)
    return {word for word in CAPITALS.findall(bare) if word not in NOT_FILLED_IN}


def run_by(command: str) -> str | None:
    """Return which test runs a command, None where the documents' own does."""
    typed = re.sub(r"^(\w+=\S*\s+)+", "", command)
    fitting = [beginning for beginning in RUN_BY if starts_with(typed, beginning)]
    return RUN_BY[max(fitting, key=len)] if fitting else None


def starts_with(command: str, beginning: str) -> bool:
    """Whether a command begins with these words.

    >>> starts_with("credit models list", "credit models"), starts_with("makes", "make")
    (True, False)
    """
    return command == beginning or command.startswith(f"{beginning} ")


def to_run(page: str) -> list[Command]:
    """Return the commands of a page that no other test runs and that need no AWS account."""
    if page in PAGES_RUN_BY:
        return []
    return [
        command
        for command in commands(page)
        if not command.needs_aws and run_by(command.text) is None
    ]


def moves_a_model(command: str) -> bool:
    """Whether a command moves a model."""
    return any(starts_with(command, move) for move in MOVES)
