"""Alarms on models: are they old, do two of them disagree, do applicants or features differ?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.alarms_features import measured
from cdk_app.components.alarms_pipelines import A_DAY_SECONDS, TWO_DAYS
from cdk_app.components.pager import Figure, share_of
from cdk_app.stages import Patience
from credit_core.domain.metrics import NAMESPACE, Metric, dimensions
from credit_core.domain.places import SKEW_REPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_

    from cdk_app.components.pager import Pager
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

HOURLY = Patience(period_seconds=3_600, periods=1, breaching=1, evaluate_low_samples=True)
DAILY = Patience(period_seconds=A_DAY_SECONDS, periods=1, breaching=1, evaluate_low_samples=True)
"""For what is measured once a day: it rings until the next measurement."""

MEANINGS = {
    "ModelAge": "The champion was trained more than {} days ago, or there is none. Look why no "
    "candidate of the retrainings since then took its place.",
    "CandidateAge": "For {} days no retraining has brought a candidate, be it a refused one: its "
    "schedule is gone, or its runs fail before one is registered.",
    "FeatureDrift": "Applicants are not those whom the model was trained on: an input's population "
    "stability index is above {}.",
    "ScoreDrift": "The probabilities of default are not distributed as in training: their "
    "population stability index is above {}.",
    "OutcomeShift": "Approvals, declines and referrals are not mixed as in the weeks before: their "
    "population stability index is above {}.",
    "ReasonShift": "Declines have other first reasons than in the weeks before: their population "
    "stability index is above {}.",
    "DamagedReceipts": "The monitoring could not read receipts: the archive holds something that "
    "is no receipt of this system, or a damaged one.",
}
"""What on-call reads, with the limit in its place."""


class ModelAlarms(Construct):
    """Is the model old, do retrainings bring candidates, and does a challenger judge otherwise?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, pager: Pager
    ) -> None:
        super().__init__(scope, id_)
        limits = stage.alarms
        named = dimensions(stage=stage.name, product=product.name)
        for name, metric, days in (
            ("ModelAge", Metric.MODEL_AGE, limits.model_days),
            ("CandidateAge", Metric.CANDIDATE_AGE, limits.candidate_days),
        ):
            pager.inform(
                name,
                description=f"{MEANINGS[name].format(days)} No figure at all also means that the "
                "freshness function fails; see its log.",
                of=Figure(
                    namespace=NAMESPACE, metric=metric, dimensions=named, statistic="Maximum"
                ),
                above=days,
                patience=measured(stage.freshness),
                silence_breaches=True,
                runbook="model-age",
            )
        pager.inform(
            "ShadowDisagreement",
            description=f"In more than {limits.disagreement.above:.0%} of an hour's decisions "
            "champion and challenger come to different outcomes. Compare the two with `credit "
            "models compare` before the challenger answers anybody.",
            of=share_of(
                Figure(namespace=NAMESPACE, metric=Metric.SHADOW_DISAGREEMENTS, dimensions=named),
                Figure(namespace=NAMESPACE, metric=Metric.SHADOW_DECISIONS, dimensions=named),
                limits.disagreement,
            ),
            above=limits.disagreement.above,
            patience=HOURLY,
        )


class DriftAlarms(Construct):
    """Do applicants, the score or the decisions differ from what the model was made for?

    The daily monitoring publishes no figure of fewer decisions than it judges.
    """

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, pager: Pager
    ) -> None:
        super().__init__(scope, id_)
        named = dimensions(stage=stage.name, product=product.name)
        limits = stage.monitoring
        report = "`credit monitor` prints yesterday's table and where its report lies."
        for name, metric, limit, runbook in (
            ("FeatureDrift", Metric.FEATURE_DRIFT, limits.most_drift, "drift"),
            ("ScoreDrift", Metric.SCORE_DRIFT, limits.most_drift, "drift"),
            ("OutcomeShift", Metric.OUTCOME_SHIFT, limits.most_outcome_shift, "decision-mix"),
            ("ReasonShift", Metric.REASON_SHIFT, limits.most_reason_shift, "decision-mix"),
            ("DamagedReceipts", Metric.DAMAGED_RECEIPTS, 0, "damaged-receipts"),
        ):
            pager.inform(
                name,
                description=f"{MEANINGS[name].format(limit)} {report}",
                of=Figure(
                    namespace=NAMESPACE, metric=metric, dimensions=named, statistic="Maximum"
                ),
                above=limit,
                patience=DAILY,
                runbook=runbook,
            )
        pager.inform_of_silence(
            "MonitoringUnfinished",
            description="For two days no monitoring has come to its end, so that no drift would be "
            "noticed. Its runs say why: `credit runs monitoring`. It rings until the first run "
            "of a new deployment.",
            of=Figure(
                namespace=NAMESPACE,
                metric=Metric.MONITORED_DECISIONS,
                dimensions=named,
                # Each run publishes once, 0 after a day without decisions.
                statistic="SampleCount",
            ),
            patience=TWO_DAYS,
            runbook="monitoring",
        )


class EvidenceAlarms(Construct):
    """Is what decisions are served another thing than what models are trained on?

    ``functions`` find out by the clock, the one named ``Skew`` each night.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        pager: Pager,
        functions: Mapping[str, lambda_.IFunction],
    ) -> None:
        super().__init__(scope, id_)
        limit = stage.skew_check.most_share
        for view in product.feature_views:
            pager.inform(
                f"Skew{view.name.title().replace('_', '')}",
                description=f"More than {limit:.1%} of the rows of {view.name} that decisions were "
                "served are not what the lake has for that moment. The report under "
                f"{SKEW_REPORTS} in the results bucket names features and causes; `credit skew "
                "check` makes a new one. Do not train before it is understood.",
                of=Figure(
                    namespace=NAMESPACE,
                    metric=Metric.FEATURE_SKEW,
                    dimensions=dimensions(stage=stage.name, product=product.name, view=view.name),
                    statistic="Maximum",
                ),
                above=limit,
                patience=DAILY,
                runbook="feature-skew",
            )
        for name, function in functions.items():
            pager.inform(
                f"{name}Failed",
                description=f"The {name.lower()} function failed or ran out of time; its log says "
                "why. It can be invoked again as it is, and decisions don't depend on it.",
                of=Figure(
                    namespace="AWS/Lambda",
                    metric="Errors",
                    dimensions={"FunctionName": function.function_name},
                ),
                runbook="evidence-failed",
            )
