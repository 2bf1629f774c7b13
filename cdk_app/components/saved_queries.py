"""Queries of the logs as on-call finds them in the console, in a folder of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_logs as logs
from constructs import Construct

from credit_core.domain.log_queries import QUERIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.stages import Stage


class SavedQueries(Construct):
    """Every query of the core, over the logs it is about.

    ``groups`` are the log groups by function, and the API's access log.
    """

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, groups: Mapping[str, logs.ILogGroup]
    ) -> None:
        super().__init__(scope, id_)
        for query in QUERIES.values():
            about = query.logs or tuple(groups)
            logs.CfnQueryDefinition(
                self,
                query.name.title().replace("-", ""),
                name=f"{stage.prefix}/{query.name}",
                query_string=query.text(),
                log_group_names=[groups[name].log_group_name for name in about],
                parameters=[
                    logs.CfnQueryDefinition.QueryParameterProperty(
                        name=query.parameter, description=query.summary
                    )
                ]
                if query.parameter
                else None,
            )
