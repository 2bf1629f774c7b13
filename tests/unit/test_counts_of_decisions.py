"""What on-call's shares are made of: which decisions count as what."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from credit_core.domain.decision import (
    FAULTS,
    Decision,
    FeatureStatus,
    ServedView,
    counts_of,
)
from credit_core.domain.judgement import Cause, ReferralCause, referred_by
from credit_core.domain.metrics import Metric

OURS = {
    "features_unreadable",
    "features_unavailable",
    "model_unavailable",
    "model_output_invalid",
    "reasons_not_exact",
    "internal_fault",
}


def a_decision(*views: FeatureStatus, cause: ReferralCause = ReferralCause.CUTOFF) -> Decision:
    return Decision(
        application_id="application-1",
        product="personal_loan",
        judgement=referred_by(Cause(cause, "a cause")),
        views={f"view-{number}": ServedView(status) for number, status in enumerate(views)},
        model=None,
        policy_version="1",
        decided_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


def test_a_decision_with_all_it_needs_counts_as_nothing() -> None:
    assert counts_of([a_decision(FeatureStatus.FRESH, FeatureStatus.FRESH)]) == {}


def test_a_decision_counts_once_however_many_of_its_views_are_stale() -> None:
    counts = counts_of(
        [
            a_decision(FeatureStatus.STALE, FeatureStatus.STALE),
            a_decision(FeatureStatus.STALE, FeatureStatus.MISSING),
        ]
    )

    assert counts == {Metric.STALE_DECISIONS: 2, Metric.MISSING_DECISIONS: 1}


def test_the_views_that_were_not_fresh_are_named() -> None:
    decision = a_decision(FeatureStatus.FRESH, FeatureStatus.STALE, FeatureStatus.MISSING)

    assert decision.not_fresh == {"view-1": "stale", "view-2": "missing"}


@pytest.mark.parametrize("cause", ReferralCause)
def test_a_referral_is_our_fault_where_nobody_else_could_have_avoided_it(
    cause: ReferralCause,
) -> None:
    counts = counts_of([a_decision(cause=cause)])

    assert counts == ({Metric.FAULT_REFERRALS: 1} if cause in OURS else {})
    assert (cause in FAULTS) is (cause in OURS)
