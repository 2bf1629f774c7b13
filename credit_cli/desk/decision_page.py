"""A decision's page: what was decided, why, what would have bettered it, and the review."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from credit_cli.desk.better import better_card
from credit_cli.desk.conditions import freshness_card, times_card
from credit_cli.desk.faults import tried
from credit_cli.desk.figures import outcome_word
from credit_cli.desk.history import history_card, model_card, receipt_card
from credit_cli.desk.markup import card, link, notice, tag
from credit_cli.desk.office import ProblemError
from credit_cli.desk.paths import decision_path
from credit_cli.desk.posting import posted
from credit_cli.desk.receipt_view import ReceiptView
from credit_cli.desk.replay_page import replay_content
from credit_cli.desk.review_form import (
    FIELDS,
    TypedReview,
    code_texts,
    conflict_notice,
    review_card,
)
from credit_cli.desk.scale import cutoffs, scale_figure
from credit_cli.desk.shell import Tab
from credit_cli.desk.verdict import settled_by, verdict_section
from credit_cli.desk.waterfall import CUT, waterfall_rows, waterfall_table
from credit_cli.errors import CliError
from credit_core.domain.pages.html import Markup, paragraph
from credit_core.domain.policy import points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from credit_cli.desk.desk import Desk
    from credit_cli.desk.office import Limits
    from credit_cli.desk.posting import Form
    from credit_core.domain.policy_definition import Policy

CONFLICT = 409
REVIEWED = "reviewed"
NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def routes(desk: Desk) -> list[Route]:
    """Return the routes of this page."""
    page = DecisionPage(desk)
    path = "/decisions/{application_id}"
    return [
        Route(path, page.show, methods=["GET"]),
        Route(f"{path}/review", page.shown_again, methods=["GET"]),
        Route(f"{path}/review", posted(page.review), methods=["POST"]),
        Route(f"{path}/receipt.json", page.receipt, methods=["GET"]),
        Route(f"{path}/replay", page.replay, methods=["GET"]),
    ]


@dataclass(frozen=True)
class Dossier:
    """All that is known of one application; what could not be had says why."""

    record: Mapping[str, Any]
    explanation: Mapping[str, Any] | CliError
    receipt: ReceiptView
    limits: Limits | None

    @property
    def decision(self) -> Mapping[str, Any]:
        """The decision that stands among revisions."""
        decision: Mapping[str, Any] = self.record["decision"]
        return decision


class DecisionPage:
    """One decision, and what a person may do about it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._texts = code_texts(desk.product)

    def show(self, request: Request) -> Response:
        """Answer the page of a decision."""
        dossier = self._dossier(request.path_params["application_id"])
        return self._page(dossier, done=REVIEWED in request.query_params)

    def shown_again(self, request: Request) -> Response:
        """Answer who reloads the page of a refused review."""
        path = decision_path(request.path_params["application_id"], anchor="review")
        return RedirectResponse(path, status_code=303)

    def review(self, request: Request, form: Form) -> Response:
        """Record a review; what is refused comes back with everything that was typed."""
        application_id = request.path_params["application_id"]
        typed = TypedReview.of(form)
        self._desk.notes.reviewer = typed.reviewer
        recorded = tried(lambda: self._desk.office.review(application_id, typed.document()))
        if isinstance(recorded, CliError):
            return self._not_recorded(typed, recorded, application_id)
        return RedirectResponse(f"{decision_path(application_id)}?{REVIEWED}=1", status_code=303)

    def _not_recorded(self, typed: TypedReview, error: CliError, application_id: str) -> Response:
        status = error.status if isinstance(error, ProblemError) else 503
        refused = self._refused(typed, error, application_id)
        if not isinstance(error, ProblemError):
            self._desk.forget()
        dossier = tried(lambda: self._dossier(application_id))
        if not isinstance(dossier, CliError):
            return self._page(dossier, typed=refused, status=status)
        # Nothing else can be shown now, and what was typed must not be lost.
        form = review_card(
            refused,
            action=f"{decision_path(application_id)}/review",
            texts=self._texts,
            referred=True,
            again=True,
        )
        return self._desk.shell.page(
            f"Review: {application_id}",
            paragraph(f"Application {application_id}", kind="eyebrow"),
            tag("h1", "Your review"),
            refused.problem,
            form,
            current=Tab.FIND,
            status=status,
        )

    def receipt(self, request: Request) -> Response:
        """Answer every record of an application as a JSON file."""
        application_id = request.path_params["application_id"]
        view = ReceiptView(self._desk.office.receipts(application_id))
        if not view.records:
            raise ProblemError(404, {"title": f"nothing is recorded under {application_id}"})
        document = {"application_id": application_id, "records": view.documents()}
        name = NOT_IN_A_FILE_NAME.sub("_", application_id)
        return Response(
            json.dumps(document, indent=2, ensure_ascii=False),
            media_type="application/json",
            headers={"Content-Disposition": f'attachment; filename="{name}.json"'},
        )

    def replay(self, request: Request) -> Response:
        """Answer whether the decision comes out again of its receipt and its model alone."""
        application_id = request.path_params["application_id"]
        records = self._desk.office.receipts(application_id)
        if not records:
            raise ProblemError(404, {"title": f"nothing is recorded under {application_id}"})
        return self._desk.shell.page(
            "Decided again",
            *replay_content(application_id, self._desk.office.replay(records)),
            current=Tab.FIND,
        )

    def _dossier(self, application_id: str) -> Dossier:
        office = self._desk.office
        with ThreadPoolExecutor(3) as pool:
            # Which stage it is about is part of the context, and of an error's words.
            explanation = pool.submit(
                copy_context().run, lambda: tried(lambda: office.explanation(application_id))
            )
            receipt = pool.submit(copy_context().run, self._receipt, application_id)
            limits = pool.submit(copy_context().run, self._limits)
            record = office.record(application_id)
            return Dossier(record, explanation.result(), receipt.result(), limits.result())

    def _receipt(self, application_id: str) -> ReceiptView:
        found = tried(lambda: self._desk.office.receipts(application_id))
        if isinstance(found, CliError):
            return ReceiptView(problem=found.message)
        return ReceiptView(found, problem="" if found else "it is not in the decisions table")

    def _limits(self) -> Limits | None:
        found = tried(self._desk.office.limits)
        return None if isinstance(found, CliError) else found

    def _policy(self, dossier: Dossier) -> Policy | None:
        """Return the policy of the decision, by its receipt; else today's if it is of that name."""
        if dossier.receipt.terms is not None:
            return dossier.receipt.terms.policy
        policy = self._desk.product.policy
        return policy if policy.version == dossier.decision.get("policy_version") else None

    def _refused(self, typed: TypedReview, error: CliError, application_id: str) -> TypedReview:
        faults: dict[str, list[str]] = {}
        others = []
        if isinstance(error, ProblemError):
            for path, message in error.faults:
                name = path.partition(".")[0].partition("[")[0]
                if name in FIELDS:
                    faults.setdefault(name, []).append(message)
                else:
                    others.append(f"{path}: {message}")
        if isinstance(error, ProblemError) and error.status == CONFLICT:
            problem = conflict_notice(error.detail or error.title, decision_path(application_id))
        elif faults and not others:
            problem = notice(
                paragraph(
                    "It was not recorded: see what is marked in ",
                    link("your review", "#review"),
                    ".",
                ),
                kind="bad",
                role="alert",
            )
        else:
            problem = notice(
                tag("h2", "It is not known to be recorded"),
                paragraph(f"{'; '.join(others) or error.message}."),
                paragraph("Sending it again is safe: a review is recorded once."),
                kind="bad",
                role="alert",
            )
        return TypedReview(
            typed.review_id,
            typed.revision,
            typed.outcome,
            typed.reviewer,
            typed.reason,
            typed.codes,
            faults,
            problem,
        )

    def _page(
        self,
        dossier: Dossier,
        *,
        typed: TypedReview | None = None,
        done: bool = False,
        status: int = 200,
    ) -> Response:
        policy = self._policy(dossier)
        decision = dossier.decision
        application_id = str(decision["application_id"])
        reviewed = bool(dossier.record.get("reviews"))
        closed = bool(dossier.record.get("outcomes"))
        blank = TypedReview.blank(
            decision, reviewer=self._desk.notes.reviewer, at=self._desk.clock()
        )
        review = review_card(
            typed or blank,
            action=f"{decision_path(application_id)}/review",
            texts={
                code: self._texts[code]
                for code in dict.fromkeys((*blank.codes, *self._texts))
                if code in self._texts
            },
            referred=decision["outcome"] == "refer",
            again=reviewed,
        )
        times = self._desk.notes.times(application_id)
        left = (
            self._why(dossier, policy),
            self._against(dossier.record),
            better_card(dossier.explanation, application_id, self._desk.product),
            Markup("") if closed and typed is None else review,
        )
        right = (
            history_card(dossier.record, self._texts),
            freshness_card(decision, self._desk.product),
            times_card(dossier.receipt.stages_ms, times, dossier.limits),
            model_card(decision, dossier.receipt),
        )
        recorded = paragraph(
            "The review is recorded. ", link("To the next referral", "/referrals"), "."
        )
        title = f"{outcome_word(decision['outcome']).capitalize()}: {application_id}"
        return self._desk.shell.page(
            title,
            notice(recorded, kind="good", role="status") if done and reviewed else "",
            typed.problem if typed else "",
            verdict_section(dossier.record, policy),
            self._scale(dossier, policy),
            tag("div", tag("div", *left), tag("div", *right), class_="columns wide-left"),
            receipt_card(application_id, dossier.receipt),
            current=Tab.FIND,
            status=status,
        )

    def _scale(self, dossier: Dossier, policy: Policy | None) -> Markup:
        decision = dossier.decision
        if decision.get("points") is None:
            return Markup("")
        if policy is None:
            words = "The policy of this decision can't be read, so its cut-offs are not shown."
            return card("On the scale", paragraph(words), anchor="scale")
        return card(
            "On the scale",
            scale_figure(
                policy,
                applicant=decision["points"],
                probability=decision["probability_of_default"],
                reference=_reference_points(dossier.explanation, policy),
            ),
            anchor="scale",
        )

    def _why(self, dossier: Dossier, policy: Policy | None) -> Markup:
        """Return the waterfall, or why there is none."""
        explanation, decision = dossier.explanation, dossier.decision
        title = "How the points came about"
        if isinstance(explanation, CliError):
            words = f"This can't be told now: {explanation.message}."
            return card(title, notice(paragraph(words), kind="warning"), anchor="why")
        contributions = explanation.get("contributions") or []
        if not contributions or decision.get("points") is None:
            said = settled_by(decision, policy)
            words = f"No model judged this applicant, so there are no points. {said}"
            return card(title, paragraph(words), self._rules(explanation), anchor="why")
        rows = waterfall_rows(
            contributions,
            points=decision["points"],
            reference_points=_reference_points(explanation, policy),
            units=dossier.receipt.units(self._desk.product),
        )
        table = waterfall_table(rows, cutoffs=cutoffs(policy) if policy else ())
        lines = " Dashed lines are the cut-offs." if f'class="{CUT} ' in table else ""
        return card(
            title,
            self._rules(explanation),
            table,
            paragraph(
                "Each bar is what one input adds or takes, exactly: from the first line to the "
                f"last they sum to the hundredth of a point.{lines}",
                kind="note",
            ),
            anchor="why",
        )

    def _rules(self, explanation: Mapping[str, Any]) -> Markup:
        """Return the rules that apply, or could not be checked."""
        rules = explanation.get("rules") or []
        if not rules:
            return Markup("")
        entries = []
        for rule in rules:
            applies = rule["state"] == "applies"
            verb = {"decline": "declines", "refer": "refers"}.get(rule["outcome"], rule["outcome"])
            words = f"{rule['text']} ({rule['code']})"
            state = f": the rule {verb}" if applies else ": it could not be checked"
            entries.append(tag("li", words, state))
        return tag("div", tag("h3", "Rules"), tag("ul", *entries))

    def _against(self, record: Mapping[str, Any]) -> Markup:
        """Return the reasons in the words for an applicant, and whether this one reads them."""
        decision, standing = record["decision"], record["standing"]
        reasons = decision.get("reasons") or []
        if not reasons:
            return Markup("")
        entries = [
            tag(
                "li",
                str(reason["text"]),
                " ",
                tag("span", str(reason["code"]), class_="quiet mono"),
                data_code=reason["code"],
            )
            for reason in reasons
        ]
        title = "What counted most against"
        declined = standing["outcome"] == "decline"
        if standing["by"] == "person":
            note = (
                "The service's reasons. The applicant is told those of the review."
                if declined
                else "The service's reasons. A person approved it: the applicant is told none."
            )
        elif declined:
            title = "What the applicant is told"
            note = "The adverse action reasons, the weightiest first."
        else:
            note = (
                "In the words of an adverse action notice. Unless it is declined, nobody is told."
            )
        return card(title, tag("ol", *entries, class_="reasons-told"), anchor="reasons", note=note)


def _reference_points(
    explanation: Mapping[str, Any] | CliError, policy: Policy | None
) -> float | None:
    if isinstance(explanation, CliError) or policy is None:
        return None
    log_odds = explanation.get("reference_log_odds")
    return None if log_odds is None else points(policy, log_odds)
