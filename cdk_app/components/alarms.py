"""Alarms on the answers to applicants: late, refused, broken, or a person's instead of ours.

They wake somebody where applicants are not served as promised, and tell of what leads there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.api_routes import DECISIONS_PATH
from cdk_app.components.pager import Figure, Percentile, Rate, share_of, window
from cdk_app.stages import Patience
from credit_core.domain.metrics import NAMESPACE, Metric, dimensions, outcome_metric
from credit_core.domain.policy_definition import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.components.live_alias import LiveAlias
    from cdk_app.components.pager import Pager
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.tables import Tables
    from cdk_app.stages import Few, Stage
    from credit_core.domain.product import CreditProduct

MEANINGS = {
    "FaultReferrals": "of the decisions were left to a person by a fault of ours: a store did not "
    "answer, features could not be read, or no model gave an answer. `cause` in the "
    "scorer's log says which.",
    "ReferralRate": "of the decisions were left to a person. If it is no fault (FaultReferrals), "
    "features are missing or stale, or the model or the applicants have changed: "
    "`cause` in the scorer's log says which.",
    "StaleFeatures": "of the decisions met features older than their ttl. `not_fresh` in the "
    "scorer's log names the view; its source or its materialization stands still.",
    "MissingFeatures": "of the decisions met no features at all: applicants that no source knows, "
    "keys in another form, or a view that was never loaded. `not_fresh` in the scorer's "
    "log names the view.",
    "ChallengerFailures": "of the decisions asked the challenger in vain; the champion answered, "
    "so nobody was referred for it. challenger_fault in the scorer's log says why: withdraw it.",
}
"""What on-call reads of a share of decisions, after the share."""


class ScoringAlarms(Construct):
    """Is a decision late, refused, or broken?

    ``functions`` answer the API, the one named ``Scorer`` within the promised latency.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        pager: Pager,
        api: ScoringApi,
        functions: Mapping[str, LiveAlias],
    ) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._pager = pager
        self._limits, self._window = stage.alarms, window(stage.alarms)
        self._latency(api, functions["Scorer"])
        self._api_errors(api)
        for name, function in functions.items():
            decides = name == "Scorer"
            self._errors(name, function, wakes=decides)
            self._throttles(name, function, wakes=decides)

    def _latency(self, api: ScoringApi, scorer: LiveAlias) -> None:
        budget, patience = self._stage.latency_budget_ms, self._stage.patience
        self.latency = self._pager.page(
            "ScorerLatency",
            description=f"The scorer's p99 is above {budget} ms. Look at the decisions' stage "
            "timings, then at throttles and latency of the tables.",
            of=Percentile(
                figure=Figure(
                    namespace="AWS/Lambda",
                    metric="Duration",
                    dimensions=scorer.dimensions,
                    statistic="p99",
                ),
                least=self._limits.slow,
            ),
            above=budget,
            patience=patience,
        )
        self._pager.page(
            "ApiLatency",
            description=f"Clients wait more than {budget} ms at p99 for a decision. If the "
            "scorer's own p99 is in order, look at cold starts (spill-over) and the authorizer.",
            of=Percentile(
                figure=Figure(
                    namespace="AWS/ApiGateway",
                    metric="Latency",
                    # Nobody was promised a batch, or a history, in that time.
                    dimensions=decisions_of(api),
                    statistic="p99",
                ),
                least=self._limits.slow,
            ),
            above=budget,
            patience=patience,
        )
        self._pager.inform(
            "ScorerSpillover",
            description="Requests met a cold start because all warm environments were busy: "
            "raise the provisioned concurrency or its floor at this hour.",
            of=Figure(
                namespace="AWS/Lambda",
                metric="ProvisionedConcurrencySpilloverInvocations",
                # Of a version, not of the alias: all of them together.
                dimensions={"FunctionName": scorer.dimensions["FunctionName"]},
            ),
            patience=patience,
        )

    def _api_errors(self, api: ScoringApi) -> None:
        of_api = {"ApiName": api.name, "Stage": api.stage_name}
        self._pager.page(
            "ApiServerErrors",
            description=f"More than {self._limits.errors.above:.0%} of the calls were answered "
            "5xx: clients got no answer. A 503 is a function's own word for a store that did not "
            "take or give a record; look at the decisions table first. Before the first model is "
            "promoted, health and the model's card are 503 too.",
            of=share_of(
                Figure(namespace="AWS/ApiGateway", metric="5XXError", dimensions=of_api),
                Figure(namespace="AWS/ApiGateway", metric="Count", dimensions=of_api),
                self._limits.errors,
            ),
            above=self._limits.errors.above,
            patience=self._window,
            runbook="api-errors",
        )
        few, of_decisions = self._limits.few, decisions_of(api)
        if few is not None:
            self._pager.page(
                "FewServerErrors",
                description=f"Few apply, and more than {few.share.above:.0%} of the requests for a "
                f"decision in {few.seconds / 3_600:g} hours were answered 5xx. With more traffic "
                "ApiServerErrors would have rung within minutes.",
                of=Rate(
                    part=Figure(
                        namespace="AWS/ApiGateway", metric="5XXError", dimensions=of_decisions
                    ),
                    whole=Figure(
                        namespace="AWS/ApiGateway", metric="Count", dimensions=of_decisions
                    ),
                    least=few.share.least,
                    fewer_than=few.fewer_than,
                ),
                above=few.share.above,
                patience=patience_of(few),
                runbook="api-errors",
            )

    def _errors(self, name: str, function: LiveAlias, *, wakes: bool) -> None:
        watch = self._pager.page if wakes else self._pager.inform
        watch(
            f"{name}Errors",
            description=f"More than {self._limits.errors.above:.0%} of the {name.lower()} "
            "function's runs failed or ran out of time: a client got 504 or 502 instead of an "
            "answer. Its log has the error; each call can be sent again.",
            of=share_of(
                Figure(namespace="AWS/Lambda", metric="Errors", dimensions=function.dimensions),
                Figure(
                    namespace="AWS/Lambda", metric="Invocations", dimensions=function.dimensions
                ),
                self._limits.errors,
            ),
            above=self._limits.errors.above,
            patience=self._window,
            runbook="function-errors",
        )

    def _throttles(self, name: str, function: LiveAlias, *, wakes: bool) -> None:
        watch = self._pager.page if wakes else self._pager.inform
        watch(
            f"{name}Throttles",
            description=f"Lambda turned requests to the {name.lower()} function away: the "
            "account's or the function's concurrency is used up. Each was answered 5xx.",
            of=Figure(namespace="AWS/Lambda", metric="Throttles", dimensions=function.dimensions),
            above=self._limits.throttles,
            patience=self._window,
            runbook="throttles",
        )


class DecisionAlarms(Construct):
    """Is a person asked where the model should decide, and why?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, pager: Pager
    ) -> None:
        super().__init__(scope, id_)
        limits = stage.alarms
        named = dimensions(stage=stage.name, product=product.name)
        decisions = Figure(namespace=NAMESPACE, metric=Metric.DECISIONS, dimensions=named)

        def counted(metric: str) -> Figure:
            return Figure(namespace=NAMESPACE, metric=metric, dimensions=named)

        for name, watch, metric, share, runbook in (
            (
                "FaultReferrals",
                pager.page,
                Metric.FAULT_REFERRALS,
                limits.fault_referrals,
                "referrals",
            ),
            (
                "ReferralRate",
                pager.page,
                outcome_metric(Outcome.REFER),
                limits.referrals,
                "referrals",
            ),
            ("StaleFeatures", pager.inform, Metric.STALE_DECISIONS, limits.stale, "stale-features"),
            (
                "MissingFeatures",
                pager.inform,
                Metric.MISSING_DECISIONS,
                limits.missing,
                "stale-features",
            ),
            (
                "ChallengerFailures",
                pager.page,
                Metric.CHALLENGER_FAILURES,
                limits.challenger_failures,
                "challenger-failures",
            ),
        ):
            watch(
                name,
                description=f"More than {share.above:.0%} {MEANINGS[name]}",
                of=share_of(counted(metric), decisions, share),
                above=share.above,
                patience=window(limits),
                runbook=runbook,
            )
        if limits.few is not None:
            pager.page(
                "FewFaultReferrals",
                description=f"Few apply, and more than {limits.few.share.above:.0%} of the "
                f"decisions of {limits.few.seconds / 3_600:g} hours were left to a person by a "
                "fault of ours. With more traffic FaultReferrals would have rung within minutes.",
                of=Rate(
                    part=counted(Metric.FAULT_REFERRALS),
                    whole=decisions,
                    least=limits.few.share.least,
                    fewer_than=limits.few.fewer_than,
                ),
                above=limits.few.share.above,
                patience=patience_of(limits.few),
                runbook="referrals",
            )
        pager.page(
            "ModelLoadFailure",
            description="A promoted champion, or a challenger, could not be fetched, verified or "
            "loaded; the champion before goes on deciding, or everybody is referred. The scorer's "
            "log says why: roll back, or withdraw the challenger.",
            of=counted(Metric.MODEL_LOAD_FAILURE),
        )


def decisions_of(api: ScoringApi) -> dict[str, str]:
    """Return the dimensions of calls that ask for a decision."""
    return {
        "ApiName": api.name,
        "Method": "POST",
        "Resource": DECISIONS_PATH,
        "Stage": api.stage_name,
    }


def patience_of(few: Few) -> Patience:
    """Return the patience in which few applications are counted."""
    return Patience(period_seconds=few.seconds, periods=1, breaching=1, evaluate_low_samples=True)


class TableAlarms(Construct):
    """Does DynamoDB turn reads of features or writes of decisions away?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, pager: Pager, tables: Tables
    ) -> None:
        super().__init__(scope, id_)
        for name, metric, table, effect in (
            (
                "OnlineStoreThrottles",
                "ReadThrottleEvents",
                tables.online_store,
                "reads of features: decisions get slower, then are referred",
            ),
            (
                "DecisionsThrottles",
                "WriteThrottleEvents",
                tables.decisions,
                "records of decisions: clients wait, then get 503",
            ),
        ):
            pager.inform(
                name,
                description=f"DynamoDB turned away {effect}. One hot key, or more traffic than the "
                "table has grown to: on demand it takes twice its last peak at once.",
                of=Figure(
                    namespace="AWS/DynamoDB",
                    metric=metric,
                    dimensions={"TableName": table.table_name},
                ),
                above=stage.alarms.throttles,
                patience=window(stage.alarms),
                runbook="throttles",
            )
