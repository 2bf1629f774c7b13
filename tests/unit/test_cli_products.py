"""`credit products`: what a person and a script see of a definition, sound or broken."""

from __future__ import annotations

import importlib
import json
import sys
import textwrap
from typing import TYPE_CHECKING, NoReturn

import pytest

import products
from credit_cli import demo_command, local_commands, main
from credit_cli.checkout import Checkout
from credit_core.domain import product
from credit_core.domain.point_in_time import training_set_sql
from credit_core.errors import InvalidProductError
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = """
from dataclasses import replace
from products.personal_loan import PRODUCT as P
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that puts a module under products/."""
    monkeypatch.setattr(products, "__path__", [*products.__path__, str(tmp_path)])

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(HEAD + textwrap.dedent(text))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, f"products.{name}", raising=False)

    return write


def test_check_tells_a_person_what_follows_from_a_definition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["products", "check", "personal_loan"]) == 0

    shown = capsys.readouterr()
    assert shown.err == ""
    for line in (
        "Personal loan (personal_loan)",
        "Feature view bureau, version 1: The applicant's credit report",
        "  of applicant (applicant_id); fresh up to 30 days, then stale, missing after 60 days",
        "  when missing: a person decides",
        "Model inputs, in this order: 25 (5 sent, 17 stored, 3 derived)",
        "Table personal_loan_bureau: Parquet below personal_loan/features/bureau/",
        "  int_rate   the earlier lender's own verdict",
        "  approve  probability of default up to 6.00%  586 points or more",
        "  PAST_DUE_NOW    limit: refer where acc_now_delinq >= 3; unknown: a person decides",
        "                  Several accounts are past due now",
        "  C  up to 6.00%   586 points or more",
        "  E  the others",
        "  loan_amount  lower by steps of 100 USD",
        "Lint: 0 errors, 1 warning, 3 notes",
    ):
        assert line in shown.out.splitlines()
    assert all(len(line) <= 100 for line in shown.out.splitlines())


def test_the_schema_and_the_query_can_be_shown_alone_to_be_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["products", "check", "personal_loan", "--show", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["addr_state"]["pattern"] == "^(?:[A-Z]{2})$"

    assert main.run(["products", "check", "personal_loan", "--show", "sql"]) == 0
    assert capsys.readouterr().out == training_set_sql(PRODUCT)


def test_sections_are_shown_in_the_order_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["products", "check", "personal_loan", "--show", "lint", "--show", "inputs"]

    assert main.run(words) == 0

    shown = capsys.readouterr().out
    assert shown.startswith("Lint: ")
    assert "\n\nModel inputs" in shown
    assert "Table" not in shown

    assert main.run([*words, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"name", "sound", "lint", "inputs"}


def test_an_unknown_section_is_used_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["products", "check", "personal_loan", "--show", "everything"]) == 2

    assert "'everything' is not one of" in capsys.readouterr().err


def test_a_broken_definition_lists_its_faults_one_a_line(
    module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    module(
        "cli_broken", "PRODUCT = replace(P, title='', policy=replace(P.policy, decline_from=2.0))"
    )

    assert main.run(["products", "check", "cli_broken"]) == 1

    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "error: product cli_broken has 2 faults",
        "  title: expected a line of text, not '' (str)",
        "  policy.decline_from: 2.0 is no probability between 0 and 1",
    ]

    assert main.run(["products", "check", "cli_broken", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["sound"] is False
    assert len(document["faults"]) == 2


def test_an_error_of_the_lint_fails_the_check(
    module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    module(
        "cli_unwise",
        """
        SEX = replace(P.request_features[-1], name="sex", categories=("f", "m"))
        PRODUCT = replace(P, name="cli_unwise", request_features=(*P.request_features, SEX))
        """,
    )

    assert main.run(["products", "check", "cli_unwise", "--show", "lint"]) == 1

    assert "  error     request_features.sex" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", ["nowhere", "../personal_loan"])
def test_a_product_that_is_not_there_is_an_error_of_two_lines(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["products", "check", name]) == 1

    assert len(capsys.readouterr().err.splitlines()) == 2


def test_list_names_every_product_and_whether_it_is_sound(
    module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    module("cli_list_broken", "PRODUCT = replace(P, title=3)")
    module("cli_list_syntax", "PRODUCT = (")
    module(
        "personal",
        """
        VIEW = replace(P.feature_views[0], name="loan_bureau")
        PRODUCT = replace(P, name="personal", feature_views=(VIEW, P.feature_views[1]))
    """,
    )

    assert main.run(["products", "list"]) == 0

    lines = capsys.readouterr().out.splitlines()
    start = {line.split()[0]: " ".join(line.split()) for line in lines}
    assert start["personal_loan"].startswith("personal_loan sound Personal loan; views: bureau,")
    assert start["cli_list_broken"].endswith(
        "broken 1 fault; see: credit products check cli_list_broken"
    )
    assert start["cli_list_syntax"].startswith("cli_list_syntax broken 1 fault")
    clash = "personal_loan_bureau is a table of personal_loan too"
    assert any(clash in line for line in lines)

    assert main.run(["products", "list", "--json"]) == 0
    listed = {it["name"]: it for it in json.loads(capsys.readouterr().out)["products"]}
    assert listed["personal_loan"]["views"] == ["bureau", "region_market"]
    assert listed["cli_list_broken"]["sound"] is False


def test_defaults_are_told_in_words(
    module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    module(
        "cli_defaults",
        """
        from credit_core.domain.product import Defaults
        from tests.builders import TOLERANT_PRODUCT

        BUREAU, REGION = TOLERANT_PRODUCT.feature_views
        VALUES = {it.name: 5 for it in REGION.features}
        PRODUCT = replace(
            TOLERANT_PRODUCT,
            name="cli_defaults",
            feature_views=(BUREAU, replace(REGION, when_stale=Defaults(VALUES))),
        )
        """,
    )

    assert main.run(["products", "check", "cli_defaults", "--show", "definition"]) == 0

    assert "  when stale: counts as region_applications 5," in capsys.readouterr().out


def test_the_version_of_a_view_is_shown_because_a_backfill_takes_effect_by_it(
    module: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    module(
        "cli_version",
        """
        VIEW = replace(P.feature_views[0], version=7)
        VIEWS = (VIEW, P.feature_views[1])
        PRODUCT = replace(P, name="cli_version", feature_views=VIEWS)
        """,
    )
    words = ["products", "check", "cli_version", "--show", "definition"]

    assert main.run(words) == 0
    assert "Feature view bureau, version 7: " in capsys.readouterr().out

    assert main.run([*words, "--json"]) == 0
    views = json.loads(capsys.readouterr().out)["definition"]["feature_views"]
    assert {name: view["version"] for name, view in views.items()} == {
        "bureau": 7,
        "region_market": 1,
    }


@pytest.mark.parametrize(
    "words",
    [
        ["demo"],
        ["local", "up"],
        ["materialize"],
        ["push", "examples/application.json"],
        ["dataset", "build", "--data", "."],
        ["sample", "generate", "--applicants", "9", "--out", "book"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_shows_a_traceback_for_a_broken_product(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Not even where the product goes without saying; and before anything is started."""

    def broken(name: str) -> NoReturn:
        raise InvalidProductError(name, ["title: expected a line of text"])

    example = tmp_path / "examples" / "application.json"
    example.parent.mkdir()
    example.write_text("{}")
    monkeypatch.chdir(tmp_path)
    for command in (demo_command, local_commands):
        monkeypatch.setattr(command, "Checkout", lambda: Checkout(tmp_path))
    monkeypatch.setattr(product, "load_product", broken)

    assert main.run(words) == 2

    shown = capsys.readouterr()
    assert shown.out == ""
    first, second = shown.err.splitlines()
    assert first == "error: product 'personal_loan' has 1 fault(s): title: expected a line of text"
    assert second == "  see: credit products check personal_loan"
