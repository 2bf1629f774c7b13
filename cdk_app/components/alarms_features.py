"""Alarms on features: do they come, are they taken, and is their source still alive?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.pager import Figure, waiting_in
from cdk_app.stages import Patience
from credit_core.domain.metrics import NAMESPACE, Metric, dimensions
from credit_core.domain.places import REJECTED, REJECTED_PUSHES

if TYPE_CHECKING:
    from cdk_app.components.pager import Pager
    from cdk_app.components.push import FeaturePush
    from cdk_app.stages import Freshness, Stage
    from credit_core.domain.product import CreditProduct


def measured(freshness: Freshness) -> Patience:
    """Return the patience with what the freshness function measures: three times in a row."""
    return Patience(
        period_seconds=60 * freshness.every_minutes,
        periods=3,
        breaching=3,
        evaluate_low_samples=True,
    )


class FreshnessAlarms(Construct):
    """Has a view's source stopped, or was it never loaded?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, pager: Pager
    ) -> None:
        super().__init__(scope, id_)
        limits = stage.freshness
        for view in product.feature_views:
            seconds = limits.share_of_ttl * view.ttl_seconds
            pager.inform(
                f"Freshness{view.name.title().replace('_', '')}",
                description=f"The newest event of {view.name} is older than {seconds:.0f} s, "
                f"{limits.share_of_ttl:.0%} of its ttl, or there is none; at the ttl decisions "
                f"stop to use it. Look for its newest file under {product.view_prefix(view)} in "
                "the lake: if none came, ask its source; if one did, look at the materialization. "
                "No figure at all also means that the freshness function fails; see its log.",
                of=Figure(
                    namespace=NAMESPACE,
                    metric=Metric.FEATURE_AGE,
                    dimensions=dimensions(stage=stage.name, product=product.name, view=view.name),
                    statistic="Maximum",
                ),
                above=seconds,
                patience=measured(limits),
                # A view that was never loaded has no age, nor has one whose rows have all expired.
                silence_breaches=True,
                runbook="freshness",
            )


class RejectedRowsAlarms(Construct):
    """Do sources deliver rows that the product definition does not allow?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, pager: Pager
    ) -> None:
        super().__init__(scope, id_)
        for name, metric, what, where in (
            ("RejectedRows", Metric.REJECTED_ROWS, "Rows of a file", REJECTED),
            ("PushRejected", Metric.REJECTED_PUSHES, "Pushed rows", REJECTED_PUSHES),
        ):
            pager.inform(
                name,
                description=f"{what} were refused: they are not what the product defines, and "
                "their applicants keep the features they had. The faults lie under "
                f"{where} in the results bucket; who sends them mends them.",
                of=Figure(
                    namespace=NAMESPACE,
                    metric=metric,
                    dimensions=dimensions(stage=stage.name, product=product.name),
                ),
                runbook="rejected-rows",
            )


class PushAlarms(Construct):
    """Are pushed rows late or given up?"""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, pager: Pager, push: FeaturePush
    ) -> None:
        super().__init__(scope, id_)
        pager.inform(
            "PushGivenUp",
            description="Pushed rows were given up and lie in the dead-letter queue. The pusher's "
            "log says why; mend that, then `credit queues redrive push-dead-letters`.",
            of=waiting_in(push.dead_letters.queue_name),
            runbook="dead-letters",
        )
        pager.inform(
            "PushUndecryptable",
            description="EventBridge could not decrypt pushed rows: look at the data key and its "
            "policy. Mend that, have the rows pushed again, then `credit queues clear "
            "push-undecryptable`.",
            of=waiting_in(push.undecryptable.queue_name),
            runbook="dead-letters",
        )
        late = stage.push.late_after_seconds
        pager.inform(
            "PushLate",
            description=f"A pushed row has waited for more than {late} s: the pusher fails or does "
            "not keep up. Its log says which store did not take rows.",
            of=Figure(
                namespace="AWS/SQS",
                metric="ApproximateAgeOfOldestMessage",
                dimensions={"QueueName": push.queue.queue_name},
                statistic="Maximum",
            ),
            above=late,
        )
