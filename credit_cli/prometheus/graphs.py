"""The dashboard that CloudWatch has, read as graphs of lines; each line knows its PromQL.

One source for both: what CloudWatch draws of a deployment is what the exporter asks for and what
Grafana draws. A form of CloudWatch's that is not known here is an error, never left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from credit_cli.errors import DeploymentError
from credit_cli.prometheus.naming import dimension_label, metric_name, selector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SCRAPE_SECONDS = 300
"""How often the exporter asks: its own default. A figure of less would be of some of the time."""

AN_HOUR, A_DAY = 3_600, 86_400
USUAL_PERIOD, USUAL_STATISTIC = 300, "Average"
"""What CloudWatch takes where a dashboard says nothing."""

SUM, MAXIMUM = "Sum", "Maximum"
FILL = re.compile(r"FILL\((\w+), (\d+)\)")
WORD = re.compile(r"[A-Za-z_]\w*")
ARITHMETIC = re.compile(r"[\w\s.()+*/,-]+")
SEARCH = re.compile(
    r"SEARCH\('\{(?P<schema>[^}]+)\} (?P<terms>.+)', '(?P<statistic>\w+)', (?P<every>\d+)\)"
)
TERM = re.compile(r'(\w+)="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Window:
    """For which time the exporter asks; all in seconds.

    The last of the points of ``period`` in ``length`` is told, up to ``delay`` before now.
    """

    period: int
    length: int
    delay: int

    @classmethod
    def of(cls, *, period: int, statistic: str) -> Window:
        """Return how a metric is asked for that a dashboard draws by such a statistic and period.

        A sum, a mean or a percentile is of a time that has passed and has been told in full. A
        maximum is a level, an age or the result of a day for instance: the last one counts.

        >>> Window.of(period=60, statistic="p99"), Window.of(period=3_600, statistic="Sum")
        (Window(period=300, length=300, delay=300), Window(period=3600, length=3600, delay=0))
        >>> Window.of(period=86_400, statistic="Maximum")
        Window(period=3600, length=172800, delay=0)
        """
        if statistic == MAXIMUM or period == A_DAY:
            points = AN_HOUR if period > AN_HOUR else SCRAPE_SECONDS
            return cls(points, max(2 * period, 3 * SCRAPE_SECONDS), 0)
        if period <= SCRAPE_SECONDS:
            return cls(SCRAPE_SECONDS, SCRAPE_SECONDS, SCRAPE_SECONDS)
        return cls(period, period, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the exporter asks CloudWatch for: a statistic of a metric by these dimensions."""

    namespace: str
    metric: str
    dimensions: tuple[str, ...]
    statistic: str
    window: Window

    @property
    def job(self) -> str:
        """The job that asks for it; it tells apart what has the same name and other windows."""
        by = ", ".join(self.dimensions)
        return f"{self.namespace} by {by}: {self.window.period} s in {self.window.length} s"

    @property
    def name(self) -> str:
        """The metric's name in Prometheus."""
        return metric_name(self.namespace, self.metric, self.statistic)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a graph: its query, and what has to be asked for."""

    label: str
    promql: str
    asked: tuple[Asked, ...]
    right: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a dashboard, in CloudWatch's units: 24 are its width."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph; ``limits`` are the values at which alarms ring, with what they say."""

    title: str
    place: Place
    lines: tuple[Line, ...]
    unit: str = ""
    right_unit: str = ""
    limits: tuple[tuple[float, str], ...] = ()
    is_stacked: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """Text in Markdown."""

    place: Place
    markdown: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard, from top to bottom."""

    name: str
    region: str
    panels: tuple[Graph | Words, ...] = field(default=())

    @property
    def asked(self) -> tuple[Asked, ...]:
        """All that its lines need, each once."""
        found = (
            asked
            for panel in self.panels
            if isinstance(panel, Graph)
            for line in panel.lines
            for asked in line.asked
        )
        return tuple(dict.fromkeys(found))


def read_board(name: str, body: Mapping[str, Any], *, region: str) -> Board:
    """Return a dashboard of CloudWatch's.

    Args:
        name: The dashboard's.
        body: As CloudWatch's ``GetDashboard`` gives it, parsed.
        region: Of the deployment.

    Raises:
        DeploymentError: It holds something that is not known here.
    """
    return Board(name, region, tuple(_panel(widget) for widget in body["widgets"]))


def _panel(widget: Mapping[str, Any]) -> Graph | Words:
    place = Place(widget["x"], widget["y"], widget["width"], widget["height"])
    about = widget["properties"]
    match widget["type"]:
        case "text":
            return Words(place, about["markdown"])
        case "alarm":
            named = [arn.rpartition(":alarm:")[2] for arn in about["alarms"]]
            return Words(place, _alarms(named), about["title"])
        case "metric":
            return _graph(about, place)
    raise DeploymentError(f"the dashboard holds a {widget['type']}, which is not known here")


def _alarms(names: Sequence[str]) -> str:
    listed = "\n".join(f"- `{name}`" for name in names)
    said = "CloudWatch watches these and tells on-call; `credit alarms` says which ring."
    return f"{said}\n\n{listed}"


def _graph(about: Mapping[str, Any], place: Place) -> Graph:
    axes = about.get("yAxis", {})
    return Graph(
        about["title"],
        place,
        tuple(_lines(about["metrics"])),
        unit=axes.get("left", {}).get("label", ""),
        right_unit=axes.get("right", {}).get("label", ""),
        limits=tuple(
            (float(limit["value"]), limit["label"])
            for limit in (about.get("annotations") or {}).get("horizontal", ())
        ),
        is_stacked=bool(about.get("stacked")),
    )


def _lines(metrics: Sequence[Sequence[Any]]) -> Iterator[Line]:
    named: dict[str, tuple[str, Asked]] = {}
    drawn: list[tuple[Mapping[str, Any], str, tuple[Asked, ...]]] = []
    calculated: list[Mapping[str, Any]] = []
    for entry in metrics:
        if isinstance(entry[0], dict):
            calculated.append(entry[0])
            continue
        how = entry[-1] if isinstance(entry[-1], dict) else {}
        namespace, metric, *pairs = [part for part in entry if isinstance(part, str)]
        dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
        promql, asked = _series(namespace, metric, dimensions, how)
        if "id" in how:
            named[how["id"]] = f"sum({promql})", asked
        if how.get("visible", True):
            drawn.append((how | {"label": how.get("label") or metric}, promql, (asked,)))
    for drawn_as, promql, needed in drawn:
        yield Line(drawn_as["label"], promql, needed, right=drawn_as.get("yAxis") == "right")
    for made in calculated:
        expression = made["expression"]
        if search := SEARCH.fullmatch(expression):
            yield _searched(search)
        else:
            promql, needed = _calculated(expression, named)
            yield Line(made["label"], promql, needed, right=made.get("yAxis") == "right")


def _series(
    namespace: str, metric: str, dimensions: Mapping[str, str], how: Mapping[str, Any]
) -> tuple[str, Asked]:
    """Return the PromQL of a metric as a dashboard draws it, and what is asked for."""
    period, statistic = how.get("period", USUAL_PERIOD), how.get("stat", USUAL_STATISTIC)
    window = Window.of(period=period, statistic=statistic)
    asked = Asked(namespace, metric, tuple(sorted(dimensions)), statistic, window)
    labels = {dimension_label(name): dimensions[name] for name in asked.dimensions}
    promql = selector(asked.name, {"name": asked.job} | labels)
    if statistic == SUM and period < window.period:
        # It is drawn as what came in a shorter time: the mean of that.
        promql += f" / {window.period / period:g}"
    return promql, asked


def _calculated(
    expression: str, named: Mapping[str, tuple[str, Asked]]
) -> tuple[str, tuple[Asked, ...]]:
    """Return the PromQL of CloudWatch's metric math, and what is asked for.

    Raises:
        DeploymentError: It is none that is known here.
    """
    filled = FILL.sub(r"(\1 or vector(\2))", expression)
    ids = [word for word in WORD.findall(FILL.sub(r"\1", expression)) if word in named]
    unknown = set(WORD.findall(filled)) - set(ids) - {"or", "vector"}
    if unknown or not ids or not ARITHMETIC.fullmatch(expression):
        raise DeploymentError(f"the dashboard calculates {expression!r}, which is not known here")
    promql = WORD.sub(lambda word: named[word[0]][0] if word[0] in named else word[0], filled)
    return promql, tuple(dict.fromkeys(named[id_][1] for id_ in ids))


def _searched(search: re.Match[str]) -> Line:
    """Return the lines that a search finds: a query whose labels hold what the search asks for."""
    namespace, *dimensions = search["schema"].split(",")
    terms = dict(TERM.findall(search["terms"]))
    metric = terms.pop("MetricName")
    statistic = search["statistic"]
    window = Window.of(period=int(search["every"]), statistic=statistic)
    asked = Asked(namespace, metric, tuple(sorted(dimensions)), statistic, window)
    like = {dimension_label(name): text for name, text in terms.items()}
    shown = dimension_label(dimensions[-1])
    return Line(f"{{{{{shown}}}}}", selector(asked.name, {"name": asked.job}, like=like), (asked,))


def parsed(text: str) -> dict[str, Any]:
    """Return the body of a dashboard.

    Raises:
        DeploymentError: It is no JSON.
    """
    try:
        return dict(json.loads(text))
    except ValueError:
        raise DeploymentError("the body of the dashboard is no JSON") from None
