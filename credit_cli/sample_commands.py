"""`credit sample`: invented data to try things with."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path  # noqa: TC003 (Typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.known_product import DEFAULT_PRODUCT, known_product, product_names
from credit_cli.terminal import Json, print_json, progress_for, say, to_day

if TYPE_CHECKING:
    from credit_cli.book.generate import WrittenBook
    from credit_cli.book.plan import BookPlan

sample = typer.Typer(
    no_args_is_help=True,
    help="""Invented data to try things with.

    Examples:
        credit sample generate --applicants 2000 --out book

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """,
)

LABEL_WIDTH = 16


@sample.callback()
def about() -> None:
    """Keep `generate` a word of its own, though it is the only one."""


@sample.command()
def generate(
    *,
    applicants: Annotated[int, typer.Option(help="People with a history.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; it must be empty or new.")],
    product: Annotated[
        str, typer.Option(help="Whose tables to fill.", autocompletion=product_names)
    ] = DEFAULT_PRODUCT,
    months: Annotated[
        int, typer.Option(help="Months of applications; histories begin two earlier.")
    ] = 24,
    seed: Annotated[int, typer.Option(help="The same arguments give the same bytes.")] = 0,
    applications: Annotated[
        int | None,
        typer.Option(help="How many; else as many as applicants.", show_default=False),
    ] = None,
    end: Annotated[
        date | None,
        typer.Option(
            parser=to_day,
            metavar="YYYY-MM-DD",
            help="Last day, UTC; else yesterday.",
            show_default=False,
        ),
    ] = None,
    observed_until: Annotated[
        date | None,
        typer.Option(
            parser=to_day,
            metavar="YYYY-MM-DD",
            help="Day up to which rows and labels have arrived; else the last day.",
            show_default=False,
        ),
    ] = None,
    base_rate: Annotated[
        float, typer.Option(help="Mean true probability of default, before any drift.")
    ] = 0.08,
    drift: Annotated[
        float, typer.Option(help="Standard deviations by which half of the numbers get worse.")
    ] = 0.0,
    concept_drift: Annotated[
        float, typer.Option(help="Share by which the true model's weights change, 0 to 1.")
    ] = 0.0,
    drift_from: Annotated[
        date | None,
        typer.Option(
            parser=to_day,
            metavar="YYYY-MM-DD",
            help="Day from which it drifts; else the middle.",
            show_default=False,
        ),
    ] = None,
    late_share: Annotated[
        float, typer.Option(help="Feature rows that arrive days or weeks after their event.")
    ] = 0.05,
    corrected_share: Annotated[
        float, typer.Option(help="Feature rows that a later one of the same event corrects.")
    ] = 0.03,
    missing_share: Annotated[float, typer.Option(help="Months without a feature row.")] = 0.04,
    duplicated_share: Annotated[float, typer.Option(help="Feature rows delivered twice.")] = 0.01,
    rejected_share: Annotated[
        float, typer.Option(help="Feature rows that the product's definition refuses.")
    ] = 0.0,
    applicant_entity: Annotated[
        str | None,
        typer.Option(
            help="The entity that an applicant has alone; else the one with most features.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a synthetic book: the lake of a product, and the truth about it aside.

    To try training, features and monitoring without anybody's data. The same arguments and days
    give the same bytes.

    Examples:
        credit sample generate --applicants 2000 --out book
        credit sample generate --applicants 2000 --out book --drift 1 --drift-from 2026-06-01

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """
    from credit_cli.book.deliveries import Shares  # noqa: PLC0415 (NumPy takes its time)
    from credit_cli.book.generate import require_empty, write_book  # noqa: PLC0415 (as above)
    from credit_cli.book.plan import BookPlan  # noqa: PLC0415 (as above)

    plan = BookPlan(
        product=known_product(product),
        applicants=applicants,
        months=months,
        seed=seed,
        end=end or datetime.now(UTC).date() - timedelta(days=1),
        applications=applications,
        observed_until=observed_until,
        drift=drift,
        concept_drift=concept_drift,
        drift_from=drift_from,
        base_rate=base_rate,
        shares=Shares(
            late=late_share,
            corrected=corrected_share,
            missing=missing_share,
            duplicated=duplicated_share,
            rejected=rejected_share,
        ),
        applicant_entity=applicant_entity,
    )
    plan.check()
    require_empty(out)
    started = time.monotonic()
    with progress_for(as_json=as_json).step("Synthetic book") as step:
        book = write_book(out, plan, progress=step.update)
        step.result = f"{sum(book.rows.values()):,} rows, {book.files} Parquet files in {out}"
    if as_json:
        seconds = round(time.monotonic() - started, 1)
        print_json(summary(plan, book, out) | {"seconds": seconds})
        return
    for line in lines(plan, book, out):
        say(line)


def summary(plan: BookPlan, book: WrittenBook, out: Path) -> dict[str, Any]:
    """Return the JSON object that `credit sample generate --json` prints."""
    return {
        "product": plan.product.name,
        "seed": plan.seed,
        "folder": str(out),
        "end": plan.end.isoformat(),
        "observed_until": observed(plan).isoformat(),
        "rows": dict(book.rows),
        "files": book.files,
        "labels": book.labels,
        "label_share": round(book.label_share, 6),
        "default_rate": None if book.default_rate is None else round(book.default_rate, 6),
        "drift_from": drift_day(plan).isoformat() if drifts(plan) else None,
        "drifted_features": list(book.drifted),
    }


def lines(plan: BookPlan, book: WrittenBook, out: Path) -> list[str]:
    """Say what was written, where, and what to know about it."""
    rows = ", ".join(f"{name} {count:,}" for name, count in book.rows.items())
    labels = f"{book.label_share:.1%} of the applications have theirs by {observed(plan)}"
    if book.default_rate is not None:
        labels += f"; {book.default_rate:.2%} of those defaulted"
    said = {
        "Rows": rows,
        "Lake": f"{out / plan.product.name}; put it below the same name in the lake bucket",
        "Truth": f"{out / 'truth'}; it must not get into the lake",
        "Labels": labels,
        "Again": f"the same bytes with --seed {plan.seed} --end {plan.end} and the same options",
    }
    if not book.labels:
        days = plan.product.label.horizon.days
        said["Labels"] = (
            f"none has matured by {observed(plan)}: the horizon is {days} days; "
            "ask for more --months, or a later --observed-until"
        )
    if drifts(plan):
        names = f", in {', '.join(book.drifted)}" if book.drifted else ""
        said["Drift"] = f"from {drift_day(plan)} on{names}"
    return [f"{name:<{LABEL_WIDTH}}{text}" for name, text in said.items()]


def observed(plan: BookPlan) -> date:
    """Return the day up to which rows have arrived."""
    return plan.observed_until or plan.end


def drifts(plan: BookPlan) -> bool:
    """Tell whether anything drifts."""
    return bool(plan.drift or plan.concept_drift)


def drift_day(plan: BookPlan) -> date:
    """Return the day from which the book drifts."""
    return datetime.fromtimestamp(plan.period().drift_from / 1_000, UTC).date()
