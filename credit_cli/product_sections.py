"""Names of what `credit products check` prints; apart, because its printing needs NumPy."""

from __future__ import annotations

from enum import StrEnum


class Section(StrEnum):
    """Parts of what `credit products check` prints."""

    DEFINITION = "definition"
    SCHEMA = "schema"
    TABLES = "tables"
    SQL = "sql"
    INPUTS = "inputs"
    POLICY = "policy"
    LINT = "lint"
