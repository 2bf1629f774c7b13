"""`credit referrals`: what waits for a person, over the API, as the desk of a lender sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from credit_cli import api
from credit_cli.deployment import deployed
from credit_cli.durations import span_text
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST_PAGE = 100
HEAD = "Waits        Risk     Points  Band  Because               Application"


def referrals(
    *,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=LARGEST_PAGE)] = 25,
    after: Annotated[
        str | None,
        typer.Option(help="Behind this place: what `next` was before.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole queue.")] = False,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """List referrals that nobody has reviewed, the oldest first.

    The list follows within about a second: what was just reviewed may still be in it. What was
    referred by a release before the list existed is not in it.

    Examples:
        credit referrals  # the 25 that wait longest
        credit referrals --all --json  # every one, for a program
        credit --stage prod referrals --limit 5  # of the AWS account of this shell
    """
    aws, deployment = deployed(product)
    token = api.fetch_token(aws, deployment, api.ClientKind.DESK).access_token
    found: list[dict[str, Any]] = []
    more = None
    with progress_for(as_json=True).step("Referrals") as step:
        for page in pages(
            deployment.api_url, token, limit=LARGEST_PAGE if everything else limit, after=after
        ):
            found += page["referrals"]
            more = page["next"]
            step.update(f"{len(found):,}")
            if not everything:
                break
        step.result = f"{len(found):,}{' and more' if more else ''}"
    if as_json:
        print_json({"referrals": found, "next": more})
        return
    for line in queue_lines(found, as_of=datetime.now(UTC)):
        say(line)
    if more:
        say(f"More wait: credit referrals --after {more}")


def pages(api_url: str, token: str, *, limit: int, after: str | None) -> Iterator[dict[str, Any]]:
    """Yield pages of the queue, the oldest first.

    Raises:
        RefusedError: The API refused, a cursor that is none for instance.
        UnreachableError: Nothing answers there, or it can't answer now.
    """
    while True:
        asked = {"limit": str(limit)} | ({"after": after} if after else {})
        answer = api.send(
            "GET", f"{api_url}{api.REFERRALS_PATH}?{urlencode(asked)}", api.bearing(token)
        )
        page = api.require_answered(answer)
        yield page
        after = page["next"]
        if not after:
            return


def queue_lines(found: list[dict[str, Any]], *, as_of: datetime) -> list[str]:
    """Return the queue as lines of text.

    >>> queue_lines([], as_of=datetime(2026, 11, 22, tzinfo=UTC))
    ['Nothing waits for a person.']
    """
    if not found:
        return ["Nothing waits for a person."]
    lines = [HEAD, *(line(referral, as_of=as_of) for referral in found)]
    lines.append("Review one: credit decisions review APPLICATION --outcome approve|decline ...")
    return lines


def line(referral: Mapping[str, Any], *, as_of: datetime) -> str:
    """Return a referral as a line of text, its id last, however long it is.

    >>> line({"application_id": "loan-1", "decided_at": "2026-11-22T10:00:00.000Z",
    ...     "cause": {"code": "between_cutoffs"}, "probability_of_default": 0.1122,
    ...     "points": 561.25, "risk_band": "D"}, as_of=datetime(2026, 11, 22, 11, tzinfo=UTC))
    '1 h          11.22 %     561  D     between_cutoffs       loan-1'
    """
    waited = (as_of - datetime.fromisoformat(referral["decided_at"])).total_seconds()
    probability, points = referral["probability_of_default"], referral["points"]
    risk = "-" if probability is None else f"{100 * probability:.2f} %"
    cause = (referral["cause"] or {}).get("code", "can't be read")
    return (
        f"{span_text(max(0.0, waited)):<11}{risk:>9}"
        f"{'-' if points is None else f'{points:.0f}':>8}  {referral['risk_band'] or '-':<4}  "
        f"{cause:<20}  {referral['application_id']}"
    )
