"""Reference: the service's own metrics, and what CloudWatch's of AWS are looked at."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import credit_core
from credit_core.domain import metrics
from credit_core.domain.decision_monitoring import in_order
from credit_core.domain.metrics import NAMESPACE, Metric, Unit
from credit_core.domain.policy_definition import Outcome
from docs_site import source
from docs_site.markdown import code, names_unbroken, page, table
from docs_site.stacks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docs_site.stacks import Stacks

CORE = Path(credit_core.__path__[0])
ALWAYS = ("Stage", "Product")
LOG = "adapters/decision_log.py"
"""What the decision log counts it writes as a part of its line, in counts and milliseconds."""


@dataclass(frozen=True)
class Published:
    """A metric as a module publishes it."""

    name: str
    unit: str
    dimensions: tuple[str, ...]
    module: str


def metrics_page(stacks: Stacks) -> str:
    """Return the page of the metrics."""
    return page(
        "Metrics",
        f"The service's own metrics lie in CloudWatch's namespace `{NAMESPACE}`. Each has the "
        "dimensions `Stage` and `Product`; a metric of a view or of an input has one more. "
        "[Alarms](alarms.md) says which of them ring, [Prometheus](../prometheus.md) how to get "
        "them there.",
        "## Of decisions",
        "Written as a part of the log line of each request, or batch, in the embedded metric "
        "format: they cost no call.",
        _table(found for found in published() if found.module == LOG),
        "## Of models, features and days",
        _table(found for found in published() if found.module != LOG),
        "## Of AWS",
        "What the alarms look at beside them. The dashboard shows more of these.",
        table(("Namespace", "Metrics"), _of_aws(stacks)),
    )


def _table(found: Iterator[Published]) -> str:
    said = {Metric[name].value: words for name, words in source.members(Metric).items()}
    said |= {
        metrics.outcome_metric(outcome): f"Applications with the outcome {outcome}."
        for outcome in Outcome
    }
    head = ("Metric", "Unit", "Meaning", "Dimensions", "Written by")
    rows = (
        (
            code(each.name),
            each.unit,
            said.get(each.name, "Time that this stage of a request took."),
            ", ".join(map(code, each.dimensions)),
            ", ".join(writers(each.module)),
        )
        for each in found
    )
    return names_unbroken(table(head, rows))


def published() -> list[Published]:
    """Return every metric as its module publishes it, in the order of ``Metric``, times last.

    A metric that is published with and without a dimension is there twice.
    """
    found = [
        Published(name, Unit.COUNT, ALWAYS, LOG)
        for name in (
            Metric.DECISIONS,
            *map(metrics.outcome_metric, Outcome),
            *sorted(_counted()),
            Metric.MODEL_LOAD_FAILURE,
        )
    ]
    for path in sorted((CORE / "use_cases").glob("*.py")):
        found += _of_module(path)
    order = {metric.value: place for place, metric in enumerate(Metric)}
    found.sort(key=lambda each: (order.get(each.name, 0), each.name, len(each.dimensions)))
    times = (
        Published(metrics.stage_metric(name), Unit.MILLISECONDS, ALWAYS, LOG) for name in _times()
    )
    return [*found, *times]


def _counted() -> set[str]:
    """Return the metrics that ``domain.decision`` counts of decisions."""
    tree = ast.parse((CORE / "domain" / "decision.py").read_text(encoding="utf-8"))
    return {Metric[name].value for name in _named(tree)}


def _times() -> list[str]:
    """Return the stages of a request that are timed, in their order; the write is the last."""
    laps = {
        str(node.args[0].value)
        for path in (CORE / "use_cases" / "score.py", CORE / "domain" / "judgement.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "lap"
        and isinstance(node.args[0], ast.Constant)
    }
    return [name for name, _ in in_order(dict.fromkeys(laps))]


def _named(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Metric":
            yield node.attr


def _of_module(path: Path) -> Iterator[Published]:
    """Yield what the functions of a module publish.

    A measurement names its metric, or takes it from a mapping or a loop of the same function; the
    keywords of ``dimensions`` say which it has beside stage and product.
    """
    for function in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        calls = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Measurement"
        ]
        named = {
            variable: _dimensions(node.value)
            for node in ast.walk(function)
            if isinstance(node, ast.Assign)
            for variable in map(ast.unparse, node.targets)
            if "dimensions(" in ast.unparse(node.value)
        }
        for call in calls:
            metric, _, unit, dimensions = call.args
            own = named.get(ast.unparse(dimensions)) or _dimensions(dimensions)
            names = list(_named(metric)) or _looped(function, call)
            for name in names:
                yield Published(
                    Metric[name].value,
                    Unit[ast.unparse(unit).rpartition(".")[2]],
                    own,
                    path.relative_to(CORE).as_posix(),
                )


def _looped(function: ast.FunctionDef, call: ast.Call) -> list[str]:
    """Return the metrics that a loop around a measurement takes: from itself or from a mapping."""
    for node in ast.walk(function):
        if isinstance(node, ast.ListComp) and node.elt is call:
            (loop,) = node.generators
            return list(_named(loop.iter)) or list(_keys(function))
    return []


def _keys(function: ast.FunctionDef) -> Iterator[str]:
    """Yield the metrics that are keys of a mapping."""
    for node in ast.walk(function):
        if isinstance(node, ast.Dict):
            for key in node.keys:
                yield from _named(key) if key is not None else ()
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            yield from _named(node.slice)


def _dimensions(node: ast.expr) -> tuple[str, ...]:
    (call,) = (
        found
        for found in ast.walk(node)
        if isinstance(found, ast.Call) and ast.unparse(found.func) == "dimensions"
    )
    return tuple(str(keyword.arg).title() for keyword in call.keywords)


def writers(module: str) -> list[str]:
    """Return the functions whose handler imports a module of the core."""
    name = f"credit_core.{module.removesuffix('.py').replace('/', '.')}"
    return [
        path.parent.name
        for path in sorted((ROOT / "lambdas").glob("*/handler.py"))
        if f"from {name} import" in path.read_text(encoding="utf-8")
    ]


def _of_aws(stacks: Stacks) -> list[tuple[str, str]]:
    found: dict[str, set[str]] = {}
    for _, _, alarm in stacks.of_type("AWS::CloudWatch::Alarm"):
        measured = [
            alarm,
            *(
                each["MetricStat"]["Metric"]
                for each in alarm.get("Metrics", ())
                if "MetricStat" in each
            ),
        ]
        for metric in measured:
            if "Namespace" in metric:
                found.setdefault(metric["Namespace"], set()).add(metric["MetricName"])
    return [
        (code(namespace), ", ".join(map(code, sorted(names))))
        for namespace, names in sorted(found.items())
        if namespace != NAMESPACE
    ]
