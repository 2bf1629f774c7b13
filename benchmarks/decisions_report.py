"""The figures of `make bench` as a Markdown page."""

from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TARGET_CPU_MS = {"p50": 1.0, "p99": 2.0}
TARGET_MODEL_MS = 0.3
WITH_REASONS = "ONNX run, all contributions, reasons, rules and cut-offs"
TARGET_COLD_START_MS = 500.0
MOST_PACKAGES = 10
QUANTILES = ("p50", "p95", "p99")
SPREADS = (*(f"Wall {name}" for name in QUANTILES), *(f"CPU {name}" for name in QUANTILES))
PARTS = {
    "imports": "imports, and what no other row names",
    "configuration": "configuration",
    "product": "product definition",
    "clients": "AWS clients",
    "pointer": "rollout pointer, one call",
    "model": "model: three calls, hashes and golden vectors checked",
    "signature": "signature, one call",
    "session": "model: loaded into ONNX Runtime and run once",
    "secret": "secret, one call",
    "schema": "request schema, terms, rules",
}


def markdown(measured: Mapping[str, Any]) -> str:
    """Return the page."""
    several = measured["clients"]
    sections = (
        head(measured),
        targets(measured),
        by_stage("One client", measured["one_client"]),
        by_stage(f"{several['clients']} clients", several),
        by_stage("One client, with a challenger in shadow", measured["challenger"]),
        emulators_floor(measured["floor"]),
        model(measured["model"]),
        cold_start(measured["cold_start"], measured["imports_ms"]),
        memory(measured),
    )
    return "\n\n".join(section.strip() for section in sections) + "\n"


def head(measured: Mapping[str, Any]) -> str:
    """Say what was measured, when and where."""
    of = measured["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in of["versions"].items())
    return dedent(
        f"""
        # What a decision costs

        Written by `make bench`: run it again instead of editing this page.

        Measured on {measured["date"]}.
        {of["processor"]}, {of["cores"]} cores, {of["memory_gb"]} GB, {of["system"]},
        Python {of["python"]}, {versions}.
        Load average before: {of["load_before"]:.1f}. Other work on the machine lengthens every
        figure here, and CPU times too: caches are shared, and so are a virtual machine's cores.

        The scorer runs as in Lambda: its zip and its layers unzipped, started by Lambda's own
        runtime client, fed with API Gateway's events. DynamoDB, S3 and Secrets Manager are an
        emulator on the same machine, so waiting for them says nothing about AWS; CPU time is the
        handler's own thread's, in which no waiting is. One client's function has a core to itself,
        as in Lambda. It sleeps for most of a decision, waiting, and finds the core's caches cold
        each time. Each decision is of an application of its own: it reads the features and writes
        a receipt. Milliseconds, unless said otherwise.
        """
    )


def targets(measured: Mapping[str, Any]) -> str:
    """Compare with what the service is to hold."""
    cpu = measured["one_client"]["handler_cpu_ms"]
    reasons = measured["model"]["measured"][WITH_REASONS]
    compared = (
        ("CPU of a decision in the handler, median", cpu["p50"], TARGET_CPU_MS["p50"]),
        ("CPU of a decision in the handler, p99", cpu["p99"], TARGET_CPU_MS["p99"]),
        ("Model with all reasons, CPU, median", reasons["cpu_ms"]["p50"], TARGET_MODEL_MS),
        ("Cold start, median", measured["cold_start"]["init_ms"], TARGET_COLD_START_MS),
    )
    return table(
        ("", "Measured", "Target", "Met"),
        (
            (name, number(found), f"{target:g}", "yes" if found <= target else "no")
            for name, found, target in compared
        ),
    )


def by_stage(title: str, of: Mapping[str, Any]) -> str:
    """Show the stages of so many clients' decisions."""
    walls, cpus = of["stages_ms"], of["stages_cpu_ms"]
    stages = [name for name in dict.fromkeys([*walls, *cpus]) if name != "total"]
    rows = [(name, *quantiles(walls.get(name)), *quantiles(cpus.get(name))) for name in stages]
    rows.append(("in all", *quantiles(walls["total"]), *quantiles(of["handler_cpu_ms"])))
    rows.append(("with the runtime client", *quantiles(of["round_trip_ms"]), *quantiles(None)))
    outcomes = ", ".join(f"{name} {count:,}" for name, count in of["outcomes"].items())
    said = dedent(
        f"""
        {of["decisions"]:,} decisions ({outcomes}), {of["decisions_a_second"]:,.0f} a second.
        A function's process, runtime client included, used {of["process_cpu_ms"]:.2f} ms of CPU for
        one, which is {of["decisions_a_second_a_core"]:,.0f} decisions a second a core;
        {emulators_share(of["emulator_cpu_ms"])}.
        """
    )
    return f"## {title}\n\n{table(('Stage', *SPREADS), rows)}\n{said}"


def emulators_floor(of: Mapping[str, Any]) -> str:
    """Show what the two calls take without a scorer."""
    rows = [
        (name, *quantiles(found), *quantiles(of["client_cpu_ms"].get(name)))
        for name, found in of["calls_ms"].items()
    ]
    said = dedent(
        f"""
        ## The emulator's floor

        The two calls of a decision alone: requests made beforehand, unsigned, over one connection,
        answers not parsed. What is written is a receipt of {of["receipt_bytes"]:,} bytes of JSON;
        {emulators_share(of["emulator_cpu_ms"])}.
        """
    )
    return f"{said}\n{table(('Call', *SPREADS), rows)}"


def emulators_share(milliseconds: float | None) -> str:
    """Say what CPU time the emulator used for a decision."""
    return f"the emulator used {'?' if milliseconds is None else f'{milliseconds:.2f}'} ms"


def model(of: Mapping[str, Any]) -> str:
    """Show what the model takes."""
    rows = [
        (name, *quantiles(found["ms"]), *quantiles(found["cpu_ms"]))
        for name, found in of["measured"].items()
    ]
    said = dedent(
        f"""
        ## The model alone

        `{of["algorithm"]}`, {of["inputs"]} inputs, {of["model_bytes"] / 1e3:,.0f} kB: the largest
        that may be champion. One run of {of["rows"]} rows gives the probability and what each input
        contributed. A replay recomputes the decision of a receipt and compares all that it holds.
        """
    )
    return f"{said}\n{table(('', *SPREADS), rows)}"


def cold_start(of: Mapping[str, Any], imports: Mapping[str, float]) -> str:
    """Show what a cold start consists of."""
    rows = [("interpreter and runtime client", number(of["interpreter_ms"]))]
    rows += [(words, number(of["parts_ms"].get(name, 0.0))) for name, words in PARTS.items()]
    rows += [
        ("from the process's start until ready", number(of["init_ms"])),
        ("the same, the slowest start", number(of["init_worst_ms"])),
        ("the same, CPU", number(of["init_cpu_ms"])),
        ("first request", number(of["first_request_ms"])),
        ("second request", number(of["second_request_ms"])),
    ]
    shown = list(imports.items())[:MOST_PACKAGES]
    others = sum(imports.values()) - sum(milliseconds for _, milliseconds in shown)
    packages = [(name, number(milliseconds)) for name, milliseconds in shown]
    said = dedent(
        f"""
        ## Cold start

        Medians of {of["starts"]} starts, with the files in the page cache. The parts are from as
        many starts of their own, in which they are timed.
        """
    )
    between = "Imports by package, from a start with `-X importtime`, which makes each slower:"
    return "\n".join(
        (
            said,
            table(("Part", "Milliseconds"), rows),
            f"\n{between}\n",
            table(("Package", "Milliseconds"), [*packages, ("others", number(others))]),
        )
    )


def memory(measured: Mapping[str, Any]) -> str:
    """Show what a function's process holds."""
    one = measured["one_client"]
    return dedent(
        f"""
        ## Memory

        Resident when ready {measured["cold_start"]["resident_mb"]:.0f} MB, after
        {one["decisions"]:,} decisions {one["resident_mb"]:.0f} MB.
        """
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def quantiles(of: Mapping[str, float] | None) -> tuple[str, ...]:
    """Return the cells of a spread, empty ones without."""
    return tuple(number(of[name]) if of else "" for name in QUANTILES)


def number(value: float) -> str:
    """Return a number with two decimals below 100, without above."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 (three digits)
