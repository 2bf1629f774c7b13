"""Entry point of the CDK: ``cdk synth -c stage=prod -c product=personal_loan``.

It needs no account and no network. The layers must have been built: ``make layers``.

``cdk deploy credit-delivery -c repository=owner/name`` is about an account instead: it holds the
roles under which that repository's workflows deploy, and nothing else. See ``docs/delivery.md``.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from aws_cdk import App, DefaultStackSynthesizer, Tags, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from cdk_app.components.github_roles import InvalidDeliveryError, Repository
from cdk_app.components.log_protection import protect_logs
from cdk_app.components.service_function import service_functions
from cdk_app.stacks.archive import ArchiveStack
from cdk_app.stacks.delivery import DeliveryStack
from cdk_app.stacks.materialization import MaterializationStack
from cdk_app.stacks.operations import OperationsStack
from cdk_app.stacks.retraining import RetrainingStack
from cdk_app.stacks.scoring import ScoringStack
from cdk_app.stacks.storage import StorageStack
from cdk_app.stages import STAGES, Stage
from credit_core.domain.product import CreditProduct, load_product
from credit_core.errors import InvalidProductError
from layers.build import LayerError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_STAGE = "local"
DEFAULT_PRODUCT = "personal_loan"
DELIVERY = "credit-delivery"
COMPARED_STAGE = "dev"
"""What pull requests are compared with."""
BOOTSTRAP_QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
"""The CDK's own name in the context for what its bootstrap roles are named after."""


def add_stacks(app: App, *, stage: Stage, product: CreditProduct) -> None:
    """Add the six stacks of a product in a stage to the app.

    Raises:
        LayerError: A layer is not built for the stage's platform.
    """
    stage = stage.serving(product.name)
    prefix = stage.prefix
    storage = StorageStack(app, f"{prefix}-storage", stage=stage, product=product).storage
    scoring = ScoringStack(app, f"{prefix}-scoring", stage=stage, product=product, storage=storage)
    archive = ArchiveStack(app, f"{prefix}-archive", stage=stage, product=product, storage=storage)
    materialization = MaterializationStack(
        app, f"{prefix}-materialization", stage=stage, product=product, storage=storage
    )
    retraining = RetrainingStack(
        app,
        f"{prefix}-retraining",
        stage=stage,
        product=product,
        storage=storage,
        served_set=archive.evidence.served_set,
    )
    OperationsStack(
        app,
        f"{prefix}-operations",
        stage=stage,
        api=scoring.api,
        scorer=scoring.scorer,
        records=scoring.records,
        batch=scoring.batch,
        product=product,
        storage=storage,
        archive=archive.archive,
        evidence={"Comparer": archive.evidence.comparer, "Skew": archive.skew.function},
        push=materialization.push,
        functions=service_functions(app),
        guard=retraining.guard,
        workflows={
            "Materialization": materialization.workflow,
            "Retraining": retraining.workflow,
            "Rollout": retraining.rollout,
            "Monitoring": archive.monitoring.workflow,
        },
        triggers={
            "Materialization": materialization.triggers,
            "Retraining": retraining.triggers,
            "Monitoring": archive.monitoring.triggers,
        },
    )
    Tags.of(app).add("application", "credit-decisions")
    Tags.of(app).add("stage", stage.name)
    Tags.of(app).add("product", product.name)
    if stage.log_protection:
        protect_logs(app, product=product)
    check(app)


def add_delivery(app: App, *, repository: str) -> None:
    """Add the stack of an account's roles for a repository's workflows to the app.

    Of the context it takes ``stages``, those that are deployed to this account (``dev,prod``), and
    ``oidc-provider``, the ARN of the account's identity provider for GitHub if it has one.

    Raises:
        InvalidDeliveryError: The repository or a stage is none.
    """
    remote = [stage for stage in STAGES if stage != DEFAULT_STAGE]
    stages = str(app.node.try_get_context("stages") or ",".join(remote)).split(",")
    if unknown := [stage for stage in stages if stage not in remote]:
        raise InvalidDeliveryError(f"no stage {unknown[0]!r} is deployed by workflows: {remote}")
    DeliveryStack(
        app,
        DELIVERY,
        repository=Repository(repository),
        stages=stages,
        compared=COMPARED_STAGE,
        qualifier=app.node.try_get_context(BOOTSTRAP_QUALIFIER)
        or DefaultStackSynthesizer.DEFAULT_QUALIFIER,
        provider_arn=app.node.try_get_context("oidc-provider"),
        description="Roles under which workflows deploy credit decisions",
    )
    Tags.of(app).add("application", "credit-decisions")
    check(app)


def check(app: App) -> None:
    """Have two packs of cdk-nag judge all that the app holds when it is synthesized."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))


def main(context: Mapping[str, Any] | None = None) -> None:
    """Synthesize the stage that the context names, or the delivery of the repository it names.

    Args:
        context: What the command line adds to, by ``cdk.json`` and ``-c``.

    Raises:
        SystemExit: Stage, product, layers or repository are not there; one line says which.
    """
    app = App(context=context)
    if repository := app.node.try_get_context("repository"):
        try:
            add_delivery(app, repository=repository)
        except InvalidDeliveryError as error:
            sys.exit(f"error: {error}")
        app.synth()
        return
    name = app.node.try_get_context("stage") or DEFAULT_STAGE
    if name not in STAGES:
        sys.exit(f"error: there is no stage {name!r}; there are {', '.join(STAGES)}")
    try:
        product = load_product(app.node.try_get_context("product") or DEFAULT_PRODUCT)
        add_stacks(app, stage=STAGES[name], product=product)
    except InvalidProductError as error:
        sys.exit(f"error: {error}")
    except LayerError as error:
        sys.exit(f"error: {error}, or: make layers")
    app.synth()


if __name__ == "__main__":
    main()
