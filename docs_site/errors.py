"""Reference: exit codes, errors of the command and of the service, and their status over HTTP."""

from __future__ import annotations

import inspect

from credit_cli import errors as cli_errors
from credit_core import errors as core_errors
from credit_core.adapters.http_problem import PROBLEM_OF_ERROR, UNEXPECTED
from credit_core.domain.openapi import ERRORS
from docs_site.markdown import code, page, prose, table


def errors_page() -> str:
    """Return the page of errors and exit codes."""
    return page(
        "Errors and exit codes",
        "## Exit codes of `credit`",
        "Scripts may rely on them. A failure is told in one or two lines on standard error: what "
        "happened, and what to do; `credit --debug ...` shows a traceback instead.",
        _exit_codes(),
        "The kinds of errors behind them:",
        _tree(cli_errors.CliError, ("Error", "Exit code", "When"), _cli_row),
        "## Statuses of the API",
        "Errors are `application/problem+json` with a `request_id`. These are all statuses, those "
        "of API Gateway too; the [API's page](api.md) has the body.",
        table(
            ("Status", "When, and what then"),
            ((f"{int(status)} {status.phrase}", words) for status, words in ERRORS.items()),
        ),
        "## Errors of the service",
        "What a function raises on purpose, and how the API answers it. Only messages that are for "
        "the client are sent; none holds a value of an application.",
        _tree(
            core_errors.CreditScoringError,
            ("Error", "Status", "Title", "When"),
            _core_row,
        ),
    )


def _exit_codes() -> str:
    return table(
        ("Code", "Name", "Meaning", "When, and what then"),
        (
            (int(member), code(member.name), member.meaning, member.description)
            for member in cli_errors.ExitCode
        ),
    )


def _tree(base: type[Exception], head: tuple[str, ...], row: object) -> str:
    assert callable(row)  # noqa: S101 (one of the two below)
    return table(head, (row(depth, class_) for depth, class_ in _below(base, 0)))


def _below(class_: type[Exception], depth: int) -> list[tuple[int, type[Exception]]]:
    """Return a class and its subclasses of the same module, each under its base."""
    own = [below for below in class_.__subclasses__() if below.__module__ == class_.__module__]
    return [(depth, class_), *(found for below in own for found in _below(below, depth + 1))]


def _name(depth: int, class_: type[Exception]) -> str:
    return f"{'&emsp;' * depth}{code(class_.__name__)}"


def _first(class_: type[Exception]) -> str:
    return prose(inspect.getdoc(class_)).split("\n\n", 1)[0]


def _cli_row(depth: int, class_: type[cli_errors.CliError]) -> tuple[object, ...]:
    return _name(depth, class_), int(class_.exit_code), _first(class_)


def _core_row(depth: int, class_: type[core_errors.CreditScoringError]) -> tuple[object, ...]:
    problem = PROBLEM_OF_ERROR.get(class_, UNEXPECTED)
    return _name(depth, class_), int(problem.status), problem.title, _first(class_)
