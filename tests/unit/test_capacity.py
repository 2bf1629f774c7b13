"""What the capacity page says is what the code computes, and what the stages are set to."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdk_app import stages
from cdk_app.components.scorer import warm_at_first
from cdk_app.stages import STAGES
from credit_cli.api import ClientKind
from credit_cli.capacity_plan import (
    Load,
    busy_environments,
    plan,
    share_without_a_free_one,
    warm_environments,
)
from credit_cli.costs import DEV, PROD, SHAPES, StageShape, Use, costs, total
from credit_cli.main import run
from credit_cli.prices import HOURS_A_MONTH, US_EAST_1

PAGE = Path(__file__).parents[2] / "docs" / "capacity.md"
EXAMPLE = re.compile(r"```sh\n(credit capacity [^\n]+)\n```\n\n```text\n(.*?)\n```", re.DOTALL)
NOTHING = Use(
    decisions=0, duration_seconds=0.02, pipeline_gb_seconds=0, transitions=0, scanned_tb=0
)


@pytest.mark.parametrize(("command", "printed"), EXAMPLE.findall(PAGE.read_text(encoding="utf-8")))
def test_the_pages_examples_are_what_is_printed(
    command: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shlex.split(command)[1:]) == 0

    assert capsys.readouterr().out.rstrip() == printed


def test_the_page_has_both_examples() -> None:
    assert len(EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))) == 2


def test_the_page_states_what_the_stages_reserve() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z]+) \| (\d+) \| (\d+) \|", page, re.MULTILINE)
    assert {name for name, *_ in rows} == {
        *("scorer", "records", "batch", "materializer", "pusher", "trainer")
    }
    for name, *reserved in rows:
        of_stages = [getattr(STAGES[stage], name).reserved for stage in ("dev", "prod")]
        assert of_stages == [int(number) for number in reserved], name


# --- formulas ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environments", "busy", "share"),
    # Source: printed tables of Erlang's loss formula.
    [(1, 0.5, 1 / 3), (2, 1.0, 0.2), (5, 3.0, 0.1101), (10, 5.0, 0.0184), (20, 12.0, 0.0098)],
)
def test_erlangs_formula_is_that_of_the_tables(
    environments: int, busy: float, share: float
) -> None:
    assert share_without_a_free_one(environments, busy) == pytest.approx(share, abs=5e-5)


@given(st.floats(0.001, 200), st.sampled_from([0.1, 0.01, 0.001, 1e-5]))
def test_one_warm_environment_less_would_be_too_few(busy: float, cold_share: float) -> None:
    warm = warm_environments(busy, cold_share=cold_share)

    assert share_without_a_free_one(warm, busy) <= cold_share
    assert warm == 1 or share_without_a_free_one(warm - 1, busy) > cold_share


@given(st.floats(0.01, 2_000), st.floats(0.001, 0.08))
def test_a_plan_holds_together(requests_per_second: float, duration_seconds: float) -> None:
    made = plan(Load(requests_per_second=requests_per_second, duration_seconds=duration_seconds))

    assert made.busy <= made.provisioned_concurrency <= made.maximum
    # Application Auto Scaling takes no other target.
    assert 0.1 <= made.target_utilization <= 0.9
    assert made.reserved > 2 * made.maximum - 1
    assert made.throttle_requests_per_second >= requests_per_second
    # Lambda lets an environment take no more than ten requests a second.
    assert 10 * made.provisioned_concurrency >= requests_per_second


def test_short_requests_need_an_environment_for_each_ten_a_second() -> None:
    """By Erlang's formula alone 12 would do for 200 requests a second of 20 ms."""
    made = plan(Load(requests_per_second=200, duration_seconds=0.02))

    assert warm_environments(4.0, cold_share=0.001) == 12
    assert (made.provisioned_concurrency, made.target_utilization) == (20, 0.2)


def test_what_has_to_be_asked_for_is_said() -> None:
    remarks = plan(Load(requests_per_second=6_000, duration_seconds=0.05)).remarks

    assert [remark.split(":")[0] for remark in remarks] == [
        "more than Lambda's usual 1,000 environments at once",
        "more than API Gateway's usual 10,000 requests a second",
        "more writes than the 4,000 units a second of a new table",
    ]


# --- stages --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_stage_can_answer_what_its_throttle_lets_in(name: str) -> None:
    """Even where each decision takes the whole deadline."""
    stage = STAGES[name]
    assert stage.scaling is not None
    busy = busy_environments(stage.throttle.requests_per_second, stage.scorer_deadline_ms / 1_000)

    assert warm_environments(busy, cold_share=0.001) <= stage.scaling.maximum
    assert stage.scorer.reserved is not None
    assert stage.scorer.reserved >= 2 * stage.scaling.maximum + busy
    assert 10 * stage.scaling.maximum >= stage.throttle.requests_per_second
    # Ten requests of 20 ms keep an environment no busier than this.
    assert stage.scaling.target_utilization <= 10 * 0.02


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_the_firewall_lets_one_address_send_what_the_throttle_lets_in(name: str) -> None:
    """A lender's system calls from one address, and what the firewall blocks no alarm sees."""
    stage = STAGES[name]
    assert stage.firewall is not None

    in_five_minutes = 300 * stage.throttle.requests_per_second
    assert stage.firewall.requests_per_address_in_five_minutes >= in_five_minutes


def test_the_promoter_and_the_guard_are_never_starved() -> None:
    for stage in (stages.DEV, stages.PROD):
        assert stage.promoter.reserved
        assert stage.guard.reserved


@pytest.mark.parametrize(("name", "shape"), SHAPES.items())
def test_what_is_costed_is_what_the_stage_has(name: str, shape: object) -> None:
    stage = STAGES[name]
    assert shape is {"dev": DEV, "prod": PROD}[name]
    costed = SHAPES[name]

    assert costed.scorer_memory_mb == stage.scorer.memory_mb
    assert stage.provisioned_concurrency <= costed.warm <= warm_at_first(stage)
    assert costed.receipt_days == stage.receipt_days
    assert costed.log_days == int(stage.access_log_days)
    assert costed.token_minutes == stage.token_validity_minutes
    assert costed.tracing is stage.tracing
    assert costed.clients == len(ClientKind)
    assert costed.log_protection is stage.log_protection
    assert costed.receipts_seldom_read is stage.receipts_seldom_read
    assert bool(costed.firewall_rules) is bool(stage.firewall)


# --- costs ---------------------------------------------------------------------------------


def test_a_warm_environment_costs_what_aws_says() -> None:
    """1 GB for a month of 730 hours is 2,628,000 GB-s."""
    shape = replace(DEV, scorer_memory_mb=1_024, warm=1)
    (warm,) = (line for line in costs(shape, NOTHING) if line.name == "Lambda, kept warm")

    assert warm.dollars == pytest.approx(2_628_000 * 0.0000041667)
    assert warm.dollars == pytest.approx(10.95, abs=0.01)


def test_a_million_decisions_by_hand() -> None:
    use = replace(NOTHING, decisions=1e6, duration_seconds=0.1)
    by_name = {line.name: line.dollars for line in costs(replace(DEV, warm=0), use)}

    gb = 1_769 / 1_024
    assert by_name["API Gateway"] == 3.50
    assert by_name["Lambda, decisions"] == pytest.approx(0.20 + 1e5 * gb * 0.0000097222)
    # 6 writes of 1 KB and one to the index; half a read for each of two views and the receipt.
    assert by_name["DynamoDB, requests"] == pytest.approx(7 * 0.625 + 1.5 * 0.125)
    # 30 days of a month's 30.4 are kept: 5.5 GB, and 0.5 GB of index and what DynamoDB adds.
    assert by_name["DynamoDB, storage"] == pytest.approx(1e6 / 30.4 * 30 * 6.1e-6 * 0.45)
    # Each receipt is written once and read once, by the monitoring.
    kept = 1e6 / 30.4 * 30 * 5.6e-6 * 0.023
    assert by_name["S3"] == pytest.approx(5 + 0.4 + kept)
    # 1.6 GB come, are searched for personal data, and are kept.
    assert by_name["Logs"] == pytest.approx(1.6 * (0.5 + 0.12) + 1.6 * 30 / 30.4 * 0.03)


@pytest.mark.parametrize(("name", "shape"), SHAPES.items())
def test_each_stage_has_the_cheaper_class_of_table(name: str, shape: StageShape) -> None:
    def of_tables(shape: StageShape) -> float:
        lines = costs(shape, replace(NOTHING, decisions=1e6))
        return sum(line.dollars for line in lines if line.name.startswith("DynamoDB"))

    other = replace(shape, receipts_seldom_read=not shape.receipts_seldom_read)
    assert of_tables(shape) < of_tables(other), name


def test_nothing_happens_and_the_stage_is_paid_for() -> None:
    by_name = {line.name: line.dollars for line in costs(DEV, NOTHING)}

    assert by_name["API Gateway"] == by_name["DynamoDB, requests"] == 0
    assert by_name["Cognito"] == pytest.approx(3 * 6 + 3 * HOURS_A_MONTH / 1e3 * 2.25)
    assert total(costs(DEV, NOTHING)) > 80


@given(st.floats(0, 1e9))
def test_more_decisions_never_cost_less(decisions: float) -> None:
    fewer, more = (
        total(costs(PROD, replace(NOTHING, decisions=count)))
        for count in (decisions, 2 * decisions)
    )

    assert fewer <= more


def test_without_firewall_and_traces_there_are_no_such_lines() -> None:
    shape = replace(DEV, firewall_rules=0, tracing=False)

    assert not {"Firewall", "Traces"} & {line.name for line in costs(shape, NOTHING)}


def test_each_price_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    named = (
        *("api_million_requests", "lambda_gb_second", "lambda_warm_gb_second"),
        *("lambda_gb_second_where_warm", "dynamodb_million_writes", "dynamodb_million_reads"),
        *("s3_gb_month", "firewall_million_requests", "state_transition_thousand"),
        *("dynamodb_seldom_read_million_writes", "dynamodb_seldom_read_million_reads"),
        *("dynamodb_seldom_read_gb_month", "s3_thousand_reads"),
        "log_gb_searched_for_personal_data",
        "token_thousand",
    )
    for name in named:
        price = getattr(US_EAST_1, name)
        stated = f"{price:.10f}".rstrip("0")
        assert stated in page or f"{price:.2f}" in page, name


# --- the command ---------------------------------------------------------------------------


def test_machines_get_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["capacity", "--requests-per-second", "10", "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["plan"]["provisioned_concurrency"] >= 1
    assert document["costs"]["dollars_a_month"] == pytest.approx(
        sum(line["dollars"] for line in document["costs"]["lines"]), abs=0.01
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--like", "pro"], "there is no stage 'pro' to cost\n  did you mean prod?"),
        (["--cold-share", "1"], "--cold-share is from 1e-06 up to, and not, 1"),
        (["--cold-share", "0"], "--cold-share is from 1e-06 up to, and not, 1"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["capacity", "--requests-per-second", "10", *words]) == 2

    assert capsys.readouterr().err == f"error: {message}\n"


def test_no_load_is_no_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["capacity", "--requests-per-second", "0"]) == 2
    assert "requests-per-second" in capsys.readouterr().err
