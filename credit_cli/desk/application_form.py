"""The form of an application, made from the product: its fields, what was typed, its faults."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from credit_cli.desk.figures import UNITS, capital, number_text
from credit_cli.desk.markup import options, tag
from credit_core.domain.application import APPLICATION_ID_MEANING
from credit_core.domain.pages.html import Markup, joined
from credit_core.domain.pages.words import plain
from credit_core.domain.product import DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from credit_core.domain.product import CreditProduct, EntityKey, Feature

APPLICATION_ID = "application_id"
THOUSANDS = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
LONGEST_NUMBER = 40


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field: ``choices`` of a category, else a line of text, or of a number."""

    name: str
    label: str
    hint: str = ""
    unit: str = ""
    choices: tuple[str, ...] = ()
    is_number: bool = False
    nullable: bool = False

    def value(self, typed: str) -> object:
        """Return what is sent for what was typed; nothing typed is null.

        What is no number is sent as it is: the API says what it expects.
        """
        if not typed:
            return None
        return number_of(typed) if self.is_number else typed

    def typed(self, value: object) -> str:
        """Return what stands in the field for a value of an application."""
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        return value if isinstance(value, str) else json.dumps(value)

    def html(self, typed: str, faults: Sequence[str]) -> Markup:
        """Return the field with its label, its hint, and what is wrong with it."""
        described = [f"{self.name}-hint"] if self.hint else []
        described += [f"{self.name}-fault"] if faults else []
        attributes: dict[str, str | bool | int | None] = {
            "id": self.name,
            "name": self.name,
            "aria_describedby": " ".join(described) or None,
            "aria_invalid": "true" if faults else None,
        }
        return tag(
            "div",
            tag("label", self.label, for_=self.name),
            tag("span", self.hint, class_="hint", id=f"{self.name}-hint") if self.hint else "",
            tag("span", said(faults), class_="fault", id=f"{self.name}-fault") if faults else "",
            self._control(typed, attributes),
            class_="field wrong" if faults else "field",
        )

    def _control(self, typed: str, attributes: dict[str, str | bool | int | None]) -> Markup:
        if self.choices:
            none = "Unknown" if self.nullable else "Choose…"
            known = [("", none), *((choice, plain(choice)) for choice in self.choices)]
            if typed and typed not in self.choices:
                known.append((typed, typed))
            return tag("select", *options(known, chosen=typed), **attributes)
        line = tag(
            "input",
            type="text",
            value=typed,
            inputmode="decimal" if self.is_number else None,
            autocomplete="off",
            spellcheck="false",
            **attributes,
        )
        if not self.unit:
            return line
        return tag("div", line, tag("span", self.unit, class_="unit"), class_="affixed")


def said(faults: Sequence[str]) -> str:
    """Return faults as one text that begins with a capital."""
    return capital("; ".join(faults))


def number_of(typed: str) -> object:
    """Return the number that was typed, or the text if it is none; commas may group thousands.

    >>> number_of("20,000"), number_of("1.5"), number_of("12,5"), number_of("1e999")
    (20000, 1.5, '12,5', '1e999')
    """
    text = typed.replace("\N{NO-BREAK SPACE}", "").replace(" ", "").replace("_", "")
    if THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    if len(text) > LONGEST_NUMBER or not NUMBER.fullmatch(text):
        return typed
    number = float(text)
    if not math.isfinite(number):
        return typed
    return number if re.search(r"[.eE]", text) else int(text)


class ApplicationForm:
    """The form of one product's applications."""

    def __init__(self, product: CreditProduct) -> None:
        own_id = Field(
            name=APPLICATION_ID,
            label="Application id",
            hint=f"{APPLICATION_ID_MEANING}. The same id and content give the same decision again",
        )
        self.who = (own_id, *_key_fields(product))
        self.asked = tuple(map(_feature_field, product.request_features))
        self.fields = self.who + self.asked

    def document(self, typed: Mapping[str, str]) -> dict[str, object]:
        """Return the application that was typed; what is empty and may not be null is left out."""
        document: dict[str, object] = {}
        for known in self.fields:
            value = known.value(typed.get(known.name, "").strip())
            if value is not None or known.nullable:
                document[known.name] = value
        return document

    def typed(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return what stands in the fields for an application."""
        return {
            known.name: known.typed(document[known.name])
            for known in self.fields
            if known.name in document
        }

    def unknown(self, document: Mapping[str, Any]) -> list[str]:
        """Return the members of an application that are no fields."""
        names = {known.name for known in self.fields}
        return [name for name in document if name not in names]


@dataclass(frozen=True)
class Faults:
    """What is wrong with an application: by field, and beside all fields."""

    by_field: Mapping[str, Sequence[str]] = field(default_factory=dict)
    others: Sequence[str] = ()

    @classmethod
    def of(cls, found: Sequence[tuple[str, str]], form: ApplicationForm) -> Faults:
        """Return the faults that the API named, each with the field that it names."""
        names = {known.name for known in form.fields}
        by_field: dict[str, list[str]] = {}
        others = []
        for path, message in found:
            if path in names:
                by_field.setdefault(path, []).append(message)
            else:
                others.append(message if path == "$" else f"{path}: {message}")
        return cls(by_field, others)

    def summary(self, form: ApplicationForm) -> Markup:
        """Return all faults as links to their fields."""
        entries: list[Markup] = []
        for known in form.fields:
            if faults := self.by_field.get(known.name):
                place = tag("a", known.label, href=f"#{known.name}")
                entries.append(tag("li", place, f": {'; '.join(faults)}"))
        entries += [tag("li", other) for other in self.others]
        return joined(entries)


def _key_fields(product: CreditProduct) -> Iterator[Field]:
    described = {key.name: entity.description for entity in product.entities for key in entity.keys}
    for key in product.entity_keys:
        yield Field(
            name=key.name,
            label=_label(key.name),
            hint=described.get(key.name, ""),
            is_number=_is_number(key),
        )


def _is_number(key: EntityKey) -> bool:
    return key.dtype is KeyType.INTEGER


def _feature_field(feature: Feature) -> Field:
    choices = feature.categories if feature.dtype is DType.CATEGORY else ()
    parts = [feature.description]
    if not choices and feature.minimum is not None and feature.maximum is not None:
        whole = "whole number, " if feature.dtype is DType.INTEGER else ""
        low, high = number_text(feature.minimum), number_text(feature.maximum)
        parts.append(f"{whole}{low} to {high}")
    if feature.nullable and not choices:
        parts.append("leave empty if unknown")
    unit = feature.unit or ""
    return Field(
        name=feature.name,
        label=_label(feature.name),
        hint=". ".join(map(capital, parts)),
        unit=UNITS.get(unit, unit).strip(),
        choices=choices,
        is_number=not choices,
        nullable=feature.nullable,
    )


def _label(name: str) -> str:
    return capital(plain(name))
