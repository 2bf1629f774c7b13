"""The pinned CDK CLI, pointed at the local cloud, and what is deployed there or in an account."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from credit_cli.aws import ACCOUNT, AccountAws, LocalAws, cdk_environment
from credit_cli.checkout import Checkout
from credit_cli.errors import DeploymentError, UnreachableError, UsageError, suggestion
from credit_cli.known_product import DEFAULT_PRODUCT, product_names
from credit_cli.local_cloud import REGION, LocalCloud
from credit_cli.target import LOCAL, announce, target, unless_misspelt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mypy_boto3_cloudformation import CloudFormationClient

    from credit_cli.aws import Aws

STACKS = ("storage", "scoring", "archive", "materialization", "retraining", "operations")
BOOTSTRAP_STACK = "CDKToolkit"
DEPLOYED = re.compile(r"^ ?✅\s+(\S+)( \(no changes\))?", re.MULTILINE)
EVENT = re.compile(r"^(\S+) \| +(\d+)(?:/(\d+))? \|")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Deployed:
    """Which stacks a deployment found or left, by what it did to them."""

    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


class CdkCli:
    """The CDK CLI of this checkout; it can reach the local cloud only."""

    def __init__(self, checkout: Checkout, endpoint_url: str) -> None:
        self.log = checkout.local / "cdk.log"
        self._checkout = checkout
        self._scratch = checkout.local / "cdk"
        self._environment = cdk_environment(
            endpoint_url, binaries=checkout.binaries, scratch=self._scratch
        ) | {
            # Outside `.local`, so that unpacking the CDK's library is paid for once.
            "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(checkout.build / "jsii"),
        }

    def bootstrap(self, progress: Callable[[str], None]) -> None:
        """Create the bootstrap stack.

        Raises:
            DeploymentError: The CDK CLI failed.
        """
        # From a folder without cdk.json: the CLI would synthesize the app to no end.
        self._run(["bootstrap", f"aws://{ACCOUNT}/{REGION}"], progress, folder=self._scratch)

    def deploy(self, progress: Callable[[str], None], *, product: str) -> Deployed:
        """Deploy every stack of a product.

        Raises:
            DeploymentError: The CDK CLI failed.
        """
        output = self._run(
            [
                *("deploy", "--all", "--require-approval", "never", "--progress", "events"),
                # Without a change set, and stacks that don't need each other at once.
                *("--method", "direct", "--concurrency", "4"),
                *("--context", f"product={product}"),
            ],
            progress,
        )
        found = DEPLOYED.findall(output)
        return Deployed(
            changed=tuple(name for name, unchanged in found if not unchanged),
            unchanged=tuple(name for name, unchanged in found if unchanged),
        )

    def pass_through(self, arguments: Sequence[str]) -> int:
        """Run the CLI with a person's own arguments at this terminal; return its exit code."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return subprocess.run(
            self._command(arguments),
            cwd=self._checkout.root,
            env=self._environment,
            check=False,
        ).returncode

    def _command(self, arguments: Sequence[str]) -> list[str]:
        return [
            str(self._checkout.cdk),
            *arguments,
            *("--context", f"stage={LOCAL}"),
            *("--output", str(self._scratch / "out")),
            "--no-notices",
        ]

    def _run(
        self,
        arguments: Sequence[str],
        progress: Callable[[str], None],
        *,
        folder: Path | None = None,
    ) -> str:
        """Run the CLI; its output goes to the log, and is returned without colours."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        command = [*self._command(arguments), "--ci", "--no-color"]
        lines = []
        with (
            self.log.open("a", encoding="utf-8") as log,
            subprocess.Popen(
                command,
                cwd=folder or self._checkout.root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            log.write(f"== cdk {' '.join(arguments)}\n")
            assert process.stdout is not None  # noqa: S101 (it is a pipe, as asked for above)
            for line in process.stdout:
                log.write(line)
                plain = COLOURS.sub("", line)
                lines.append(plain)
                event = EVENT.match(plain)
                if event:
                    progress(f"{event[1]}, {event[2]} of {event[3] or '?'} resources")
        if process.returncode:
            raise DeploymentError(
                f"cdk {arguments[0]} failed: {blamed(lines)}",
                hint=f"its whole output: {self._checkout.relative(self.log)}",
            )
        return "".join(lines)


def blamed(lines: Sequence[str]) -> str:
    """Return the line of a failed command's output that most likely says why.

    >>> blamed(["deploying", "Error: no such bucket", "    at main (index.js:1)", ""])
    'Error: no such bucket'
    >>> blamed([])
    'it printed nothing'
    """
    said = [line.strip() for line in lines if line.strip()]
    errors = [
        line
        for line in said
        if re.search(r"❌|\b\w*(?:error|failed|exception)\b", line, re.IGNORECASE)
        and not line.startswith("at ")
    ]
    line = (errors or said or ["it printed nothing"])[0 if errors else -1]
    return line.removeprefix("❌").strip().removeprefix("error: ")[:300]


def is_bootstrapped(aws: LocalAws) -> bool:
    """Tell whether the bootstrap stack is there and whole."""
    cloudformation: CloudFormationClient = aws.client("cloudformation")
    try:
        stacks = cloudformation.describe_stacks(StackName=BOOTSTRAP_STACK)["Stacks"]
    except ClientError:
        return False
    return bool(stacks) and stacks[0]["StackStatus"] in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}


@dataclass(frozen=True)
class Deployment:
    """What is deployed of a product in a stage, by the names of the stacks' outputs."""

    aws: Aws
    outputs: dict[str, str]
    stage: str = LOCAL
    product: str = DEFAULT_PRODUCT

    @classmethod
    def read(cls, aws: Aws, product: str, *, stage: str = LOCAL) -> Deployment | None:
        """Return what is deployed of a product, or None if nothing is."""
        cloudformation: CloudFormationClient = aws.client("cloudformation")
        outputs: dict[str, str] = {}
        for stack in STACKS:
            outputs |= stack_outputs(cloudformation, f"{prefix(stage, product)}-{stack}")
        return cls(aws, outputs, stage, product) if outputs else None

    def __getitem__(self, output: str) -> str:
        """Return the value of a stack output.

        Raises:
            DeploymentError: No stack has such an output.
        """
        try:
            return self.outputs[output]
        except KeyError:
            raise self._lacks(output) from None

    @property
    def prefix(self) -> str:
        """What the names of its stacks, and of much in them, begin with."""
        return prefix(self.stage, self.product)

    @property
    def api_url(self) -> str:
        """The API's base; `/v1/decisions` follows."""
        try:
            return self.aws.api_url(self.outputs)
        except KeyError as error:
            raise self._lacks(error.args[0]) from None

    @property
    def token_url(self) -> str:
        """The token endpoint of the user pool."""
        try:
            return self.aws.token_url(self.outputs)
        except KeyError as error:
            raise self._lacks(error.args[0]) from None

    def resources(self) -> dict[str, str | None]:
        """Return names and ARNs under the keys that `credit local status --json` shows."""
        return {
            "api_url": self.api_url,
            "token_url": self.token_url,
            **{name: self.outputs.get(output) for name, output in RESOURCES.items()},
        }

    def _lacks(self, output: str) -> DeploymentError:
        hint = "run: credit local up" if self.stage == LOCAL else "deploy it first: cdk deploy"
        return DeploymentError(f"no deployed stack has the output {output}", hint=hint)


def prefix(stage: str, product: str) -> str:
    """Return what the names of a deployment begin with, as the CDK app gives them.

    >>> prefix("prod", "personal_loan")
    'credit-prod-personal-loan'
    """
    return f"credit-{stage}-{product.replace('_', '-')}"


def stack_outputs(cloudformation: CloudFormationClient, stack: str) -> dict[str, str]:
    """Return the outputs of a stack, none where there is no such stack."""
    try:
        found = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        # CloudFormation has no code of its own for it.
        if "does not exist" in str(error):
            return {}
        raise
    return {
        output["OutputKey"]: output["OutputValue"]
        for described in found
        for output in described.get("Outputs", [])
    }


RESOURCES = {
    "lake_bucket": "LakeBucket",
    "results_bucket": "ResultsBucket",
    "models_bucket": "ModelsBucket",
    "receipts_bucket": "ReceiptsBucket",
    "online_store_table": "OnlineStoreTable",
    "decisions_table": "DecisionsTable",
    "registry_table": "RegistryTable",
    "signing_key": "SigningKey",
    "glue_database": "GlueDatabase",
    "user_pool_id": "UserPoolId",
    "application_client_id": "ApplicationClientId",
    "desk_client_id": "DeskClientId",
    "servicing_client_id": "ServicingClientId",
    "decide_scope": "DecideScope",
    "scorer_function": "ScorerFunction",
    "records_function": "RecordsFunction",
    "batch_function": "BatchFunction",
    "rehearsal_function": "RehearsalFunction",
    "archiver_function": "ArchiverFunction",
    "failed_batches_queue": "FailedBatchesQueue",
    "comparer_function": "ComparerFunction",
    "served_set_function": "ServedSetFunction",
    "skew_function": "SkewFunction",
    "eraser_function": "EraserFunction",
    "monitor_function": "MonitorFunction",
    "monitoring_state_machine": "MonitoringStateMachine",
    "feature_bus": "FeatureBus",
    "materialization_state_machine": "MaterializationStateMachine",
    "retraining_state_machine": "RetrainingStateMachine",
    "rollout_state_machine": "RolloutStateMachine",
    "promoter_function": "PromoterFunction",
    "approver_function": "ApproverFunction",
    "guard_function": "GuardFunction",
    "page_topic": "PageTopic",
    "inform_topic": "InformTopic",
    "latency_alarm": "LatencyAlarm",
}
"""Keys of `credit local status --json` and the stack outputs they show."""


def deployed(
    product: str, *, change: str | None = None, ask: bool = False
) -> tuple[Aws, Deployment]:
    """Return where a product is deployed, and what of it: on the local cloud unless --stage says.

    Args:
        product: Its name.
        change: What is about to be done to it, in words, if it is not only looked at: said on
            standard error before it is done to a real account.
        ask: Whether a person has to agree to that.

    Raises:
        UnreachableError: Nothing is deployed, or the local cloud is not running.
        PreconditionError: No AWS region is configured.
        UsageError: It was not agreed to, or there is no such product.
    """
    chosen = target()
    if chosen.is_local:
        running = LocalCloud(Checkout()).require_running()
        aws: Aws = LocalAws(running.endpoint_url)
        hint = f"run: credit local up --product {product}"
        hint = "run: make demo" if product == DEFAULT_PRODUCT else hint
    else:
        aws = AccountAws(chosen.stage)
        hint = unless_misspelt(
            "is it the right account and region? AWS_PROFILE and AWS_REGION choose them"
        )
    deployment = Deployment.read(aws, product, stage=chosen.stage)
    if deployment is None:
        if product not in (known := product_names()):
            raise UsageError(
                f"there is no product {product!r}", hint=suggestion(product, known, kind="products")
            )
        where = "on" if chosen.is_local else "as"
        raise UnreachableError(f"nothing of {product} is deployed {where} {aws.place}", hint=hint)
    if change is not None:
        announce(aws, change, ask=ask)
    return aws, deployment
