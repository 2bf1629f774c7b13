"""Names and descriptions that hint at inputs a credit model must not, or had better not, see.

Sources:
    Regulation B, 12 CFR 1002.2(z) (prohibited bases) and 1002.6(b) (rules on using information).
    It has no effects test since 21 July 2026 (FR Doc. 2026-07804), and still forbids an input that
    is meant as a proxy; laws of states may ask about effects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from credit_core.domain.findings import Finding, Severity, placed_features

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from credit_core.domain.product import CreditProduct, FeatureView

PROHIBITED_BASES = {
    "race or color": "race, racial, ethnic, ethnicity, hispanic, latino, caucasian, skin color",
    "religion": "religion, religious, church, mosque, synagogue, faith",
    "national origin": (
        "national origin, nationality, ancestry, birthplace, place of birth, country of birth,"
        " birth country, country of origin"
    ),
    "sex": "sex, gender, male, female, pregnant, pregnancy, childbearing, sexual orientation",
    "marital status": (
        "marital, married, unmarried, divorced, widowed, spouse, husband, wife, maiden name"
    ),
    "public assistance": (
        "public assistance, welfare, food stamp, food stamps, tanf, medicaid, unemployment benefits"
    ),
}
AGE = {"age": "age, dob, birth, birthday, birthdate, birth date, date of birth, born"}
AGE_OF_SOMETHING_ELSE = re.compile(
    r"accounts?|file|lines?|trades?|tradelines?|loans?|credit|history|report|oldest|newest|vehicle"
    r"|car|property|house|building|job|employment"
)
LIMITED = {
    "children or dependents (1002.6(b)(3))": "children, dependents, dependants",
    "a telephone listing (1002.6(b)(4))": "telephone listing, phone listing, listed phone",
    "kinds of income (1002.6(b)(5))": "alimony, child support, part time, pension, retirement",
    "citizenship or immigration status (1002.6(b)(7))": "citizen, citizenship, immigrant, visa",
    "a right under consumer credit law (1002.2(z))": "dispute, disputes, disputed",
}
PROXIES = {
    "where somebody lives": (
        "zip, zipcode, zip code, postal, postcode, postal code, neighborhood, census, tract,"
        " county, city, latitude, longitude, geo, region, addr, address, addr state,"
        " state of residence"
    ),
    "a name": "surname, last name, first name, full name, forename, family name, name",
    "a language": "language, accent, locale",
    "a device": "device, browser, os, operating system, user agent, android, iphone, handset",
    "education": "school, university, college",
}
IDENTIFIERS = {
    "an identifier": (
        "id, uuid, guid, ssn, social security, passport, iban, account number, card number,"
        " license number, hash"
    ),
}
CONTACTS = {"a means of contact": "email, phone, telephone, mobile, ip, imei, cookie"}
OUTCOMES = {
    "the outcome": (
        "defaulted, default, charged off, charge off, chargeoff, written off, write off, writeoff,"
        " repossessed, foreclosed, recoveries, outcome"
    ),
}
PERHAPS_OUTCOMES = {
    "an outcome": "defaults, chargeoffs, recovery, recovered, collection, collections, collected"
}
AFTERWARDS = {
    "what happens after the decision": (
        "loan status, final status, total pymnt, total payment, total rec, last pymnt,"
        " last payment, out prncp, outstanding principal, paid off, fully paid, funded,"
        " months on book"
    ),
}
EARLIER = re.compile(
    r"prior|previous|past|ever|history|earlier|former|within|since|mths?|months?|yrs?|years?"
    r"|\d+(d|w|m|mths?|y|yrs?)"
)
"""Words of a name that say it counts what happened before."""

EFFECTS = (
    "An input that stands in for a prohibited basis can have the same effect as the basis itself,"
    " which laws of some states forbid, and Regulation B where it is meant."
)


@dataclass(frozen=True)
class Suspicion:
    """Words to look for, and what to say where they occur."""

    words: Mapping[str, str]
    what: str
    why: str
    remedy: str
    in_name: Severity
    in_description: Severity | None = None
    unless: re.Pattern[str] | None = None


SUSPICIONS = (
    Suspicion(
        PROHIBITED_BASES,
        what="looks like {subject}, a prohibited basis",
        why="Credit must not depend on it (Regulation B, 12 CFR 1002.6(b)(1) and (9)).",
        remedy="Remove it, and list the column under prohibited.",
        in_name=Severity.ERROR,
        in_description=Severity.WARNING,
    ),
    Suspicion(
        AGE,
        what="looks like the applicant's age",
        why=(
            "A statistically sound system may use age only if it never counts against the elderly"
            " (12 CFR 1002.6(b)(2)(ii))."
        ),
        remedy="Remove it, or have counsel confirm its use and say so in the description.",
        in_name=Severity.WARNING,
        in_description=Severity.WARNING,
        unless=AGE_OF_SOMETHING_ELSE,
    ),
    Suspicion(
        LIMITED,
        what="looks like {subject}",
        why="Regulation B limits how it may be used (12 CFR 1002.2(z), 1002.6(b)).",
        remedy="Remove it, or have counsel confirm its use and say so in the description.",
        in_name=Severity.WARNING,
        in_description=Severity.WARNING,
    ),
    Suspicion(
        PROXIES,
        what="looks like {subject}, a proxy",
        why=EFFECTS,
        remedy="Keep it only if the adverse impact was measured and no other input does as well.",
        in_name=Severity.WARNING,
        in_description=None,
    ),
    Suspicion(
        IDENTIFIERS,
        what="looks like {subject}",
        why="It tells applicants apart, so that a model learns them by heart; it explains nothing.",
        remedy="Remove it; what identifies an entity is a key.",
        in_name=Severity.ERROR,
    ),
    Suspicion(
        CONTACTS,
        what="looks like {subject}",
        why="It identifies a person, and is a proxy for who they are. " + EFFECTS,
        remedy="Remove it, or rename it after what it counts.",
        in_name=Severity.WARNING,
    ),
    Suspicion(
        AFTERWARDS,
        what="looks like {subject}",
        why="It is known only later, so that a model trained on it has seen the answer.",
        remedy="Remove it, and list the column under prohibited.",
        in_name=Severity.ERROR,
    ),
    Suspicion(
        OUTCOMES,
        what="looks like {subject} that the model is to predict",
        why="A model trained on it has seen the answer, unless it tells of earlier loans.",
        remedy="Remove it, or name what it counts: prior_defaults, collections_12m.",
        in_name=Severity.ERROR,
        unless=EARLIER,
    ),
    Suspicion(
        PERHAPS_OUTCOMES,
        what="looks like {subject}, of this loan or of earlier ones",
        why="A model trained on this loan's outcome has seen the answer.",
        remedy="Name what it counts: prior_defaults, collections_12m.",
        in_name=Severity.WARNING,
        unless=EARLIER,
    ),
)


def suspect_inputs(product: CreditProduct) -> Iterator[Finding]:
    """Yield a finding per input whose name or description raises a suspicion.

    A view of an entity that is a proxy itself, such as a postal code, counts once.
    """
    proxy_views = {}
    for view in product.feature_views:
        found = _proxy_entity(view)
        if found:
            proxy_views[view.name] = found
            yield found
    for place, feature in placed_features(product):
        in_proxy_view = any(place.startswith(f"feature_views.{name}.") for name in proxy_views)
        yield from suspect_input(
            place,
            feature.name,
            feature.description,
            label=product.label.name,
            but=PROXIES if in_proxy_view else None,
        )


def suspect_input(
    place: str,
    name: str,
    description: str = "",
    *,
    label: str,
    but: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Yield a finding per suspicion that an input's name or description raises.

    Args:
        place: Where it stands in the definition.
        name: Its name.
        description: Its description.
        label: The name of the product's label.
        but: Words that are not looked for.
    """
    for suspicion in SUSPICIONS:
        if suspicion.words is but:
            continue
        finding = _finding(suspicion, place, name, description)
        if finding:
            yield finding
    if _occurs(label.split("_"), name.split("_")):
        yield Finding(
            severity=Severity.ERROR,
            place=place,
            what=f"{name} carries the name of the label, {label}",
            why="A model trained on the outcome has seen the answer.",
            remedy="Remove it, or name it after what it is.",
        )


def suspect_words_in(place: str, text: str) -> Iterator[Finding]:
    """Yield a finding per suspicion that the text of a rule raises."""
    for suspicion in SUSPICIONS:
        finding = _finding(suspicion, place, "", text, said_in="its text")
        if finding:
            yield replace(finding, remedy="Remove the rule, or say what it is about instead.")


def _proxy_entity(view: FeatureView) -> Finding | None:
    for name in (view.entity.name, *view.entity.key_names):
        subject, word = _match(PROXIES, name.split("_")) or (None, None)
        if subject and word != "name":
            return Finding(
                severity=Severity.WARNING,
                place=f"feature_views.{view.name}.entity",
                what=(
                    f"{view.entity.name} ({', '.join(view.entity.key_names)}) looks like {subject},"
                    f" a proxy, and so do all {len(view.features)} features of the view"
                ),
                why=EFFECTS,
                remedy=(
                    "Keep the view only if the adverse impact was measured and no other input does"
                    " as well."
                ),
            )
    return None


def _finding(
    suspicion: Suspicion,
    place: str,
    name: str,
    description: str,
    *,
    said_in: str = "its description",
) -> Finding | None:
    parts = name.split("_")
    described = re.findall(r"[a-z]+", description.lower())
    for words, severity, source in (
        (parts, suspicion.in_name, name),
        (described, suspicion.in_description, said_in),
    ):
        match = _match(suspicion.words, words) if severity else None
        if (
            severity is None
            or match is None
            or any(map(suspicion.unless.fullmatch, words) if suspicion.unless else ())
        ):
            continue
        subject, word = match
        where = source if source == name else f"{source} ({word})"
        return Finding(
            severity=severity,
            place=place,
            what=f"{where} {suspicion.what.format(subject=subject)}",
            why=suspicion.why,
            remedy=suspicion.remedy,
        )
    return None


def _match(lexicon: Mapping[str, str], words: list[str]) -> tuple[str, str] | None:
    """Return the subject of the first phrase that occurs, and the phrase."""
    for subject, phrases in lexicon.items():
        for phrase in phrases.split(", "):
            if _occurs(phrase.split(), words):
                return subject, phrase
    return None


def _occurs(phrase: Iterable[str], words: list[str]) -> bool:
    """Whether the words of a phrase stand one after the other.

    >>> _occurs(["charged", "off"], ["charged", "off", "amount"]), _occurs(["age"], ["wage"])
    (True, False)
    """
    return f" {' '.join(phrase)} " in f" {' '.join(words)} "
