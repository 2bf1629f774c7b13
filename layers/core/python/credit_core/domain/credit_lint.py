"""The credit lint: what is unwise in a product definition that contradicts itself nowhere.

It judges from the definition alone. What only data can show, such as adverse impact or leakage that
no name gives away, is left to the gates of training.
"""

from __future__ import annotations

import math
import re
import warnings
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING

from credit_core.domain.application import ApplicationReader
from credit_core.domain.derived_lint import derived_findings
from credit_core.domain.findings import Finding, Severity, placed_features
from credit_core.domain.point_in_time import training_set_sql
from credit_core.domain.product import Defaults, DType, RiskDirection
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES
from credit_core.domain.suspect_words import suspect_inputs, suspect_words_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from credit_core.domain.product import CreditProduct, Feature, FeatureView

LONG_TTL = timedelta(days=400)
SHORT_TTL = timedelta(days=1)
LONG_HORIZON = timedelta(days=5 * 366)
MANY_CATEGORIES = 50
MANY_FEATURES_A_REASON = 5
SHORT_REASON = 10
LARGEST_FLOAT32_INTEGER = 2**24
"""The model sees float32: above it neighbouring integers are one."""
ATHENA_QUERY_BYTES = 262_144
"""Longest query that Athena takes (AWS limit, in bytes of UTF-8)."""
WIDE_REFERRAL = 4.0
NARROW_REFERRAL = 0.1
"""Distance of the cut-offs, in doublings of the odds, beyond which it is unusual."""
VAGUE = (
    "internal",
    "policy",
    "policies",
    "qualifying score",
    "credit score",
    "the model",
    "scoring",
)
ONE_SIDED = re.compile(r"\b(high|low|many|few|large|small|long|short|recent)\b", re.IGNORECASE)
"""Words of a reason that fit one direction of risk only."""
LONGEST_NUMBER = 24
LONGEST_TEXT_KEY = 64


def credit_lint(product: CreditProduct) -> tuple[Finding, ...]:
    """Return all findings, the errors first, otherwise in order of definition."""
    found = [finding for rule in RULES for finding in rule(product)]
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _request(product: CreditProduct) -> Iterator[Finding]:
    """Whether the schema of a request can be made, and the largest request be sent."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ApplicationReader(product)
    except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
        yield Finding(
            severity=Severity.ERROR,
            place="request_features",
            what=f"no schema follows from them: {' '.join(str(error).split())}",
            why="Scoring can't start without it.",
            remedy="Change the field, or the key's pattern, that it names.",
        )
    size = sum(len(key.name) + LONGEST_TEXT_KEY for key in product.entity_keys)
    for feature in product.request_features:
        longest = [len(category.encode()) for category in feature.categories] or [LONGEST_NUMBER]
        size += len(feature.name) + max(longest) + len('"": "",')
    if size > MAXIMUM_BODY_BYTES:
        yield Finding(
            severity=Severity.ERROR,
            place="request_features",
            what=f"a request may take {size:,} bytes; {MAXIMUM_BODY_BYTES:,} are accepted",
            why="Larger bodies are refused with 400.",
            remedy="Move features to a view, or shorten names and categories.",
        )


def _training_set(product: CreditProduct) -> Iterator[Finding]:
    size = len(training_set_sql(product).encode())
    if size > ATHENA_QUERY_BYTES:
        yield Finding(
            severity=Severity.ERROR,
            place="feature_views",
            what=f"the training query has {size:,} bytes; Athena takes {ATHENA_QUERY_BYTES:,}",
            why="Retraining can't start.",
            remedy="Drop features or views, or shorten their names.",
        )


def _descriptions(product: CreditProduct) -> Iterator[Finding]:
    described = [
        ("description", product.description),
        *((f"entities.{entity.name}", entity.description) for entity in product.entities),
        *((f"feature_views.{view.name}", view.description) for view in product.feature_views),
        *((place, feature.description) for place, feature in placed_features(product)),
        ("label", product.label.description),
    ]
    bare = [place for place, description in described if not description.strip()]
    if bare:
        yield Finding(
            severity=Severity.WARNING,
            place=bare[0],
            what=f"no description{_and_more(bare)}",
            why="Auditors and clients read them; a reason without its own text is made of them.",
            remedy="Say what it is in a sentence.",
        )


def _entities(product: CreditProduct) -> Iterator[Finding]:
    used = {view.entity.name for view in product.feature_views}
    # The first is who applies: by it models are shared out, and loans kept together in a fold.
    for entity in product.entities[1:]:
        if entity.name not in used:
            yield Finding(
                severity=Severity.WARNING,
                place=f"entities.{entity.name}",
                what="no view describes it",
                why=f"A request has to name {', '.join(entity.key_names)} for nothing.",
                remedy="Remove it, or add its view.",
            )


def _directions(product: CreditProduct) -> Iterator[Finding]:
    """Group numbers without a direction by where they stand."""
    groups: dict[str, list[str]] = defaultdict(list)
    for place, feature in placed_features(product):
        if feature.dtype is not DType.CATEGORY and feature.risk is None:
            groups[place.rpartition(".")[0]].append(feature.name)
    for place, names in groups.items():
        yield Finding(
            severity=Severity.NOTE,
            place=place,
            what=f"no direction of risk: {', '.join(names)}",
            why=(
                "The model may let a better value count against an applicant, which no reason text"
                " can explain."
            ),
            remedy="Declare risk where the direction is known.",
        )


def _numbers(product: CreditProduct) -> Iterator[Finding]:
    for place, feature in placed_features(product):
        low, high = feature.minimum, feature.maximum
        if low is None or high is None:
            continue
        if low == high:
            yield Finding(
                severity=Severity.WARNING,
                place=place,
                what=f"can only be {low:g}",
                why="A constant tells the model nothing.",
                remedy="Remove it, or widen its range.",
            )
        if feature.dtype is DType.INTEGER and max(abs(low), abs(high)) > LARGEST_FLOAT32_INTEGER:
            yield Finding(
                severity=Severity.NOTE,
                place=place,
                what=f"has integers up to {max(abs(low), abs(high)):,}",
                why="The model sees float32, in which integers above 2**24 are rounded.",
                remedy="Narrow the range, or state it in larger units.",
            )


def _categories(product: CreditProduct) -> Iterator[Finding]:
    for place, feature in placed_features(product):
        count = len(feature.categories)
        if count > MANY_CATEGORIES:
            yield Finding(
                severity=Severity.WARNING,
                place=place,
                what=f"has {count} categories",
                why="Each becomes an input of its own; rare ones are learned by heart.",
                remedy="Group them by what they mean for the risk.",
            )
        stored = place.startswith("feature_views.")
        if stored and feature.dtype is DType.CATEGORY and feature.unknown_category is None:
            yield Finding(
                severity=Severity.NOTE,
                place=place,
                what="has no unknown_category",
                why="A row of the lake with a new category is rejected as a whole.",
                remedy="Name the category that it should count as, if there is one.",
            )


def _reasons(product: CreditProduct) -> Iterator[Finding]:
    """What an applicant is told must be specific: 12 CFR 1002.9(b)(2) and its comments."""
    shared: dict[str, list[tuple[str, Feature]]] = defaultdict(list)
    for place, feature in placed_features(product):
        shared[feature.adverse_action.code].append((place, feature))
    entities = {
        feature.name: view.entity.name
        for view in product.feature_views
        for feature in view.features
    }
    for code, members in shared.items():
        place, first = members[0]
        names = ", ".join(feature.name for _, feature in members)
        text = first.adverse_action.text
        yield from _unspecific(f"{place}.adverse_action", code, text, "raised the risk")
        if len(members) > MANY_FEATURES_A_REASON:
            yield Finding(
                severity=Severity.WARNING,
                place=f"{place}.adverse_action",
                what=f"{code} stands for {len(members)} features: {names}",
                why="One text can hardly say specifically what any of them means.",
                remedy="Give those that differ a reason of their own.",
            )
        of = {entities[feature.name] for _, feature in members if feature.name in entities}
        if len(of) > 1:
            yield Finding(
                severity=Severity.WARNING,
                place=f"{place}.adverse_action",
                what=f"{code} is shared across entities ({', '.join(sorted(of))}): {names}",
                why="An applicant can't tell whether it is about them.",
                remedy="Give each entity's features a reason of their own.",
            )
        directions = {feature.risk for _, feature in members} - {None}
        if len(directions) > 1 and ONE_SIDED.search(text):
            yield Finding(
                severity=Severity.WARNING,
                place=f"{place}.adverse_action",
                what=f"{code} is shared by features of opposite risk: {names}",
                why="A text that says high or low is wrong for some of them.",
                remedy="Give the two directions a reason each, or a text that fits both.",
            )


def _rules(product: CreditProduct) -> Iterator[Finding]:
    """A rule that declines has to be stated as its reason."""
    for rule in product.policy.rules:
        place = f"policy.rules.{rule.code}"
        yield from _unspecific(f"{place}.text", rule.code, rule.text, "the rule is about")
        yield from suspect_words_in(f"{place}.text", rule.text)


def _unspecific(place: str, code: str, text: str, said: str) -> Iterator[Finding]:
    vague = next((word for word in VAGUE if word in text.lower()), None)
    if vague or len(text) < SHORT_REASON:
        yield Finding(
            severity=Severity.WARNING,
            place=place,
            what=f"the text of {code} says {'only ' if vague is None else ''}{vague or text!r}",
            why=(
                "A statement of reasons must be specific; internal standards or a missed score"
                " are none (12 CFR 1002.9(b)(2))."
            ),
            remedy=f"Say what about the applicant {said}.",
        )


def _bands(product: CreditProduct) -> Iterator[Finding]:
    policy = product.policy
    ends = [band.up_to for band in policy.bands]
    for name in ("approve_up_to", "decline_from"):
        cutoff = getattr(policy, name)
        if ends and cutoff not in ends:
            band = next(band.name for band in policy.bands if cutoff <= band.up_to)
            yield Finding(
                severity=Severity.NOTE,
                place="policy.bands",
                what=f"{name}, {cutoff:.2%}, lies within band {band}",
                why="Applicants of one risk band get different outcomes.",
                remedy="End a band at the cut-off, unless the bands serve something else.",
            )


def _times(product: CreditProduct) -> Iterator[Finding]:
    for view in product.feature_views:
        place = f"feature_views.{view.name}.ttl"
        if view.ttl > LONG_TTL:
            yield Finding(
                severity=Severity.WARNING,
                place=place,
                what=f"is {view.ttl.days:,} days",
                why="A decision rests on what was true more than a year ago.",
                remedy="Shorten it, if newer rows can be had.",
            )
        if view.ttl < SHORT_TTL:
            yield Finding(
                severity=Severity.WARNING,
                place=place,
                what=f"is {view.ttl}, less than a day",
                why="A delivery that is late by that much refers every applicant.",
                remedy="Lengthen it, unless rows are pushed as they change.",
            )
    horizon = product.label.horizon
    if not timedelta(0) < horizon <= LONG_HORIZON:
        yield Finding(
            severity=Severity.WARNING,
            place="label.horizon",
            what="is zero" if not horizon else f"is {horizon.days} days",
            why="Applications older than it are trained on; zero takes those not yet observed.",
            remedy="State the time after which the label is final.",
        )


def _defaults(product: CreditProduct) -> Iterator[Finding]:
    """Whether a missing or stale view is taken for a good one."""
    for view in product.feature_views:
        for name, rule in (("when_missing", view.when_missing), ("when_stale", view.when_stale)):
            if isinstance(rule, Defaults):
                yield from _favourable(view, name, rule)


def _favourable(view: FeatureView, name: str, rule: Defaults) -> Iterator[Finding]:
    directed = [
        feature
        for feature in view.features
        if feature.risk is not None and rule.values.get(feature.name) is not None
    ]
    best = [feature.name for feature in directed if rule.values[feature.name] == _best(feature)]
    if best:
        everything = len(best) == len(directed)
        yield Finding(
            severity=Severity.ERROR if everything else Severity.WARNING,
            place=f"feature_views.{view.name}.{name}",
            what=(
                f"{'all' if everything else 'some'} defaults with a direction are the best values"
                f" there are: {', '.join(best)}"
            ),
            why="Somebody of whom nothing is known is approved like the best applicant.",
            remedy="Refer, leave the value unknown, or take a value that speaks against approval.",
        )


def _best(feature: Feature) -> float | None:
    return feature.minimum if feature.risk is RiskDirection.INCREASING else feature.maximum


def _policy(product: CreditProduct) -> Iterator[Finding]:
    policy = product.policy
    log_odds = [math.log(p / (1 - p)) for p in (policy.approve_up_to, policy.decline_from)]
    doublings = (log_odds[1] - log_odds[0]) / math.log(2)
    between = f"{policy.approve_up_to:.2%} to {policy.decline_from:.2%}"
    if doublings > WIDE_REFERRAL:
        yield Finding(
            severity=Severity.WARNING,
            place="policy",
            what=f"refers from {between}: the odds differ by a factor of {2**doublings:.0f}",
            why="Nearly everything lies between the cut-offs, and a person decides it.",
            remedy="Bring approve_up_to and decline_from closer together.",
        )
    if doublings < NARROW_REFERRAL:
        yield Finding(
            severity=Severity.NOTE,
            place="policy",
            what=f"refers from {between} only",
            why="Hardly an applicant lies between; a person sees only those that faults refer.",
            remedy="Widen the distance, if a person should see the doubtful ones.",
        )
    if policy.approve_up_to > 0.5:  # noqa: PLR2004 (more likely bad than good)
        yield Finding(
            severity=Severity.WARNING,
            place="policy.approve_up_to",
            what=f"approves up to a probability of default of {policy.approve_up_to:.0%}",
            why="Such a loan is more likely to default than to be repaid.",
            remedy="Lower it.",
        )


RULES: tuple[Callable[[CreditProduct], Iterator[Finding]], ...] = (
    _request,
    suspect_inputs,
    _directions,
    _numbers,
    _categories,
    derived_findings,
    _reasons,
    _times,
    _defaults,
    _entities,
    _policy,
    _rules,
    _bands,
    _descriptions,
    _training_set,
)


def _and_more(places: list[str]) -> str:
    others = len(places) - 1
    return f", nor have {others} others: {', '.join(places[1:])}" if others else ""
