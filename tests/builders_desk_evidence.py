"""Models and days of a desk in memory, and a desk that listens on this machine."""

from __future__ import annotations

import random
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from html import unescape
from typing import TYPE_CHECKING, Any

import uvicorn

from credit_cli.desk.evidence import UnderWay
from credit_cli.errors import CliError
from credit_cli.runs import Run
from credit_core.domain.loan_outcome import LoanOutcome
from credit_core.domain.model_manifest import (
    Challenger,
    Gate,
    ModelManifest,
    ModelReference,
    RolloutMode,
    RolloutPointer,
)
from credit_core.domain.monitoring_page import monitoring_page
from credit_core.domain.receipt_archive import Days
from credit_core.ports import ModelState, PointerMove, RegisteredModel
from credit_core.use_cases.compare_models import compare_models
from tests.builders import NOW, PRODUCT, a_manifest
from tests.builders_evidence import A_YEAR_AGO, Trial, a_version
from tests.builders_monitoring import A_DAY, Applicants, MonitoredDays

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from starlette.types import ASGIApp


REPORT = (
    b'<!doctype html><html lang="en"><title>A report</title><style>h1 { color: #123 }</style>'
    b'<main><h1>Report of a model</h1><p><a href="#end">To the end</a></p>'
    b"<p>Nothing of it may run.</p><p id='end'>The end.</p></main></html>"
)


def a_registered(
    version: str = "v1", state: ModelState = ModelState.CHAMPION, **changes: Any
) -> tuple[RegisteredModel, ModelManifest]:
    """Return a version with its manifest."""
    return (
        RegisteredModel(
            reference=ModelReference(version=version, manifest_sha256="a" * 64),
            state=state,
            created_at=NOW,
            report_sha256="b" * 64,
            moved_at=NOW,
            moved_by="ada, by rollout 7f3c",
        ),
        a_manifest(version=version, **changes),
    )


def a_pointer(
    champion: str = "v1",
    *,
    challenger: str | None = None,
    share: float = 0.0,
    previous: str | None = None,
    revision: int = 1,
) -> RolloutPointer:
    """Return where the pointer stands."""

    def reference(version: str) -> ModelReference:
        return ModelReference(version=version, manifest_sha256="a" * 64)

    mode = RolloutMode.LIVE if share else RolloutMode.SHADOW
    return RolloutPointer(
        product=PRODUCT.name,
        champion=reference(champion),
        challenger=Challenger(model=reference(challenger), mode=mode, share=share)
        if challenger
        else None,
        previous_champion=reference(previous) if previous else None,
        revision=revision,
        moved_at=NOW,
        moved_by="ada",
    )


def a_run(
    status: str = "SUCCEEDED", *, workflow: str = "rollout", cause: str = "", state: str = ""
) -> UnderWay:
    """Return a run of a workflow."""
    ended = None if status == "RUNNING" else NOW
    run = Run(workflow, "7f3c", "arn", status, NOW - timedelta(hours=1), ended, cause)
    return UnderWay(run, state)


@dataclass
class FakeEvidence:
    """Models and days in memory; ``fault`` is raised by whatever is asked."""

    found: list[tuple[RegisteredModel, ModelManifest | CliError]] = field(default_factory=list)
    where: RolloutPointer | None = None
    moved: list[PointerMove] = field(default_factory=list)
    run: UnderWay | None = None
    compared: Mapping[str, Any] | None = None
    kept: Mapping[date, Mapping[str, Any]] = field(default_factory=dict)
    watch: UnderWay | None = None
    fault: Exception | None = None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def models(self) -> Sequence[tuple[RegisteredModel, ModelManifest | CliError]]:
        self._may_fail()
        return self.found

    def model(self, version: str) -> tuple[RegisteredModel, ModelManifest] | None:
        self._may_fail()
        for model, manifest in self.found:
            if model.reference.version == version:
                if isinstance(manifest, CliError):
                    raise manifest
                return model, manifest
        return None

    def report(self, version: str) -> bytes | None:
        return REPORT if self.model(version) else None

    def pointer(self) -> RolloutPointer | None:
        self._may_fail()
        return self.where

    def moves(self, most: int) -> Sequence[PointerMove]:
        self._may_fail()
        return self.moved[:most]

    def rollout(self) -> UnderWay | None:
        return self.run

    def comparison(self) -> Mapping[str, Any] | None:
        self._may_fail()
        return self.compared

    def compare(self, days: Mapping[str, str]) -> None:
        self._may_fail()
        self.asked.append(("compare", dict(days)))

    def days(self) -> Sequence[date]:
        self._may_fail()
        return sorted(self.kept, reverse=True)

    def summary(self, day: date) -> Mapping[str, Any] | None:
        self._may_fail()
        return self.kept.get(day)

    def summaries(self, days: Sequence[date]) -> Sequence[Mapping[str, Any] | None]:
        return [self.summary(day) for day in days]

    def page(self, day: date) -> bytes | None:
        summary = self.summary(day)
        return None if summary is None else monitoring_page(PRODUCT, summary)

    def monitor(self, day: date) -> None:
        self._may_fail()
        self.asked.append(("monitor", day))

    def monitoring(self) -> UnderWay | None:
        return self.watch

    def _may_fail(self) -> None:
        if self.fault is not None:
            raise self.fault


FAILED_GATE = Gate(
    name="calibration", passed=False, evidence="ratio 2.4 (0.5 to 2.0)", look_at="the curve"
)


def some_evidence() -> FakeEvidence:
    """Return a product in use: a champion, a challenger, two others, a moved day."""
    passed = Gate(name="parity", passed=True, evidence="0 of 100 differ")
    return FakeEvidence(
        found=[
            a_registered("20261119T101500Z-4c1d2e3f4a5b", ModelState.LIVE),
            a_registered("v1"),
            a_registered("v0", ModelState.REJECTED, gates=(passed, FAILED_GATE)),
            (
                a_registered("v-damaged", ModelState.RETIRED)[0],
                CliError("its manifest is not what was registered"),
            ),
        ],
        where=a_pointer(
            challenger="20261119T101500Z-4c1d2e3f4a5b", share=0.25, previous="v-before", revision=4
        ),
        moved=[
            PointerMove(a_pointer(), a_pointer(challenger="v2", revision=2)),
            PointerMove(None, a_pointer()),
        ],
        run=a_run("RUNNING", state="AskApproval"),
        compared=a_comparison(),
        kept=monitored_days(),
    )


@cache
def a_comparison() -> Mapping[str, Any]:
    """Return champion and challenger on 120 applicants, whose loans' outcomes are known."""
    chance = random.Random(0)  # noqa: S311 (variety, no secret)
    trial = Trial(
        champion=a_version("v1", loan_amount=2e-5), challenger=a_version("v2", term_months=0.06)
    )
    for number in range(120):
        name, term = f"a{number}", chance.choice([36, 60])
        receipt = trial.decide(name, loan_amount=chance.randrange(500, 20_000), term_months=term)
        if receipt["outcome"] == "approve":
            bad = chance.random() < (0.1 if term == 36 else 0.7)
            trial.report(name, LoanOutcome.DEFAULTED if bad else LoanOutcome.REPAID)
    days = Days(A_YEAR_AGO.date(), NOW.date())
    return compare_models(PRODUCT, trial.decisions(days=days), as_of=NOW)


@cache
def monitored_days() -> dict[date, Mapping[str, Any]]:
    """Return the summaries of four days, of which the last brought others than before."""
    found = MonitoredDays()
    model = found.trained()
    kept: dict[date, Mapping[str, Any]] = {}
    for age in (4, 2, 1):
        day = A_DAY - timedelta(days=age)
        found.decide(day, 120, model=model)
        kept[day] = found.monitor(day)
    found.decide(A_DAY, 300, model=model, applicants=Applicants(income=22_000, inquiries=4))
    kept[A_DAY] = found.monitor(A_DAY)
    return kept


def text_of(content: Iterable[str]) -> str:
    """Return what a person reads in some HTML."""
    words = unescape(re.sub(r"<[^>]*>", " ", re.sub("<wbr>", "", " ".join(content))))
    return " ".join(words.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


@contextmanager
def served(app: ASGIApp, port: int) -> Iterator[str]:
    """Serve an application on this machine; give its address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", ws="none", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
