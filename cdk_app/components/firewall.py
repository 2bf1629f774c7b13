"""A web application firewall in front of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from cdk_app.components.api_routes import BATCHES_PATH

if TYPE_CHECKING:
    from aws_cdk import aws_apigateway as apigateway

    from cdk_app.stages import Firewall

MANAGED_RULES = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesCommonRuleSet",
)
OVERRULED = {"AWSManagedRulesCommonRuleSet": ("SizeRestrictions_BODY",)}
"""Rules that only count: AWS's blocks bodies of more than 8 KB, the stage states its own limit."""

AS_IT_IS = [wafv2.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")]


def visibility(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    """Return metrics under this name, and no samples: they would hold applicants' data."""
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


class ApiFirewall(Construct):
    """Known attacks, oversized bodies and floods from one address never reach the API."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: apigateway.Stage, limits: Firewall
    ) -> None:
        super().__init__(scope, id_)
        block = wafv2.CfnWebACL.RuleActionProperty(block={})
        flood = wafv2.CfnWebACL.RateBasedStatementProperty(
            aggregate_key_type="IP", limit=limits.requests_per_address_in_five_minutes
        )
        body = wafv2.CfnWebACL.FieldToMatchProperty(
            body=wafv2.CfnWebACL.BodyProperty(oversize_handling="MATCH")
        )
        size = wafv2.CfnWebACL.SizeConstraintStatementProperty(
            comparison_operator="GT",
            field_to_match=body,
            size=limits.body_bytes,
            text_transformations=AS_IT_IS,
        )
        # The firewall sees no more than the beginning of a body, 64 KB at most: what a batch may
        # have is beyond it, and the batch function's to judge.
        batch = wafv2.CfnWebACL.ByteMatchStatementProperty(
            field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(uri_path={}),
            positional_constraint="ENDS_WITH",
            search_string=BATCHES_PATH,
            text_transformations=AS_IT_IS,
        )
        oversized = wafv2.CfnWebACL.AndStatementProperty(
            statements=[
                wafv2.CfnWebACL.StatementProperty(size_constraint_statement=size),
                wafv2.CfnWebACL.StatementProperty(
                    not_statement=wafv2.CfnWebACL.NotStatementProperty(
                        statement=wafv2.CfnWebACL.StatementProperty(byte_match_statement=batch)
                    )
                ),
            ]
        )
        rules = [
            ("FloodFromOneAddress", wafv2.CfnWebACL.StatementProperty(rate_based_statement=flood)),
            ("OversizedBody", wafv2.CfnWebACL.StatementProperty(and_statement=oversized)),
        ]
        blocking = [
            wafv2.CfnWebACL.RuleProperty(
                name=name,
                priority=priority,
                action=block,
                statement=statement,
                visibility_config=visibility(name),
            )
            for priority, (name, statement) in enumerate(rules)
        ]
        managed = [
            wafv2.CfnWebACL.RuleProperty(
                name=name,
                priority=priority,
                override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
                statement=wafv2.CfnWebACL.StatementProperty(
                    managed_rule_group_statement=(
                        wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                            vendor_name="AWS",
                            name=name,
                            rule_action_overrides=[
                                wafv2.CfnWebACL.RuleActionOverrideProperty(
                                    name=rule,
                                    action_to_use=wafv2.CfnWebACL.RuleActionProperty(count={}),
                                )
                                for rule in OVERRULED.get(name, ())
                            ],
                        )
                    )
                ),
                visibility_config=visibility(name),
            )
            for priority, name in enumerate(MANAGED_RULES, start=len(blocking))
        ]
        firewall = wafv2.CfnWebACL(
            self,
            "WebAcl",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            rules=[*blocking, *managed],
            visibility_config=visibility("CreditDecisions"),
        )
        wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=stage.stage_arn, web_acl_arn=firewall.attr_arn
        )
