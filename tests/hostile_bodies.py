"""Request bodies that nobody should send, and what has to be said of each.

The verdict is not the service's: it is taken from the published schema, by another validator.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections import Counter
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import jsonschema_rs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from credit_core.adapters.onnx_model import OnnxModel
from credit_core.domain.api_schemas import request_schemas
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES
from credit_core.ports import Readout
from credit_core.use_cases.score import ScoreApplication
from tests.builders import (
    AN_APPLICATION,
    NOW,
    PRODUCT,
    SECRET,
    AScorer,
    FakeDecisionStore,
    FixedModels,
    a_manifest,
    stored,
)
from tests.builders_onnx import a_linear_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from credit_core.ports import Timer

CANARY = "canary"
CANARY_NUMBER = 313373
"""Beyond every range, and part of all that is too large: neither may come back."""
UNUSUAL = "(unusual name)"

SCHEMA = request_schemas(PRODUCT)["Application"]
PROPERTIES: dict[str, dict[str, Any]] = SCHEMA["properties"]
VALIDATORS = {
    name: jsonschema_rs.Draft202012Validator(schema) for name, schema in PROPERTIES.items()
}

# --- what is sent --------------------------------------------------------------------------


class Written:
    """JSON text of a value that no Python value becomes."""

    def __init__(self, text: str) -> None:
        self.text = text


def written(value: object) -> str:
    """Return JSON text, or what claims to be; members are pairs, so a name may come twice."""
    if isinstance(value, Written):
        return value.text
    if isinstance(value, tuple):
        return "{" + ",".join(f"{json.dumps(name)}:{written(part)}" for name, part in value) + "}"
    return json.dumps(value)


def number_within(schema: dict[str, Any]) -> st.SearchStrategy[object]:
    """Return numbers of a range, its borders among them, in several spellings."""
    low, high = schema["minimum"], schema["maximum"]
    if schema["type"] == "integer":
        return st.integers(low, high)
    spelled = [f"{high}e0", f"{high}.0", f"{low}.000", f"{high * 10}E-1", f"{low}", f"{high}"]
    return st.sampled_from([Written(text) for text in spelled]) | st.floats(low, high)


IDENTIFIERS = st.sampled_from(["a", "A" * 64, "0", "a.b:c_d-e", "__proto__", "null"]) | st.text(
    "abcXYZ019_.:-", min_size=1, max_size=4
)
STATES = st.sampled_from(["CA", "NY", "AA", "ZZ"])


def valid_value(name: str) -> st.SearchStrategy[object]:
    """Return values that a field may have."""
    schema = PROPERTIES[name]
    if "anyOf" in schema:
        return st.none() | number_within(schema["anyOf"][0])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "pattern" in schema:
        return STATES if name == "addr_state" else IDENTIFIERS
    return number_within(schema)


VALID_FIELDS = st.sampled_from([*PROPERTIES]).flatmap(
    lambda name: st.tuples(st.just(name), valid_value(name))
)


@st.composite
def valid_fields(draw: st.DrawFn) -> dict[str, object]:
    """Return the members of an application; each draw takes a while, so two of them are drawn."""
    return {**AN_APPLICATION, **dict([draw(VALID_FIELDS), draw(VALID_FIELDS)])}


VALID = valid_fields()

NUMBERS = [
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-400", "-0.0", "-0", "0"),
    *(f"{CANARY_NUMBER}e40", f"{CANARY_NUMBER}" * 50, f"{CANARY_NUMBER}" * 900),
    *(f"-{CANARY_NUMBER}", f"{CANARY_NUMBER}.5e300", "01", "+1", ".5", "1.", "0x10", "1_000"),
    *("36.0", "3.6e1", "9007199254740993", "18446744073709551617", "2e0", "\u0661\u0662"),
]
TEXTS = [
    *(
        f"{CANARY}",
        f"{CANARY}\u0000",
        f"\ud800{CANARY}",
        f"{CANARY}\U0001f4a9",
        "",
        " ",
        "CA\n",
    ),
    *(
        "12000",
        "36",
        "true",
        "null",
        f"{CANARY}' OR 1=1 --",
        f"<b>{CANARY}</b>",
        "\uff23\uff21",
        "Ca",
    ),
    *(f"{CANARY}" * 200, "verified ", "\ufeffCA", f"{{{CANARY}}}", f"%{CANARY}s", "A" * 65),
]
WRONG = [
    *map(Written, NUMBERS),
    *TEXTS,
    *(True, False, None, [], (), [CANARY], (("a", CANARY), ("a", 1)), CANARY_NUMBER * 10**6),
    *(Written("[" * depth + "]" * depth) for depth in (1, 2, 100, 900, 1_100, 7_000)),
    *(Written('{"a":' * depth + "1" + "}" * depth) for depth in (1, 2, 100, 900, 1_100, 2_000)),
]
UNFORESEEN = st.floats() | st.integers() | st.text(max_size=8).map(lambda text: CANARY + text)
STRANGE_NAMES = [
    *("colour", "sub_grade", "Loan_Amount", "__proto__", "constructor", "a" * 64, "a" * 65),
    *(f"{CANARY} 1", f"{CANARY}\ud800", f"größe{CANARY}", "", "loan_amount ", "\uff4coan", "0"),
    *(f"{CANARY}.x", f"$.{CANARY}", f"{CANARY}\u202e", "\ufeffloan_amount"),
]


@st.composite
def faulty_fields(draw: st.DrawFn) -> tuple[tuple[str, object], ...]:
    """Return the members of an application of which some are wrong, missing, extra or twice."""
    fields = draw(VALID)
    # What is changed where is drawn at once, for the same reason.
    random = Random(draw(st.integers(0, 2**32)))  # noqa: S311 (varied, not secret)

    def wrong() -> object:
        return random.choice(WRONG) if random.random() < 3 / 4 else draw(UNFORESEEN)

    for name in random.sample([*PROPERTIES], random.choice([0, 1, 1, 2, 4])):
        if random.random() < 2 / 3:
            fields[name] = wrong()
        else:
            del fields[name]
    members = list(fields.items())
    for _ in range(random.choice([0, 0, 1, 2])):
        names = [*PROPERTIES] if random.random() < 1 / 2 else STRANGE_NAMES
        members.append((random.choice(names), wrong()))
    return tuple(random.sample(members, len(members)))


def as_body(fields: dict[str, object]) -> bytes:
    """Return the JSON of an application."""
    return written(tuple(fields.items())).encode()


A_BODY = VALID.map(as_body)
CUT = st.integers(0, 2**16)
NOISE = st.binary(min_size=1, max_size=4)
DAMAGED = st.one_of(
    st.builds(lambda body, at: body[: at % len(body)], A_BODY, CUT),
    st.builds(
        lambda body, at, noise: body[: at % len(body)] + noise + body[at % len(body) :],
        A_BODY,
        CUT,
        NOISE,
    ),
    A_BODY.map(lambda body: b"\xef\xbb\xbf" + body),
    st.builds(
        lambda body, encoding: body.decode().encode(encoding),
        A_BODY,
        st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-7"]),
    ),
    st.builds(
        operator.mul,
        st.sampled_from([b"[", b'{"a":', b"[{", b"\x00", b"-"]),
        st.sampled_from([1, 1_000, 3_000, 16_000, 100_000]),
    ),
    st.builds(
        operator.add,
        A_BODY,
        st.sampled_from(
            [
                *(b"}", b",", b"\x00", b" ", b"\n//", b"{}"),
                *(b" " * count for count in (15_000, MAXIMUM_BODY_BYTES, 200_000)),
            ]
        ),
    ),
    st.binary(max_size=64),
    st.text(max_size=64).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from(WRONG).map(written).map(str.encode),
)
FAULTY = faulty_fields().map(written).map(str.encode)
BODIES = A_BODY | FAULTY | FAULTY | FAULTY | DAMAGED

# --- what has to be said -------------------------------------------------------------------


def repeatable(name: str) -> str:
    return name if len(name) <= 64 and name.isascii() and name.isidentifier() else UNUSUAL


def expected_faults(body: bytes) -> set[str]:
    """Return the paths that a refusal has to name, none for an application to be decided."""
    twice: set[str] = set()

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = Counter(name for name, _ in pairs)
        twice.update(repeatable(name) for name, times in names.items() if times > 1)
        return dict(pairs)

    def constant(_name: str) -> object:
        raise ValueError

    if len(body) > MAXIMUM_BODY_BYTES:
        return {"$"}
    try:
        # The reading of bytes by the standard library guesses encodings: text, so that it can't.
        document = json.loads(body.decode(), object_pairs_hook=members, parse_constant=constant)
    except (ValueError, RecursionError):
        return {"$"}
    if not isinstance(document, dict):
        return {"$"}
    wrong = {name for name in PROPERTIES if not fits(name, document.get(name, ...))}
    return twice | wrong | {repeatable(name) for name in document.keys() - PROPERTIES.keys()}


def fits(name: str, value: object) -> bool:
    """Return whether the published schema allows a value."""
    if value is ... or (isinstance(value, float) and not math.isfinite(value)):
        return False
    try:
        return VALIDATORS[name].is_valid(value)
    except (ValueError, UnicodeError):  # no JSON: a lone surrogate, endless nesting
        return False


def check_refusal(answer: str, faults: set[str]) -> None:
    """Check a refusal's document: every fault by its path, and nothing of what was sent."""
    problem = json.loads(answer)
    assert {fault["path"] for fault in problem["faults"]} == faults
    assert CANARY not in answer
    assert str(CANARY_NUMBER) not in answer
    assert "outcome" not in problem


# --- how it is sent ------------------------------------------------------------------------

AT_ONCE = 5
"""Bodies per example: what Hypothesis does around each takes longer than a body."""
# The function that is attacked reads the clock.
FRESH = [stored(view, age=NOW - datetime.now(UTC)) for view in PRODUCT.feature_views]


class StoreThatKnowsEverybody(FakeDecisionStore):
    """It has fresh features of each view for any applicant, so that nothing but the body refers."""

    def read(
        self,
        entity_keys: Sequence[str],
        *,
        application_id: str,
        with_pointer: bool,  # noqa: ARG002 (the port's)
        timer: Timer,  # noqa: ARG002 (the port's)
    ) -> Readout:
        rows = {key: FRESH[place] for place, key in enumerate(entity_keys)}
        return Readout(rows, frozenset(), self.receipts.get(application_id))


def a_scorer_for_everybody() -> AScorer:
    """Return a scorer that knows every applicant, with an ONNX model of every outcome."""
    onnx = a_linear_onnx(intercept=-5.0, loan_amount=1e-4)
    manifest = a_manifest(onnx_sha256=hashlib.sha256(onnx).hexdigest(), onnx_bytes=len(onnx))
    model = OnnxModel.from_bytes(onnx, manifest, manifest_sha256="1" * 64)
    store = StoreThatKnowsEverybody({})
    champions = FixedModels(model)
    return AScorer(store, ScoreApplication(PRODUCT, secret=SECRET, store=store, models=champions))


def attack(
    send: Callable[[bytes], tuple[int, str]], *, forget: Callable[[], None], count: int
) -> Counter[str]:
    """Send bodies, each twice, and check what comes back; return what became of them.

    Args:
        send: Sends a body and returns status and body of the answer.
        forget: Makes the store forget its decisions.
        count: How many bodies.
    """
    seen: Counter[str] = Counter()

    def check(body: bytes) -> None:
        forget()
        status, answer = send(body)
        faults = expected_faults(body)
        if faults:
            assert status == (413 if len(body) > MAXIMUM_BODY_BYTES else 400)
            check_refusal(answer, faults)
            seen["refused"] += 1
        else:
            assert status == 200
            seen[json.loads(answer)["outcome"]] += 1
        assert send(body) == (status, answer)

    @settings(
        max_examples=count // AT_ONCE,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    @given(st.tuples(*[BODIES] * AT_ONCE))
    def each(bodies: tuple[bytes, ...]) -> None:
        for body in bodies:
            check(body)

    each()
    return seen
