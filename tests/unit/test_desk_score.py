"""The form of an application: made from any product, sent as typed, refused without a loss."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from credit_cli.desk.application_form import ApplicationForm, number_of
from credit_cli.desk.examples import PRIVATE, known_examples
from credit_cli.desk.office import ProblemError
from credit_cli.errors import UnreachableError
from credit_cli.new_product import command
from credit_core.domain.product import load_product, product_names
from tests.builders import AN_APPLICATION, PRODUCT
from tests.builders_desk import FakeOffice, a_visitor

if TYPE_CHECKING:
    from pathlib import Path

TYPED = {name: str(value) for name, value in AN_APPLICATION.items()}
MULTIPART = "multipart/form-data; boundary=line"


def value_in(page: str, name: str) -> str:
    """Return what stands in a line of the form."""
    found = re.search(rf'<input type="text" value="([^"]*)"[^>]* id="{name}"', page)
    assert found, name
    return unescape(found[1])


def multipart(**parts: str) -> bytes:
    lines = [
        f'--line\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    ]
    return ("".join(lines) + "--line--\r\n").encode()


@pytest.mark.parametrize("name", product_names())
def test_every_product_has_a_form_with_each_field_labelled_and_described(name: str) -> None:
    product = load_product(name)
    page = a_visitor(FakeOffice(product=product, model=None)).get("/").text

    features = (feature.name for feature in product.request_features)
    fields = ("application_id", *product.entity_key_names, *features)
    for field in fields:
        assert f'id="{field}"' in page
        assert f'for="{field}"' in page
    for feature in product.request_features:
        for category in feature.categories:
            assert f'<option value="{category}">' in page


def test_an_application_is_sent_as_it_was_typed_and_leads_to_its_decision() -> None:
    office = FakeOffice()

    page = a_visitor(office).post("/", TYPED)

    assert (page.status, page.place) == (303, "/decisions/application-1")
    assert json.loads(office.sent[0]) == AN_APPLICATION


def test_what_may_be_unknown_is_sent_as_null_where_nothing_was_typed() -> None:
    office = FakeOffice()

    assert a_visitor(office).post("/", TYPED | {"employment_years": " "}).status == 303

    assert json.loads(office.sent[0])["employment_years"] is None


def test_faults_stand_beside_their_fields_and_nothing_typed_is_lost() -> None:
    typed = TYPED | {
        "loan_amount": '12"<b>',
        "annual_income": "",
        "term_months": "36.5",
        "addr_state": "cal",
        "verification_status": "",
    }

    page = a_visitor().post("/", typed)

    assert page.status == 400
    for name in ("loan_amount", "annual_income", "term_months", "addr_state"):
        assert f'id="{name}-fault"' in page.text
        assert f'aria-describedby="{name}-hint {name}-fault" aria-invalid="true"' in page.text
        assert value_in(page.text, name) == typed[name]
    assert 'id="verification_status-fault"' in page.text
    assert 'id="employment_years-fault"' not in page.text
    assert "5 things to put right" in page.text
    assert "<b>" not in page.text.partition("<main")[2].replace("<b>Loan", "")
    assert value_in(page.text, "applicant_id") == "applicant-1"


def test_an_id_that_was_used_for_something_else_is_told_at_its_field() -> None:
    visitor = a_visitor()
    visitor.post("/", TYPED)

    page = visitor.post("/", TYPED | {"loan_amount": "13000"})

    assert page.status == 409
    assert 'id="application_id-fault"' in page.text
    assert 'href="/decisions/application-1"' in page.text
    assert value_in(page.text, "loan_amount") == "13000"


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UnreachableError("nothing answers at 127.0.0.1:1"), 503, "Nothing answers at"),
        (ProblemError(429, {"message": "Too Many Requests"}), 429, "429 Too Many Requests"),
        (ProblemError(401, {"title": "A valid token is needed"}), 401, "A valid token"),
        (ProblemError(503, {"title": "There is no model"}), 503, "There is no model"),
        # A token ended, and AWS gives none: its own errors lose nothing either.
        (NoCredentialsError(), 503, "credentials"),
    ],
)
def test_what_could_not_be_decided_keeps_what_was_typed(
    error: Exception, status: int, words: str
) -> None:
    forgotten: list[bool] = []
    office = FakeOffice(faults={"decide": error})

    page = a_visitor(office, forget=lambda: forgotten.append(True)).post("/", TYPED)

    assert page.status == status
    assert words in page.text
    assert value_in(page.text, "annual_income") == "60000"
    assert forgotten


def test_the_same_application_sent_twice_is_one_decision() -> None:
    office = FakeOffice()
    visitor = a_visitor(office)

    assert visitor.post("/", TYPED).place == visitor.post("/", TYPED).place

    assert "It was decided before" in visitor.get("/decisions/application-1").text


def test_examples_and_samples_fill_the_form_under_an_id_of_their_own() -> None:
    sample = {name: value for name, value in AN_APPLICATION.items() if name != "application_id"}
    visitor = a_visitor(FakeOffice(known_samples=[sample]))

    example, other = visitor.get("/?example=declined").text, visitor.get("/?sample=7").text

    assert value_in(example, "loan_amount")
    assert value_in(other, "annual_income") == "60000"
    assert value_in(other, "application_id").startswith("desk-20261120T120000-")
    assert value_in(example, "application_id") != value_in(other, "application_id")
    for nonsense in ("/?example=nothing", "/?sample=-1", f"/?sample={'9' * 99}", "/?like=nobody"):
        assert visitor.get(nonsense).status == 404


def test_people_of_a_real_deployment_are_no_samples() -> None:
    office = FakeOffice(known_samples=[AN_APPLICATION])

    visitor = a_visitor(office, stage="prod")

    assert visitor.get("/?sample=1").status == 404
    assert "Somebody of the sample" not in visitor.get("/").text


def test_production_is_unmistakable() -> None:
    page = a_visitor(stage="prod").get("/").text

    assert "a real decision about a real applicant" in page
    assert 'class="stage-prod"' in page
    assert "Send to production and decide" in page
    assert "/?example=" not in page
    assert a_visitor(stage="prod").get("/?example=declined").status == 404
    assert "real applicant" not in a_visitor(stage="dev").get("/").text


def test_json_fills_the_form_and_sends_nothing() -> None:
    office = FakeOffice()
    document = json.dumps(AN_APPLICATION | {"nickname": "x", "employment_years": None})

    page = a_visitor(office).post("/json", multipart(json=document), content_type=MULTIPART)

    assert page.status == 200
    assert value_in(page.text, "loan_amount") == "12000"
    assert value_in(page.text, "employment_years") == ""
    assert "no such field: nickname" in page.text
    assert office.sent == []


def test_a_file_goes_before_what_was_pasted() -> None:
    body = multipart(json="not read", file=json.dumps({"loan_amount": 700}))

    page = a_visitor().post("/json", body, content_type=MULTIPART)

    assert value_in(page.text, "loan_amount") == "700"


@pytest.mark.parametrize(
    "brought", ["", "[]", "{", "{'a': 1}", '{"a": NaN}', '{"a":1,"a":2}', "[" * 5_000]
)
def test_what_is_no_json_object_is_told_and_kept(brought: str) -> None:
    page = a_visitor().post("/json", multipart(json=brought), content_type=MULTIPART)

    assert page.status == 400
    assert "This is no application" in page.text
    assert brought[:20] in unescape(page.text)
    # Who opens that address again begins with an empty form.
    assert a_visitor().get("/json").place == "/"


def test_values_of_another_type_come_back_as_they_are_and_the_api_tells() -> None:
    visitor = a_visitor()
    document = json.dumps(AN_APPLICATION | {"loan_amount": "12 k", "term_months": True})

    page = visitor.post("/json", multipart(json=document), content_type=MULTIPART)

    assert value_in(page.text, "loan_amount") == "12 k"
    assert value_in(page.text, "term_months") == "true"


def test_an_earlier_application_is_filled_in_with_what_would_have_been_better() -> None:
    office = FakeOffice()
    visitor = a_visitor(office)
    visitor.post("/", TYPED | {"loan_amount": "30000", "term_months": "60"})
    found = office.explanation("application-1")["counterfactual"]
    assert found is not None

    page = visitor.get("/?like=application-1&better=1").text

    for change in found["changes"]:
        assert float(value_in(page, change["feature"])) == change["to"]
    assert value_in(page, "annual_income") == "60000"
    assert value_in(page, "applicant_id") == ""


def test_a_product_made_of_a_lenders_file_begins_with_its_typical_application(
    tmp_path: Path,
) -> None:
    folder = tmp_path / PRIVATE / "car_loan"
    folder.mkdir(parents=True)
    assert known_examples("car_loan", root=tmp_path) == {}
    (folder / "application.json").write_text('{"application_id": "example-1", "amount": 7}')
    assert known_examples("car_loan", root=tmp_path)["typical"]["amount"] == 7
    for broken in ("[]", "{"):
        (folder / "application.json").write_text(broken)
        assert known_examples("car_loan", root=tmp_path) == {}
    assert PRIVATE == command.PRIVATE


@given(st.integers(-(10**15), 10**15))
def test_whole_numbers_are_read_with_and_without_commas(number: int) -> None:
    assert number_of(str(number)) == number
    assert number_of(f"{number:,}") == number


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_numbers_are_read_to_the_bit(number: float) -> None:
    assert number_of(repr(number)) == number


@pytest.mark.parametrize(
    "typed", ["12,5", "1,23", "0x10", "NaN", "1e999", "007", "1.", ".5", "--1", "٣", "9" * 99]
)
def test_what_might_mean_two_things_is_left_for_the_api_to_refuse(typed: str) -> None:
    assert number_of(typed) == typed


def test_a_field_of_a_nullable_category_may_be_unknown() -> None:
    feature = replace(
        PRODUCT.request_features[-1],
        nullable=True,
        adverse_action=replace(
            PRODUCT.request_features[-1].adverse_action, text_if_unknown="It is not known"
        ),
    )
    product = replace(PRODUCT, request_features=(*PRODUCT.request_features[:-1], feature))
    form = ApplicationForm(product)

    assert '<option value="" selected>Unknown</option>' in form.asked[-1].html("", ())
    assert form.document({})[feature.name] is None


def test_nothing_typed_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    office = FakeOffice(faults={"record": RuntimeError("secret-value")})
    visitor = a_visitor(office)
    visitor.post("/", TYPED)
    visitor.post("/", TYPED | {"loan_amount": "secret-value"})

    page = visitor.get("/decisions/application-1")

    printed = capfd.readouterr()
    assert page.status == 500
    assert "secret-value" not in page.text + printed.out + printed.err
    assert "RuntimeError at builders_desk.py" in printed.err
