"""The compliance page names parts, tests and periods: each is there, and as it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cdk_app.stages import PROD

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compliance.md"
TEXT = PAGE.read_text(encoding="utf-8")
PATHS = sorted(
    set(re.findall(r"`((?:cdk_app|layers|model_build|lambdas|credit_cli|tests)/[\w./]+\.py)", TEXT))
)
TESTS = sorted(set(re.findall(r"`(tests/[\w./]+\.py)::(\w+)`", TEXT)))
SECTIONS = [part.split("\n", 1) for part in TEXT.split("\n## ")[1:]]
MONTHS_6_AT_LONGEST_DAYS = 184
MONTHS_25_AT_LONGEST_DAYS = 762


def functions_of(path: str) -> set[str]:
    """Return the names of a module's own functions."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", PATHS)
def test_a_part_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).is_file()


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


@pytest.mark.parametrize(("title", "text"), SECTIONS)
def test_every_duty_has_a_test_and_says_what_is_left_to_the_lender(title: str, text: str) -> None:
    assert "::" in text, f"{title} names no test"
    assert "Yours" in text or "Not done" in text, f"{title} leaves nothing to anybody"


def test_the_page_states_the_periods_of_prod() -> None:
    """25 months, and six months of logs, are kept with what the page says there is to spare."""
    assert f"{PROD.receipt_duty_days} days" in TEXT
    assert PROD.receipt_days == 3 * 365
    assert PROD.receipt_duty_days >= MONTHS_25_AT_LONGEST_DAYS + 90
    assert PROD.receipt_duty_days >= MONTHS_6_AT_LONGEST_DAYS
    assert PROD.receipts_locked


def test_the_page_links_to_official_texts() -> None:
    """No duty is quoted from what somebody wrote about it."""
    hosts = {
        "curia.europa.eu",
        "eur-lex.europa.eu",
        "www.consumerfinance.gov",
        "www.federalregister.gov",
        "www.federalreserve.gov",
        "www.govinfo.gov",
        "www.law.cornell.edu",
        "www.occ.gov",
    }

    assert set(re.findall(r"\]\(https://([^/)]+)", TEXT)) <= hosts
