"""Reference: what a product definition is made of."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING

from credit_core.domain import definitions, policy_definition, product, product_faults
from docs_site import source
from docs_site.markdown import code, page, prose, sentences, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import Enum
    from types import ModuleType

PARTS: tuple[type, ...] = (
    product.CreditProduct,
    definitions.Entity,
    definitions.EntityKey,
    definitions.FeatureView,
    definitions.Refer,
    definitions.Defaults,
    definitions.Feature,
    definitions.DerivedFeature,
    definitions.AdverseActionReason,
    definitions.Influence,
    definitions.Label,
    policy_definition.Policy,
    policy_definition.Rule,
    policy_definition.Condition,
    policy_definition.Band,
    definitions.ProhibitedInput,
    definitions.MonitoredGroup,
)
CHOICES: tuple[type[Enum], ...] = (
    definitions.DType,
    definitions.KeyType,
    definitions.RiskDirection,
    definitions.Change,
    policy_definition.Outcome,
    policy_definition.RuleKind,
    policy_definition.Comparison,
)

MEANINGS = {
    "CreditProduct.name": "The module's name under `products/`; tables and stacks have it too.",
    "CreditProduct.title": "The product's name for people.",
    "CreditProduct.description": "What it is, in a sentence.",
    "CreditProduct.feature_views": "What the lender knows of the entities.",
    "CreditProduct.request_features": "What an application says itself.",
    "CreditProduct.derived_features": "Computed from the others; last in the model's input.",
    "CreditProduct.label": "What is predicted.",
    "CreditProduct.policy": "Rules, cut-offs, points and bands.",
    "CreditProduct.prohibited": "Columns of the lender that no model may see.",
    "CreditProduct.monitored_groups": "Columns by which outcomes are compared.",
    "Entity.name": "Its name.",
    "Entity.description": "Whom or what it stands for.",
    "EntityKey.name": "The field's name in the application and the column's in the lake.",
    "EntityKey.dtype": "Text or a whole number.",
    "FeatureView.name": "Its name, and its folder's in the lake.",
    "FeatureView.description": "Where its rows come from.",
    "FeatureView.entity": "Whom its rows describe.",
    "FeatureView.features": "What a row holds.",
    "Defaults.values": "Value by feature.",
    "Feature.name": "Its name in requests, in the lake, in receipts.",
    "Feature.description": "What it is, for people; explanations show it.",
    "Feature.dtype": "How it is stored and sent.",
    "Feature.adverse_action": "What a declined applicant is told where it raised the risk.",
    "Feature.unit": "Of a number; `count` and `ratio` are units too.",
    "Feature.categories": "The values of a category, each with its place in the model's input.",
    "DerivedFeature.inputs": "Names of the features that it is computed from.",
    "AdverseActionReason.code": "Short and stable; answers, metrics and monitoring name it.",
    "AdverseActionReason.text": "The sentence for the applicant.",
    "Influence.change": "Which way it can move.",
    "Label.name": "The column's name.",
    "Label.description": "What counts as a default.",
    "Policy.version": "Stands in each receipt; change it with the policy.",
    "Policy.maximum_reasons": "How many reasons an applicant is told, at most four.",
    "Rule.code": "Short and stable; answers and receipts name it.",
    "Rule.kind": "What it is there for.",
    "Rule.outcome": "Decline or refer.",
    "Condition.feature": "The feature's name.",
    "Condition.comparison": "How they are compared.",
    "Condition.value": "A number, or a tuple of categories.",
    "Band.name": "Its name, as answers show it.",
    "Band.up_to": "The highest probability of default in it, inclusive.",
    "ProhibitedInput.name": "The column's name.",
    "ProhibitedInput.reason": "Why no model may see it.",
    "MonitoredGroup.name": "The column's name.",
    "MonitoredGroup.description": "What it says of an applicant.",
}
"""Of fields whose class does not speak of them; a test holds that none lacks one."""


def definition_page() -> str:
    """Return the page of the product definition, a part each."""
    return page(
        "Product definition",
        "A product is one module, `products/NAME.py`, whose `PRODUCT` is a `CreditProduct`. All "
        "that it is made of is imported from `credit_core.domain.product`. `credit products check "
        "NAME` tells every fault at once, with its place; one with a fault is never deployed. "
        "`products/personal_loan.py` uses nearly all of it.",
        *(_part(part) for part in PARTS),
        "## Choices",
        *(_choice(choice) for choice in CHOICES),
        "## What is refused between parts",
        "Each part refuses what is wrong with itself, as said above. These are refused of a "
        "product as a whole.",
        _listed(refusals(product_faults, source.tree_of(product_faults))),
    )


def meaning(class_: type, field: str) -> str:
    """Return what a field is for: what its class says of it, else its line in ``MEANINGS``.

    Raises:
        KeyError: Nobody has said it.
    """
    named = f"``{field}``"
    own = sentences(inspect.getdoc(class_) or "")
    found = " ".join(sentence for sentence in own if named in sentence)
    return prose(found) if found else MEANINGS[f"{class_.__name__}.{field}"]


def _part(class_: type) -> str:
    module = inspect.getmodule(class_)
    assert module is not None  # noqa: S101 (a class that was imported has one)
    written = source.class_of(module, class_.__name__)
    rows = [
        (
            code(field.name),
            code(field.type),
            "required" if field.default is None else code(field.default),
            meaning(class_, field.name),
        )
        for field in source.fields(written)
    ]
    blocks = [f"## {class_.__name__}", _about(class_)]
    if issubclass(class_, definitions.DerivedFeature):
        blocks.append("It has all fields of `Feature`, and:")
    if rows:
        blocks.append(table(("Field", "Type", "Default", "Meaning"), rows))
    refused = list(refusals(module, written))
    if refused:
        blocks += ["Refused, beside values of another type:", _listed(refused)]
    return "\n\n".join(blocks)


def _about(class_: type) -> str:
    """Return what a class says of itself, without what stands beside its fields."""
    first, *others = (inspect.getdoc(class_) or "").split("\n\n")
    left = (text for text in others if "``" not in text and not text.startswith("Raises:"))
    return "\n\n".join(map(prose, (first, *left)))


def _choice(choice: type[Enum]) -> str:
    rows = [(code(f"{choice.__name__}.{member.name}"), code(member.value)) for member in choice]
    about = prose(inspect.getdoc(choice))
    return f"### {choice.__name__}\n\n{about}\n\n{table(('Member', 'Stands for'), rows)}"


def _listed(refused: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in refused)


def refusals(module: ModuleType, tree: ast.AST) -> Iterator[str]:
    """Yield what a part of a module refuses: the field, and the words that a person reads.

    What is put into the words when it is refused stands as ``…``, constants as they are.
    """
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "add"
            and len(node.args) == 2  # noqa: PLR2004 (of Check.add: the field, and what is wrong)
        ):
            continue
        place, words = (_words(argument, module) for argument in node.args)
        if words and words != "…":
            yield f"`{place}`: {words}" if place.strip("….") else words


def _words(node: ast.expr, module: ModuleType) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.FormattedValue):
        value = getattr(module, node.value.id, None) if isinstance(node.value, ast.Name) else None
        return f"{value:,}" if isinstance(value, int) else value if isinstance(value, str) else "…"
    if isinstance(node, ast.JoinedStr):
        return re.sub(r"…(\S*…)+", "…", "".join(_words(part, module) for part in node.values))
    return "…"
