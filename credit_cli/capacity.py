"""`credit capacity`: what to set for an expected load, and what it costs a month."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.capacity_plan import Load, plan
from credit_cli.costs import SHAPES, Use, costs, total
from credit_cli.errors import UsageError, suggestion
from credit_cli.known_product import DEFAULT_PRODUCT, known_product, product_names
from credit_cli.prices import SECONDS_A_MONTH
from credit_cli.terminal import Json, print_json, say

if TYPE_CHECKING:
    from credit_cli.capacity_plan import Plan
    from credit_cli.costs import CostLine

LEAST_COLD_SHARE = 1e-6


def capacity(
    *,
    requests_per_second: Annotated[
        float, typer.Option(help="Applications a second at the peak.", min=0.001)
    ],
    duration_ms: Annotated[
        float, typer.Option(help="Of a decision in the scorer, on average.", min=1)
    ] = 20,
    deadline_ms: Annotated[float, typer.Option(help="The scorer's.", min=1)] = 80,
    cold_share: Annotated[
        float, typer.Option(help="Of requests at the peak that may meet a cold start.")
    ] = 0.001,
    mean_share: Annotated[
        float, typer.Option(help="Of the peak that a month has on average.", min=0, max=1)
    ] = 0.25,
    applicants: Annotated[
        int, typer.Option(help="People in the online store, for its storage.", min=0)
    ] = 0,
    like: Annotated[str, typer.Option(help="The stage to cost: dev or prod.")] = "prod",
    product: Annotated[
        str, typer.Option(help="Whose feature views are read.", autocompletion=product_names)
    ] = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Say what to set for an expected load, and what it costs; nothing is asked or changed.

    The formulas, prices and two worked examples are in docs/capacity.md.

    Examples:
        credit capacity --requests-per-second 50
        credit capacity --requests-per-second 5 --like dev --json

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """
    if like not in SHAPES:
        raise UsageError(
            f"there is no stage {like!r} to cost", hint=suggestion(like, SHAPES, kind="stages")
        )
    if not LEAST_COLD_SHARE <= cold_share < 1:
        raise UsageError(f"--cold-share is from {LEAST_COLD_SHARE:g} up to, and not, 1")
    views = len(known_product(product).feature_views)
    planned = plan(
        Load(
            requests_per_second=requests_per_second,
            duration_seconds=duration_ms / 1_000,
            deadline_seconds=max(deadline_ms, duration_ms) / 1_000,
            cold_share=cold_share,
            views=views,
        )
    )
    decisions = requests_per_second * mean_share * SECONDS_A_MONTH
    use = Use(
        decisions=round(decisions),
        duration_seconds=duration_ms / 1_000,
        views=views,
        applicants=applicants,
    )
    shape = replace(SHAPES[like], warm=max(planned.provisioned_concurrency, SHAPES[like].warm))
    lines = costs(shape, use)
    if as_json:
        print_json(
            {
                "plan": planned.document(),
                "costs": {
                    "stage": like,
                    "decisions_a_month": use.decisions,
                    "lines": [asdict(line) for line in lines],
                    "dollars_a_month": total(lines),
                },
            }
        )
        return
    for line in [*plan_lines(planned), "", *cost_lines(lines, like, use)]:
        say(line)


def plan_lines(planned: Plan) -> list[str]:
    """Return the numbers to set, for people."""
    values = {
        "Busy on average at the peak": f"{planned.busy:g} environments",
        "provisioned_concurrency": f"{planned.provisioned_concurrency}, so that "
        f"{planned.cold_share:.3%} of requests start cold",
        "scaling.target_utilization": f"{planned.target_utilization:g}",
        "scaling.maximum": f"{planned.maximum}, for decisions that take the whole deadline",
        "scorer.reserved": f"{planned.reserved}, for two versions at once",
        "throttle": f"{planned.throttle_requests_per_second} a second, burst "
        f"{planned.throttle_burst}",
        "DynamoDB at the peak": f"{planned.read_units_per_second:g} reads and "
        f"{planned.write_units_per_second:g} writes a second",
        "Account's concurrency": f"at least {planned.account_concurrency} for this function alone",
    }
    width = max(map(len, values))
    lines = [f"{name:<{width}}  {value}" for name, value in values.items()]
    return [*lines, *(f"! {remark}" for remark in planned.remarks)]


def cost_lines(lines: list[CostLine], stage: str, use: Use) -> list[str]:
    """Return the estimate, for people."""
    width = max(len(line.name) for line in lines)
    told = [f"{line.name:<{width}}  {line.dollars:10,.2f}  {line.because}" for line in lines]
    heading = (
        f"A month of {stage}, {use.decisions:,.0f} decisions, in dollars (list prices of "
        "us-east-1, without free tiers):"
    )
    return [heading, *told, f"{'In all':<{width}}  {total(lines):10,.2f}"]
