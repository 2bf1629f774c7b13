"""The first page: an application is typed, picked or brought as JSON, and sent."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Route

from credit_cli.desk.application_form import APPLICATION_ID, ApplicationForm, Faults
from credit_cli.desk.examples import known_examples
from credit_cli.desk.faults import tried
from credit_cli.desk.figures import capital, small
from credit_cli.desk.markup import button, card, folded, link, notice, tag, verbatim
from credit_cli.desk.office import ProblemError
from credit_cli.desk.paths import decision_path
from credit_cli.desk.posting import posted
from credit_cli.desk.shell import PRODUCTION, Tab
from credit_cli.errors import CliError
from credit_cli.target import LOCAL
from credit_core.domain.application_records import compact_json
from credit_core.domain.pages.html import Markup, paragraph
from credit_core.domain.pages.words import listed, plain
from credit_core.domain.strict_json import strict_json_object
from credit_core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from credit_cli.desk.desk import Desk
    from credit_cli.desk.posting import Form

CONFLICT = 409
SAMPLES = 10_000


def routes(desk: Desk) -> list[Route]:
    """Return the routes of this page."""
    page = ScorePage(desk)
    return [
        Route("/", page.show, methods=["GET"]),
        Route("/", posted(page.send), methods=["POST"]),
        Route("/json", page.begun_anew, methods=["GET"]),
        Route("/json", posted(page.bring), methods=["POST"]),
    ]


class ScorePage:
    """The form of an application, and what becomes of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._form = ApplicationForm(desk.product)
        # Made-up people are no applicants of a real lender.
        real = desk.shell.stage == PRODUCTION
        self._examples = {} if real else known_examples(desk.product.name)

    def show(self, request: Request) -> Response:
        """Answer the form: empty, or with an example, a sample's values, or those of a decision."""
        given: Mapping[str, object] = {}
        told = ""
        if "example" in request.query_params:
            name = request.query_params["example"]
            if name not in self._examples:
                raise HTTPException(404, "there is no such example")
            given = self._examples[name]
            told = "An example. Look through it, then send it."
        elif "sample" in request.query_params:
            given = self._sample(request.query_params["sample"])
            told = "Somebody of the sample in the lake. Look through it, then send it."
        elif "like" in request.query_params:
            given, told = self._like(request)
        typed = self._form.typed(given)
        typed[APPLICATION_ID] = self._new_id()
        return self._page(typed, note=notice(paragraph(told)) if told else Markup(""))

    def send(self, _request: Request, form: Form) -> Response:
        """Ask for the decision; what is refused comes back with everything that was typed."""
        typed = {known.name: form.get(known.name) for known in self._form.fields}
        body = compact_json(self._form.document(typed)).encode()
        decided = tried(lambda: self._desk.office.decide(body))
        if isinstance(decided, CliError):
            return self._refused(typed, decided)
        application_id = str(decided.decision.get("application_id", typed[APPLICATION_ID]))
        self._desk.notes.note(application_id, decided.times)
        return RedirectResponse(decision_path(application_id), status_code=303)

    def bring(self, _request: Request, form: Form) -> Response:
        """Fill the form with an application in JSON; nothing is sent yet."""
        brought = form.get("file") or form.get("json")
        try:
            document = strict_json_object(brought)
        except InvalidRequestError as error:
            words = "; ".join(fault.message for fault in error.faults)
            problem = notice(
                paragraph(f"This is no application: {small(words)}."),
                kind="bad",
                role="alert",
            )
            typed = {APPLICATION_ID: self._new_id()}
            return self._page(typed, note=problem, brought=brought, status=400)
        typed = {APPLICATION_ID: self._new_id()} | self._form.typed(document)
        parts = [paragraph("Filled in from JSON. Look through it, then send it.")]
        if unknown := self._form.unknown(document):
            few = listed([name[:64] for name in unknown[:10]])
            parts.append(paragraph(f"Left out, since this product has no such field: {few}."))
        return self._page(typed, note=notice(*parts, kind="warning" if unknown else "info"))

    def begun_anew(self, _request: Request) -> Response:
        """Answer who opens the address of a form that was filled from JSON."""
        return RedirectResponse("/", status_code=303)

    def _sample(self, number: str) -> Mapping[str, object]:
        samples = self._desk.office.samples() if self._desk.shell.stage == LOCAL else ()
        if not samples or not number.isdecimal() or len(number) > len(str(SAMPLES)):
            raise HTTPException(404, "there is no such sample")
        return samples[int(number) % len(samples)]

    def _like(self, request: Request) -> tuple[Mapping[str, object], str]:
        """Return what an earlier application said, with changes if they are asked for."""
        application_id = request.query_params["like"]
        receipts = self._desk.office.receipts(application_id)
        texts = [
            str(record.get("request")) for record in receipts if record.get("record") == "decision"
        ]
        try:
            document = strict_json_object(texts[0] if texts else "")
        except InvalidRequestError:
            raise HTTPException(404, "what that application said can't be read") from None
        told = (
            "The values of an earlier application. Who applied is kept only as a hash: "
            "type it again."
        )
        if "better" in request.query_params:
            found = self._desk.office.explanation(application_id).get("counterfactual") or {}
            changes = {
                change["feature"]: change["to"]
                for change in found.get("changes") or ()
                if change["feature"] in document
            }
            if changes:
                document |= changes
                told = f"With another {listed([plain(name) for name in changes])}. {told}"
        return document, told

    def _refused(self, typed: Mapping[str, str], error: CliError) -> Response:
        status = error.status if isinstance(error, ProblemError) else 503
        faults, note = Faults(), Markup("")
        if isinstance(error, ProblemError) and error.faults:
            faults = Faults.of(error.faults, self._form)
            count = len(error.faults)
            note = notice(
                tag("h2", f"{count} thing{'s' * (count != 1)} to put right"),
                tag("ul", faults.summary(self._form)),
                kind="bad",
                role="alert",
            )
        elif isinstance(error, ProblemError) and error.status == CONFLICT:
            known = typed[APPLICATION_ID]
            faults = Faults({APPLICATION_ID: ["this id was used before, with other content"]})
            note = notice(
                paragraph(
                    "This id was decided before, with other content. ",
                    link("Look at that decision", decision_path(known)),
                    ", or give this application an id of its own. Nothing was recorded.",
                ),
                kind="bad",
                role="alert",
            )
        else:
            self._desk.forget()
            note = notice(
                tag("h2", "It was not decided, as far as is known here"),
                paragraph(f"{capital(error.message)}."),
                paragraph(
                    "Nothing that you typed is lost. Send it again with the same id: what was "
                    "recorded is never recorded twice."
                ),
                paragraph(capital(error.hint), kind="hint") if error.hint else "",
                kind="bad",
                role="alert",
            )
        return self._page(typed, faults=faults, note=note, status=status)

    def _page(
        self,
        typed: Mapping[str, str],
        *,
        faults: Faults | None = None,
        note: Markup = Markup(""),  # noqa: B008 (text does not change)
        brought: str = "",
        status: int = 200,
    ) -> Response:
        found = faults or Faults()
        who, asked = (
            tag(
                "div",
                *(
                    known.html(typed.get(known.name, ""), found.by_field.get(known.name, ()))
                    for known in fields
                ),
                class_="grid",
            )
            for fields in (self._form.who, self._form.asked)
        )
        product = self._desk.product
        form = tag(
            "form",
            card("Who applies", who, anchor="who"),
            card("What they ask for, and say", asked, anchor="asked"),
            tag("div", button(self._button()), class_="actions"),
            id="application",
            method="post",
            action="/",
            novalidate=True,
            autocomplete="off",
        )
        return self._desk.shell.page(
            "Score an application",
            tag("h1", "Score an application"),
            paragraph(f"{product.title}: {product.description}", kind="lead"),
            note,
            self._picks(),
            form,
            self._json(brought),
            current=Tab.SCORE,
            status=status,
        )

    def _button(self) -> str:
        if self._desk.shell.stage == PRODUCTION:
            return "Send to production and decide"
        return "Decide"

    def _picks(self) -> Markup:
        """Return ways not to type it all."""
        links = [
            link(name.capitalize(), f"/?example={name}", kind="button second")
            for name in self._examples
        ]
        if self._desk.shell.stage == LOCAL:
            number = secrets.randbelow(SAMPLES)
            links.append(link("Somebody of the sample", f"/?sample={number}", kind="button second"))
        if not links:
            return Markup("")
        return tag(
            "p",
            tag("span", "Start from an example:", class_="quiet"),
            " ",
            *links,
            class_="row picks",
        )

    def _json(self, brought: str) -> Markup:
        form = tag(
            "form",
            tag(
                "div",
                tag("label", "Application, JSON", for_="json"),
                tag(
                    "textarea",
                    verbatim(brought),
                    id="json",
                    name="json",
                    rows=8,
                    spellcheck="false",
                    class_="mono",
                ),
                class_="field",
            ),
            tag(
                "div",
                tag("label", "or a file", for_="file"),
                tag("input", type="file", id="file", name="file", accept=".json,application/json"),
                class_="field",
            ),
            tag("p", button("Fill in the form", kind="second"), class_="actions"),
            method="post",
            action="/json",
            enctype="multipart/form-data",
        )
        return tag(
            "div",
            folded("Bring it as JSON", form, opened=bool(brought), anchor="bring"),
            class_="card",
        )

    def _new_id(self) -> str:
        moment = self._desk.clock()
        return f"desk-{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
