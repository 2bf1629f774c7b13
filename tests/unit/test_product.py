"""A product definition: what follows from it, and that a broken one lists all its faults."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
import textwrap
import timeit
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydantic import BaseModel

import products
from credit_core.domain.definition_faults import is_line
from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.product import (
    NAME,
    Band,
    Change,
    Comparison,
    Condition,
    CreditProduct,
    Defaults,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    Influence,
    KeyType,
    MonitoredGroup,
    Outcome,
    Policy,
    ProhibitedInput,
    Refer,
    RiskDirection,
    load_product,
    product_names,
    safe_ratio,
)
from credit_core.domain.product_faults import REQUEST_RESERVED
from credit_core.errors import InvalidProductError
from tests.builders import PRODUCT, TOLERANT_PRODUCT, WITHOUT_RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AMOUNT = PRODUCT.request_features[0]
BUREAU, REGION = PRODUCT.feature_views
TERM = PRODUCT.request_features[1]
VERIFICATION = PRODUCT.request_features[-1]


def faults_of(**changes: Any) -> list[str]:
    with pytest.raises(InvalidProductError) as caught:
        dataclasses.replace(PRODUCT, **changes)
    return list(caught.value.faults)


def faults_of_amount(**changes: Any) -> list[str]:
    return faults_of(request_features=(replace(AMOUNT, **changes), *PRODUCT.request_features[1:]))


def faults_of_bureau(**changes: Any) -> list[str]:
    return faults_of(feature_views=(replace(BUREAU, **changes), *PRODUCT.feature_views[1:]))


def test_the_interest_rate_and_the_grade_cannot_be_inputs() -> None:
    assert {unwanted.name for unwanted in PRODUCT.prohibited} == {"int_rate", "sub_grade"}

    rate = dataclasses.replace(AMOUNT, name="int_rate")

    assert faults_of(request_features=(*PRODUCT.request_features, rate)) == [
        (
            "prohibited.int_rate: prohibited (the earlier lender's own verdict), and an input at"
            " request_features.int_rate"
        )
    ]


def test_every_model_feature_has_a_reason_a_lender_could_send() -> None:
    for feature in PRODUCT.model_features:
        assert len(feature.adverse_action.text) > 10
        assert feature.adverse_action.text[0].isupper()


def test_all_faults_are_listed_with_their_place() -> None:
    policy = Policy(
        version="1",
        approve_up_to=0.2,
        decline_from=0.1,
        base_points=600,
        base_odds=20,
        points_to_double_odds=0,
        maximum_reasons=9,
    )
    wrong = Feature(
        name="Wrong",
        description="",
        dtype=DType.INTEGER,
        adverse_action=AMOUNT.adverse_action,
        minimum=0,
        maximum=2**53 + 1,
    )
    view = FeatureView(
        name="empty", description="", entity=BUREAU.entity, ttl=timedelta(0), features=()
    )

    assert faults_of(
        policy=policy,
        request_features=(*PRODUCT.request_features, AMOUNT, wrong),
        feature_views=(*PRODUCT.feature_views, view),
        prohibited=(ProhibitedInput(name="delinq_2yrs", reason="for this test"),),
    ) == [
        "feature_views.empty.ttl: must be whole seconds, from 1 up to 36,500 days, not 0:00:00",
        "feature_views.empty.features: a view needs one at least",
        (
            "request_features.Wrong.name: 'Wrong' (str) is no name: a name is 1 to 63 lower case"
            " letters, digits and underscores, a letter first"
        ),
        'request_features.Wrong.unit: state it; "count" and "ratio" are units too',
        "request_features.Wrong.maximum: integers beyond 2**53 are not exact in JSON; use float",
        "policy.approve_up_to: 0.2 is not below decline_from, 0.1",
        "policy.points_to_double_odds: must be positive",
        "policy.maximum_reasons: must be from 1 to 4",
        "request_features.loan_amount.name: 'loan_amount' is taken by request_features.loan_amount",
        (
            "prohibited.delinq_2yrs: prohibited (for this test), and an input at"
            " feature_views.bureau.delinq_2yrs"
        ),
    ]


SEX = MonitoredGroup(name="sex", description="As stated", values=("female", "male"))


def test_a_monitored_group_can_be_prohibited_as_an_input_and_no_input() -> None:
    unwanted = ProhibitedInput(name="sex", reason="a prohibited basis")

    product = dataclasses.replace(PRODUCT, monitored_groups=(SEX,), prohibited=(unwanted,))

    assert "sex" not in {feature.name for feature in product.model_features}
    assert faults_of(monitored_groups=(replace(SEX, name="loan_amount"),)) == [
        "monitored_groups.loan_amount.name: 'loan_amount' is taken by request_features.loan_amount"
    ]


def test_what_is_wrong_with_a_monitored_group_is_listed() -> None:
    wrong = replace(SEX, values=("female", "female"), reference="diverse", least_ratio=1.2)
    unknown = replace(SEX, name="other", reference="diverse")

    assert faults_of(monitored_groups=(wrong, unknown)) == [
        "monitored_groups.sex.values: at least two groups, each once",
        "monitored_groups.sex.least_ratio: must be above 0 and at most 1",
        "monitored_groups.other.reference: 'diverse' (str) is none of the values",
    ]


# Wrong types: a product module may put anything anywhere.


def parts() -> Iterator[tuple[str, Any, Callable[[Any], dict[str, Any]]]]:
    """Yield parts of PRODUCT with their place, and what changes of it put another there."""
    view, derived = PRODUCT.feature_views[0], PRODUCT.derived_features[0]
    entity = PRODUCT.entities[0]
    yield "policy", PRODUCT.policy, lambda it: {"policy": it}
    rule, band = PRODUCT.policy.rules[0], PRODUCT.policy.bands[0]
    yield (
        "policy.rules.MINIMUM_INCOME",
        rule,
        lambda it: {"policy": replace(PRODUCT.policy, rules=(it,))},
    )
    yield (
        "policy.rules.MINIMUM_INCOME.when[0]",
        rule.when[0],
        lambda it: {"policy": replace(PRODUCT.policy, rules=(replace(rule, when=(it,)),))},
    )
    yield (
        "policy.bands.A",
        band,
        lambda it: {"policy": replace(PRODUCT.policy, bands=(it, *PRODUCT.policy.bands[1:]))},
    )
    yield (
        "request_features.loan_amount.influence",
        AMOUNT.influence,
        lambda it: {
            "request_features": (replace(AMOUNT, influence=it), *PRODUCT.request_features[1:])
        },
    )
    yield "label", PRODUCT.label, lambda it: {"label": it}
    yield (
        "prohibited.int_rate",
        PRODUCT.prohibited[0],
        lambda it: {"prohibited": (it, *PRODUCT.prohibited[1:])},
    )
    yield "monitored_groups.sex", SEX, lambda it: {"monitored_groups": (it,)}
    yield (
        "request_features.loan_amount",
        AMOUNT,
        lambda it: {"request_features": (it, *PRODUCT.request_features[1:])},
    )
    yield (
        "request_features.loan_amount.adverse_action",
        AMOUNT.adverse_action,
        lambda it: {
            "request_features": (replace(AMOUNT, adverse_action=it), *PRODUCT.request_features[1:])
        },
    )
    yield (
        "request_features.verification_status",
        VERIFICATION,
        lambda it: {"request_features": (*PRODUCT.request_features[:-1], it)},
    )
    yield (
        "derived_features.payment_to_income",
        derived,
        lambda it: {"derived_features": (it, *PRODUCT.derived_features[1:])},
    )
    yield (
        "entities.applicant",
        entity,
        lambda it: {"entities": (it, *PRODUCT.entities[1:])},
    )
    yield (
        "entities.applicant.applicant_id",
        entity.keys[0],
        lambda it: {"entities": (replace(entity, keys=(it,)), *PRODUCT.entities[1:])},
    )
    yield (
        "feature_views.bureau",
        view,
        lambda it: {"feature_views": (it, *PRODUCT.feature_views[1:])},
    )
    yield (
        "feature_views.bureau.delinq_2yrs",
        view.features[0],
        lambda it: {
            "feature_views": (
                replace(view, features=(it, *view.features[1:])),
                *PRODUCT.feature_views[1:],
            )
        },
    )


FIELDS = [
    (place, part, into, each.name)
    for place, part, into in parts()
    for each in dataclasses.fields(part)
]


@pytest.mark.parametrize(
    ("place", "part", "into", "field"), FIELDS, ids=[f"{it[0]}.{it[3]}" for it in FIELDS]
)
def test_a_field_of_a_wrong_type_is_a_fault_at_its_place(
    place: str, part: Any, into: Callable[[Any], dict[str, Any]], field: str
) -> None:
    found = faults_of(**into(replace(part, **{field: object()})))

    named = getattr(part, field) == getattr(part, "name", None)
    if not named:  # a part without a name stands at its number
        assert any(fault.startswith(f"{place}.{field}: expected ") for fault in found)
    assert any("not an object" in fault for fault in found)


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(PRODUCT)])
def test_a_field_of_the_product_of_a_wrong_type_is_a_fault(field: str) -> None:
    assert any(fault.startswith(f"{field}: expected ") for fault in faults_of(**{field: object()}))


JUNK: tuple[object, ...] = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "text",
    "\ud800",
    np.array([1.0, 2.0]),
    (),
    (None,),
    ("a", "a", 3),
    [AMOUNT],
    {"a": []},
    AMOUNT,
    PRODUCT.derived_features[0],
    PRODUCT.label,
    DType,
    DType.CATEGORY,
    timedelta.max,
    Defaults({1: [], "delinq_2yrs": "x"}),  # type: ignore[dict-item]
    Defaults([]),  # type: ignore[arg-type]
    Entity(name="other", description="", keys=()),
)


@pytest.mark.parametrize(
    ("place", "part", "into", "field"), FIELDS, ids=[f"{it[0]}.{it[3]}" for it in FIELDS]
)
def test_whatever_a_field_holds_there_is_a_product_or_a_list_of_faults(
    place: str, part: Any, into: Callable[[Any], dict[str, Any]], field: str
) -> None:
    """Never another exception, and each fault is one line that begins with a place."""
    del place
    for junk in JUNK:
        found: tuple[str, ...] = ()
        try:
            replace(PRODUCT, **into(replace(part, **{field: junk})))
        except InvalidProductError as error:
            found = error.faults or ("an error without a fault",)
        for fault in found:
            assert re.match(r"[a-z_]+[\w.\[\]]*: .", fault)
            assert is_line(fault)


@pytest.mark.parametrize("field", [each.name for each in dataclasses.fields(PRODUCT)])
def test_whatever_the_product_holds_there_is_a_product_or_a_list_of_faults(field: str) -> None:
    for junk in JUNK:
        changes: dict[str, Any] = {field: junk}
        with suppress(InvalidProductError):
            replace(PRODUCT, **changes)


def test_a_member_without_its_tuple_is_told_to_get_a_comma() -> None:
    (fault,) = (it for it in faults_of_bureau(features=BUREAU.features[0]) if "comma" in it)

    assert fault == (
        "feature_views.bureau.features: expected a tuple of Feature, not a Feature: write (x,),"
        " with a comma"
    )


def test_one_wrong_type_hides_no_other_fault() -> None:
    found = faults_of_amount(minimum="500", unit=None, risk="up")

    assert found == [
        "request_features.loan_amount.minimum: expected a finite number or None, not '500' (str)",
        (
            "request_features.loan_amount.risk: expected RiskDirection.INCREASING or"
            " RiskDirection.DECREASING or None, not 'up' (str)"
        ),
        'request_features.loan_amount.unit: state it; "count" and "ratio" are units too',
    ]


# Values and names.


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"minimum": 50_000}, "minimum: 50000 is above the maximum 40000"),
        ({"minimum": None}, "minimum: state it, inclusive and in unit"),
        ({"maximum": 1e39}, "maximum: expected a finite number or None, not 1e+39 (float)"),
        ({"dtype": DType.INTEGER, "minimum": 0.5}, "minimum: 0.5 is not whole"),
        ({"categories": ("a", "b")}, "categories: only a category has them"),
        ({"unknown_category": "a"}, "unknown_category: only a category has one"),
        ({"nullable": True}, "adverse_action.text_if_unknown: a nullable feature's reason"),
        ({"name": "application_id"}, "name: 'application_id' is taken by every table"),
        ({"name": "applicant_id"}, "name: 'applicant_id' is taken by entities.applicant.applicant"),
        ({"name": "delinq_2yrs"}, "name: 'delinq_2yrs' is taken by request_features.delinq_2yrs"),
        ({"name": "bureau_event_timestamp"}, "is taken by feature_views.bureau, for its event"),
        ({"name": "model_dump"}, "name: 'model_dump' has a meaning of its own in the schema"),
        ({"name": "x" * 64}, "is no name"),
        ({"name": 'bad" OR 1=1 --'}, "is no name"),
        ({"name": "ends_in_newline\n"}, "is no name"),
    ],
)
def test_a_wrong_number_or_name_is_a_fault(changes: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults_of_amount(**changes))


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"categories": ("a",)}, "state from 2 to 65,534, not 1"),
        ({"categories": ("a", "b", "a")}, "'a' (str) is listed 2 times"),
        ({"categories": ("a", "b\n")}, "is not 1 to 128 printable characters"),
        ({"categories": ("a", "")}, "is not 1 to 128 printable characters"),
        ({"categories": ("a", "b" * 129)}, "is not 1 to 128 printable characters"),
        ({"categories": ("a", 1, 2.5)}, "categories[1]: expected a str, not 1 (int)"),
        ({"minimum": 0}, "minimum: a category has no range"),
        ({"risk": RiskDirection.INCREASING}, "risk: a category has no direction"),
        ({"unknown_category": "other"}, "'other' (str) is not in categories"),
    ],
)
def test_a_wrong_category_is_a_fault(changes: dict[str, Any], fault: str) -> None:
    wrong = replace(VERIFICATION, **changes)

    found = faults_of(request_features=(*PRODUCT.request_features[:-1], wrong))

    assert any(fault in it for it in found)
    assert all(it.startswith("request_features.verification_status.") for it in found)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"ttl": "30 days"}, "ttl: expected a timedelta, not '30 days' (str)"),
        ({"ttl": timedelta(seconds=1.5)}, "ttl: must be whole seconds"),
        ({"ttl": timedelta(days=36_501)}, "ttl: must be whole seconds, from 1 up to 36,500 days"),
        ({"entity": None}, "entity: expected an Entity, not None"),
        ({"when_stale": "refer"}, "when_stale: expected a Refer or a Defaults, not 'refer' (str)"),
        ({"when_stale": Refer}, "when_stale: expected a Refer or a Defaults, not the class Refer"),
        ({"when_missing": Defaults({"delinq_2yrs": 0})}, "when_missing.acc_now_delinq: state a"),
        (
            {"name": "applications"},
            "applications.name: the lake has a folder of its own named 'applications'",
        ),
        ({"name": "pushed"}, "pushed.name: the lake has a folder of its own named 'pushed'"),
        ({"features": list(BUREAU.features)}, "features: expected a tuple of Feature, not a list"),
        ({"features": PRODUCT.derived_features}, "it is derived; list it in derived_features"),
    ],
)
def test_a_wrong_view_is_a_fault(changes: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults_of_bureau(**changes))


def test_defaults_are_valid_values_of_the_views_features() -> None:
    good: dict[str, float | int | str | None] = {
        feature.name: 1 if feature.dtype is DType.INTEGER else 1.0 for feature in BUREAU.features
    }
    good["revol_util"] = None
    bureau, region = TOLERANT_PRODUCT.feature_views
    tolerant = replace(bureau, when_missing=Defaults(good))
    replace(TOLERANT_PRODUCT, feature_views=(tolerant, region))

    wrong = good | {"delinq_2yrs": 1_001, "inq_fi": None, "open_il_6m": 1.5, "nowhere": 1}

    assert replace(bureau, when_missing=Defaults(wrong)).faults("feature_views.bureau") == [
        "feature_views.bureau.when_missing: 'nowhere' (str) is no feature of this view",
        "feature_views.bureau.when_missing.delinq_2yrs: the default is not from 0 to 1000",
        "feature_views.bureau.when_missing.open_il_6m: the default is not an integer",
        "feature_views.bureau.when_missing.inq_fi: the default is null",
    ]


def test_a_default_needs_words_that_do_not_state_it_as_a_fact() -> None:
    values: dict[str, float | int | str | None] = dict.fromkeys(
        map(attrgetter("name"), REGION.features), 1
    )
    tolerant = replace(REGION, when_stale=Defaults(values))
    derived = replace(
        PRODUCT.derived_features[0], inputs=("loan_amount", "region_applications", "annual_income")
    )

    found = faults_of(feature_views=(BUREAU, tolerant), derived_features=(derived,))

    assert found == [
        *(
            f"feature_views.region_market.when_stale.{name}: a default's reason needs a"
            " text_if_unknown"
            for name in values
        ),
        (
            f"derived_features.{derived.name}.adverse_action.text_if_unknown: state it, an input"
            " may be a default that was assumed"
        ),
    ]


def test_a_products_name_leaves_room_for_those_of_its_resources() -> None:
    replace(PRODUCT, name="p" * 32)

    assert faults_of(name="p" * 33) == ["name: names of its resources allow 32 characters"]


@pytest.mark.parametrize("version", [0, 10_000, True, "2"])
def test_a_views_version_has_four_digits(version: Any) -> None:
    (fault,) = faults_of_bureau(version=version)

    assert fault.startswith("feature_views.bureau.version: ")


def test_more_views_than_one_read_takes_are_refused() -> None:
    def views(count: int) -> tuple[FeatureView, ...]:
        return tuple(
            replace(BUREAU, name=f"v{n}", features=(replace(BUREAU.features[0], name=f"f{n}"),))
            for n in range(count)
        )

    other: dict[str, Any] = {"derived_features": (), "policy": WITHOUT_RULES}
    replace(PRODUCT, feature_views=views(98), **other)

    assert faults_of(feature_views=views(99), **other) == [
        (
            "feature_views: 99 do not fit one BatchGetItem, which reads 100 keys, two of them the"
            " receipt's and the rollout pointer's"
        )
    ]


def test_a_key_has_one_meaning_and_a_pattern_that_identifies() -> None:
    applicant = PRODUCT.entities[0]
    other = Entity(name="other", description="", keys=(EntityKey("applicant_id", KeyType.INTEGER),))
    odd = Entity(
        name="odd",
        description="",
        keys=(
            EntityKey("open", pattern="[a"),
            EntityKey("e", pattern="a*"),
            EntityKey("empty", pattern=""),
        ),
    )
    ahead = Entity(name="ahead", description="", keys=(EntityKey("k", pattern="(?=a)b"),))

    found = faults_of(entities=(*PRODUCT.entities, other, odd, ahead, applicant))

    for fault in (
        "entities.odd.open.pattern: '[a' is no regular expression: unterminated character set",
        "entities.odd.e.pattern: 'a*' matches a key of no characters",
        "entities.odd.empty.pattern: expected a line of text, not '' (str)",
        "entities.ahead.k.pattern: look-around and back references",
        "entities.applicant: defined twice",
        (
            "entities.other.applicant_id: differs from the key of that name at"
            " entities.applicant.applicant_id"
        ),
    ):
        assert any(it.startswith(fault) for it in found)


def test_a_views_entity_is_one_of_the_products() -> None:
    changed = replace(BUREAU.entity, description="another")

    assert faults_of_bureau(entity=changed) == [
        "feature_views.bureau.entity: differs from the 'applicant' of entities"
    ]
    assert "feature_views.bureau.entity: 'applicant' is not in entities" in faults_of(
        entities=PRODUCT.entities[1:]
    )


def test_one_reason_code_has_one_text() -> None:
    other = replace(AMOUNT.adverse_action, code="TERM")
    told = replace(VERIFICATION.adverse_action, code="EMPLOYMENT", text="Length of employment")
    replace(
        PRODUCT,
        request_features=(
            *PRODUCT.request_features[:-1],
            replace(VERIFICATION, adverse_action=told),
        ),
    )
    unknown = replace(AMOUNT.adverse_action, code="EMPLOYMENT_UNKNOWN")

    assert faults_of_amount(adverse_action=other) == [
        (
            "request_features.term_months.adverse_action: code 'TERM' has another text at"
            " request_features.loan_amount.adverse_action"
        )
    ]
    assert faults_of_amount(adverse_action=unknown) == [
        (
            "request_features.loan_amount.adverse_action.code: 'EMPLOYMENT_UNKNOWN' is what"
            " 'EMPLOYMENT' of request_features.employment_years becomes where its value is unknown"
        )
    ]


def test_the_label_is_no_input() -> None:
    assert any(
        fault == "label.name: 'defaulted' is taken by request_features.defaulted"
        for fault in faults_of_amount(name="defaulted")
    )


def test_a_derived_feature_needs_inputs_that_exist_and_are_numbers() -> None:
    derived = DerivedFeature(
        name="odd",
        description="",
        dtype=DType.FLOAT,
        unit="ratio",
        minimum=0,
        maximum=1,
        adverse_action=AMOUNT.adverse_action,
        inputs=("nowhere", "verification_status", "odd", "even", "loan_amount", "loan_amount"),
        function=safe_ratio,
    )
    even = replace(derived, name="even", inputs=(), dtype=DType.INTEGER)

    assert faults_of(derived_features=(derived, even), policy=WITHOUT_RULES) == [
        "derived_features.even.dtype: a derived feature is a float",
        "derived_features.even.inputs: a derived feature needs one at least",
        "derived_features.odd.inputs: 'nowhere' is not a feature",
        (
            "derived_features.odd.inputs: 'verification_status' is a category; a function takes"
            " numbers"
        ),
        "derived_features.odd.inputs: 'odd' is this feature itself",
        "derived_features.odd.inputs: 'even' is derived; name what is sent or stored",
        "derived_features.odd.inputs: 'loan_amount' is listed 2 times",
    ]


def test_a_product_needs_features() -> None:
    nothing = {"request_features": (), "feature_views": (), "derived_features": ()}

    assert faults_of(**nothing, policy=WITHOUT_RULES) == [
        "request_features: neither they nor a view hold a feature"
    ]


def test_only_what_an_application_holds_can_be_changed_in_one() -> None:
    influence = Influence(step=1)
    bureau = replace(BUREAU, features=(replace(BUREAU.features[0], influence=influence),))
    derived = replace(PRODUCT.derived_features[0], influence=influence)

    found = faults_of(
        feature_views=(bureau, REGION), derived_features=(derived,), policy=WITHOUT_RULES
    )

    assert found == [
        f"{place}.influence: only what an application holds can be changed in one"
        for place in ("feature_views.bureau.delinq_2yrs", "derived_features.payment_to_income")
    ]


@pytest.mark.parametrize(
    ("feature", "influence", "fault"),
    [
        (AMOUNT, Influence(), "influence.step: state a positive step, in the feature's unit"),
        (
            AMOUNT,
            Influence(step=-1),
            "influence.step: state a positive step, in the feature's unit",
        ),
        (TERM, Influence(step=0.5), "influence.step: 0.5 is not whole, and dtype is integer"),
        (
            VERIFICATION,
            Influence(change=Change.LOWER),
            "influence: a category has neither direction nor step",
        ),
    ],
)
def test_an_influence_fits_its_feature(feature: Feature, influence: Influence, fault: str) -> None:
    others = tuple(it for it in PRODUCT.request_features if it.name != feature.name)

    assert faults_of(request_features=(*others, replace(feature, influence=influence))) == [
        f"request_features.{feature.name}.{fault}"
    ]


def test_a_rule_names_features_and_categories_that_exist() -> None:
    rule = PRODUCT.policy.rules[0]
    rules = (
        replace(rule, code="A", when=(Condition("nowhere", Comparison.BELOW, 1),)),
        replace(
            rule, code="B", when=(Condition("verification_status", Comparison.ONE_OF, ("no",)),)
        ),
        replace(rule, code="C", when=(Condition("verification_status", Comparison.ABOVE, 1),)),
        replace(rule, code="D", when=(Condition("loan_amount", Comparison.ONE_OF, 1),)),
        replace(rule, code="E", when=(), outcome=Outcome.APPROVE),
        replace(rule, code="INCOME"),
        replace(rule, code="INCOME"),
    )

    assert faults_of(policy=replace(PRODUCT.policy, rules=rules)) == [
        (
            "policy.rules.D.when[0].value: ONE_OF takes a tuple of categories, every other"
            " comparison a number"
        ),
        "policy.rules.E.outcome: a rule declines or refers; only the cut-off approves",
        "policy.rules.E.when: a rule needs one condition at least",
        "policy.rules.INCOME: defined twice",
        "policy.rules.A.when[0].feature: 'nowhere' is not a feature",
        "policy.rules.B.when[0].value: 'no' is no category of verification_status",
        (
            "policy.rules.C.when[0].comparison: verification_status is a category; use"
            " Comparison.ONE_OF"
        ),
        *["policy.rules.INCOME.code: 'INCOME' is the reason of request_features.annual_income"] * 2,
    ]


@pytest.mark.parametrize(
    ("ends", "fault"),
    [
        ((0.5, 0.2, 1), "list them in order of risk, each up to a higher probability"),
        ((0.0, 1), "list them in order of risk, each up to a higher probability"),
        ((0.5, 0.9), "the last one is up to 1, so that each applicant has a band"),
    ],
)
def test_each_probability_has_one_band(ends: tuple[float, ...], fault: str) -> None:
    bands = tuple(Band(f"band {number}", end) for number, end in enumerate(ends))

    assert faults_of(policy=replace(PRODUCT.policy, bands=bands)) == [f"policy.bands: {fault}"]


def test_no_name_of_a_schemas_base_class_can_be_a_field() -> None:
    """Pydantic would warn, raise, or quietly take ``model_config`` for a setting."""
    own = {name for name in dir(BaseModel) if NAME.match(name)}

    assert {name for name in own if not REQUEST_RESERVED.match(name)} == set()
    assert not REQUEST_RESERVED.match("model_year")
    assert not REQUEST_RESERVED.match("copy_of_id")


def test_a_definition_is_checked_within_a_cold_starts_means() -> None:
    """Nothing is computed: a millisecond or so, here with room for a busy machine."""
    fields = {each.name: getattr(PRODUCT, each.name) for each in dataclasses.fields(PRODUCT)}

    seconds = min(timeit.repeat(lambda: CreditProduct(**fields), number=10, repeat=5)) / 10

    assert seconds < 0.003


# Modules.


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that puts a module under products/ and returns its name."""
    folder = tmp_path / "products"
    folder.mkdir()
    monkeypatch.setattr(products, "__path__", [*products.__path__, str(folder)])

    def write(text: str) -> str:
        name = f"broken_{len(list(folder.iterdir()))}"
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, f"products.{name}", raising=False)
        return name

    return write


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\n\nx = (", "products/{name}.py, line 3: SyntaxError: '(' was never closed"),
        ("import datetime\nx = 1 / 0", "products/{name}.py, line 2: ZeroDivisionError: division"),
        (
            "from credit_core.domain.product import Feature\n\nF = Feature(name='x')",
            "products/{name}.py, line 3: TypeError: Feature.__init__() missing 3 required",
        ),
        (
            "from credit_core.domain.product import Feture",
            "products/{name}.py, line 1: ImportError: cannot import name 'Feture'",
        ),
        ("import nowhere_at_all", "products/{name}.py, line 1: ModuleNotFoundError: No module"),
        ("raise SystemExit('two\\nlines')", "products/{name}.py, line 1: SystemExit: two lines"),
        ("", "PRODUCT: expected a CreditProduct in products/{name}.py, not None"),
        ("PRODUCT = 'x'", "PRODUCT: expected a CreditProduct in products/{name}.py, not 'x' (str)"),
        (
            "from products.personal_loan import PRODUCT",
            "name: 'personal_loan', but its file is products/{name}.py",
        ),
    ],
)
def test_a_module_that_is_no_product_says_where_and_why_in_a_line(
    module: Callable[[str], str], text: str, fault: str
) -> None:
    name = module(text)

    with pytest.raises(InvalidProductError) as caught:
        load_product(name)

    (found,) = caught.value.faults
    assert found.startswith(fault.format(name=name))
    assert "\n" not in found
    assert caught.value.product == name


def test_a_broken_definition_in_a_module_lists_its_faults(module: Callable[[str], str]) -> None:
    name = module(
        """
        from dataclasses import replace
        from products.personal_loan import PRODUCT

        PRODUCT = replace(PRODUCT, title="", label=None)
        """
    )

    with pytest.raises(InvalidProductError) as caught:
        load_product(name)

    assert caught.value.product == name
    assert caught.value.faults == (
        "title: expected a line of text, not '' (str)",
        "label: expected a Label, not None",
    )


def test_a_product_is_added_by_its_file_alone(module: Callable[[str], str]) -> None:
    name = module(
        """
        from dataclasses import replace
        from products.personal_loan import PRODUCT

        PRODUCT = replace(PRODUCT, name=__name__.rpartition(".")[2])
        """
    )

    assert load_product(name).view_table(BUREAU) == f"{name}_bureau"
    assert name in product_names()


@pytest.mark.parametrize("name", ["nowhere", "../etc", "os.path", "", "_own", "Personal_loan"])
def test_a_product_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InvalidProductError) as caught:
        load_product(name)

    (fault,) = caught.value.faults
    assert fault.startswith(("there is no file products/nowhere.py", "not a product name"))


# The model's input.


def columns_of(**changes: object) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        feature.name: [feature.categories[0] if feature.categories else 1.0]
        for feature in PRODUCT.base_features
    }
    return columns | {name: [value] for name, value in changes.items()}


def matrix_of(**changes: object) -> dict[str, float]:
    row = feature_matrix(PRODUCT, columns_of(**changes))[0]
    names = [feature.name for feature in PRODUCT.model_features]
    return {name: float(value) for name, value in zip(names, row, strict=True)}


def test_unknown_numbers_become_nan_and_unknown_categories_minus_one() -> None:
    row = matrix_of(employment_years=None, verification_status=None, total_il_high_credit_limit=0.0)

    assert np.isnan(row["employment_years"])
    assert row["verification_status"] == -1
    assert np.isnan(row["installment_utilization"])


def test_no_income_is_the_heaviest_burden_and_not_an_unknown_one() -> None:
    without, low = matrix_of(annual_income=0.0), matrix_of(annual_income=100.0)

    assert without["payment_to_income"] > low["payment_to_income"]
    assert without["installment_debt_to_income"] > low["installment_debt_to_income"]


def test_a_row_scored_alone_equals_the_same_row_in_a_table() -> None:
    columns = {name: values * 3 for name, values in columns_of(loan_amount=9_999.0).items()}

    table = feature_matrix(PRODUCT, columns)

    alone = feature_matrix(PRODUCT, columns_of(loan_amount=9_999.0))
    assert table.dtype == np.float32
    assert np.array_equal(table[1], alone[0], equal_nan=True)
