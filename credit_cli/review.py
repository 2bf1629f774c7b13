"""`credit decisions review`: a person decides what the model left to them, or decided otherwise."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli import api
from credit_cli.deployment import deployed
from credit_cli.errors import UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.rendering import LABEL_WIDTH, cause_lines, reason_lines, verdict
from credit_cli.target import announce
from credit_cli.terminal import Json, print_json, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ID_DIGITS = 16


class Verdict(StrEnum):
    """What a person can decide."""

    APPROVE = "approve"
    DECLINE = "decline"


def review(
    application_id: Annotated[str, typer.Argument(help="The application.")],
    *,
    outcome: Annotated[Verdict, typer.Option(help="What you decide.", show_default=False)],
    reviewer: Annotated[str, typer.Option(help="Who you are.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why, in your words.", show_default=False)],
    code: Annotated[
        list[str] | None,
        typer.Option(
            help="Of a decline: an adverse-action code, the weightiest first; may be repeated.",
            show_default=False,
        ),
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option(help="That you saw; refused if it is another now.", min=1, show_default=False),
    ] = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Record what a person decided on an application: who, what and why.

    The decision stays as it is beside the review, whose outcome stands from then on. The revision
    is read from the decision and shown. The same words again record nothing new.

    Examples:
        credit decisions review ID --outcome approve --reviewer me --reason "Pay slips seen"
        credit decisions review ID --outcome decline --reviewer me --reason "None" --code CODE
    """
    codes = code or []
    if outcome is Verdict.APPROVE and codes:
        raise UsageError("--code is of a decline; an approval has none")
    aws, deployment = deployed(product)
    token = api.fetch_token(aws, deployment, api.ClientKind.DESK).access_token
    path = f"{deployment.api_url}{api.DECISIONS_PATH}/{api.quoted(application_id)}"
    record = api.require_answered(api.send("GET", path, api.bearing(token)))
    decision = record["decision"]
    if outcome is Verdict.DECLINE and not codes:
        raise no_codes(decision, product)
    if not as_json:
        for line in seen_lines(record):
            say(line)
    body = review_body(
        application_id,
        revision=revision or decision["revision"],
        outcome=outcome,
        reviewer=reviewer,
        reason=reason,
        codes=codes,
    )
    announce(aws, f"a review of {application_id}: {outcome}")
    answer = api.send(
        "POST",
        f"{path}/review",
        api.bearing(token) | {"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
    )
    reviewed = api.require_answered(answer)
    if as_json:
        print_json(reviewed)
        return
    again = "" if answer.status == 201 else ", as it was before"  # noqa: PLR2004 (HTTP: created)
    say(
        f"{'Reviewed':<{LABEL_WIDTH}}{reviewed['outcome']} by {reviewed['reviewer']}, "
        f"{reviewed['reviewed_at']}{again}"
    )
    say(f"See all of it: credit decisions show {application_id}")


def review_body(
    application_id: str,
    *,
    revision: int,
    outcome: str,
    reviewer: str,
    reason: str,
    codes: Sequence[str],
) -> dict[str, Any]:
    """Return a review as the API takes it.

    Its id is made of all that it says, so that a command whose answer was lost can be run again.
    """
    said = {
        "revision": revision,
        "outcome": outcome,
        "reviewer": reviewer,
        "reason": reason,
        "adverse_action_codes": list(codes),
    }
    words = json.dumps([application_id, said]).encode()
    return {"review_id": f"cli-{hashlib.sha256(words).hexdigest()[:ID_DIGITS]}", **said}


def seen_lines(record: Mapping[str, Any]) -> list[str]:
    """Return what a reviewer should have seen: the decision, its revision, earlier reviews."""
    decision = record["decision"]
    lines = [verdict(decision), *cause_lines(decision)]
    lines += reason_lines(decision.get("reasons") or [], label="Reasons")
    lines.append(f"{'Revision':<{LABEL_WIDTH}}{decision['revision']}, {decision['decided_at']}")
    lines += [
        f"{'Before':<{LABEL_WIDTH}}{earlier['outcome']} by {earlier['reviewer']}, "
        f"{earlier['reviewed_at']}"
        for earlier in record["reviews"]
    ]
    return lines


def no_codes(decision: Mapping[str, Any], product: str) -> UsageError:
    """Return the error of a decline without a code, with the codes that there are."""
    from credit_core.domain.product import load_product  # noqa: PLC0415 (pydantic takes a while)
    from credit_core.domain.review import adverse_action_codes  # noqa: PLC0415 (as above)
    from credit_core.errors import InvalidProductError  # noqa: PLC0415 (as above)

    own = [reason["code"] for reason in decision.get("reasons") or []]
    try:
        known = list(adverse_action_codes(load_product(product)))
    except InvalidProductError:
        known = own
    weighed = f"; the model weighed {', '.join(own)}" if own else ""
    return UsageError(
        f"a decline needs its reasons, 1 to 4 times --code{weighed}",
        hint=f"codes: {', '.join(known)}",
    )
