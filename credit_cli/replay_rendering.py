"""Replays and recorded decisions in words for a person, and as documents for a machine."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from credit_cli.rendering import LABEL_WIDTH, cause_lines, decision_lines, verdict
from credit_core.domain.application_records import REVIEW
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.receipt import is_receipt
from credit_core.domain.rollout import Shadow
from credit_core.domain.terms import Terms
from credit_core.errors import DamagedReceiptError
from credit_core.use_cases.replay import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.terms import ModelInput
    from credit_core.use_cases.replay import Difference, Replay

LISTED = 20
LONGEST_VALUE = 40
WORDS = {
    Verdict.IDENTICAL: "identical",
    Verdict.FAULT: "referred by a fault",
    Verdict.ROUNDING: "different by rounding",
    Verdict.DIFFERENT: "different",
    Verdict.NOT_REPLAYABLE: "not replayable",
}
JSON_ATTRIBUTES = ("response", "request", "served", "model_input", "shadow", "stage_ms")


@dataclass
class Tally:
    """What a batch of replays came to. Identical ones are named if ``names_each``, else counted."""

    names_each: bool
    counts: Counter[Verdict] = field(default_factory=Counter)
    derived_unchecked: int = 0
    seen: set[str] = field(default_factory=set)
    named: list[Replay] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many were replayed, or could not be."""
        return self.counts.total()

    @property
    def is_identical(self) -> bool:
        """Whether every one is identical."""
        return self.counts[Verdict.IDENTICAL] + self.counts[Verdict.FAULT] == self.count

    def add(self, replay: Replay) -> None:
        """Count one more."""
        self.counts[replay.verdict] += 1
        if self.names_each:
            self.seen.add(replay.application_id)
        if replay.verdict is not Verdict.NOT_REPLAYABLE and not replay.derived_checked:
            self.derived_unchecked += 1
        if self.names_each or not replay.is_identical:
            self.named.append(replay)


def replay_document(tally: Tally, *, missing: Sequence[str], seconds: float) -> dict[str, Any]:
    """Return the JSON object of a batch of replays."""
    return {
        "replayed": tally.count,
        "all_identical": tally.is_identical and not missing,
        **{verdict.value: tally.counts[verdict] for verdict in Verdict},
        "derived_unchecked": tally.derived_unchecked,
        "not_found": list(missing),
        "seconds": round(seconds, 3),
        "receipts": [asdict(replay) for replay in tally.named],
    }


def replay_lines(tally: Tally, *, missing: Sequence[str]) -> Iterator[str]:
    """Yield a batch of replays as lines of text, the sum near the end."""
    for replay in tally.named[:LISTED]:
        note = f" ({replay.note})" if replay.note else ""
        revision = f", revision {replay.revision}" if replay.revision != 1 else ""
        yield f"{replay.application_id}{revision}: {WORDS[replay.verdict]}{note}"
        yield from _difference_lines(replay.differences)
    if len(tally.named) > LISTED:
        yield f"… and {len(tally.named) - LISTED:,} others; --json names all"
    yield from (f"{name}: no receipt" for name in missing[:LISTED])
    yield sum_line(tally, missing=missing)
    if tally.counts[Verdict.FAULT]:
        yield "  no receipt can repeat a fault; all else in those is identical"
    if tally.derived_unchecked:
        yield (
            f"  of {tally.derived_unchecked:,} the derived features were taken as recorded: the"
            " product is defined otherwise now, or a fault came before them"
        )


def sum_line(tally: Tally, *, missing: Sequence[str]) -> str:
    """Say how many replays came to what, and how many applications have no receipt.

    >>> tally = Tally(names_each=False)
    >>> tally.counts.update({Verdict.IDENTICAL: 990, Verdict.FAULT: 8, Verdict.DIFFERENT: 2})
    >>> sum_line(tally, missing=["a"])
    '1,000 replayed: 990 identical, 8 referred by a fault, 2 different; 1 not found'
    """
    words = ", ".join(
        f"{tally.counts[verdict_]:,} {word}"
        for verdict_, word in WORDS.items()
        if tally.counts[verdict_]
    )
    absent = f"; {len(missing):,} not found" if missing else ""
    return f"{tally.count:,} replayed{': ' if words else ''}{words}{absent}"


def _difference_lines(differences: Sequence[Difference]) -> Iterator[str]:
    for difference in differences[:LISTED]:
        recorded, replayed = map(_shown, (difference.recorded, difference.replayed))
        yield f"  {difference.field}: recorded {recorded}, replayed {replayed}"


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def record_document(record: StoredRecord) -> dict[str, Any]:
    """Return a record as a JSON object, with what it holds packed or as JSON unpacked."""
    document: dict[str, Any] = dict(record)
    for name in JSON_ATTRIBUTES:
        if isinstance(document.get(name), str):
            document[name] = _parsed(document[name])
    terms = document.get("terms")
    if isinstance(terms, bytes):
        try:
            document["terms"] = asdict(Terms.unpack(terms))
        except DamagedReceiptError as error:
            document["terms"] = str(error)
    return document


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def record_lines(records: Sequence[StoredRecord]) -> Iterator[str]:
    """Yield the records of one application as lines of text, its current receipt first."""
    receipts = sorted(filter(is_receipt, records), key=lambda it: _number(it.get("revision")))
    added = sorted(
        (record for record in records if not is_receipt(record)),
        key=lambda it: _number(it.get("number")),
    )
    if receipts:
        current = receipts.pop()
        response = _response(current)
        if response:
            yield from decision_lines(None, response)
        else:
            yield f"{'Receipt':<{LABEL_WIDTH}}the answer in it cannot be read"
        yield from _shadow_line(current)
        yield from _input_lines(current)
    for earlier in reversed(receipts):
        response = _response(earlier)
        yield (
            f"{'Before':<{LABEL_WIDTH}}revision {response.get('revision')}, decided"
            f" {response.get('decided_at')}: {verdict(response)}"
        )
        # Whether it could be sent again is over.
        yield from cause_lines(response)[:1]
    for record in added:
        words = ", ".join(
            f"{name} {value if isinstance(value, str) else json.dumps(value)}"
            for name, value in _response(record).items()
            if name != "application_id"
        )
        label = str(record.get("record")).partition("/")[0].capitalize()
        yield f"{label:<{LABEL_WIDTH}}{words}"
    reviews = [record for record in added if str(record.get("record")).startswith(REVIEW)]
    if reviews:
        outcome = str(reviews[-1].get("outcome"))
        yield f"{'Stands':<{LABEL_WIDTH}}{outcome}, by the last review"


def _response(record: StoredRecord) -> dict[str, Any]:
    response = _parsed(str(record.get("response")))
    return response if isinstance(response, dict) else {}


def _number(revision: object) -> int:
    return revision if isinstance(revision, int) else 1


def _shadow_line(receipt: StoredRecord) -> Iterator[str]:
    """Yield what the model would have answered that did not, where two were compared."""
    text = receipt.get("shadow")
    if text is None:
        return
    try:
        shadow = Shadow.from_receipt(str(text))
    except DamagedReceiptError as error:
        yield f"{'Shadow':<{LABEL_WIDTH}}{error}"
        return
    said = f"gave no answer: {shadow.fault}"
    if shadow.probability_of_default is not None and shadow.points is not None:
        said = (
            f"would have said {shadow.outcome}: probability of default "
            f"{100 * shadow.probability_of_default:.2f} %, {shadow.points:.0f} points"
        )
    yield f"{'Shadow':<{LABEL_WIDTH}}{shadow.version} ({shadow.role}) {said}"


def _input_lines(receipt: StoredRecord) -> Iterator[str]:
    """Yield the model's inputs with their values, as the receipt has them."""
    packed, numbers = receipt.get("terms"), _parsed(str(receipt.get("model_input")))
    if not isinstance(packed, bytes) or not isinstance(numbers, list) or not numbers:
        return
    try:
        inputs = Terms.unpack(packed).inputs
    except DamagedReceiptError as error:
        yield f"{'Input':<{LABEL_WIDTH}}{error}"
        return
    width = max(len(given.name) for given in inputs)
    for place, (given, number) in enumerate(zip(inputs, numbers, strict=False)):
        label = "" if place else "Input"
        yield f"{label:<{LABEL_WIDTH}}{given.name:<{width}}  {_value(given, number)}"


def _value(given: ModelInput, number: object) -> str:
    if number is None or (given.categories and number == UNKNOWN_CATEGORY):
        return "unknown"
    if not isinstance(number, int | float):
        return "not a number"
    if given.categories:
        known = 0 <= number < len(given.categories)
        return given.categories[int(number)] if known else "not a category"
    return f"{number:,.10g} {given.unit or ''}".rstrip()
