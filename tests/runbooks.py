"""The runbooks as tests read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "runbooks"
FIRST_COMMANDS = "First three commands"
PARTS = [
    "What it means",
    "What the client sees",
    FIRST_COMMANDS,
    "How to roll back or mend",
    "It is over when",
]
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
WORDS_IN_PROSE = re.compile(r"`(credit [^`]+)`")


@dataclass(frozen=True)
class Runbook:
    """One page."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def parts(self) -> list[str]:
        return re.findall(r"^## (.+)$", self.text, re.MULTILINE)

    @property
    def commands(self) -> list[str]:
        """Every command of the page, those within sentences too."""
        prose = [" ".join(found.split()) for found in WORDS_IN_PROSE.findall(self.text)]
        return [*commands_in(self.text), *prose]

    def commands_of(self, part: str) -> list[str]:
        text = self.text.split(f"## {part}\n", 1)[1].split("\n## ", 1)[0]
        return commands_in(text)


def commands_in(text: str) -> list[str]:
    return [
        line.split("  #")[0].strip()
        for block in BLOCK.findall(text)
        for line in block.splitlines()
        if line.strip()
    ]


def runbooks() -> list[Runbook]:
    return [Runbook(path) for path in sorted(FOLDER.glob("*.md")) if path.stem != "README"]
