"""One page of graphs, in the order in which on-call asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from cdk_app.components.dashboard_graphs import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cdk_app.components.dashboard_graphs import Section
    from cdk_app.components.pager import Pager
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Dashboard(Construct):
    """The dashboard of a product in a stage: sections from the top to the bottom."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        pager: Pager,
        sections: Sequence[Section],
    ) -> None:
        super().__init__(scope, id_)
        runbooks = sorted(set(pager.runbooks.values()))
        first = words(
            f"# {product.name}, {stage.name}\n"
            f"{' '.join(section.title for section in sections)} The first that is answered by no "
            "is where to begin.\n\n"
            f"In a terminal: `credit --stage {stage.name} status`, then `alarms list`. Runbooks: "
            + " · ".join(f"[{name}]({stage.alarms.runbooks}/{name}.md)" for name in runbooks),
            height=4,
        )
        self.dashboard = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=stage.prefix,
            widgets=[[first]]
            + [
                row
                for section in sections
                for row in (
                    [words(f"## {section.title}\n{section.words}", height=2)],
                    list(section.graphs),
                )
            ],
        )
