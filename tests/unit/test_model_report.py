from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, ClassVar, override

import numpy as np
import pytest

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.definitions import MonitoredGroup
from credit_core.domain.measures import (
    area_under_curve,
    distribution_of,
    kolmogorov_smirnov,
)
from credit_core.domain.model_manifest import Gate, Split
from credit_core.domain.policy import points
from model_build.fitted import FittedCandidate, ScorecardBin
from model_build.loans import LoanSet, LoanSplit, TrainingSet
from model_build.report import ReportInputs, render
from model_build.report.charts import separation
from model_build.report.curves import (
    approvals,
    approved_at,
    equal_bins,
    recalibration,
    receiver_operating_curve,
    thinned,
)
from model_build.report.effects import effect, strongest_pairs
from tests.builders import PRODUCT, a_manifest
from tests.builders_onnx import a_linear_onnx

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct

NAMES = [feature.name for feature in PRODUCT.model_features]
WEIGHTS = {"term_months": 0.02, "inq_last_6mths": 0.3}
FIRST_DAY = np.datetime64("2026-01-01T00:00:00.000000")
AGES = MonitoredGroup(
    name="age_band", description="Age at application", values=("younger", "older")
)


class Page(HTMLParser):
    """Reads a page as strictly as it was written: what is opened is closed, in order."""

    VOID: ClassVar = {"meta", "wbr"}

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(body.decode())
        self.close()
        assert not self.open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, attribute: str) -> list[str | None]:
        return [value for _, name, value in self.attributes if name == attribute]

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in attrs]

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def some_loans(count: int = 900, *, timed: bool = True) -> LoanSet:
    """Return made-up loans of which a linear model tells the truth."""
    random = np.random.default_rng(3)
    matrix = np.zeros((count, len(NAMES)), dtype=np.float32)
    for position, feature in enumerate(PRODUCT.model_features):
        if feature.categories:
            matrix[:, position] = random.integers(-1, len(feature.categories), count)
        else:
            matrix[:, position] = random.lognormal(2, 1, count).round(1)
    matrix[:, NAMES.index("term_months")] = random.choice([36, 60], count)
    matrix[:, NAMES.index("inq_last_6mths")] = random.poisson(1, count)
    matrix[::7, NAMES.index("revol_util")] = np.nan
    moments = FIRST_DAY + np.arange(count) * np.timedelta64(3, "h")
    return LoanSet(
        matrix,
        (random.random(count) < truth(matrix)).astype(np.int64),
        moments if timed else None,
        np.arange(count),
        {AGES.name: np.array(["younger", "older", ""])[np.arange(count) % 3]},
    )


def truth(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
    log_odds = -3.0 + sum(
        weight * matrix[:, NAMES.index(name)].astype(np.float64) for name, weight in WEIGHTS.items()
    )
    return 1 / (1 + np.exp(-log_odds))


def some_inputs(
    *,
    product: CreditProduct = PRODUCT,
    gates: tuple[Gate, ...] = (Gate(name="parity", passed=True, evidence="0 of 100 differ"),),
    timed: bool = True,
    points_table: tuple[ScorecardBin, ...] = (),
) -> ReportInputs:
    """Return what a report of a linear model is made of."""
    loans = some_loans(timed=timed)
    everywhere = np.arange(len(loans))
    fitted, tested = (
        (loans.where(everywhere < 600), loans.where(everywhere >= 600)) if timed else (loans, loans)
    )
    folds = tuple(
        (
            np.flatnonzero(np.arange(len(fitted)) % 3 != fold),
            np.flatnonzero(np.arange(len(fitted)) % 3 == fold),
        )
        for fold in range(3)
    )
    onnx = a_linear_onnx(**WEIGHTS)
    candidate = FittedCandidate(
        "pairwise",
        pairwise=True,
        parameters={"learning_rate": 0.03},
        onnx=onnx,
        fold_losses=np.array([0.3, 0.31, 0.29]),
        fitted_probability=truth(fitted.matrix),
        tested_probability=truth(tested.matrix),
        served_probability=truth(tested.matrix),
        points_table=points_table,
    )
    manifest = a_manifest(gates=gates, product=product)
    split = Split.OUT_OF_TIME if timed else Split.CROSS_VALIDATED
    changes = {
        "baseline": {
            feature.name: distribution_of(
                fitted.matrix[:, position], categories=len(feature.categories)
            )
            for position, feature in enumerate(product.model_features)
        },
        "baseline_probability": distribution_of(candidate.fitted_probability),
        "evaluation": manifest.evaluation.model_copy(update={"split": split}),
    }
    return ReportInputs(
        product,
        manifest.model_copy(update=changes),
        LoanSplit(fitted, tested, folds, out_of_time=timed),
        {"pairwise": candidate},
        OnnxClassifier(onnx, input_count=len(NAMES)),
        TrainingSet(
            loans,
            sha256="0" * 64,
            rows=1_000,
            referred=40,
            unservable={"annual_income": 12},
            unservable_rows=12,
            features_newer={},
            not_labelled=48,
        ),
    )


def test_a_report_is_one_page_that_needs_nothing_from_elsewhere() -> None:
    body = render(some_inputs())

    page = Page(body)

    assert len(body) < 1_500_000
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(rb"https?:|url\(|@import", body)
    assert all(str(target).startswith("#") for target in page.values("href"))


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert render(some_inputs()) == render(some_inputs())


def test_every_picture_says_what_it_shows_and_every_link_leads_somewhere() -> None:
    page = Page(render(some_inputs()))

    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    anchors = page.values("id")
    assert len(labels) == page.tags["svg"] == page.tags["title"] - 1
    assert page.tags["svg"] > 15
    assert all(labels)
    assert len(anchors) == len(set(anchors))
    assert {str(target)[1:] for target in page.values("href")} <= set(anchors)


def test_a_lenders_words_are_text_and_never_markup() -> None:
    hostile = '<script>alert("1")</script>'
    product = replace(PRODUCT, title=hostile, description=hostile)
    gates = (Gate(name="parity", passed=False, evidence=hostile, look_at=hostile),)

    body = render(some_inputs(product=product, gates=gates))

    assert "script" not in Page(body).tags
    assert hostile in Page(body).text


def test_a_failed_gate_is_said_first_with_its_evidence_and_what_to_look_at() -> None:
    failed = Gate(name="leakage", passed=False, evidence="AUC 0.99", look_at="column recovered")

    text = Page(render(some_inputs(gates=(failed,)))).text

    verdict, rest = text.split("In short")
    assert "1 of 1 gate failed." in verdict
    assert "AUC 0.99" in verdict
    assert "Look at: column recovered" in rest


def test_a_model_without_gates_is_not_called_fit_for_use() -> None:
    assert "Not judged: no gate was run." in Page(render(some_inputs(gates=()))).text


def test_a_model_that_does_not_load_still_has_a_report() -> None:
    text = Page(render(replace(some_inputs(), model=None))).text

    assert "cannot be loaded" in text
    assert "Gates" in text


def test_a_product_without_groups_is_told_that_fairness_is_not_measured() -> None:
    assert "Not measured: the product declares no groups" in Page(render(some_inputs())).text


def test_groups_are_compared_at_the_live_cutoff() -> None:
    text = Page(render(some_inputs(product=replace(PRODUCT, monitored_groups=(AGES,))))).text

    assert "Adverse impact ratio" in text
    assert "100 loans of none of these groups or not stated." in text


def test_a_declared_group_that_the_data_lacks_is_named() -> None:
    absent = replace(AGES, name="sex")

    text = Page(render(some_inputs(product=replace(PRODUCT, monitored_groups=(absent,))))).text

    assert "Declared, but not in the data: sex." in text


def test_data_without_time_is_reported_by_folds() -> None:
    text = Page(render(some_inputs(timed=False))).text

    assert "The data has no time." in text
    assert "Each fold, by a model fitted on the others" in text


def test_rows_that_were_left_out_are_accounted_for() -> None:
    text = Page(render(some_inputs())).text

    assert "Rows read 1,000" in text
    assert "annual_income 12" in text


def test_a_scorecard_starts_with_the_points_that_make_its_table_add_up() -> None:
    loans = some_loans().where(np.arange(600))
    terms = loans.matrix[:, NAMES.index("term_months")]
    inquiries = loans.matrix[:, NAMES.index("inq_last_6mths")]
    lines = [
        ScorecardBin("term_months", str(term), float(np.mean(terms == term)), 0.1, 0.0, 0.02 * term)
        for term in (36, 60)
    ]
    lines += [
        ScorecardBin(
            "inq_last_6mths",
            str(count),
            float(np.mean(inquiries == count)),
            0.1,
            0.0,
            WEIGHTS["inq_last_6mths"] * count,
        )
        for count in np.unique(inquiries).tolist()
    ]

    text = Page(render(some_inputs(points_table=tuple(lines)))).text

    start = points(PRODUCT.policy, -3.0)
    assert f"Everybody starts with {start:.1f} points" in text


def test_no_applicants_own_values_are_in_a_report() -> None:
    """The one loan with an income like no other cannot be found."""
    inputs = some_inputs()
    income = NAMES.index("annual_income")
    for loans in (inputs.split.fitted, inputs.split.tested):
        loans.matrix[5, income] = 7_654_321.0

    assert b"7654321" not in render(inputs).replace(b",", b"")


@pytest.mark.parametrize("probability", [0.0, 0.03, 1.0])
def test_a_constant_model_has_a_report_too(probability: float) -> None:
    inputs = some_inputs()
    constant = np.full(300, probability)
    candidate = replace(
        inputs.fitted["pairwise"], tested_probability=constant, served_probability=constant
    )

    page = Page(render(replace(inputs, fitted={"pairwise": candidate})))

    assert page.tags["svg"] > 10


def test_the_area_below_the_curve_is_the_auc() -> None:
    loans = some_loans()
    probability = truth(loans.matrix).round(2)

    curve = receiver_operating_curve(loans.defaulted, probability)
    area = np.trapezoid(curve.upward, curve.across)

    assert area == pytest.approx(area_under_curve(loans.defaulted, probability))
    few = thinned(curve)
    assert np.trapezoid(few.upward, few.across) == pytest.approx(area, abs=0.005)


def test_the_gap_that_is_drawn_is_the_ks() -> None:
    loans = some_loans()
    probability = truth(loans.matrix)
    goods, bads = (-probability[loans.defaulted == outcome] for outcome in (0, 1))

    drawn = separation(goods, bads, cutoffs=())

    assert f"KS {kolmogorov_smirnov(loans.defaulted, probability):.3f}<" in drawn


def test_recalibration_finds_the_line_that_was_put_in() -> None:
    random = np.random.default_rng(0)
    log_odds = random.normal(-1, 1.5, 40_000)
    defaulted = (random.random(40_000) < 1 / (1 + np.exp(-(0.4 + 0.7 * log_odds)))).astype(int)

    found = recalibration(defaulted, log_odds)

    assert found is not None
    assert found.slope == pytest.approx(0.7, abs=3 * found.slope_error)
    assert found.slope_error < 0.02


@pytest.mark.parametrize(
    ("defaulted", "log_odds"),
    [([0, 0, 0], [1.0, 2.0, 3.0]), ([0, 1, 0], [1.0, 1.0, 1.0]), ([0, 0, 1], [1.0, 2.0, 3.0])],
    ids=["one outcome", "one answer", "told apart wholly"],
)
def test_outcomes_that_determine_no_line_give_none(
    defaulted: list[int], log_odds: list[float]
) -> None:
    assert recalibration(np.array(defaulted), np.array(log_odds)) is None


def test_bins_hold_every_loan_once() -> None:
    loans = some_loans()

    bins = equal_bins(loans.defaulted, truth(loans.matrix))

    assert sum(found.loans for found in bins) == len(loans)
    assert sum(found.defaults for found in bins) == loans.defaults
    assert all(found.low <= found.observed <= found.high for found in bins)


def test_the_last_cutoff_approves_everybody() -> None:
    loans = some_loans()

    found = approvals(loans.defaulted, truth(loans.matrix))

    assert found[-1].share == 1
    assert found[-1].default_rate == pytest.approx(loans.defaults / len(loans))
    assert approved_at(loans.defaulted, truth(loans.matrix), 0.0).share == 0


class Formula:
    """A model whose log-odds are a formula of the matrix."""

    def __init__(self, log_odds: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> None:
        self._log_odds = log_odds

    def probabilities(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        known = np.nan_to_num(matrix.astype(np.float64))
        bad = 1 / (1 + np.exp(-self._log_odds(known)))
        return np.column_stack([1 - bad, bad]).astype(np.float32)


def test_the_shape_of_a_weighted_input_is_its_line() -> None:
    position = NAMES.index("inq_last_6mths")
    loans = some_loans()

    found = effect(
        Formula(lambda matrix: 0.3 * matrix[:, position] - 2),
        PRODUCT.model_features[position],
        position,
        loans,
        loans,
    )

    slopes = np.diff(found.mean) / np.diff(found.values)
    assert slopes == pytest.approx(0.3, abs=1e-4)
    assert found.high - found.low == pytest.approx(0, abs=1e-4)
    assert found.unknown is None


def test_an_unknown_value_has_its_own_effect() -> None:
    position = NAMES.index("revol_util")

    found = effect(
        Formula(lambda matrix: np.where(matrix[:, position] == 0, 1.0, -1.0)),
        PRODUCT.model_features[position],
        position,
        some_loans(),
        some_loans(),
    )

    assert found.unknown == pytest.approx(2.0, abs=1e-4)
    assert found.unknown_share == pytest.approx(1 / 7, abs=0.01)


def test_the_pair_that_interacts_is_found_and_cleared_of_what_each_does_alone() -> None:
    one, other = NAMES.index("term_months"), NAMES.index("inq_last_6mths")
    model = Formula(
        lambda matrix: 0.02 * (matrix[:, one] - 36) * matrix[:, other] + 0.3 * matrix[:, other] - 4
    )
    loans = some_loans()

    pairs, strongest, tried = strongest_pairs(
        model,
        PRODUCT,
        np.zeros(len(NAMES), np.float32),
        loans,
        loans,
        among=range(len(NAMES)),
        most=3,
    )

    assert {pairs[0].first, pairs[0].second} == {one, other}
    assert pairs[0].strength == strongest
    assert tried == len(NAMES) * (len(NAMES) - 1) / 2
    assert pairs[0].together.mean(axis=0) == pytest.approx(
        np.zeros(pairs[0].together.shape[1]), abs=0.5
    )


def test_a_model_that_adds_up_has_no_pairs() -> None:
    model = Formula(lambda matrix: 0.01 * matrix[:, 1] + 0.1 * matrix[:, 6] - 3)
    loans = some_loans()

    pairs, strongest, _ = strongest_pairs(
        model,
        PRODUCT,
        np.zeros(len(NAMES), np.float32),
        loans,
        loans,
        among=range(len(NAMES)),
        most=3,
    )

    assert pairs == []
    assert strongest < 1e-4
