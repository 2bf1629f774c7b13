"""What a decision costs, through Lambda's own runtime client, on an emulator's DynamoDB.

    make bench

An emulator without anything deployed is started for the purpose, on a port of its own, and given
the sample's newest features, a model trained on it, and a secret. The scorer runs as in Lambda: its
zip and its layers unzipped, started by ``python -m awslambdaric``, fed with API Gateway's events by
a Runtime API of this program. One client is measured once more with a challenger in the champion's
shadow. Beside it stand the emulator's own floor for the two calls that a
decision makes, the model with all its reasons alone, and the cold start taken apart.

It prints what it measured and writes it to docs/benchmarks-decisions.md.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.decisions_raw_calls import raw_calls
from benchmarks.decisions_report import WITH_REASONS, markdown
from benchmarks.decisions_runtime import Runtime, runtime
from benchmarks.decisions_world import World, make_world
from benchmarks.materialization import Emulator, emulator
from credit_cli.distribution import percentile
from credit_cli.rendering import TIMING
from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.dynamodb_items import from_dynamodb
from credit_core.adapters.onnx_model import OnnxModel
from credit_core.domain.judgement import Judge
from credit_core.domain.reasons import perturbations
from credit_core.domain.receipt import row_of
from credit_core.domain.terms import Terms
from credit_core.use_cases.replay import Replayer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_build.train import TrainedModel

REPORT = Path(__file__).resolve().parents[1] / "docs" / "benchmarks-decisions.md"
WARM_UP = 100
"""Decisions of each client before any is counted."""
REGION = "us-east-1"
AWS_VARIABLES = (
    *("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
)


def spread(values: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    """Return the median, p95 and p99 of some values, each multiplied by ``scale``."""
    ascending = sorted(values)
    return {
        name: round(percentile(ascending, share) * scale, 4)
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }


def proxy_event(body: bytes, number: int) -> bytes:
    """Return an application as API Gateway hands it to a function behind its authorizer.

    Source: Amazon API Gateway Developer Guide, "Input format of a Lambda function for proxy
    integration".
    """
    headers = {
        "Accept": "*/*",
        "Authorization": f"Bearer {'e' * 900}",
        "Content-Type": "application/json",
        "Host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
        "User-Agent": "client/1.0",
        "X-Amzn-Trace-Id": "Root=1-6740b6f0-000000000000000000000000",
        "X-Forwarded-For": "198.51.100.7",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
    }
    path = "/v1/decisions"
    return json.dumps(
        {
            "resource": path,
            "path": path,
            "httpMethod": "POST",
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "pathParameters": None,
            "stageVariables": None,
            "requestContext": {
                "resourceId": "abc123",
                "resourcePath": path,
                "httpMethod": "POST",
                "requestId": f"11111111-1111-4111-8111-{number:012}",
                "requestTimeEpoch": 1_790_000_000_000 + number,
                "accountId": "000000000000",
                "apiId": "abcdefghij",
                "stage": "live",
                "path": f"/live{path}",
                "protocol": "HTTP/1.1",
                "authorizer": {
                    "claims": {
                        "sub": "client",
                        "token_use": "access",
                        "scope": "decisions/decide decisions/read",
                        "client_id": "client",
                    }
                },
                "identity": {"sourceIp": "198.51.100.7", "userAgent": "client/1.0"},
            },
            "body": body.decode(),
            "isBase64Encoded": False,
        },
        separators=(",", ":"),
    ).encode()


class Decided:
    """The decisions of one or more runtimes: their times, and what they came to."""

    def __init__(self) -> None:
        self.walls: list[float] = []
        self.stages: dict[str, list[float]] = {}
        self.outcomes: dict[str, int] = {}

    def take(self, one: Runtime, event: bytes) -> None:
        """Ask for a decision and note it.

        Raises:
            RuntimeError: It was none.
        """
        answer = one.invoke(event)
        if answer.document.get("statusCode") != http.client.OK:
            raise RuntimeError(f"no decision: {answer.document}")
        self.walls.append(answer.seconds)
        timing = answer.document["headers"]["Server-Timing"]
        for stage, milliseconds in TIMING.findall(timing):
            self.stages.setdefault(stage, []).append(float(milliseconds))
        outcome = json.loads(answer.document["body"])["outcome"]
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


def warm(
    world: World,
    running: Emulator,
    started: Sequence[Runtime],
    *,
    decisions: int,
    warm_up: int,
    run: str,
) -> dict[str, Any]:
    """Return the figures of so many decisions by runtimes that work at the same time."""
    each = decisions // len(started)
    events = [
        proxy_event(body, number)
        for number, body in enumerate(world.bodies(each * len(started), run=run, seed=len(started)))
    ]
    preparations = [
        proxy_event(body, number)
        for number, body in enumerate(world.bodies(warm_up * len(started), run=f"{run}-warm"))
    ]
    for_nothing = Decided()
    for index, one in enumerate(started):
        for event in preparations[index :: len(started)]:
            for_nothing.take(one, event)
        one.measured()
    before, emulator_before = [one.cpu_seconds() for one in started], running.cpu_seconds()
    decided = Decided()
    clock = time.perf_counter()

    def drive(index: int) -> None:
        for event in events[index :: len(started)]:
            decided.take(started[index], event)

    with ThreadPoolExecutor(len(started)) as pool:
        list(pool.map(drive, range(len(started))))
    seconds = time.perf_counter() - clock
    process_cpu = sum(one.cpu_seconds() for one in started) - sum(before)
    emulator_after = running.cpu_seconds()
    told = [one.measured() for one in started]
    cpu_ns = [value for found in told for value in found["cpu_ns"]]
    stages_cpu: dict[str, list[int]] = {}
    for found in told:
        for stage, values in found["stages_cpu_ns"].items():
            stages_cpu.setdefault(stage, []).extend(values)
    count = len(decided.walls)
    return {
        "clients": len(started),
        "decisions": count,
        "outcomes": decided.outcomes,
        "seconds": round(seconds, 2),
        "decisions_a_second": round(count / seconds, 1),
        "round_trip_ms": spread(decided.walls, 1e3),
        "stages_ms": {stage: spread(values) for stage, values in decided.stages.items()},
        "stages_cpu_ms": {stage: spread(values, 1e-6) for stage, values in stages_cpu.items()},
        "handler_cpu_ms": spread(cpu_ns, 1e-6),
        "process_cpu_ms": round(process_cpu / count * 1e3, 4),
        "decisions_a_second_a_core": round(count / process_cpu, 1),
        "emulator_cpu_ms": per_decision(emulator_before, emulator_after, count),
        "resident_mb": round(max(one.resident_mb() for one in started), 1),
    }


def cold_starts(start: Callable[..., Any], world: World, *, starts: int) -> dict[str, Any]:
    """Return how long a start takes, and of what that consists.

    The whole and the first requests are the medians of starts of which nothing inside is measured.
    Parts of the initialization are from as many further ones, imports from one with Python's
    ``-X importtime``, which takes time of its own.
    """
    bodies = iter(world.bodies(2 * starts, run="cold"))
    inits: list[float] = []
    cpus, firsts, seconds, resident, entered, spans = [], [], [], [], [], []
    for number in range(starts):
        with start() as one:
            inits.append(one.init_seconds * 1e3)
            cpus.append(one.cpu_seconds() * 1e3)
            resident.append(one.resident_mb())
            firsts.append(one.invoke(proxy_event(next(bodies), number)).seconds * 1e3)
            seconds.append(one.invoke(proxy_event(next(bodies), number)).seconds * 1e3)
    for _ in range(starts):
        began = time.monotonic()
        with start(MEASURE_SPANS="1") as one:
            told = one.measured()
            entered.append((told["entered"] - began) * 1e3)
            whole = (told["imported"] - told["entered"]) * 1e3
            spans.append(told["spans_ms"] | {"imports": whole - sum(told["spans_ms"].values())})
    return {
        "starts": starts,
        "init_ms": round(statistics.median(inits), 1),
        "init_worst_ms": round(max(inits), 1),
        "init_cpu_ms": round(statistics.median(cpus), 1),
        "interpreter_ms": round(statistics.median(entered), 1),
        "parts_ms": {
            name: round(statistics.median(found.get(name, 0.0) for found in spans), 1)
            for name in spans[0]
        },
        "first_request_ms": round(statistics.median(firsts), 2),
        "second_request_ms": round(statistics.median(seconds), 2),
        "resident_mb": round(statistics.median(resident), 1),
    }


def imports_by_package(log: Path) -> dict[str, float]:
    """Return the milliseconds that each package's modules took to import, the longest first.

    Without the handler's own module, which does more than import: it initializes the function.

    Args:
        log: What Python wrote with ``-X importtime``: for each module its own microseconds.
    """
    found: dict[str, float] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line.startswith("import time:") or "self [us]" in line:
            continue
        own, _, name = line.removeprefix("import time:").split("|")
        package = name.strip().partition(".")[0]
        if package in {"handler", "decisions_measured"}:
            continue
        if package in sys.stdlib_module_names:
            package = "standard library"
        found[package] = found.get(package, 0.0) + int(own) / 1_000
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return {name: round(milliseconds, 1) for name, milliseconds in ordered}


def floor(world: World, running: Emulator, *, calls: int) -> dict[str, Any]:
    """Return what the emulator takes for a decision's two calls from the leanest client there is.

    Requests are made beforehand and not signed, the answers not parsed.
    """
    receipt = a_receipt()
    reads, writes = [], []
    for body in world.bodies(calls, run="floor", seed=1):
        application = json.loads(body)
        key = {"application_id": {"S": application["application_id"]}}
        rows = [{"entity_key": {"S": name}} for name in world.feature_keys(application)]
        reads.append(
            {
                "RequestItems": {
                    world.settings.online_store_table: {"Keys": rows},
                    world.settings.decisions_table: {"Keys": [key | {"record": {"S": "decision"}}]},
                }
            }
        )
        writes.append(
            {
                "TableName": world.settings.decisions_table,
                "Item": receipt | key,
                "ConditionExpression": "attribute_not_exists(application_id)",
            }
        )
    before = running.cpu_seconds()
    walls, cpus = {}, {}
    for name, requests in (("BatchGetItem", reads), ("PutItem", writes)):
        walls[name], cpus[name] = raw_calls(running.port, name, requests)
    after = running.cpu_seconds()
    return {
        "calls": calls,
        "receipt_bytes": len(json.dumps(receipt)),
        "calls_ms": {name: spread(found, 1e3) for name, found in walls.items()}
        | {"both": spread([sum(pair) for pair in zip(*walls.values(), strict=True)], 1e3)},
        "client_cpu_ms": {name: spread(found, 1e3) for name, found in cpus.items()},
        "emulator_cpu_ms": per_decision(before, after, calls),
    }


def per_decision(before: float | None, after: float | None, count: int) -> float | None:
    """Return milliseconds of CPU a decision, None where the system does not tell."""
    if before is None or after is None:
        return None
    return round((after - before) / count * 1e3, 3)


def model_receipts() -> list[dict[str, Any]]:
    """Return some receipts of decisions that a model made."""
    dynamodb = client("dynamodb", pipeline_config())
    found = dynamodb.scan(TableName="decisions", Limit=400)["Items"]
    return [item for item in found if 'probability_of_default":null' not in item["response"]["S"]]


def a_receipt() -> dict[str, Any]:
    """Return a receipt of middling size, in DynamoDB's JSON."""
    ascending = sorted(model_receipts(), key=lambda item: len(item["response"]["S"]))
    return {
        name: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value
        for name, value in ascending[len(ascending) // 2].items()
    }


def model_alone(world: World, *, calls: int) -> dict[str, Any]:
    """Return what the model takes, alone and with all its reasons, on receipts of real decisions.

    Raises:
        RuntimeError: A receipt's replay differs, so that what is measured is not the decision.
    """
    manifest = world.trained.manifest
    champion = OnnxModel.from_bytes(world.trained.onnx, manifest, manifest_sha256="")
    judge = Judge(Terms.of(world.product))
    replay = Replayer(lambda *_, **__: champion, lambda _: world.product)
    records = [from_dynamodb(item) for item in model_receipts()]
    for record in records:
        replayed = replay(record)
        if not replayed.is_identical:
            raise RuntimeError(f"a decision does not replay identically: {replayed}")
    rows = [row_of(str(record["model_input"])) for record in records]
    matrices = [perturbations(row.astype(np.float32), champion.reference) for row in rows]
    tried: dict[str, Callable[[int], object]] = {
        "ONNX run": lambda index: champion.log_odds(matrices[index]),
        WITH_REASONS: lambda index: judge(rows[index], champion),
        "replay of a receipt": lambda index: replay(records[index]),
    }
    measured = {}
    for name, call in tried.items():
        walls, cpus = [], []
        for index in range(calls):
            started, cpu = time.perf_counter(), time.thread_time_ns()
            call(index % len(rows))
            cpus.append(time.thread_time_ns() - cpu)
            walls.append(time.perf_counter() - started)
        measured[name] = {"ms": spread(walls, 1e3), "cpu_ms": spread(cpus, 1e-6)}
    return {
        "algorithm": manifest.algorithm,
        "inputs": len(manifest.inputs),
        "rows": len(matrices[0]),
        "model_bytes": len(world.trained.onnx),
        "measured": measured,
    }


def machine() -> dict[str, Any]:
    """Return what the figures depend on; no name of the machine."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            model,
        )
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {
            name: metadata.version(name) for name in ("awslambdaric", "onnxruntime", "numpy")
        },
    }


def measure(
    scratch: Path,
    *,
    decisions: int,
    clients: int,
    starts: int,
    warm_up: int = WARM_UP,
    applicants: int = 400,
    trained: TrainedModel | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure everything, one thing after the other, and return the figures."""
    measured: dict[str, Any] = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine()}
    with emulator(scratch) as running:
        say("tables, features, model, layers")
        world = make_world(scratch, applicants=applicants, trained=trained)
        aws = {name: os.environ[name] for name in AWS_VARIABLES} | {"AWS_REGION": REGION}

        def start(*options: str, log: str = "function.log", **extra: str) -> Any:
            return runtime(
                paths=world.paths,
                environment=world.environment | aws | extra,
                log=scratch / log,
                options=options,
            )

        say("cold starts")
        measured["cold_start"] = cold_starts(start, world, starts=starts)
        with start("-X", "importtime", log="imports.log"):
            pass
        measured["imports_ms"] = imports_by_package(scratch / "imports.log")
        say("one client")
        with start() as one, one.on_own_core(running.pid):
            measured["one_client"] = warm(
                world, running, [one], decisions=decisions, warm_up=warm_up, run="one"
            )
        say(f"{clients} clients")
        with ExitStack() as stack:
            several = [
                stack.enter_context(start(log=f"function-{number}.log"))
                for number in range(clients)
            ]
            measured["clients"] = warm(
                world, running, several, decisions=decisions, warm_up=warm_up, run="several"
            )
        say("the model alone")
        measured["model"] = model_alone(world, calls=decisions)
        # After the receipts were read: it writes copies of a receipt under other ids.
        say("the emulator's floor")
        measured["floor"] = floor(world, running, calls=decisions)
        say("one client, with a challenger in shadow")
        world.try_challenger()
        with start() as one, one.on_own_core(running.pid):
            measured["challenger"] = warm(
                world, running, [one], decisions=decisions, warm_up=warm_up, run="challenger"
            )
    return measured


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, default=3_000, help="in each measurement")
    parser.add_argument("--clients", type=int, default=8, help="at the same time")
    parser.add_argument("--starts", type=int, default=7, help="cold starts")
    parser.add_argument("--json", action="store_true", help="print figures, write no report")
    options = parser.parse_args()
    with TemporaryDirectory() as scratch:
        measured = measure(
            Path(scratch),
            decisions=options.decisions,
            clients=options.clients,
            starts=options.starts,
            say=lambda words: print(f"… {words}", file=sys.stderr, flush=True),
        )
    if options.json:
        print(json.dumps(measured, indent=2))
        return
    text = markdown(measured)
    REPORT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
