"""What stands in the documents: links lead somewhere, fences hold what they say, commands exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
import textwrap
from pathlib import PurePosixPath

import pytest
import yaml
from markdown.extensions.toc import slugify

from credit_cli.command_reference import Command as Known
from credit_cli.command_reference import reference, understood
from credit_cli.errors import UsageError
from docs_site.links import FENCE, is_elsewhere, led_to, links_of
from tests import documents
from tests.documents import (
    LANGUAGES,
    PAGES_RUN_BY,
    ROOT,
    RUN_BY,
    STANDING_FOR,
    Command,
    Fence,
    commands,
    fences,
    filled_in,
    pages,
    run_by,
    simple_commands,
    spoken,
    text_of,
)

A_PAGE = pytest.mark.parametrize("page", pages())
PLAIN = {
    *("cat", "cd", "cp", "curl", "echo", "export", "git", "head", "jq", "ls", "mkdir", "mv", "rm"),
    *("sed", "source", "tail", "test", "wc"),
}
"""Programs of any machine; those of `credit` and of AWS are looked at word by word."""
OF_AWS = {"aws", "base64", "openssl", "cdk", "node_modules/.bin/cdk"}
TARGETS = set(
    re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)
KNOWN = {command.name: command for command in reference()}


def anchors(text: str) -> set[str]:
    """Return the places of a page that both a forge and the site know under the same name."""
    bare = FENCE.sub("", text)
    found = set()
    for heading in re.findall(r"^#{1,6} (.+?)\s*$", bare, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        forge = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        if slugify(words, "-") == forge:
            found.add(forge)
    return found


def faults_of_links(page: str, text: str) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for target in links_of(text):
        file, _, anchor = target.partition("#")
        there = led_to(page, file) if file else page
        if is_elsewhere(target) and not target.startswith("#"):
            if target.startswith("http:"):
                found.append(f"{target} is not encrypted")
        elif target.startswith("/") or there.startswith(".."):
            found.append(f"{target} leaves the repository")
        elif not (ROOT / there).exists():
            found.append(f"{target}: there is no {there}")
        elif anchor and anchor not in anchors(text if there == page else text_of(there)):
            found.append(f"{target}: {there} has no such heading")
    return found


@A_PAGE
def test_links_lead_somewhere(page: str) -> None:
    assert not faults_of_links(page, text_of(page))


@pytest.mark.parametrize(
    "link", ["nowhere.md", "alarms.md#no-such-heading", "../../x.md", "/docs/alarms.md", "#no"]
)
def test_a_link_that_leads_nowhere_would_be_noticed(link: str) -> None:
    assert faults_of_links("docs/page.md", f"# Page\n\n[words]({link})\n")


def test_links_that_code_shows_are_none() -> None:
    text = "# Page\n\n```text\n[a](b.md)\n```\n\n`[c](d.md)`\n"
    assert not faults_of_links("docs/page.md", text)


def test_every_document_is_in_the_contents_of_the_site() -> None:
    named = re.findall(r"^ +- (?:[^:\n]+: )?([\w./-]+\.md|[\w-]+/)$", contents(), re.MULTILINE)
    for page in pages():
        path = page.removeprefix("docs/")
        if page.startswith("docs/"):
            assert path in named or f"{PurePosixPath(path).parent}/" in named, page
    for name in named:
        assert (ROOT / "docs" / name).exists(), name


def contents() -> str:
    """Return the contents as mkdocs.yml has them."""
    return (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n", 1)[1]


def fault_of_fence(fence: Fence) -> str | None:
    """Return what is wrong with a block, or None."""
    if fence.language not in LANGUAGES:
        return f"{fence.language!r} is none of {', '.join(LANGUAGES)}"
    if fence.mark and (fence.language, fence.mark) != ("sh", "aws"):
        return f"{fence.mark!r} says nothing"
    try:
        match fence.language:
            case "json":
                json.loads(fence.text)
            case "yaml":
                yaml.safe_load(fence.text)
            case "python":
                ast.parse(textwrap.dedent(fence.text))
    except (SyntaxError, ValueError, yaml.YAMLError) as error:
        return f"{type(error).__name__}: {error}"
    return None


@A_PAGE
def test_fences_hold_what_they_say(page: str) -> None:
    for fence in fences(page):
        assert fault_of_fence(fence) is None, fence.place


@pytest.mark.parametrize(
    ("language", "text"),
    [("", "x"), ("bash", "x"), ("sh now", "x"), ("json", "{"), ("python", "a ="), ("yaml", "[")],
)
def test_a_fence_that_holds_something_else_would_be_noticed(language: str, text: str) -> None:
    (fence,) = fences("docs/page.md", f"# Page\n\n```{language}\n{text}\n```\n")
    assert fault_of_fence(fence)


def test_a_page_closes_its_fences() -> None:
    for page in pages():
        left = FENCE.sub("", text_of(page))
        assert "```" not in left, page


def fault_of_command(command: Command) -> str | None:
    """Return what is wrong with a command of a fence, or None."""
    text = filled_in(command.text, STANDING_FOR)
    for program, *words in simple_commands(text):
        match program:
            case "credit":
                try:
                    understood(shlex.join([program, *words]))
                except UsageError as error:
                    return f"{error.message} ({error.hint})" if error.hint else error.message
            case "make":
                unknown = {word for word in words if "=" not in word} - TARGETS
                if unknown:
                    return f"the Makefile has no {', '.join(sorted(unknown))}"
            case "python" | "pytest":
                files = [word for word in words if word.endswith(".py")]
                missing = [file for file in files if not (ROOT / file).is_file()]
                if missing:
                    return f"there is no {missing[0]}"
            case _ if program in OF_AWS and command.needs_aws:
                pass  # tests/infrastructure/test_documents.py
            case _ if program not in PLAIN:
                return f"{program} is no program that these documents use"
    return None


@A_PAGE
def test_each_command_exists_with_its_options(page: str) -> None:
    for command in commands(page):
        assert fault_of_command(command) is None, command.place


@pytest.mark.parametrize(
    "line",
    [
        "credit alarms sing",
        "credit models list --hard",
        "credit monitor --day today",
        "A=1 credit score",
        "credit status && credit stats",
        "make coffee",
        "python benchmarks/nothing.py",
        "cloud-magic up",
        "aws s3 ls",
    ],
)
def test_a_command_that_is_none_would_be_noticed(line: str) -> None:
    (command,) = commands("docs/page.md", f"```sh\n{line}  # a comment\n```\n")
    assert fault_of_command(command)


def fault_of_words(line: str) -> str | None:
    """Return what is wrong with a command that a sentence names: it may lack what it needs."""
    _, *words = shlex.split(line)
    path = "credit"
    known: Known = KNOWN[path]
    options = {*_options(known), "--help"}
    for word in words:
        if word.startswith("--"):
            name = word.partition("=")[0]
            if name not in options:
                return f"{path} has no option {name}"
        elif known.is_group and f"{path} {word}" in KNOWN:
            path = f"{path} {word}"
            known = KNOWN[path]
            options |= _options(known)
        elif known.is_group and word not in STAGES:
            return f"{path} has no command {word}"
    return None


STAGES = {"local", "dev", "prod"}


def _options(command: Known) -> set[str]:
    return {name for option in command.options for name in (option.name, *option.others)}


@A_PAGE
def test_each_command_that_a_sentence_names_is_one(page: str) -> None:
    for command in spoken(page):
        if fault_of_words(command.text) is not None:  # `credit queues NAME` stands for list
            assert fault_of_command(command) is None, command.place


@pytest.mark.parametrize("line", ["credit sing", "credit models sing", "credit status --loud"])
def test_a_spoken_command_that_is_none_would_be_noticed(line: str) -> None:
    assert fault_of_words(line)


def test_what_runs_a_command_is_there() -> None:
    for page, file in PAGES_RUN_BY.items():
        assert page in (ROOT / file).read_text(encoding="utf-8")
    for beginning, where in RUN_BY.items():
        file, _, name = where.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text, where
        assert beginning.split()[0] in {"credit", "make", "pytest", "python"}


def test_what_other_tests_run_is_in_some_document() -> None:
    lines = [command.text for page in pages() for command in commands(page)]
    told = {
        beginning for beginning in RUN_BY for line in lines if run_by(line) == RUN_BY[beginning]
    }
    assert told == set(RUN_BY)


def test_lines_that_belong_together_are_one_command() -> None:
    text = "```sh\ncredit models \\\n  list  # who\ncat > a <<EOF\nx # y\nEOF\nls\n```\n"
    assert [command.text for command in commands("docs/page.md", text)] == [
        "credit models list",
        "cat > a <<EOF\nx # y\nEOF",
        "ls",
    ]
    assert [command.line for command in commands("docs/page.md", text)] == [2, 4, 7]


def test_words_in_capitals_are_left_open_until_they_are_filled_in() -> None:
    line = 'credit models promote VERSION --by "$USER" && PATH=x credit erase applicant_id=KEY'
    assert documents.left_open(line) == {"VERSION", "KEY"}
    assert not documents.left_open(filled_in(line, {"VERSION": "v1", "KEY": "a-1"}))
