"""From nothing to a decided application: the steps that `credit local up` and `credit demo` run.

Every step looks first at what is already there, so running it all again is cheap.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from credit_cli import api, retraining
from credit_cli.aws import LocalAws
from credit_cli.champion import Champion, find_champion, quality
from credit_cli.deployment import CdkCli, Deployment, is_bootstrapped
from credit_cli.errors import DeploymentError, PipelineError, PreconditionError
from credit_cli.known_product import DEFAULT_PRODUCT, known_product
from credit_cli.lake import load_sample
from credit_cli.local_cloud import LocalCloud
from credit_cli.materialization import counts_line, settled
from credit_cli.rendering import LABEL_WIDTH
from layers.build import BuiltLayer, LayerError, Platform, build, layer_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_cli.aws import Aws
    from credit_cli.checkout import Checkout
    from credit_cli.lake import LoadedSample
    from credit_cli.local_cloud import RunningCloud
    from credit_cli.progress import Progress, Step


@dataclass(frozen=True)
class Demo:
    """All that the demo did and found."""

    endpoint_url: str
    deployment: Deployment
    sample: LoadedSample
    materialized: dict[str, Any]
    champion: Champion
    answer: api.Answer
    decision: dict[str, Any]

    def as_document(self, progress: Progress) -> dict[str, Any]:
        """Return the JSON object that `credit demo --json` prints."""
        evaluation = self.champion.manifest.evaluation
        return {
            "decision": self.decision,
            "server_timing": self.answer.headers.get("Server-Timing"),
            "round_trip_ms": round(self.answer.seconds * 1_000, 1),
            "champion": {
                "version": self.champion.manifest.version,
                "out_of_time": evaluation.model_dump(mode="json"),
            },
            "materialized": self.materialized,
            "sample": asdict(self.sample) | {"last_day": self.sample.last_day.isoformat()},
            "deployment": {
                "endpoint_url": self.endpoint_url,
                **self.deployment.resources(),
            },
            "steps": [
                {"name": step.name, "seconds": round(step.seconds, 1), "result": step.result}
                for step in progress.steps
            ],
        }


def bring_up(checkout: Checkout, progress: Progress, *, port: int, product: str) -> Deployment:
    """Build the layers, start the local cloud, and deploy a product to it.

    Raises:
        CliError: A step failed.
    """
    cloud = LocalCloud(checkout)
    checkout.require_environments()
    if cloud.running() is None:
        checkout.require_disk()
    with progress.step("Layers") as step:
        build_layers(step)
    with progress.step("Local cloud") as step:
        running = start(cloud, port, step)
    aws = LocalAws(running.endpoint_url)
    cdk = CdkCli(checkout, running.endpoint_url)
    with progress.step("CDK bootstrap") as step:
        if is_bootstrapped(aws):
            step.result = "there already"
        else:
            cdk.bootstrap(step.update)
            step.result = "done"
    with progress.step("CDK deploy") as step:
        deployed = cdk.deploy(step.update, product=product)
        step.result = (
            f"{len(deployed.changed)} stacks deployed, {len(deployed.unchanged)} unchanged"
        )
        deployment = Deployment.read(aws, product)
    if deployment is None:
        raise DeploymentError(
            "cdk deploy left no stack with outputs", hint=f"see {checkout.relative(cdk.log)}"
        )
    return deployment


def run_demo(checkout: Checkout, progress: Progress, *, port: int) -> Demo:
    """Run every step and return what came out.

    Raises:
        InvalidProductError: The product's definition is broken.
        CliError: A step failed.
    """
    application = read_example(checkout)
    product = known_product(DEFAULT_PRODUCT)
    deployment = bring_up(checkout, progress, port=port, product=product.name)
    aws = deployment.aws
    with progress.step("Sample in the lake") as step:
        sample = load_sample(
            aws,
            deployment["LakeBucket"],
            product,
            last_day=datetime.now(UTC).date() - timedelta(days=1),
            scratch=checkout.local / "sample",
            progress=step.update,
        )
        step.result = (
            f"{sample.rows:,} rows in {sample.files} Parquet files, {sample.bytes / 1e6:.1f} MB, "
            f"to {sample.last_day}; {sample.uploaded} files sent"
        )
    with progress.step("Materialization") as step:
        materialized = materialize(aws, deployment, step, uploaded=sample.uploaded > 0)
    with progress.step("Retraining") as step:
        champion = train(aws, deployment, step)
    with progress.step("Decision") as step:
        token = api.fetch_token(aws, deployment).access_token
        # On AWS the alias is kept warm. Here a first request starts the worker; this one is no
        # application, so it is refused and leaves nothing behind.
        step.update("starting the scorer")
        api.request_decision(deployment.api_url, token, b"{}")
        answer = api.request_decision(deployment.api_url, token, application)
        decision = api.require_decided(answer)
        step.result = f"{answer.status}, over HTTP through API Gateway"
    endpoint_url = LocalCloud(checkout).require_running().endpoint_url
    return Demo(endpoint_url, deployment, sample, materialized, champion, answer, decision)


def quality_lines(champion: Champion) -> list[str]:
    """Say the champion's out-of-time quality, and how far it can be trusted."""
    evaluation = champion.manifest.evaluation
    caution = "in brackets 95 % intervals, wide because few defaulted; data/README.md says more"
    return [
        f"{'Quality':<{LABEL_WIDTH}}{quality(evaluation)}",
        f"{'':<{LABEL_WIDTH}}{caution}",
    ]


def read_example(checkout: Checkout) -> bytes:
    """Return the application that the demo scores.

    Raises:
        PreconditionError: It is not there.
    """
    try:
        return checkout.example_application.read_bytes()
    except OSError as error:
        name = checkout.relative(checkout.example_application)
        raise PreconditionError(f"{name} can't be read: {error.strerror}") from None


def build_layers(step: Step) -> None:
    """Bring the layers for this machine up to date.

    Raises:
        PreconditionError: One can't be built.
    """
    names = layer_names()

    def show(layer: BuiltLayer) -> None:
        step.update(f"{layer.name} is there")

    with layer_errors():
        built = build(names, Platform.HOST, progress=show)
    anew = [layer.name for layer in built if layer.seconds]
    sizes = ", ".join(f"{layer.name} {layer.unzipped_mb:.1f}" for layer in built)
    step.result = f"{sizes} MB unzipped; {len(anew)} of {len(built)} built"


@contextmanager
def layer_errors() -> Iterator[None]:
    """Translate the layer builder's error into one of this command."""
    try:
        yield
    except LayerError as error:
        raise PreconditionError(str(error)) from None


def start(cloud: LocalCloud, port: int, step: Step) -> RunningCloud:
    """Start the local cloud unless it runs."""
    before = cloud.running()
    running = cloud.start(port)
    step.result = f"{'runs' if before else 'started'} at {running.endpoint_url}"
    return running


def materialize(aws: Aws, deployment: Deployment, step: Step, *, uploaded: bool) -> dict[str, Any]:
    """Wait for the runs that the uploads started; run the materialization where there are none.

    Raises:
        PipelineError: It failed.
    """
    counts = settled(aws, deployment, DEFAULT_PRODUCT, step.update, uploaded=uploaded)
    before = counts.pop("done_before")
    step.result = f"{counts_line(counts)}{' (done before)' if before else ''}"
    return counts


def train(aws: Aws, deployment: Deployment, step: Step) -> Champion:
    """Run the retraining, unless there is a champion; return the champion.

    Raises:
        PipelineError: It failed, or a gate did not pass.
        DeploymentError: The registry names a model that can't be read.
    """
    champion = find_champion(aws, deployment, DEFAULT_PRODUCT)
    kept = champion is not None
    if champion is None:
        execution = retraining.start(aws, deployment, trigger="credit demo")
        watch = retraining.Watch(aws, deployment, execution, product=DEFAULT_PRODUCT)
        done = retraining.follow(watch, steps=step.part)
        if not done.succeeded:
            raise PipelineError(done.failure, hint=f"see: credit retrain --follow {watch.name}")
        champion = find_champion(aws, deployment, DEFAULT_PRODUCT)
    if champion is None:
        raise DeploymentError("the retraining ended without a champion")
    step.result = (
        f"champion {champion.manifest.version}{' (trained before)' if kept else ''}, "
        f"all {len(champion.manifest.gates)} gates passed"
    )
    return champion
