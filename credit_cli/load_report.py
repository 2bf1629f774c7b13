"""What a load run says in the end: one document for machines, and the same as lines."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from credit_cli.distribution import PERCENTILES, histogram, percentiles
from credit_cli.load_applications import application_id
from credit_core.domain.application_records import DECISION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_cli.load import Plan, Reply, Run

MOST_RECEIPTS = 500
KEYS_A_CALL = 100
"""Limit of BatchGetItem."""

BUSY = ("429", "503")
"""Answers of a service that has too much to do, counted apart: nothing was decided wrongly."""
LABEL_WIDTH = 18
BAR_WIDTH = 48


def receipts_stages(
    dynamodb: DynamoDBClient, table: str, application_ids: Sequence[str]
) -> list[Mapping[str, float]]:
    """Return the stages, in milliseconds, that the receipts of these applications hold."""
    found = []
    for first in range(0, len(application_ids), KEYS_A_CALL):
        pending: Any = {
            table: {
                "Keys": [
                    {"application_id": {"S": name}, "record": {"S": DECISION}}
                    for name in application_ids[first : first + KEYS_A_CALL]
                ],
                "ProjectionExpression": "stage_ms",
            }
        }
        while pending:
            answer = dynamodb.batch_get_item(RequestItems=pending)
            found += [json.loads(item["stage_ms"]["S"]) for item in answer["Responses"][table]]
            pending = answer.get("UnprocessedKeys")
    return found


def sampled(application_ids: Sequence[str], most: int = MOST_RECEIPTS) -> list[str]:
    """Return so many of them at the most, evenly from first to last.

    >>> sampled(["a", "b", "c", "d", "e"], most=2)
    ['a', 'c']
    """
    count = min(most, len(application_ids))
    return [application_ids[index * len(application_ids) // count] for index in range(count)]


def decided_ids(run: Run, name: str) -> list[str]:
    """Return the ids of the applications that were decided, in order."""
    return [application_id(name, reply.number) for reply in run.replies if reply.decided]


def stage_percentiles(stages: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return the percentiles of each stage, in the order in which stages first appear.

    >>> stage_percentiles([{"read": 1.0}, {"read": 3.0, "write": 2.0}])["read"]["p50"]
    1.0
    """
    values: dict[str, list[float]] = {}
    for of_one in stages:
        for stage, milliseconds in of_one.items():
            values.setdefault(stage, []).append(milliseconds)
    return {stage: percentiles(found) for stage, found in values.items()}


def summary(plan: Plan, run: Run) -> dict[str, Any]:
    """Return what was asked for and what became of it.

    Shares are of the applications that fell due, so one that found no client counts as failed.
    Latencies are of those decided: an error may be quick.
    """
    decided = [reply for reply in run.replies if reply.decided]
    latencies = [reply.latency_ms for reply in decided]
    statuses = Counter(reply.status for reply in run.replies)
    last = max((reply.done for reply in run.replies), default=run.seconds)
    return {
        "rate": plan.rate,
        "clients": plan.clients,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "interrupted": run.interrupted,
        "ran_seconds": round(run.seconds, 3),
        "due": run.due,
        "unanswered": run.due - len(run.replies),
        "decided": len(decided),
        "success_share": round(len(decided) / run.due, 6) if run.due else None,
        "decisions_a_second": round(len(decided) / last, 2) if last else 0.0,
        "busy": {status: statuses[status] for status in BUSY},
        "statuses": dict(statuses.most_common()),
        "outcomes": counted(reply.outcome for reply in decided),
        "causes": counted(reply.cause for reply in decided),
        "latency_ms": percentiles(latencies),
        "service_ms": percentiles([reply.service_ms for reply in decided]),
        "histogram_ms": [
            {"from": band.low, "to": band.high, "count": band.count}
            for band in histogram(latencies)
        ]
        if latencies
        else [],
        "server_timing_ms": stage_percentiles(reply.stages_ms for reply in decided),
    }


def counted(names: Iterable[str | None]) -> dict[str, int]:
    """Return how often each name occurs, the most frequent first; None counts as no name."""
    return dict(Counter(name for name in names if name is not None).most_common())


def with_receipts(
    document: Mapping[str, Any], asked: int, stages: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """Return the summary with what the receipts say; each decided application has to have one."""
    return {
        **document,
        "receipts": {"asked": asked, "found": len(stages), "stage_ms": stage_percentiles(stages)},
    }


def lines(document: Mapping[str, Any]) -> list[str]:
    """Return the summary as lines of text."""
    share = document["success_share"]
    until = ", interrupted" if document["interrupted"] else ""
    said = {
        "Offered": f"{document['due']:,} applications in {document['ran_seconds']:.1f} s"
        f" ({document['rate']:g} a second for {document['seconds']:g} s{until}),"
        f" {document['clients']} clients, seed {document['seed']}",
        "Decided": f"{document['decided']:,}"
        + (f", {share:.2%}" if share is not None else "")
        + f"; {document['decisions_a_second']:g} a second",
        "Busy": ", ".join(f"{status} {count:,}" for status, count in document["busy"].items()),
        "Statuses": counts(document["statuses"])
        + (f"; {document['unanswered']:,} not answered" if document["unanswered"] else ""),
        "Outcomes": counts(document["outcomes"]),
        "Referred for": counts(document["causes"]),
    }
    shown = [f"{name:<{LABEL_WIDTH}}{text}" for name, text in said.items()]
    if not document["decided"]:
        return shown
    shown += ["", table_head("milliseconds")]
    shown.append(table_row("from its due time", document["latency_ms"]))
    shown.append(table_row("from being sent", document["service_ms"]))
    shown += [table_row(f"  {name}", of) for name, of in document["server_timing_ms"].items()]
    receipts = document["receipts"]
    shown.append(f"{receipts['found']:,} of {receipts['asked']:,} receipts asked for, they say:")
    shown += [table_row(f"  {name}", of) for name, of in receipts["stage_ms"].items()]
    return [*shown, "", *histogram_lines(document["histogram_ms"])]


def counts(of: Mapping[str, int]) -> str:
    """Say how often each was met.

    >>> counts({"200": 1_200, "429": 3})
    '200 1,200, 429 3'
    """
    return ", ".join(f"{name} {count:,}" for name, count in of.items()) or "none"


def table_head(label: str) -> str:
    """Return the head of a table of percentiles."""
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{name:>10}" for name in PERCENTILES)


def table_row(label: str, of: Mapping[str, float]) -> str:
    """Return a row of a table of percentiles."""
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{of[name]:>10,.1f}" for name in PERCENTILES)


def histogram_lines(bands: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw a histogram, the fullest band as wide as may be.

    >>> histogram_lines([{"from": 1.5, "to": 2.0, "count": 1}])[0].rstrip("█")
    '   1.5 to 2      ms         1  '
    """
    most = max(one["count"] for one in bands)
    return [
        f"{one['from']:>6g} to {one['to']:<6g} ms{one['count']:>10,}  {bar(one['count'] / most)}"
        for one in bands
    ]


def bar(share: float) -> str:
    """Return a bar of that share of the width, to half a character; never nothing for something.

    >>> len(bar(1.0)), bar(0.001), bar(0.0)
    (48, '▌', '')
    """
    halves = max(round(2 * BAR_WIDTH * share), 1 if share else 0)
    return "█" * (halves // 2) + "▌" * (halves % 2)


def latest(replies: Sequence[Reply], planned: int) -> str:
    """Say how far a run is.

    >>> latest([], 10)
    '0 of 10 answered'
    """
    said = f"{len(replies):,} of {planned:,} answered"
    decided = sorted(reply.latency_ms for reply in replies[-1_000:] if reply.decided)
    failed = sum(not reply.decided for reply in replies)
    if decided:
        said += f", p50 {decided[len(decided) // 2]:.0f} ms"
    return f"{said}, {failed:,} without a decision" if failed else said
