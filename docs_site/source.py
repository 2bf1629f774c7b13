"""What only the text of code can tell: what is said under names, order, defaults as written."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import Enum
    from types import ModuleType


@cache
def tree_of(module: ModuleType) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(inspect.getsource(module))


def class_of(module: ModuleType, name: str) -> ast.ClassDef:
    """Return the definition of a class.

    Raises:
        KeyError: The module defines no such class.
    """
    for node in tree_of(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise KeyError(name)


def members(enumeration: type[Enum]) -> dict[str, str]:
    """Return what is said under each member of an enumeration, by name; empty where nothing is."""
    module = inspect.getmodule(enumeration)
    assert module is not None  # noqa: S101 (a class that was imported has one)
    body = class_of(module, enumeration.__name__).body
    said = dict.fromkeys(enumeration.__members__, "")
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            words = _text(after)
            if words and node.targets[0].id in said:
                said[node.targets[0].id] = " ".join(words.split())
    return said


def _text(node: ast.stmt | None) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return node.value.value if isinstance(node.value.value, str) else None
    return None


@dataclass(frozen=True)
class Field:
    """A field of a dataclass as it is written: name, type and, if it has one, its default."""

    name: str
    type: str
    default: str | None


def fields(class_: ast.ClassDef) -> Iterator[Field]:
    """Yield the fields that a dataclass defines itself, in order."""
    for node in class_.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Field(node.target.id, ast.unparse(node.annotation), _default(node.value))


def _default(value: ast.expr | None) -> str | None:
    if value is None:
        return None
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        for keyword in value.keywords:
            if keyword.arg == "default":
                return ast.unparse(keyword.value)
            if keyword.arg == "default_factory":
                return "{}" if ast.unparse(keyword.value) == "dict" else ast.unparse(keyword.value)
    return ast.unparse(value)
