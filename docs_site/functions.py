"""Reference: the functions, and all that each may do."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from docs_site.markdown import code, page, table
from docs_site.stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docs_site.stacks import Stacks

type Permissions = dict[str, set[str]]
"""Actions by the resource on which they are allowed."""


def functions_page(stacks: Stacks) -> str:
    """Return the page of the functions: what they do, their size, their permissions."""
    allowed = permissions(stacks)
    functions = sorted(_functions(stacks))
    return page(
        "Functions and permissions",
        "From the stacks of `prod` for `personal_loan`. A resource is named by its path: "
        "`storage/Tables/Decisions` is the table of decisions in the stack of storage. `*` stands "
        "alone only where AWS knows no resource for an action. "
        "[Security](../security.md) says which test holds this.",
        table(
            ("Function", "What it does", "Memory, MB", "Gives up after, s", "Reserved"),
            (
                (f"[{code(name)}](#{name})", _does(name), memory, timeout, reserved)
                for name, memory, timeout, reserved, _ in functions
            ),
        ),
        *(
            f"## {name} {{#{name}}}\n\n{_allowed(allowed.get(role, {}))}"
            for name, *_, role in functions
        ),
    )


def _functions(stacks: Stacks) -> Iterator[tuple[str, int, int, Any, str]]:
    for stack, _, properties in stacks.of_type("AWS::Lambda::Function"):
        named = properties.get("FunctionName")
        if not isinstance(named, str):
            continue  # what the CDK brings for its own use
        yield (
            named.removeprefix(f"{stacks.prefix}-"),
            properties["MemorySize"],
            properties["Timeout"],
            properties.get("ReservedConcurrentExecutions", ""),
            stacks.text(stack, properties["Role"]),
        )


def _does(name: str) -> str:
    path = ROOT / "lambdas" / name.replace("-", "_") / "handler.py"
    words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(words.split("\n\n", 1)[0].split())


def permissions(stacks: Stacks) -> dict[str, Permissions]:
    """Return what each role is allowed by its policies, by the role's path."""
    found: dict[str, Permissions] = {}
    for stack, _, properties in stacks.of_type("AWS::IAM::Policy"):
        for role in stacks.texts(stack, properties["Roles"]):
            _add(stacks, stack, properties["PolicyDocument"], found.setdefault(role, {}))
    for stack, role, properties in stacks.of_type("AWS::IAM::Role"):
        for policy in properties.get("Policies", ()):
            _add(stacks, stack, policy["PolicyDocument"], found.setdefault(role, {}))
    return found


def _add(stacks: Stacks, stack: str, document: dict[str, Any], to: Permissions) -> None:
    for statement in document["Statement"]:
        actions = statement["Action"]
        for resource in stacks.texts(stack, statement["Resource"]):
            to.setdefault(resource, set()).update(
                [actions] if isinstance(actions, str) else actions
            )


def _allowed(permissions: Permissions) -> str:
    return table(
        ("On", "May"),
        (
            (code(resource), ", ".join(map(code, sorted(actions))))
            for resource, actions in sorted(permissions.items())
        ),
    )
