"""A deployment's alarms as CloudWatch has them: their states, why, since when, and what they were.

An alarm belongs to a deployment when it tells one of its two topics; a name alone would take those
of another product whose name begins alike.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from credit_cli.durations import span_text
from credit_cli.inventory import chosen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_cloudwatch import CloudWatchClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

type State = Literal["ALARM", "OK", "INSUFFICIENT_DATA"]

PAGE = "page"
"""Short name of the composite alarm, where a deployment has one."""

RUNBOOK = re.compile(r"\s*Runbook: (\S+)$")
NAME_IN_RULE = re.compile(r'ALARM\("([^"]+)"\)')
WORDS = {"ALARM": "rings", "OK": "in order", "INSUFFICIENT_DATA": "no figures yet"}
COMPARISONS = {
    "GreaterThanThreshold": "above",
    "GreaterThanOrEqualToThreshold": "at or above",
    "LessThanThreshold": "below",
    "LessThanOrEqualToThreshold": "at or below",
}
WIDTH = 26


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One alarm. ``name`` is without what all names of the deployment begin with.

    ``pages`` says whether it wakes somebody, by itself or through the composite alarm.
    """

    name: str
    full_name: str
    state: State
    since: datetime
    reason: str
    description: str
    runbook: str | None
    pages: bool
    measures: str
    actions_enabled: bool = True
    behind: tuple[str, ...] = ()

    @property
    def rings(self) -> bool:
        """Whether it does now."""
        return self.state == "ALARM"

    def as_document(self) -> dict[str, Any]:
        """Return the JSON object of `credit alarms --json`."""
        return {
            "alarm": self.name,
            "full_name": self.full_name,
            "kind": "page" if self.pages else "inform",
            "state": self.state.lower(),
            "since": self.since.astimezone(UTC).isoformat(),
            "reason": self.reason,
            "description": self.description,
            "measures": self.measures,
            "runbook": self.runbook,
            "actions_enabled": self.actions_enabled,
        }


@dataclass(frozen=True)
class Change:
    """An alarm's change from one state to another."""

    at: datetime
    before: str
    after: str
    reason: str


class Watched:
    """The alarms of a deployment."""

    def __init__(self, aws: Aws, deployment: Deployment) -> None:
        self._cloudwatch: CloudWatchClient = aws.client("cloudwatch")
        self._prefix = f"{deployment.prefix}-"
        self._topics = {deployment["PageTopic"], deployment["InformTopic"]}
        self._page_topic = deployment["PageTopic"]

    def all(self) -> list[Alarm]:
        """Return all alarms, in the order in which on-call reads them: what rings, pages first."""
        metric_alarms, composites = [], []
        for page in self._cloudwatch.get_paginator("describe_alarms").paginate(
            AlarmNamePrefix=self._prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        ):
            metric_alarms += page["MetricAlarms"]
            composites += page["CompositeAlarms"]
        behind = {
            found["AlarmName"]: tuple(NAME_IN_RULE.findall(found["AlarmRule"]))
            for found in composites
        }
        waking = {name for names in behind.values() for name in names}
        alarms = [
            self._alarm(found, waking=waking, behind=behind.get(found["AlarmName"], ()))
            for found in (*metric_alarms, *composites)
            if self._topics & set(found.get("AlarmActions", ()))
        ]
        return sorted(alarms, key=lambda alarm: (not alarm.rings, not alarm.pages, alarm.name))

    def one(self, name: str) -> Alarm:
        """Return the alarm of that name, or whose name it begins, with or without the prefix.

        Raises:
            UsageError: There is none, or there are several.
        """
        alarms = {alarm.name: alarm for alarm in self.all()}
        return chosen(name.removeprefix(self._prefix), alarms, "alarm")

    def history(self, alarm: Alarm, *, most: int = 10) -> list[Change]:
        """Return the last changes of an alarm's state, the newest first."""
        pages = self._cloudwatch.get_paginator("describe_alarm_history").paginate(
            AlarmName=alarm.full_name,
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            HistoryItemType="StateUpdate",
            ScanBy="TimestampDescending",
        )
        items = (item for page in pages for item in page["AlarmHistoryItems"])
        return [
            _change(item["Timestamp"], json.loads(item["HistoryData"]))
            for item in islice(items, most)
        ]

    def set_state(self, alarm: Alarm, state: State, *, reason: str) -> None:
        """Put an alarm into a state; CloudWatch acts as if it had come to it by itself."""
        self._cloudwatch.set_alarm_state(
            AlarmName=alarm.full_name, StateValue=state, StateReason=reason
        )

    def _alarm(
        self, found: Mapping[str, Any], *, waking: set[str], behind: tuple[str, ...]
    ) -> Alarm:
        description = str(found.get("AlarmDescription", ""))
        runbook = RUNBOOK.search(description)
        name = str(found["AlarmName"])
        return Alarm(
            name=name.removeprefix(self._prefix),
            full_name=name,
            state=found["StateValue"],
            since=found.get("StateTransitionedTimestamp") or found["StateUpdatedTimestamp"],
            reason=" ".join(str(found.get("StateReason", "")).split()),
            description=RUNBOOK.sub("", description),
            runbook=runbook[1] if runbook else None,
            pages=name in waking or self._page_topic in found.get("AlarmActions", ()),
            measures=measures(found),
            actions_enabled=found.get("ActionsEnabled", True),
            behind=behind,
        )


def measures(found: Mapping[str, Any]) -> str:
    """Say what an alarm looks at and when it rings.

    >>> measures({"MetricName": "Duration", "Namespace": "AWS/Lambda", "ExtendedStatistic": "p99",
    ...     "Threshold": 100.0, "ComparisonOperator": "GreaterThanThreshold", "Period": 60,
    ...     "EvaluationPeriods": 5, "DatapointsToAlarm": 3})
    'p99 of AWS/Lambda Duration above 100 in 3 of 5 periods of 1 min'
    """
    if "AlarmRule" in found:
        return f"any of {len(NAME_IN_RULE.findall(found['AlarmRule']))} alarms that page"
    queries = found.get("Metrics") or []
    period = found.get("Period") or next(
        (query["Period"] for query in queries if "Period" in query), 0
    )
    if queries:
        named = {
            query["Id"]: query["MetricStat"]["Metric"]["MetricName"]
            for query in queries
            if "MetricStat" in query
        }
        period = next(
            (query["MetricStat"]["Period"] for query in queries if "MetricStat" in query), period
        )
        expression = next(query["Expression"] for query in queries if "Expression" in query)
        what = re.sub(r"\bpart\d*\b|\bwhole\b", lambda id_: named.get(id_[0], id_[0]), expression)
    else:
        statistic = found.get("ExtendedStatistic") or str(found.get("Statistic", "")).lower()
        what = f"{statistic} of {found.get('Namespace')} {found.get('MetricName')}"
    comparison = COMPARISONS.get(found["ComparisonOperator"], found["ComparisonOperator"])
    periods = found["EvaluationPeriods"]
    wanted = found.get("DatapointsToAlarm", periods)
    often = f"{wanted} of {periods} periods" if periods > 1 else "a period"
    return f"{what} {comparison} {found['Threshold']:g} in {often} of {span_text(period)}"


def listing(alarms: Sequence[Alarm], *, now: datetime) -> Iterator[str]:
    """Yield the alarms as lines of text: each that rings with what to do, the others by name."""
    ringing = [alarm for alarm in alarms if alarm.rings]
    yield f"{len(ringing)} of {len(alarms)} alarms ring"
    for alarm in ringing:
        for_long = span_text((now - alarm.since).total_seconds())
        kind = "PAGE" if alarm.pages else "inform"
        yield f"  {kind:<8}{alarm.name:<{WIDTH}}for {for_long:<14}{alarm.runbook or ''}"
        yield f"          {alarm.reason}"
    for state in ("INSUFFICIENT_DATA", "OK"):
        names = [alarm.name for alarm in alarms if alarm.state == state]
        if names:
            yield f"{WORDS[state]}: {', '.join(names)}"
    silent = [alarm.name for alarm in alarms if not alarm.actions_enabled]
    if silent:
        yield f"told nobody, their actions are disabled: {', '.join(silent)}"


def details(alarm: Alarm, history: Iterable[Change], *, now: datetime) -> Iterator[str]:
    """Yield all there is to know of an alarm as lines of text."""
    for_long = span_text((now - alarm.since).total_seconds())
    told = "pages" if alarm.pages else "informs"
    yield f"{alarm.name} {WORDS[alarm.state]} for {for_long}; it {told}"
    if not alarm.actions_enabled:
        yield "  its actions are disabled: it tells nobody"
    yield f"  {alarm.description}"
    yield f"  rings on  {alarm.measures}"
    yield f"  reason    {alarm.reason}"
    yield f"  runbook   {alarm.runbook or 'none'}"
    for change in history:
        at = f"{change.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
        yield f"  {at}  {change.before} -> {change.after}  {change.reason}"


def _change(at: datetime, document: Mapping[str, Any]) -> Change:
    before, after = document.get("oldState", {}), document.get("newState", {})
    return Change(
        at,
        WORDS.get(before.get("stateValue"), "new"),
        WORDS.get(after.get("stateValue"), "new"),
        " ".join(str(after.get("stateReason", "")).split()),
    )
