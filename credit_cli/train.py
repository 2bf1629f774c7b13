"""`credit train`: from a lender's table to a judged model, on this machine and without a cloud."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 (Typer reads annotations at run time)
from typing import Annotated

import typer

from credit_cli.errors import ExitCode
from credit_cli.known_product import product_names, product_or_file
from credit_cli.terminal import Json, interruptible_queries, print_json, progress_for, say


def next_lines(product: str, out: Path, *, passed: bool) -> list[str]:
    """Return what to do with a model that was made, where its product can be deployed."""
    report = f"Read {out / 'report.html'}."
    if not passed:
        return ["", f"{report} With a failed gate a model never answers: docs/gates.md says why."]
    if product.endswith(".py"):
        return ["", f"{report} To deploy it, its definition has to lie under products/."]
    return [
        "",
        f"{report} Next, where {product} is deployed (credit local up --product {product}):",
        f"  credit models register {out} --product {product}",
    ]


def train(
    *,
    product: Annotated[
        str,
        typer.Option(
            help="A name under products/, or the path of a definition file that ends in .py.",
            autocompletion=product_names,
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="A CSV or Parquet file, a folder of such files, or a folder laid out like the"
            " lake: PRODUCT/applications/ and so on.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for model.onnx, manifest.json, report.html and summary.json, which are"
            " replaced where they are there.",
            show_default=False,
        ),
    ],
    challenger: Annotated[
        list[str] | None,
        typer.Option(
            help="Train this one beside the candidates, for comparison: xgboost, neural_network."
            " Repeatable.",
            show_default=False,
        ),
    ] = None,
    champion: Annotated[
        Path | None,
        typer.Option(
            help="Folder of an earlier `credit train --out`: the model to beat.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of folds, trees and resamples.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Train all candidates on past applications, choose one, and judge it.

    The same code as in the cloud, with the same gates. A table has one row per application: the
    product's features by name, its label (1 for a default, 0 for none) and, to test out of time,
    event_timestamp. docs/training.md tells more. With MLFLOW_TRACKING_URI set, the run is logged
    there too.

    Examples:
        credit train --product personal_loan --data book --out model
        credit train --product examples/german_credit.py --data loans.csv --out model
        credit train --product personal_loan --data book --out model --challenger xgboost

    Exit codes: 0 all gates passed; 1 a gate failed (the files are written all the same), or the
    data cannot support a model; 2 used wrongly, or --data is no such table.
    """
    from credit_cli.training_rendering import (  # noqa: PLC0415 (NumPy takes its time)
        data_lines,
        model_lines,
        summary,
    )
    from credit_cli.training_run import (  # noqa: PLC0415 (scikit-learn takes its time)
        Wishes,
        fitted_and_judged,
        prepared,
        read_data,
        tracked,
        write_files,
    )

    started = time.monotonic()
    chosen = product_or_file(product)
    wishes = prepared(
        chosen,
        Wishes(data=data, out=out, challengers=tuple(challenger or ()), champion=champion),
        seed=seed,
    )
    progress = progress_for(as_json=as_json)
    with progress.step("Data") as step, interruptible_queries():
        found = read_data(chosen, data, progress=step.update)
        step.result = found.told
    if not as_json:
        for line in data_lines(found):
            say(line)
    with progress.step("Training") as step:
        model = fitted_and_judged(chosen, found, wishes, progress=step.update)
        step.result = f"{model.manifest.algorithm} chosen of {', '.join(model.manifest.candidates)}"
    seconds = time.monotonic() - started
    document = summary(found, model.manifest, out, seconds=seconds)
    with progress.step("Files") as step:
        write_files(out, model, document)
        step.result = f"{out}: {', '.join(document['files'].values())}"
    if wishes.tracker is not None:
        with progress.step("MLflow") as step:
            document["mlflow"] = tracked(wishes.tracker, out, model.manifest)
            step.result = f"run {document['mlflow']['run_id']}"
    if as_json:
        print_json(document)
    else:
        for line in model_lines(model.manifest):
            say(line)
        for line in next_lines(product, out, passed=model.manifest.gates_passed):
            say(line)
    if not model.manifest.gates_passed:
        raise typer.Exit(ExitCode.FAILED)
