"""The Lambda layers, as built beforehand by ``make layers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from layers.build import layer_archive

if TYPE_CHECKING:
    from cdk_app.stages import Stage


class Layers(Construct):
    """Layer versions of one stack, each made when a function first asks for it.

    Every stack has its own: a version shared between stacks would be an export that changes with
    each build, and CloudFormation refuses to change an export that another stack imports. The
    archives are uploaded once all the same.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._versions: dict[str, lambda_.LayerVersion] = {}

    def __getitem__(self, name: str) -> lambda_.LayerVersion:
        """Return the version of the named layer.

        Raises:
            LayerError: The layer is not built.
        """
        if name not in self._versions:
            self._versions[name] = lambda_.LayerVersion(
                self,
                name.title(),
                description=f"{name} of the credit-decision service",
                code=lambda_.Code.from_asset(str(layer_archive(name, self._stage.layer_platform))),
                compatible_runtimes=[lambda_.Runtime.PYTHON_3_13],
                compatible_architectures=[lambda_.Architecture.X86_64],
                removal_policy=self._stage.removal,
            )
        return self._versions[name]
