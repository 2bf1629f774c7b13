"""A loan desk without a cloud: its office is the service's own core, on fakes in memory."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from credit_cli.desk.app import desk_app
from credit_cli.desk.desk import Desk, Rooms
from credit_cli.desk.office import AnswerTimes, Decided, Limits, ProblemError
from credit_cli.desk.shell import Shell
from credit_core.adapters.http_problem import problem_document
from credit_core.domain.application_records import ApplicationRecords, Record
from credit_core.domain.loan_outcome import read_outcome_report
from credit_core.domain.review import ReviewReader
from credit_core.errors import ApplicationUnknownError, CreditScoringError
from credit_core.use_cases.explain import ExplainDecision
from credit_core.use_cases.records import report_outcome, review_decision
from credit_core.use_cases.replay import Replayer
from tests.builders import NOW, PRODUCT, AScorer, LinearModel, a_model, a_scorer, a_timer
from tests.builders_records import FakeRecordStore, an_outcome_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from starlette.types import Message, Scope

    from credit_cli.errors import CliError
    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.product import CreditProduct
    from credit_core.domain.receipt import Receipt
    from credit_core.ports import LoadedModel
    from credit_core.use_cases.replay import Replay

KEY, PORT = "the-key-of-this-start", 8600
HOST = f"127.0.0.1:{PORT}"
TIMING = "parse;dur=0.2, read;dur=2.1, infer;dur=0.5, explain;dur=0.1, write;dur=2.0, total;dur=5.0"
WEIGHTS = {"loan_amount": 5e-5, "term_months": 0.01, "annual_income": -1e-5, "delinq_2yrs": 0.3}
"""Log-odds per unit: 30,000 over 60 months on 60,000 a year is declined, 1,000 is approved."""


def a_weighing_model(**weights: float) -> LinearModel:
    """Return a model that approves some, declines some and refers some."""
    return a_model(PRODUCT, **(WEIGHTS | weights))


@dataclass
class FakeOffice:
    """The API as the core answers it. ``faults`` are raised in place of an answer, by method."""

    product: CreditProduct = PRODUCT
    model: LoadedModel | None = field(default_factory=a_weighing_model)
    challenger: LoadedModel | None = None
    faults: dict[str, Exception] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)
    limited: Limits = field(default_factory=lambda: Limits(80.0, 100.0))
    store: FakeRecordStore = field(default_factory=FakeRecordStore)
    damaged: dict[str, dict[str, Any]] = field(default_factory=dict)
    known_samples: Sequence[Mapping[str, Any]] = ()
    pages: list[tuple[int, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scorer: AScorer = a_scorer(
            rows=None if self.product is PRODUCT else {},  # those of others have other keys
            model=self.model,
            product=self.product,
            with_model=self.model is not None,
            challenger=self.challenger,
        )

    def decide(self, application: bytes) -> Decided:
        self._fail("decide")
        self.sent.append(application)
        answered = self._with_problems(
            lambda: self.scorer.score(application.decode(), as_of=NOW, timer=a_timer())
        )
        for application_id, receipt in self.scorer.store.receipts.items():
            self._keep(application_id, receipt)
        return Decided(
            json.loads(answered.body), AnswerTimes(TIMING, 0.052, repeated=answered.replayed)
        )

    def record(self, application_id: str) -> Mapping[str, Any]:
        self._fail("record")
        records = self.store.read(application_id)
        if records is None:
            raise as_problem(ApplicationUnknownError(application_id))
        found = json.loads(records.as_text())
        assert isinstance(found, dict)
        return found

    def explanation(self, application_id: str) -> Mapping[str, Any]:
        self._fail("explanation")
        explain = ExplainDecision(self.product, records=self.receipts, load_model=self._load)
        return self._with_problems(lambda: explain(application_id).as_response())

    def review(self, application_id: str, review: Mapping[str, Any]) -> Mapping[str, Any]:
        self._fail("review")
        read = ReviewReader(self.product)
        recorded = self._with_problems(
            lambda: review_decision(
                self.store,
                read(json.dumps(review)),
                application_id=application_id,
                client_id="desk",
                as_of=NOW,
            )
        )
        found = json.loads(recorded.document)
        assert isinstance(found, dict)
        return found

    def referrals(self, *, limit: int, after: str | None) -> Mapping[str, Any]:
        self._fail("referrals")
        self.pages.append((limit, after))
        waiting = [
            json.loads(records.decision.document)
            for records in self.store.applications.values()
            if records.decision.outcome == "refer" and not records.reviews
        ]
        first = int(after or 0)
        page = waiting[first : first + limit]
        more = len(waiting) > first + limit
        return {"referrals": page, "next": str(first + limit) if more else None}

    def receipts(self, application_id: str) -> Sequence[StoredRecord]:
        self._fail("receipts")
        receipt = self.scorer.store.receipts.get(application_id)
        if receipt is None:
            return []
        superseded = [
            earlier.as_record(f"superseded/{earlier.revision:04}")
            for earlier in self.scorer.store.superseded
            if earlier.application_id == application_id
        ]
        return [receipt.as_record() | self.damaged.get(application_id, {}), *superseded]

    def replay(self, records: Sequence[StoredRecord]) -> Sequence[Replay]:
        self._fail("replay")
        again = Replayer(self._load, lambda _name: self.product)
        return [again(record) for record in records]

    def card(self) -> Mapping[str, Any]:
        self._fail("card")
        return {}

    def limits(self) -> Limits:
        self._fail("limits")
        return self.limited

    def samples(self) -> Sequence[Mapping[str, Any]]:
        self._fail("samples")
        return self.known_samples

    def report(self, **changes: str) -> None:
        """Record what became of a loan, as a servicing application does."""
        report = read_outcome_report(an_outcome_body(**changes))
        report_outcome(self.store, report, client_id="servicing", as_of=NOW)

    def _load(self, _product: str, /, *, version: str, manifest_sha256: str) -> LoadedModel:
        del version, manifest_sha256
        assert self.model is not None
        return self.model

    def _keep(self, application_id: str, receipt: Receipt) -> None:
        known = self.store.applications.get(application_id)
        if known is not None and known.revision == receipt.revision:
            return
        decision = Record("decision", receipt.outcome, receipt.decided_at, receipt.response)
        superseded = (*known.superseded, known.decision) if known else ()
        self.store.applications[application_id] = ApplicationRecords(
            application_id, decision, revision=receipt.revision, superseded=superseded
        )

    def _fail(self, method: str) -> None:
        if method in self.faults:
            raise self.faults[method]

    def _with_problems[T](self, answer: Callable[[], T]) -> T:
        try:
            return answer()
        except CreditScoringError as error:
            raise as_problem(error) from None


def as_problem(error: Exception) -> ProblemError:
    """Return an error of the core as the API's client meets it."""
    document = problem_document(error, request_id="request-1")
    status = document["status"]
    assert isinstance(status, int)
    return ProblemError(status, document)


@dataclass(frozen=True)
class Page:
    """An answer of the desk."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def place(self) -> str:
        """Where it leads, of a redirection."""
        return self.headers["location"]


@dataclass
class Visitor:
    """A browser that keeps cookies and runs nothing; ``headers`` go with every request."""

    app: Any
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"host": HOST})

    def get(self, path: str, **headers: str) -> Page:
        """Ask for a page."""
        return self._ask("GET", path, b"", headers)

    def post(
        self, path: str, form: Mapping[str, str | Sequence[str]] | bytes, **headers: str
    ) -> Page:
        """Send a form, as a browser on the desk's own page does."""
        body = form if isinstance(form, bytes) else urlencode(form, doseq=True).encode()
        own = {
            "origin": f"http://{self.headers['host']}",
            "content-type": "application/x-www-form-urlencoded",
        }
        return self._ask("POST", path, body, own | headers)

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Page:
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        parts = urlsplit(path)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path.replace("%2F", "/"),
            "raw_path": quote(parts.path, safe="/%").encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
            "server": ("127.0.0.1", PORT),
            "client": ("127.0.0.1", 50_000),
        }
        answered: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            answered.append(message)

        asyncio.run(self.app(scope, receive, send))
        start, *bodies = answered
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        for _, value in _set_cookies(start["headers"]):
            for name, morsel in SimpleCookie(value).items():
                self.cookies[name] = morsel.value
        text = b"".join(part.get("body", b"") for part in bodies).decode()
        return Page(start["status"], found, text)


def _set_cookies(headers: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if name == b"set-cookie":
            yield name.decode(), value.decode()


def a_desk(office: FakeOffice | None = None, *, stage: str = "local", **parts: Any) -> Desk:
    """Return a desk on fakes."""
    asked = office or FakeOffice()
    place = "the local cloud" if stage == "local" else f"{stage} in account 1, eu-west-1"
    return Desk(
        asked.product,
        Shell(asked.product.title, stage=stage, place=place),
        lambda: Rooms(asked, parts.pop("evidence", None)),
        clock=lambda: NOW,
        **parts,
    )


def a_visitor(office: FakeOffice | None = None, **desk: Any) -> Visitor:
    """Return a visitor who is inside."""
    visitor = Visitor(desk_app(a_desk(office, **desk), key=KEY, port=PORT))
    assert visitor.get(f"/?key={KEY}").status == 303
    return visitor


def without_a_cloud(error: CliError) -> Desk:
    """Return a desk that finds nothing."""

    def nobody() -> Rooms:
        raise error

    return replace(a_desk(), rooms=nobody)
