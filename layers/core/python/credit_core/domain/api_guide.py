"""What a client's developer has to know to call a product's API, in Markdown.

It is the description in the OpenAPI document; the page shows it as its first part. Headings,
paragraphs, lists, tables, fenced code and code spans are all that it uses.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_core.domain.batch_body import LARGEST_BATCH, MAXIMUM_BATCH_BYTES
from credit_core.domain.judgement import PASSING
from credit_core.domain.referrals import LARGEST_PAGE
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from credit_core.domain.product import CreditProduct


def guide(
    product: CreditProduct,
    *,
    server_url: str,
    token_url: str,
    examples: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Return the guide.

    Args:
        product: The product.
        server_url: The API's base address.
        token_url: Where tokens are issued.
        examples: Recorded decisions; the first one is shown as the first call.
    """
    sections = {
        "Get a token": _token(server_url, token_url),
        "Ask for a decision": _first_call(examples),
        "What the answer says": _answer(product),
        "Reasons": _reasons(product),
        "What waits for a person": _referrals(),
        "Send again, safely": _again(),
        "Limits": _limits(),
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())


def _token(server_url: str, token_url: str) -> str:
    return f"""\
Each application that calls this API has a client id and a secret, which the lender hands out.
They buy a token that is good for some of the scopes. Ask for those you need, keep the token for
the `expires_in` seconds that come with it, and get a new one when it is over.

```
API={server_url}
TOKEN=$(curl --silent --user "$CLIENT_ID:$CLIENT_SECRET" \\
  --data grant_type=client_credentials --data scope=decisions/decide \\
  {token_url} \\
  | jq --raw-output .access_token)
```"""


def _first_call(examples: Sequence[Mapping[str, Any]]) -> str:
    example = next((call for call in examples if call["response"]["status"] == 200), None)  # noqa: PLR2004
    body = f"'{json.dumps(example['request'], indent=2)}'" if example else "@application.json"
    text = f"""\
An application is one JSON object with every field of the product; one that may be unknown is sent
as `null`, never left out. The `application_id` is yours: choose a new one for each application.

```
curl --silent "$API/v1/decisions" \\
  --header "Authorization: Bearer $TOKEN" \\
  --header 'Content-Type: application/json' \\
  --data {body}
```"""
    if example is None:
        return text
    answer = json.dumps(example["response"]["body"], indent=2, ensure_ascii=False)
    return f"{text}\n\nThe answer, as it was recorded:\n\n```\n{answer}\n```"


def _answer(product: CreditProduct) -> str:
    policy = product.policy
    rules = ", ".join(f"`{rule.code}`" for rule in policy.rules)
    passing = " and ".join(f"`{cause}`" for cause in sorted(PASSING))
    bands = ", ".join(f"{band.name} to {band.up_to:.0%}" for band in policy.bands)
    return f"""\
- `outcome` is `approve`, `decline` or `refer`: a person has to decide. It says what the policy
  makes of the application; only `approve` is an approval.
- `decided_by` names what settled it: a rule of the policy ({rules or "there are none now"}), a
  cut-off (a probability of default up to {policy.approve_up_to:.0%} approves, from
  {policy.decline_from:.0%} on declines, and between them a person decides), or a fault.
- `cause` says why an application was referred. Where `retryable` is true ({passing}), the same
  application may be sent again for another decision; every other decision is final.
- `probability_of_default` and `points` say the same on two scales: {policy.base_points:g} points
  are odds of {policy.base_odds:g} to 1, and every {policy.points_to_double_odds:g} points more
  double the odds. {f"The bands of risk: {bands}." if bands else ""}
- `feature_status` says how fresh each view of the applicant was. Features that are missing, too
  old or unreadable lead to a referral, never to an approval.
- `model`, `policy_version` and `decided_at` say who decided, by which policy, and when. While a new
  model is tried, it answers a share of the applicants, always the same ones: then `model.role` is
  `challenger`."""


def _reasons(product: CreditProduct) -> str:
    known = {
        feature.adverse_action.code: feature.adverse_action.text
        for feature in product.model_features
    } | {rule.code: rule.text for rule in product.policy.rules}
    return f"""\
A decline has from one to {product.policy.maximum_reasons} reasons, the weightiest first, each a
feature that was used and that raised the risk of this applicant, or a rule. The contributions are
exact: together with those that are not shown they sum to the difference from the reference
applicant. These are the codes of this product:

{_table(("Code", "Text for the applicant"), sorted(known.items()))}

Where a value was not known, the text may say so in other words under the same code."""


def _referrals() -> str:
    return f"""\
`GET /v1/referrals` lists the referrals that nobody has reviewed, the oldest first, up to
{LARGEST_PAGE} at once. Where `next` is no null, `?after=` with it gives the page behind; what is
reviewed meanwhile makes none of them wrong. The list follows within about a second, so that a
decision that was just reviewed may still be in it.

`POST /v1/decisions/{{application_id}}/review` records what a person decided, and it waits no more.
Send the `revision` that they saw: if the application was decided again meanwhile, the review is
refused, and what is new has to be looked at first. A decline needs its `adverse_action_codes`,
those that the person relied on."""


def _again() -> str:
    rows = (
        ("400, 405, 409, 413", "no", "The request is at fault; correct it."),
        ("401", "yes", "Get a new token first, with the scope of the call."),
        ("403", "no", "Ask the lender for the scope."),
        ("404", "no", "Nothing was decided under this id."),
        ("429", "yes", "Wait 1, 2, 4, … seconds, a little more or less at random."),
        ("500, 502, 503, 504, or no answer", "yes", "The same, up to a minute; then report it."),
        ("200 with `cause.retryable`", "yes", "It is decided anew, under the same id."),
    )
    return f"""\
Every call may be sent again with the same body. Decisions, reviews and outcomes are recorded once,
under the id that you gave them, before they are answered: a call whose answer was lost gets the
recorded answer when it is sent again, byte for byte, with `Idempotency-Replayed: true` for a
decision. The same id with another body is refused with 409, and changes nothing. So never make up
a new id to try again.

{_table(("Status", "Send again", "How"), rows)}

A referral whose `cause.retryable` is true had a cause that may pass, but not at once: wait as for a
429, twice as long each time, before you send the same application again. What a person decided
meanwhile stands, and the recorded answer comes back.

Every error is problem details (RFC 9457) as `application/problem+json`, with the `request_id` to
quote in a report. An error names fields and what is expected of them, never what was sent."""


def _limits() -> str:
    return f"""\
- A body has at most {MAXIMUM_BODY_BYTES:,} bytes, a batch {MAXIMUM_BATCH_BYTES:,} and
  {LARGEST_BATCH} applications.
- A body is JSON in UTF-8 as RFC 8259 has it: no `NaN`, no `Infinity`, each name once. Types are
  strict: `"36"` is no number, and `true` is none either.
- Fields that are not of the product are refused, so that a misspelt one is noticed.
- API Gateway gives an answer 29 seconds; a decision takes a small part of one. Give up a call after
  2 seconds and send it again."""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
