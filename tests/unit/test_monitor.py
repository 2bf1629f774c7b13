"""A day's decisions, tallied in parts and set beside training and the days before."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.decision_monitoring import BEFORE_THE_WRITE, TOLD, DecisionTally
from credit_core.domain.metrics import Metric
from credit_core.domain.receipt_archive import Days, archived_name
from credit_core.errors import DamagedReceiptError, StoreUnavailableError
from credit_core.use_cases import monitor as module
from credit_core.use_cases.monitor import (
    MOST_PARTS,
    in_short,
    measurements,
    monitoring_lines,
    plan_day,
    tally_part,
)
from tests.builders import PRODUCT
from tests.builders_monitoring import A_DAY, LIMITS, Applicants, MonitoredArchive, MonitoredDays

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from credit_core.domain.application_records import StoredRecord

BEFORE = A_DAY - timedelta(days=1)


def published(summary: dict[str, Any], *, each_feature: bool = False) -> dict[str, float]:
    """Return the values by metric, and by what a further dimension names."""
    found = measurements(summary, stage="local", each_feature=each_feature)
    return {
        " ".join(
            [each.metric, *(value for name, value in each.dimensions.items() if name in EXTRA)]
        ): each.value
        for each in found
    }


EXTRA = {"View", "Feature"}


def a_drift(summary: dict[str, Any], name: str) -> dict[str, Any]:
    (model,) = summary["figures"]["models"]
    (found,) = (each for each in model["drift"]["inputs"] if each["name"] == name)
    return dict(found)


# --- Parts --------------------------------------------------------------------------------------


def test_a_day_in_many_parts_gives_what_it_gives_in_one() -> None:
    days = MonitoredDays()
    model = days.trained()
    days.decide(A_DAY, 150, model=model)

    assert days.monitor(decisions_a_part=7) == days.monitor()


def test_parts_hold_each_key_of_the_day_once_and_an_application_wholly() -> None:
    days = MonitoredDays()
    model = days.trained(on=50)
    for record in days.decide(A_DAY, 40, model=model):
        days.archive.add(record | {"revision": 2})
    days.decide(BEFORE, 5, model=model)
    days.decide(A_DAY + timedelta(days=1), 5, model=model)

    parts = plan_day(days.archive, A_DAY, decisions_a_part=3)
    keys = [list(days.archive.keys_between(*part)) for part in parts]

    assert list(chain.from_iterable(keys)) == list(days.archive.keys(Days(A_DAY, A_DAY)))
    applications = [{archived_name(key).application_id for key in some} for some in keys]
    assert sum(map(len, applications)) == len(set().union(*applications)) == 40
    assert all(len(some) == 3 for some in applications[:-1])


def test_of_a_large_day_the_parts_grow_and_not_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run's history ends at 25,000 events."""
    days = MonitoredDays()
    days.decide(A_DAY, 50, model=days.trained(on=50))
    monkeypatch.setattr(module, "MOST_PARTS", 10)

    parts = plan_day(days.archive, A_DAY, decisions_a_part=1)

    assert len(parts) == 10
    assert [part.last for part in parts[:-1]] == [part.after for part in parts[1:]]
    assert MOST_PARTS * 20 < 25_000


def test_a_day_without_decisions_has_no_parts_and_is_told_as_such() -> None:
    summary = MonitoredDays().monitor()

    assert plan_day(MonitoredDays().archive, A_DAY, decisions_a_part=10) == []
    assert published(summary) == {Metric.MONITORED_DECISIONS: 0, Metric.DAMAGED_RECEIPTS: 0}
    assert list(monitoring_lines(summary)) == ["personal_loan, 2026-11-19 (UTC): 0 decisions"]


def test_a_tally_that_was_kept_is_read_as_it_was() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 30, model=days.trained(on=50), applicants=Applicants(missing=0.3, stale=0.3))
    (part,) = plan_day(days.archive, A_DAY, decisions_a_part=100)
    tally = tally_part(days.archive, part, manifest_of=days.manifest_of)

    text = json.dumps(tally.as_document())

    assert DecisionTally.of_document(json.loads(text)) == tally
    assert json.dumps(DecisionTally.of_document(json.loads(text)).as_document()) == text


@pytest.mark.parametrize("document", [{}, {"decisions": 1}, [], None])
def test_what_is_no_tally_is_told(document: Any) -> None:
    with pytest.raises(DamagedReceiptError, match="a tally of decisions cannot be read"):
        DecisionTally.of_document(document)


def test_the_tally_holds_nothing_of_anybody() -> None:
    days = MonitoredDays()
    records = days.decide(A_DAY, 20, model=days.trained(on=50))

    text = json.dumps(days.monitor())

    assert not [record for record in records if record["application_id"] in text]


# --- What counts --------------------------------------------------------------------------------


def test_of_an_application_decided_again_the_last_decision_of_the_day_counts() -> None:
    days = MonitoredDays()
    model = days.trained(on=50)
    (first,) = days.decide(A_DAY, 1, model=None)
    (second,) = days.decide(BEFORE, 1, model=model)
    assert (first["outcome"], second["outcome"]) == ("refer", "approve")
    again = second | {
        "application_id": first["application_id"],
        "decided_at": first["decided_at"],
        "revision": 2,
    }
    days.archive.add(again)

    figures = days.monitor()["figures"]

    assert (figures["decisions"], figures["superseded"]) == (1, 1)
    assert figures["outcomes"]["approve"]["count"] == 1
    assert figures["causes"] == {}


def test_reviews_and_outcomes_are_no_decisions() -> None:
    days = MonitoredDays()
    (record,) = days.decide(A_DAY, 1, model=days.trained(on=50))
    added = {
        "application_id": record["application_id"],
        "record": "review/r-1",
        "product": PRODUCT.name,
        "outcome": "decline",
        "reviewed_at": record["decided_at"],
        "number": 1,
        "response": "{}",
    }
    days.archive.add(added)

    figures = days.monitor()["figures"]

    assert (figures["decisions"], figures["outcomes"]["decline"]["count"]) == (1, 0)


def test_rehearsals_are_nobodys_decisions() -> None:
    days = MonitoredDays()
    (record,) = days.decide(A_DAY, 1, model=days.trained(on=50))
    days.archive.add(record | {"application_id": "/rehearsal/golden-1"})

    figures = days.monitor()["figures"]

    assert (figures["decisions"], figures["rehearsals"]) == (1, 1)


def test_what_a_fault_referred_is_in_the_mix_but_not_in_the_drift() -> None:
    days = MonitoredDays()
    model = days.trained()
    days.decide(A_DAY, 400, model=model, applicants=Applicants(missing=0.2, stale=0.1))

    summary = days.monitor()

    figures = summary["figures"]
    shares = figures["views"]["bureau"]["shares"]
    assert shares["missing"] == pytest.approx(0.2, abs=0.06)
    assert shares["stale"] == pytest.approx(0.1, abs=0.05)
    assert figures["causes"]["features_missing"]["share"] == shares["missing"]
    (model_figures,) = figures["models"]
    assert model_figures["scored"] < figures["decisions"]
    assert model_figures["drift"]["decisions"] == model_figures["scored"]
    assert figures["findings"] == []
    assert published(summary)["MissingFeatures bureau"] == shares["missing"]
    assert published(summary)["StaleFeatures bureau"] == shares["stale"]


# --- Damage -------------------------------------------------------------------------------------


def broken(record: dict[str, Any]) -> dict[str, bytes]:
    """Return receipts that are broken, each in its own way, by what is wrong."""
    document = json.loads(record["response"])
    model_input = json.loads(record["model_input"])
    records = {
        "no response": {key: value for key, value in record.items() if key != "response"},
        "no terms": {key: value for key, value in record.items() if key != "terms"},
        "response": record | {"response": "[]"},
        "no model": record
        | {"response": json.dumps({key: document[key] for key in document if key != "model"})},
        "probability": record | {"response": json.dumps(document | {"probability_of_default": 7})},
        "not a number": record
        | {"response": json.dumps(document | {"probability_of_default": float("nan")})},
        "outcome": record | {"outcome": "perhaps"},
        "served": record | {"served": '{"bureau": {}}'},
        "stages": record | {"stage_ms": '{"read": "long"}'},
        "shorter": record | {"model_input": json.dumps(model_input[:-1])},
        "category": record | {"model_input": json.dumps([99 for _ in model_input])},
        "another kind": record | {"record": "review/r-1"},
    }
    bodies = {}
    for name, found in records.items():
        found.pop("terms", None) if name == "no terms" else None
        text = {
            key: value.hex() if isinstance(value, bytes) else value for key, value in found.items()
        }
        if "terms" in text:
            text["terms"] = "AAAA"
        bodies[name] = json.dumps(text).encode()
    return bodies | {"no JSON": b"{]", "a list": b"[]", "nothing": b""}


def test_damaged_receipts_are_counted_and_named_and_in_no_figure() -> None:
    days = MonitoredDays()
    model = days.trained(on=50)
    days.decide(A_DAY, 40, model=model)
    sound = days.monitor()["figures"]
    (record,) = days.decide(A_DAY, 1, model=model)
    (key,) = (key for key in days.archive.objects if record["application_id"] in key)
    del days.archive.objects[key]
    bodies = broken(record)
    for number, body in enumerate(bodies.values()):
        place = key.replace(record["application_id"], f"broken-{number:02}")
        days.archive.objects[place] = body

    summary = days.monitor()

    figures = summary["figures"]
    assert figures["damaged"]["count"] == len(bodies)
    assert figures["damaged"]["examples"] == [
        f"broken-{number:02} decision/0001" for number in range(len(bodies))
    ]
    told = {"damaged", "findings"}
    assert {name: figures[name] for name in figures if name not in told} == {
        name: sound[name] for name in sound if name not in told
    }
    assert figures["findings"] == [f"{len(bodies)} receipts could not be read"]
    assert published(summary)[Metric.DAMAGED_RECEIPTS] == len(bodies)


def test_the_same_damaged_receipts_are_named_however_the_day_is_cut() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 2 * TOLD, model=days.trained(on=50))
    for key in days.archive.objects:
        days.archive.objects[key] = b"{]"

    one, many = days.monitor()["figures"], days.monitor(decisions_a_part=3)["figures"]

    assert one == many
    assert len(one["damaged"]["examples"]) == TOLD


# --- Drift --------------------------------------------------------------------------------------


def test_usual_applicants_have_not_drifted() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 600, model=days.trained())

    summary = days.monitor()

    (model,) = summary["figures"]["models"]
    assert model["drift"]["score"]["index"] < 0.1
    assert max(each["index"] for each in model["drift"]["inputs"]) < 0.1
    assert summary["figures"]["findings"] == []


def test_an_input_that_moved_is_named_with_its_model() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 300, model=days.trained(), applicants=Applicants(income=30_000))

    summary = days.monitor()

    income, years = a_drift(summary, "annual_income"), a_drift(summary, "employment_years")
    assert income["index"] > 1
    assert years["index"] < 0.1
    assert any(
        re.match(r"\d inputs? of model v1 moved far from training .*annual_income", finding)
        for finding in summary["figures"]["findings"]
    )
    metrics = published(summary, each_feature=True)
    assert metrics["FeatureDrift annual_income"] == income["index"]
    assert metrics[Metric.FEATURE_DRIFT] == max(
        each["index"] for each in summary["figures"]["models"][0]["drift"]["inputs"]
    )
    assert "FeatureDrift annual_income" not in published(summary)


def test_a_category_that_becomes_frequent_shows_by_its_name() -> None:
    days = MonitoredDays()
    model = days.trained()
    days.decide(A_DAY, 300, model=model, applicants=Applicants(verified=0.2))

    found = a_drift(days.monitor(), "verification_status")

    assert found["index"] > 0.25
    place = found["categories"].index("not_verified")
    assert found["now"][place] > 2 * found["then"][place]
    assert len(found["now"]) == len(found["categories"]) + 1


def test_too_few_decisions_are_not_judged_and_nothing_is_published_of_them() -> None:
    days = MonitoredDays()
    days.decide(
        A_DAY,
        LIMITS.least_decisions - 1,
        model=days.trained(),
        applicants=Applicants(income=10_000),
    )

    summary = days.monitor()

    (model,) = summary["figures"]["models"]
    assert model["drift"] is None
    assert "100 are needed" in model["not_judged"]
    assert not {Metric.FEATURE_DRIFT, Metric.SCORE_DRIFT} & published(summary).keys()
    assert not {Metric.OUTCOME_SHIFT, Metric.REASON_SHIFT} & published(summary).keys()


def test_a_lender_with_few_applicants_is_judged_over_the_days_that_it_takes() -> None:
    days = MonitoredDays()
    model = days.trained()
    for age in range(6, 0, -1):
        days.decide(A_DAY - timedelta(days=age), 40, model=model)
        days.monitor(A_DAY - timedelta(days=age))
    days.decide(A_DAY, 40, model=model)

    drift = days.monitor()["figures"]["models"][0]["drift"]

    assert drift["from"] == str(A_DAY - timedelta(days=2))
    assert drift["decisions"] == 120
    assert drift["recent_decisions"] == 160


def test_what_moved_lately_is_told_from_what_was_always_different() -> None:
    """Training knows loans that were granted, a day everybody who applied."""
    days = MonitoredDays()
    model = days.trained()
    others = Applicants(income=35_000)
    days.decide(BEFORE, 400, model=model, applicants=others)
    days.monitor(BEFORE)
    days.decide(A_DAY, 400, model=model, applicants=replace(others, amount=20_000))

    summary = days.monitor()

    income, amount = a_drift(summary, "annual_income"), a_drift(summary, "loan_amount")
    assert income["index"] > 0.25
    assert income["recent_index"] < 0.1
    assert amount["recent_index"] > 0.25


def test_each_model_is_held_against_its_own_training() -> None:
    days = MonitoredDays()
    champion, challenger = days.trained("v1"), days.trained("v2")
    baseline = challenger.manifest.baseline
    moved = baseline["annual_income"].model_copy(
        update={"edges": tuple(edge * 5 for edge in baseline["annual_income"].edges)}
    )
    days.manifests["v2"] = challenger.manifest.model_copy(
        update={"baseline": baseline | {"annual_income": moved}}
    )
    days.decide(A_DAY, 600, model=champion, challenger=challenger, share=0.5)

    one, other = days.monitor()["figures"]["models"]

    assert (one["version"], other["version"]) == ("v1", "v2")
    assert one["answered"].keys() == {"champion"}
    assert other["answered"].keys() == {"challenger"}
    by_model = [
        next(each for each in model["drift"]["inputs"] if each["name"] == "annual_income")["index"]
        for model in (one, other)
    ]
    assert by_model[0] < 0.1
    assert by_model[1] > 1


def test_a_model_whose_manifest_is_gone_is_counted_and_not_judged() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 200, model=days.trained())
    days.manifests.clear()

    summary = days.monitor()

    (model,) = summary["figures"]["models"]
    assert (model["scored"], model["drift"]) == (200, None)
    assert model["not_judged"] == "model v1 is not there"
    assert Metric.FEATURE_DRIFT not in published(summary)


# --- Mixes --------------------------------------------------------------------------------------


def test_outcomes_and_reasons_that_shifted_from_the_days_before_are_told() -> None:
    days = MonitoredDays()
    model = days.trained()
    usual = Applicants(inquiries=6, income=30_000)
    for age in (2, 1):
        days.decide(A_DAY - timedelta(days=age), 400, model=model, applicants=usual)
        days.monitor(A_DAY - timedelta(days=age))
    days.decide(A_DAY, 400, model=model, applicants=Applicants(inquiries=8, income=9_000))

    summary = days.monitor()

    findings = summary["figures"]["findings"]
    assert any(finding.startswith("the outcomes have shifted: approve") for finding in findings)
    assert any(finding.startswith("the reasons of declines have shifted") for finding in findings)
    metrics = published(summary)
    assert metrics[Metric.OUTCOME_SHIFT] > LIMITS.most_outcome_shift
    assert metrics[Metric.REASON_SHIFT] > LIMITS.most_reason_shift
    rates = [metrics[name] for name in ("ApprovalRate", "DeclineRate", "ReferralRate")]
    assert sum(rates) == pytest.approx(1, abs=1e-5)


def test_days_that_are_not_known_are_left_out_and_only_four_weeks_count() -> None:
    days = MonitoredDays()
    model = days.trained(on=50)
    for age in (29, 28, 3):
        days.decide(A_DAY - timedelta(days=age), 10, model=model)
        days.monitor(A_DAY - timedelta(days=age))
    days.decide(A_DAY, 10, model=model)

    figures = days.monitor()["figures"]

    assert figures["before"] == {
        "days": 2,
        "first": str(A_DAY - timedelta(days=28)),
        "decisions": 20,
    }
    assert [day["day"] for day in figures["days"]] == [
        str(A_DAY - timedelta(days=age)) for age in range(28, -1, -1)
    ]
    assert sum(day["approve"] is not None for day in figures["days"]) == 3


def test_stages_have_percentiles_and_a_total() -> None:
    days = MonitoredDays()
    for record in days.decide(A_DAY, 100, model=days.trained(on=50)):
        days.archive.objects.clear()
        stored = record
    for number in range(100):
        days.archive.add(
            stored
            | {
                "application_id": f"timed-{number}",
                "stage_ms": json.dumps({"parse": 1.0, "read": float(number + 1)}),
            }
        )

    stages = days.monitor()["figures"]["stages_ms"]

    assert stages["read"]["p50"] == pytest.approx(50, rel=0.02)
    assert stages["read"]["p99"] == pytest.approx(99, rel=0.02)
    assert stages["parse"]["p99"] == pytest.approx(1, rel=0.02)
    assert stages[BEFORE_THE_WRITE]["p50"] == pytest.approx(51, rel=0.02)


def test_the_lines_name_what_a_person_asks_first() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 300, model=days.trained(), applicants=Applicants(income=25_000, stale=0.1))
    summary = days.monitor()

    lines = list(monitoring_lines({**summary, "figures": in_short(summary["figures"])}))

    assert lines[0] == "personal_loan, 2026-11-19 (UTC): 300 decisions"
    assert any(line.startswith("  ! ") and "annual_income" in line for line in lines)
    assert any("features_stale" in line for line in lines)
    assert any(line.lstrip().startswith("annual_income") for line in lines)
    assert max(map(len, lines)) < 150


def test_the_answer_of_a_run_is_small_however_many_bins_there_are() -> None:
    """A state machine's answer ends at 256 KiB."""
    days = MonitoredDays()
    days.decide(A_DAY, 300, model=days.trained())

    short = in_short(days.monitor()["figures"])

    inputs = len(short["models"][0]["drift"]["inputs"])
    assert len(json.dumps(short)) < 4_000 + 200 * inputs


def test_an_archive_that_does_not_answer_ends_the_part() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 3, model=days.trained(on=50))
    (part,) = plan_day(days.archive, A_DAY, decisions_a_part=10)

    with pytest.raises(StoreUnavailableError):
        tally_part(SilentArchive(days.archive.objects), part, manifest_of=days.manifest_of)


class SilentArchive(MonitoredArchive):
    def records(self, keys: Iterable[str]) -> Iterator[StoredRecord | None]:
        raise StoreUnavailableError(f"{next(iter(keys))} could not be read")
