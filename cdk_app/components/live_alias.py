"""The version of a function that callers reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_lambda as lambda_

if TYPE_CHECKING:
    from constructs import Construct

LIVE = "live"


class LiveAlias(lambda_.Alias):
    """The current version under a name that stays.

    CloudFormation changes a function's code and its configuration one after the other; a version
    has both, so that no request meets the new one of the one and the old one of the other.

    Environments are kept warm of the version and not of the alias: while a canary shares the
    requests out between two versions, Lambda refuses to warm an alias (decision 53).

    Args:
        scope: Where it is.
        id_: Its name there.
        function: Whose version.
    """

    def __init__(self, scope: Construct, id_: str, *, function: lambda_.Function) -> None:
        super().__init__(
            scope,
            id_,
            alias_name=LIVE,
            version=function.current_version,
        )
        name = function.function_name
        self.dimensions = {"FunctionName": name, "Resource": f"{name}:{LIVE}"}
        """Of its metrics in the namespace ``AWS/Lambda``."""
