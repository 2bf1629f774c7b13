"""A decision's page: the outcome, sums that are exact, what a person may do, what is missing."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from credit_cli.desk.conditions import freshness_card, times_card
from credit_cli.desk.history import receipt_card
from credit_cli.desk.office import AnswerTimes, Limits, ProblemError
from credit_cli.desk.receipt_view import ReceiptView
from credit_cli.desk.review_form import code_texts
from credit_cli.desk.scale import points_at, scale_figure
from credit_cli.desk.waterfall import running, waterfall_rows, waterfall_table
from credit_cli.errors import UnreachableError
from credit_core.domain.policy import points_per_log_odds
from credit_core.errors import StoreUnavailableError
from tests.builders import PRODUCT, stored
from tests.builders_desk import FakeOffice, Visitor, a_visitor, a_weighing_model
from tests.builders_receipts import some_rows
from tests.unit.test_desk_score import TYPED

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLINED = {"loan_amount": "30000", "term_months": "60"}
APPROVED = {"loan_amount": "1000", "annual_income": "150000"}
REFERRED = {"loan_amount": "10000"}
PATH = "/decisions/application-1"
A_REVIEW: dict[str, str | list[str]] = {
    "review_id": "review-1",
    "revision": "1",
    "outcome": "approve",
    "reviewer": "r.meyer",
    "reason": "Pay slips show a higher income",
}


def decided(changes: Mapping[str, str], office: FakeOffice | None = None) -> tuple[Visitor, str]:
    """Return who sent an application, and the page of its decision."""
    visitor = a_visitor(office)
    page = visitor.post("/", {**TYPED, **changes})
    assert page.status == 303, page.text
    shown = visitor.get(page.place)
    assert shown.status == 200
    return visitor, shown.text


def bars(page: str) -> list[tuple[str, int]]:
    """Return the waterfall's rows: kind, and hundredths of a point as a person reads them."""
    table = page.partition('id="waterfall"')[2].partition("</table>")[0]
    rows = re.findall(r'data-kind="(\w+)" data-points="([-\d.]+)">(.*?)</tr>', table, re.DOTALL)
    found = []
    for kind, points, cells in rows:
        shown = unescape(re.findall(r'class="number">([^<]*)<', cells)[0])
        hundredths = round(float(shown.replace("\N{MINUS SIGN}", "-").replace(",", "")) * 100)
        assert hundredths == round(float(points) * 100)
        found.append((kind, hundredths))
    return found


@pytest.mark.parametrize(
    ("changes", "outcome", "words"),
    [
        (DECLINED, "decline", "Declined"),
        (APPROVED, "approve", "Approved"),
        (REFERRED, "refer", "Referred to a person"),
    ],
)
def test_the_outcome_is_told_in_words_and_its_points_sum_to_the_hundredth(
    changes: dict[str, str], outcome: str, words: str
) -> None:
    office = FakeOffice()
    _, page = decided(changes, office)

    decision = office.record("application-1")["decision"]
    assert f'data-outcome="{outcome}"' in page
    assert f"<h1>{words}</h1>" in page
    rows = bars(page)
    assert rows[0][0] == "start"
    assert rows[-1] == ("end", round(decision["points"] * 100))
    assert sum(length for _, length in rows[:-1]) == rows[-1][1]
    assert f"{decision['points']:,.2f}" in page
    assert ("Dashed lines" in page) == ('class="cut ' in page)


def test_sums_are_exact_for_whoever_applies() -> None:
    chance = random.Random(7)  # noqa: S311 (variety, no secret)
    office = FakeOffice(model=a_weighing_model(inq_last_6mths=0.17, total_bal_il=1e-6))
    visitor = a_visitor(office)
    summed = 0
    for number in range(40):
        office.scorer.store.rows = some_rows(chance, PRODUCT)
        typed = TYPED | {
            "application_id": f"application-{number}",
            "loan_amount": str(round(chance.uniform(500, 40_000), 2)),
            "annual_income": str(chance.choice([0, 7_000, 40_000, 120_000])),
        }
        page = visitor.get(visitor.post("/", typed).place).text
        rows = bars(page)
        if rows:
            assert sum(length for _, length in rows[:-1]) == rows[-1][1]
            summed += 1
        else:
            assert "No model judged this applicant" in page
    assert summed > 20


@given(
    st.lists(st.floats(-200, 200, allow_nan=False), min_size=1, max_size=30),
    st.floats(300, 900, allow_nan=False),
)
def test_what_rounding_leaves_over_is_shown_and_never_lost(
    lengths: list[float], reference: float
) -> None:
    contributions = [
        {
            "feature": f"f{place}",
            "description": "d",
            "value": 1.0,
            "reference": 2.0,
            "contribution_points": round(length, 2),
        }
        for place, length in enumerate(sorted(lengths, key=abs, reverse=True))
    ]
    points = round(reference + sum(lengths), 2)

    rows = waterfall_rows(contributions, points=points, reference_points=reference, units={})

    assert sum(row.hundredths for row in rows[:-1]) == rows[-1].hundredths == round(points * 100)
    shown = [row for row in rows if row.kind == "reason"]
    assert len(shown) <= 10
    # What the others are called is their true sum, but for the rounding of each.
    named = [row for row in rows if row.kind == "others"]
    folded = sum(float(str(it["contribution_points"])) for it in contributions[len(shown) :])
    rest = sum(row.hundredths for row in rows if row.kind == "others")
    assert len(named) <= 1
    assert rest / 100 == pytest.approx(folded, abs=0.01 * (len(lengths) + 3))
    assert running(rows)[-2][1] == rows[-1].hundredths
    assert "NaN" not in waterfall_table(rows, cutoffs=[("decline", 550.0)])


def test_without_a_policy_the_reference_is_what_is_left() -> None:
    contributions = [
        {
            "feature": "a",
            "description": "d",
            "value": None,
            "reference": "x",
            "contribution_points": -10.5,
        }
    ]

    rows = waterfall_rows(contributions, points=500.0, reference_points=None, units={})

    assert [row.hundredths for row in rows] == [51_050, -1_050, 50_000]
    assert "unknown; reference x" in rows[1].note


def test_a_decline_shows_what_the_applicant_is_told_in_order() -> None:
    office = FakeOffice()
    _, page = decided(DECLINED, office)

    reasons = office.record("application-1")["decision"]["reasons"]
    assert re.findall(r'data-code="(\w+)"', page) == [reason["code"] for reason in reasons]
    for reason in reasons:
        assert reason["text"] in unescape(page)


def test_what_would_have_changed_it_is_what_the_api_says() -> None:
    office = FakeOffice()
    _, page = decided(DECLINED, office)

    found = office.explanation("application-1")["counterfactual"]
    assert re.findall(r'data-feature="(\w+)"', page) == [it["feature"] for it in found["changes"]]
    assert 'href="/?like=application-1&amp;better=1"' in page


def test_an_approval_has_nothing_to_better_and_no_notice_to_send() -> None:
    _, page = decided(APPROVED)

    assert "What would have changed it" not in page
    assert "What the applicant is told" not in page


def test_a_rules_decline_says_the_rule_in_its_words() -> None:
    _, page = decided({"annual_income": "5000"})

    assert "By the rule MINIMUM_INCOME: income is below the minimum for this loan." in page
    assert "the rule declines" in page


def test_without_a_champion_it_is_told_that_no_model_was_asked() -> None:
    _, page = decided({}, FakeOffice(model=None))

    assert 'data-outcome="refer"' in page
    assert "No model could be asked (no champion has been promoted yet)" in page
    assert "the same application may be sent again" in page
    assert "no model was asked" in page
    assert 'id="waterfall"' not in page
    assert bars(page) == []


def test_views_are_shown_with_their_age_of_what_it_may_be() -> None:
    office = FakeOffice()
    bureau = PRODUCT.feature_views[0]
    key = next(iter(office.scorer.store.rows))
    office.scorer.store.rows[key] = stored(bureau, age=bureau.ttl * 1.2)
    del office.scorer.store.rows[list(office.scorer.store.rows)[1]]

    _, page = decided({}, office)

    assert re.findall(r'data-view="(\w+)" data-status="(\w+)"', page) == [
        ("bureau", "stale"),
        ("region_market", "missing"),
    ]
    assert "36 days of 30 days" in page
    assert "What is known of the applicant is too old" in page


def test_an_event_of_a_time_to_come_has_no_age() -> None:
    status = {
        "status": "unreadable",
        "age_seconds": -7_200.0,
        "event_timestamp": "2026-11-22T14:00:00.000Z",
    }

    page = freshness_card({"feature_status": {"bureau": status}}, PRODUCT)

    assert "2 hours after the decision" in page
    assert 'class="meter' not in page


def test_a_product_without_views_reads_nothing_and_says_so() -> None:
    product = replace(
        PRODUCT,
        feature_views=(),
        entities=(),
        derived_features=(),
        policy=replace(PRODUCT.policy, rules=()),
    )

    assert "judged by the application alone" in freshness_card({"feature_status": {}}, product)


def test_times_are_told_against_budget_and_deadline() -> None:
    _, page = decided({})

    assert "5.0 ms in the scorer; the budget is 100 ms at p99, the deadline 80 ms" in page
    assert "52 ms went by at this desk" in page
    assert re.findall(r'data-stage="(\w+)"', page) == ["parse", "read", "infer", "explain", "write"]


def test_times_of_a_receipt_say_that_the_write_is_not_among_them() -> None:
    words = times_card({"read": 2.0, "infer": 1.0}, None, None)

    assert "3.0 ms in the scorer, before the receipt was written." in words
    assert "say how long it took" in times_card({}, None, Limits())
    again = times_card({"read": 2.0}, AnswerTimes("total;dur=9", 0.1, repeated=True), None)
    assert "decided before" in again


def test_the_receipt_can_be_taken_along_whole() -> None:
    office = FakeOffice()
    visitor, page = decided(DECLINED, office)

    file = visitor.get(f"{PATH}/receipt.json")

    assert file.headers["content-disposition"] == 'attachment; filename="application-1.json"'
    (record,) = json.loads(file.text)["records"]
    assert record["response"] == office.record("application-1")["decision"]
    assert record["terms"]["policy"]["version"] == PRODUCT.policy.version
    assert record["request"]["loan_amount"] == 30_000
    assert "applicant-1" not in file.text
    assert "applicant-1" not in page
    assert visitor.get("/decisions/nobody/receipt.json").status == 404


def test_a_decision_is_decided_again_from_its_receipt() -> None:
    office = FakeOffice()
    visitor, _ = decided(DECLINED, office)

    page = visitor.get(f"{PATH}/replay")
    assert 'data-verdict="identical"' in page.text

    office.model = a_weighing_model(loan_amount=1e-5)
    changed = visitor.get(f"{PATH}/replay")
    assert 'data-verdict="different"' in changed.text
    assert "points" in changed.text
    assert visitor.get("/decisions/nobody/replay").status == 404


def test_an_unknown_id_is_told_and_shows_where_else_to_look() -> None:
    page = a_visitor().get("/decisions/nobody")

    assert page.status == 404
    assert "is it the right stage and product" in page.text.lower()


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (
            {"explanation": ProblemError(503, {"title": "The recorded decision cannot be read"})},
            "The recorded decision cannot be read",
        ),
        (
            {"receipts": UnreachableError("the decisions could not be read: Throttled")},
            "the decisions could not be read",
        ),
        ({"receipts": StoreUnavailableError("too slow")}, "too slow"),
        ({"limits": UnreachableError("Lambda")}, "5.0 ms in the scorer."),
    ],
)
def test_what_cannot_be_had_leaves_the_rest_of_the_page(
    faults: dict[str, Exception], words: str
) -> None:
    office = FakeOffice(faults=faults)

    _, page = decided(DECLINED, office)

    assert words in page
    assert 'data-outcome="decline"' in page
    assert "What the applicant is told" in page


def test_a_fault_that_nobody_foresaw_is_no_part_of_a_page() -> None:
    office = FakeOffice(faults={"explanation": RuntimeError("secret")})
    visitor = a_visitor(office)

    page = visitor.get(visitor.post("/", TYPED).place)

    assert page.status == 500
    assert "secret" not in page.text


def test_a_damaged_receipt_is_shown_as_far_as_it_can_be_read() -> None:
    office = FakeOffice()
    office.damaged["application-1"] = {"terms": b"no terms", "stage_ms": "{", "shadow": "[]"}
    visitor, page = decided(DECLINED, office)

    # The policy is known by its version, which is still the product's.
    assert 'id="scale"' in page
    assert "cannot be read" in page
    office.product = replace(PRODUCT, policy=replace(PRODUCT.policy, version="2027-1"))
    assert visitor.get(PATH).status == 200


def test_what_the_challenger_would_have_said_stands_beside_who_decided() -> None:
    cautious = a_weighing_model(annual_income=0.0)

    _, page = decided(APPROVED, FakeOffice(challenger=cautious))

    assert "The challenger beside it" in page
    assert re.search(r"The challenger beside it</dt><dd>v1<br>referred, [\d.]+\s%, ", page)
    assert 'href="/models/v1"' in page


def test_a_referral_is_reviewed_and_stands_as_the_person_decided() -> None:
    office = FakeOffice()
    visitor, page = decided(REFERRED, office)
    assert 'id="review"' in page
    assert "Your review" in page

    done = visitor.post(f"{PATH}/review", A_REVIEW)
    assert done.status == 303
    shown = visitor.get(done.place).text

    assert "<h1>Approved by a person</h1>" in shown
    assert 'data-outcome="refer" data-standing="approve"' in shown
    assert "r.meyer decided so, 2026-11-20 12:00:00 UTC." in shown
    assert "Pay slips show a higher income" in shown
    assert "To the next referral" in shown
    assert "To the next referral" not in visitor.get(PATH).text
    assert office.store.applications["application-1"].reviews


def test_the_codes_of_a_decision_are_ticked_and_those_of_an_approval_not_sent() -> None:
    office = FakeOffice()
    visitor, page = decided(REFERRED, office)
    ticked = re.findall(r'value="(\w+)" checked', page)
    codes = [it["code"] for it in office.record("application-1")["decision"]["reasons"]]
    # They are sent in the order in which they stand, and told to an applicant in that order.
    assert ticked == [code.removesuffix("_UNKNOWN") for code in codes]
    boxes = re.findall(r'name="adverse_action_codes" id="[^"]*" value="(\w+)"', page)
    assert boxes[: len(ticked)] == ticked
    assert sorted(boxes) == sorted(code_texts(PRODUCT))

    visitor.post(f"{PATH}/review", A_REVIEW | {"adverse_action_codes": ticked})

    (review,) = office.record("application-1")["reviews"]
    assert review["adverse_action_codes"] == []


def test_a_decline_has_its_codes_in_words() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)

    visitor.post(
        f"{PATH}/review",
        A_REVIEW | {"outcome": "decline", "adverse_action_codes": ["AMOUNT", "TERM"]},
    )

    page = visitor.get(PATH).text
    assert "<h1>Declined by a person</h1>" in page
    assert "The repayment term requested" in page.partition('id="history"')[2]


@pytest.mark.parametrize(
    ("review", "note"),
    [
        ({}, "A person approved it: the applicant is told none."),
        (
            {"outcome": "decline", "adverse_action_codes": ["TERM"]},
            "The applicant is told those of the review.",
        ),
    ],
)
def test_once_a_person_decided_the_services_reasons_are_not_what_the_applicant_is_told(
    review: dict[str, str | list[str]], note: str
) -> None:
    visitor, page = decided(DECLINED)
    assert "What the applicant is told" in page

    done = visitor.post(f"{PATH}/review", A_REVIEW | review)
    shown = unescape(visitor.get(done.place).text)

    assert "What the applicant is told" not in shown
    assert note in shown


def test_what_was_typed_comes_back_to_the_letter_and_can_be_sent_again() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)
    typed = A_REVIEW | {"reason": "The employer's letter & the 'net' <pay>"}
    office.faults["review"] = UnreachableError("nothing answers")

    page = visitor.post(f"{PATH}/review", typed).text
    reason = unescape(page.partition("<textarea")[2].partition(">")[2].partition("</textarea>")[0])
    del office.faults["review"]
    visitor.post(f"{PATH}/review", typed)
    # The first may have been recorded after all: another text of that id would be refused.
    again = visitor.post(f"{PATH}/review", typed | {"reason": reason})

    assert reason == typed["reason"]
    assert again.status == 303
    assert "doesn't" in unescape(receipt_card("a", ReceiptView([{"reason": "doesn't"}])))


def test_a_review_with_faults_comes_back_with_all_that_was_typed() -> None:
    visitor, _ = decided(REFERRED)
    typed = A_REVIEW | {"outcome": "decline", "reviewer": " ", "reason": "<why>"}

    page = visitor.post(f"{PATH}/review", typed)

    assert page.status == 400
    assert 'id="reviewer-fault"' in page.text
    assert 'id="adverse_action_codes-fault"' in page.text
    assert "&lt;why&gt;" in page.text
    assert 'value="review-1"' in page.text
    assert 'value="decline" checked' in page.text


def test_a_review_of_an_older_revision_is_told_and_what_was_typed_is_kept() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)
    known = office.store.applications["application-1"]
    office.store.applications["application-1"] = replace(known, revision=2)

    page = visitor.post(f"{PATH}/review", A_REVIEW)

    assert page.status == 409
    assert "It was decided again meanwhile" in page.text
    assert "Look at the application as it is now" in page.text
    assert "Pay slips show a higher income" in page.text


def test_a_review_after_an_outcome_is_told() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)
    office.report(outcome="withdrawn")

    page = visitor.post(f"{PATH}/review", A_REVIEW)

    assert page.status == 409
    assert "Withdrawn was reported before." in page.text


def test_the_same_review_sent_twice_is_recorded_once() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)

    first = visitor.post(f"{PATH}/review", A_REVIEW)
    second = visitor.post(f"{PATH}/review", A_REVIEW)

    assert (first.status, second.status) == (303, 303)
    assert len(office.record("application-1")["reviews"]) == 1


def test_a_review_that_was_not_answered_says_that_sending_again_is_safe() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)
    office.faults["review"] = UnreachableError("nothing answers at 127.0.0.1:1")

    page = visitor.post(f"{PATH}/review", A_REVIEW | {"revision": "none"})

    assert page.status == 503
    assert "Sending it again is safe" in page.text
    assert 'value="review-1"' in page.text


def test_a_review_keeps_what_was_typed_though_nothing_answers_any_more() -> None:
    office = FakeOffice()
    visitor, _ = decided(REFERRED, office)
    gone = UnreachableError("nothing answers at 127.0.0.1:1")
    office.faults |= {"review": NoCredentialsError(), "record": gone}

    page = visitor.post(f"{PATH}/review", A_REVIEW)
    office.faults.clear()

    assert page.status == 503
    assert "Sending it again is safe" in page.text
    assert str(A_REVIEW["reason"]) in page.text
    assert 'value="review-1"' in page.text
    assert f'action="{PATH}/review"' in page.text
    assert visitor.post(f"{PATH}/review", A_REVIEW).status == 303


def test_who_reviewed_last_need_not_type_the_name_again() -> None:
    visitor, _ = decided(REFERRED)
    visitor.post(f"{PATH}/review", A_REVIEW)

    other = visitor.get(
        visitor.post("/", TYPED | REFERRED | {"application_id": "application-2"}).place
    )

    assert 'id="reviewer" name="reviewer" value="r.meyer"' in other.text


def test_a_superseded_referral_stays_in_the_history() -> None:
    office = FakeOffice()
    key = next(iter(office.scorer.store.rows))
    office.scorer.store.throttled.add(key)
    visitor, first = decided(APPROVED, office)
    assert "This may pass" in first
    office.scorer.store.throttled.clear()

    visitor.post("/", TYPED | APPROVED)
    page = visitor.get(PATH).text

    assert 'data-outcome="approve"' in page
    assert "Referred by the service, and decided again since" in page.replace("</b>", "")
    assert "All 2 records" in page


def test_an_outcome_is_part_of_the_history_and_ends_reviews() -> None:
    office = FakeOffice()
    visitor, _ = decided(APPROVED, office)
    office.report()

    page = visitor.get(PATH).text

    assert "Repaid" in page
    assert 'id="review"' not in page


def test_an_old_id_with_any_letters_is_a_path_of_its_own() -> None:
    visitor, _ = decided(REFERRED | {"application_id": "a.b:c-d_1"})

    page = visitor.get("/decisions/a.b:c-d_1")

    assert page.status == 200
    assert 'action="/decisions/a.b:c-d_1/review"' in page.text
    assert visitor.get("/decisions/a.b:c-d_1/review").place == "/decisions/a.b:c-d_1#review"


@pytest.mark.parametrize("applicant", [100.0, 551.0, 553.6, 580.0, 640.0, 900.0])
def test_the_scale_keeps_the_applicant_and_both_cutoffs_in_sight(applicant: float) -> None:
    policy = PRODUCT.policy

    drawn = scale_figure(policy, applicant=applicant, probability=0.1, reference=620.0)

    places = [float(place) for place in re.findall(r' (?:x|x1|cx)="([-\d.]+)"', drawn)]
    assert min(places) >= 0
    assert max(places) <= 860
    assert f"{applicant:.2f} points" in drawn


def test_points_of_a_probability_are_those_of_the_policy() -> None:
    policy = PRODUCT.policy

    even = points_at(policy, 1 / (1 + policy.base_odds))
    doubled = points_at(policy, 1 / (1 + 2 * policy.base_odds))

    assert even == pytest.approx(policy.base_points)
    assert doubled - even == pytest.approx(policy.points_to_double_odds)
    assert points_per_log_odds(policy) > 0
