"""The arithmetic of `credit load`: what is sent when, and what is said about it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_cli.distribution import histogram, percentile, percentiles
from credit_cli.errors import UsageError
from credit_cli.load import MOST_APPLICATIONS, Plan, Reply, Run, arrivals
from credit_cli.load_applications import UNKNOWN_SHARE, applications, is_valid
from credit_cli.load_report import lines, sampled, summary, with_receipts
from credit_core.domain.application import ApplicationReader
from credit_core.domain.product import load_product
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from credit_cli.load_applications import Row

PLAN = Plan(rate=50, clients=4, seconds=20)
MILLISECONDS = st.floats(min_value=1e-3, max_value=1e6)
KNOWN: list[Row] = [
    {
        "applicant_id": f"LC-{number}",
        "addr_state": "CA",
        "loan_amount": 10_000.0 + number,
        "term_months": 36,
        "annual_income": 60_000.0,
        "employment_years": None,
        "verification_status": "verified",
    }
    for number in range(20)
]


def a_reply(number: int = 0, **fields: Any) -> Reply:
    values: dict[str, Any] = {"due": 1.0, "sent": 1.5, "done": 2.0, "status": "200"}
    if fields.get("status", "200") == "200":
        values["outcome"] = "approve"
    return Reply(number, **values | fields)


def a_document(*replies: Reply, due: int | None = None, **fields: Any) -> dict[str, Any]:
    run = Run(replies, len(replies) if due is None else due, 20.0, interrupted=False)
    return with_receipts(summary(PLAN, run), asked=0, stages=[]) | fields


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rate": 0}, "--rate"),
        ({"rate": 1_001}, "--rate"),
        ({"rate": float("nan")}, "--rate"),
        ({"clients": 0}, "--clients"),
        ({"clients": 129}, "--clients"),
        ({"seconds": -1}, "--seconds"),
        ({"seconds": 1_801}, "--seconds"),
        ({"rate": 1_000, "seconds": 60}, "60,000 applications"),
        ({"rate": 0.1, "seconds": 1}, "0 applications"),
    ],
)
def test_an_absurd_load_is_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Plan(**{"rate": 10, "clients": 4, "seconds": 10, **fields})


def test_the_largest_load_is_not() -> None:
    assert Plan(rate=1_000, clients=128, seconds=20).count == MOST_APPLICATIONS


def test_arrivals_are_at_random_in_order_and_the_same_again() -> None:
    due = arrivals(PLAN)

    assert len(due) == 1_000
    assert due == sorted(due)
    assert 0 <= due[0] <= due[-1] <= 20
    assert due == arrivals(PLAN)
    assert due != arrivals(Plan(rate=50, clients=4, seconds=20, seed=1))
    # Gaps of a Poisson process: their standard deviation is about their mean.
    gaps = [later - earlier for earlier, later in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.85 < deviation / mean < 1.15


@given(st.lists(MILLISECONDS, min_size=1), st.floats(min_value=0.001, max_value=1))
def test_a_percentile_is_a_value_that_this_share_does_not_exceed(
    values: list[float], share: float
) -> None:
    ascending = sorted(values)

    found = percentile(ascending, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
    assert sum(value < found for value in values) < share * len(values) + 1e-9


def test_without_values_there_are_no_percentiles() -> None:
    assert percentiles([]) == {}


@given(st.lists(MILLISECONDS, min_size=1))
def test_a_histogram_counts_every_value_once_in_bands_that_touch(values: list[float]) -> None:
    bands = histogram(values)

    assert sum(band.count for band in bands) == len(values)
    assert all(left.high == right.low for left, right in pairwise(bands))
    assert bands[0].low <= min(values) < bands[0].high
    assert bands[-1].low <= max(values) < bands[-1].high


def test_the_product_accepts_every_application() -> None:
    read = ApplicationReader(PRODUCT)

    bodies = list(applications(PRODUCT, KNOWN, count=2_000, run="load-1", seed=0))

    accepted = [read(body) for body in bodies]
    assert len({application.application_id for application in accepted}) == 2_000
    assert len({application.canonical for application in accepted}) == 2_000
    unknown = sum(
        str(application.entity_keys["applicant_id"]).startswith("unknown-")
        for application in accepted
    )
    assert 0.5 < unknown / 2_000 / UNKNOWN_SHARE < 1.5
    for feature in PRODUCT.request_features:
        assert len({application.features[feature.name] for application in accepted}) > 2


@pytest.mark.parametrize(
    ("name", "text"), [("credit_card", "key-1"), ("feast_tutorial", "19800101_1234")]
)
def test_other_products_have_applications_too(name: str, text: str) -> None:
    product = load_product(name)
    row: dict[str, Any] = {
        key.name: 1 if key.dtype == "integer" else text for key in product.entity_keys
    }
    row |= {
        feature.name: feature.categories[0] if feature.categories else feature.minimum
        for feature in product.request_features
    }

    bodies = applications(product, [row], count=200, run="load-1", seed=0)

    read = ApplicationReader(product)
    assert len([read(body) for body in bodies]) == 200


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, again, other = (
        list(applications(PRODUCT, KNOWN, count=50, run="load-1", seed=seed)) for seed in (3, 3, 4)
    )

    assert first == again
    assert first != other


def test_a_row_that_no_client_could_send_is_no_application() -> None:
    assert is_valid(KNOWN[0], PRODUCT)
    assert not is_valid({**KNOWN[0], "loan_amount": -1.0}, PRODUCT)
    assert not is_valid({**KNOWN[0], "addr_state": None}, PRODUCT)


def test_waiting_for_a_client_counts_as_latency() -> None:
    document = a_document(a_reply(due=1.0, sent=3.0, done=3.2))

    assert document["latency_ms"]["p50"] == pytest.approx(2_200)
    assert document["service_ms"]["p50"] == pytest.approx(200)


def test_what_was_not_sent_was_no_success() -> None:
    document = a_document(a_reply(0), a_reply(1), a_reply(2), due=4)

    assert document["success_share"] == 0.75
    assert document["unanswered"] == 1
    assert any("1 not answered" in line for line in lines(document))


def test_a_quick_error_does_not_improve_the_latency() -> None:
    document = a_document(a_reply(0), a_reply(1, status="500", sent=1.0, done=1.001))

    assert document["latency_ms"]["p50"] == 1_000
    assert document["success_share"] == 0.5
    assert document["statuses"] == {"200": 1, "500": 1}


def test_too_many_requests_and_unavailable_are_counted_apart() -> None:
    replies = [
        a_reply(number, status=status) for number, status in enumerate(("429", "429", "503"))
    ]

    assert a_document(*replies)["busy"] == {"429": 2, "503": 1}


def test_a_run_without_a_decision_says_so_and_no_more() -> None:
    shown = lines(a_document(a_reply(status="connection refused")))

    assert any(line.startswith("Decided           0, 0.00%") for line in shown)
    assert not any("milliseconds" in line for line in shown)
    assert json.dumps(a_document())


def test_stages_come_from_answers_and_from_receipts() -> None:
    run = Run((a_reply(stages_ms={"read": 4.0, "total": 9.0}),), 1, 1.0, interrupted=False)

    document = with_receipts(summary(PLAN, run), asked=2, stages=[{"read": 4.0, "infer": 1.0}])

    assert document["server_timing_ms"]["total"]["p99"] == 9.0
    assert document["receipts"]["found"] == 1
    shown = lines(document)
    assert "1 of 2 receipts asked for, they say:" in shown
    assert len([line for line in shown if line.startswith("  read ")]) == 2


@given(st.integers(min_value=0, max_value=300), st.integers(min_value=1, max_value=100))
def test_a_sample_is_spread_over_the_run(count: int, most: int) -> None:
    names = [str(number) for number in range(count)]

    chosen = sampled(names, most)

    assert len(chosen) == min(count, most)
    assert len(set(chosen)) == len(chosen)
    assert chosen == [name for name in names if name in set(chosen)]
