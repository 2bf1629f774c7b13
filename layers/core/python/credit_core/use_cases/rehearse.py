"""Send made-up applications to new versions, before they answer anybody, and judge the answers."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from credit_core.domain.openapi import OPENAPI_PATH
from credit_core.domain.rehearsal import REHEARSAL, application_of_nobody, made_up
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from credit_core.domain.model_manifest import GoldenVector, ModelManifest
    from credit_core.domain.product import CreditProduct, Value
    from credit_core.domain.rehearsal import MadeUp

    type Call = Callable[[Mapping[str, Any]], Reply]
    """Invokes one version of a function with an event."""

SCORER, BATCH, RECORDS = "scorer", "batch", "records"
"""The functions that answer clients."""

NEAR_LOG_ODDS = 1e-4
"""How far an answer may lie from the registered one, as where a model is loaded."""

BAD_BODIES: Mapping[str, tuple[str, int]] = {
    "no body": ("", 400),
    "a body that is no JSON": ("{", 400),
    "a list": ("[]", 400),
    "an application without fields": ("{}", 400),
    "a field of no product": ('{"application_id":"rehearsal","?":1}', 400),
    "NaN": ('{"application_id":NaN}', 400),
    "a body that is too large": (json.dumps({"application_id": "x" * MAXIMUM_BODY_BYTES}), 413),
}
"""What no version may take for an application, and the status that it answers."""


UNLIKE_AN_ANSWER = (AttributeError, LookupError, TypeError, ValueError)
"""What reading an answer may raise that holds anything at all."""
UNLIKE = "its answer is not of this service's form"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a version made of an event; ``fault`` says why there is no ``document``."""

    document: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How a rehearsal went.

    ``findings`` are what speaks against the new versions, a line each; ``notes`` what could not be
    tried. ``decisions_ms`` are the handler's times of the decisions that were judged.
    """

    champion: str | None
    checks: int
    golden: int
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    decisions_ms: tuple[float, ...]

    @property
    def passed(self) -> bool:
        """Whether the new versions may answer applicants."""
        return not self.findings

    def document(self) -> dict[str, Any]:
        """Return the JSON object in which a caller receives it."""
        times = self.decisions_ms
        return {
            "passed": self.passed,
            "champion": self.champion,
            "checks": self.checks,
            "golden": self.golden,
            "findings": list(self.findings),
            "notes": list(self.notes),
            "decisions_ms": {"median": median(times), "largest": max(times)} if times else None,
        }


@dataclass(slots=True)
class _Golden:
    """What came of the golden applicants so far."""

    findings: list[str] = field(default_factory=list)
    decisions_ms: list[float] = field(default_factory=list)
    sent: int = 0
    other_answered: bool = False


class Rehearsal:
    """One rehearsal of a product's new versions.

    Args:
        product: What they decide about.
        functions: How to call the new version of each function.
        champion: Returns the manifest of the model that answers now; None where there is none.
        deadline_ms: The scorer's.
        mark: Part of the ids of this rehearsal's applications; no other has it.
        settle: Waits until functions know of a move of the pointer.
    """

    def __init__(
        self,
        product: CreditProduct,
        *,
        functions: Mapping[str, Call],
        champion: Callable[[], ModelManifest | None],
        deadline_ms: float,
        mark: str,
        settle: Callable[[], None],
    ) -> None:
        self._product = product
        self._functions = functions
        self._champion = champion
        self._deadline_ms = deadline_ms
        self._mark = mark
        self._settle = settle
        self._checks = self._golden = 0
        self._findings: list[str] = []
        self._notes: list[str] = []
        self._decisions_ms: list[float] = []

    def __call__(self) -> Rehearsed:
        """Try everything; one finding doesn't keep the others from being found.

        Raises:
            ModelUnavailableError: The champion's manifest cannot be read or trusted.
            StoreUnavailableError: The registry did not answer.
        """
        manifest = self._champion()
        self._answer_health(manifest)
        self._refuse_bad_bodies()
        self._answer_records(manifest)
        try:
            application_of_nobody(self._product, self._mark, {})
        except ValueError as error:
            self._notes.append(f"nobody was decided: {error}")
        else:
            if manifest is None:
                self._notes.append("no champion has been promoted yet: nobody golden was decided")
            else:
                manifest = self._decide_golden(manifest)
            self._leave_the_unknown_to_a_person(manifest)
        self._judge_times()
        return Rehearsed(
            manifest.version if manifest else None,
            self._checks,
            self._golden,
            tuple(self._findings),
            tuple(self._notes),
            tuple(self._decisions_ms),
        )

    # --- what is tried ---------------------------------------------------------------------

    def _answer_health(self, manifest: ModelManifest | None) -> None:
        # The first call of an environment that is not warm takes longer; it is not timed.
        reply = self._request(SCORER, "GET", "/v1/health")
        expected = 200 if manifest else 503
        if not self._has_status(reply, expected, f"{SCORER}: health") or manifest is None:
            return
        try:
            serving = json.loads(reply.document["body"])["model"]["version"]
        except UNLIKE_AN_ANSWER:
            self._findings.append(f"{SCORER}: health: {UNLIKE}")
            return
        if serving != manifest.version:
            self._notes.append(f"{SCORER}: health names {serving}, the pointer {manifest.version}")

    def _refuse_bad_bodies(self) -> None:
        for what, (body, status) in BAD_BODIES.items():
            reply = self._request(SCORER, "POST", "/v1/decisions", body)
            self._has_status(reply, status, f"{SCORER}: {what}")
        reply = self._request(BATCH, "POST", "/v1/decision-batches", "{")
        self._has_status(reply, 400, f"{BATCH}: a body that is no JSON")

    def _decide_golden(self, manifest: ModelManifest) -> ModelManifest:
        """Send the golden applicants; return the manifest of the model that answered them."""
        tried = self._golden_applicants(manifest, "first")
        if tried.other_answered:
            # Somebody moved the pointer meanwhile: a function may know of it some seconds later.
            self._settle()
            manifest = self._champion() or manifest
            tried = self._golden_applicants(manifest, "again")
        if not tried.sent:
            self._notes.append(f"no golden applicant of {manifest.version} can be sent")
        self._findings += tried.findings
        self._decisions_ms += tried.decisions_ms
        self._golden = tried.sent
        return manifest

    def _golden_applicants(self, manifest: ModelManifest, attempt: str) -> _Golden:
        tried = _Golden()
        for place, vector in enumerate(manifest.golden, 1):
            person = _sendable(self._product, manifest, vector)
            if person is None:
                continue
            what = f"golden applicant {place} of {len(manifest.golden)}"
            self._decide_golden_one(manifest, person, what, f"{attempt}-{place}", tried)
            tried.sent += 1
        return tried

    def _decide_golden_one(
        self, manifest: ModelManifest, person: MadeUp, what: str, mark: str, tried: _Golden
    ) -> None:
        first = not tried.sent
        for name in (SCORER, BATCH) if first else (SCORER,):
            application_id = f"{self._mark}-{mark}-{name}"
            reply = self._decide(name, application_id, person.request, person.views)
            fault = _told(partial(_golden_fault, reply, manifest, person.log_odds))
            if fault:
                tried.findings.append(f"{name}: {what}: {fault}")
                tried.other_answered |= _other_answered(reply, manifest)
                continue
            if name == SCORER and isinstance(reply.document.get("total_ms"), float):
                tried.decisions_ms.append(reply.document["total_ms"])
            if first:
                again = self._decide(name, application_id, person.request, person.views)
                if again.document.get("replayed") is not True:
                    tried.findings.append(f"{name}: {what}: sent again, not answered as before")

    def _leave_the_unknown_to_a_person(self, manifest: ModelManifest | None) -> None:
        """Send somebody of whom no store knows anything, and have the store looked into."""
        request = _plain_request(self._product, manifest)
        for name in (SCORER, BATCH):
            reply = self._decide(name, f"{self._mark}-unknown-{name}", request, None)
            fault = _told(partial(_fault_of_the_unknown, reply, self._product))
            if fault:
                self._findings.append(f"{name}: an applicant whom nobody knows: {fault}")

    def _answer_records(self, manifest: ModelManifest | None) -> None:
        nobody = {"application_id": f"{self._mark}-never-sent"}
        for what, status, reply in (
            (
                "a decision that was never made",
                404,
                self._request(RECORDS, "GET", "/v1/decisions/{application_id}", path=nobody),
            ),
            (
                "an outcome that is no JSON",
                400,
                self._request(RECORDS, "POST", "/v1/outcomes", "{"),
            ),
            ("its own document", 200, self._request(RECORDS, "GET", OPENAPI_PATH)),
            (
                "the champion's card",
                200 if manifest else 503,
                self._request(RECORDS, "GET", "/v1/model"),
            ),
        ):
            self._has_status(reply, status, f"{RECORDS}: {what}")

    def _judge_times(self) -> None:
        if self._decisions_ms and median(self._decisions_ms) > self._deadline_ms:
            self._findings.append(
                f"{SCORER}: half of the decisions took more than {median(self._decisions_ms):.0f} "
                f"ms; the deadline is {self._deadline_ms:.0f} ms"
            )

    # --- how it is tried -------------------------------------------------------------------

    def _request(
        self,
        name: str,
        method: str,
        resource: str,
        body: str | None = None,
        *,
        path: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send what API Gateway would."""
        self._checks += 1
        return self._functions[name](
            {
                "httpMethod": method,
                "resource": resource,
                "pathParameters": path,
                "body": body,
                "isBase64Encoded": False,
                "requestContext": {"requestId": self._mark},
            }
        )

    def _decide(
        self,
        name: str,
        application_id: str,
        request: Mapping[str, Value],
        views: Mapping[str, Mapping[str, Value]] | None,
    ) -> Reply:
        self._checks += 1
        application = application_of_nobody(self._product, application_id, request)
        return self._functions[name]({REHEARSAL: {"application": application, "features": views}})

    def _has_status(self, reply: Reply, status: int, what: str) -> bool:
        """Whether a reply has the status; noted as a finding where it hasn't."""
        answered = reply.fault or f"{reply.document.get('statusCode')} instead of {status}"
        if reply.fault is None and reply.document.get("statusCode") == status:
            return True
        self._findings.append(f"{what}: {answered}")
        return False


def _told(check: Callable[[], str | None]) -> str | None:
    """Return what a check found wrong, also where the answer is like none of this service's."""
    try:
        return check()
    except UNLIKE_AN_ANSWER:
        return UNLIKE


def _sendable(
    product: CreditProduct, manifest: ModelManifest, vector: GoldenVector
) -> MadeUp | None:
    """Return a golden applicant as a client could send it, if one could."""
    if len(vector.model_input) != len(product.model_features):
        return None
    if manifest.inputs != tuple(feature.name for feature in product.model_features):
        return None
    return made_up(product, vector)


def _golden_fault(reply: Reply, manifest: ModelManifest, log_odds: float) -> str | None:
    """Return what is wrong with the answer to a golden applicant, without any value."""
    decision = _decision_in(reply)
    if isinstance(decision, str):
        return decision
    model = decision.get("model")
    estimate = decision.get("probability_of_default")
    if model is None or not isinstance(estimate, float) or not 0 < estimate < 1:
        cause = (decision.get("cause") or {}).get("code", "no cause")
        return f"it was not scored ({cause})"
    if model["version"] != manifest.version:
        return f"{model['version']} answered, and {manifest.version} is the champion"
    difference = abs(math.log(estimate / (1 - estimate)) - log_odds)
    if not difference <= NEAR_LOG_ODDS:
        return f"its log-odds differ by {difference:.2g} from the registered ones"
    return None


def _other_answered(reply: Reply, manifest: ModelManifest) -> bool:
    """Whether another model answered than was asked about."""
    try:
        return bool(reply.document["decision"]["model"]["version"] != manifest.version)
    except UNLIKE_AN_ANSWER:
        return False


def _fault_of_the_unknown(reply: Reply, product: CreditProduct) -> str | None:
    """Return what is wrong with the answer about an applicant whom no store knows."""
    decision = _decision_in(reply)
    if isinstance(decision, str):
        return decision
    for view in product.views_of_applicant:
        status = decision["feature_status"][view.name]["status"]
        if status != "missing":
            return f"{view.name} is {status}, and should be missing"
        if view.substitutes(view.when_missing) is None and decision["outcome"] == "approve":
            return f"approved, although {view.name} is missing"
    return None


def _decision_in(reply: Reply) -> dict[str, Any] | str:
    """Return the decision in the reply to a rehearsal, or why there is none."""
    if reply.fault is not None:
        return reply.fault
    decision = reply.document.get("decision")
    if isinstance(decision, dict):
        return decision
    problem = json.loads(reply.document.get("body") or "{}")
    return f"{reply.document.get('statusCode')} {problem.get('title', '')}".strip()


def _plain_request(product: CreditProduct, manifest: ModelManifest | None) -> Mapping[str, Value]:
    """Return request features that a client could send: a golden applicant's, else the least."""
    if manifest is not None:
        for vector in manifest.golden:
            person = _sendable(product, manifest, vector)
            if person is not None:
                return person.request
    return {
        feature.name: feature.categories[0]
        if feature.categories
        else (math.ceil(feature.minimum or 0) if feature.minimum is not None else 0)
        for feature in product.request_features
    }
