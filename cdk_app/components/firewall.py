"""A web application firewall in front of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Aws, Fn, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from cdk_app.components.api_routes import BATCHES_PATH
from credit_core.domain.batch_body import MAXIMUM_BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_apigateway as apigateway
    from aws_cdk import aws_kms as kms

    from cdk_app.stages import Firewall, Stage

MANAGED_RULES = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesCommonRuleSet",
)
OVERRULED = {"AWSManagedRulesCommonRuleSet": ("NoUserAgent_HEADER", "SizeRestrictions_BODY")}
"""Rules that only count: AWS's blocks bodies of more than 8 KB, the stage states its own limit; and
an application that calls with a token need not say by which program it does.
"""

Hidden = wafv2.CfnLoggingConfiguration.FieldToMatchProperty
LOG_PREFIX = "aws-waf-logs-"
"""What WAF asks of a log group's name."""
NOT_LOGGED = ("authorization", "cookie")
"""Headers, of which a log would hold tokens. Bodies are never in it."""

AS_IT_IS = [wafv2.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")]


def visibility(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    """Return metrics under this name, and no samples: they would hold applicants' data."""
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


class ApiFirewall(Construct):
    """Known attacks, oversized bodies and floods from one address never reach the API."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        api: apigateway.Stage,
        limits: Firewall,
        stage: Stage,
        key: kms.IKey,
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
        # The firewall sees no more than the beginning of a body; of a batch, which may have more,
        # it looks at the length that is stated. Lambda takes 6 MB, API Gateway 10: in between lies
        # an error of the server's, which would page.
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
        stated = wafv2.CfnWebACL.RegexMatchStatementProperty(
            field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(
                single_header={"Name": "content-length"}
            ),
            regex_string=at_most(MAXIMUM_BATCH_BYTES),
            text_transformations=AS_IT_IS,
        )
        oversized_batch = wafv2.CfnWebACL.AndStatementProperty(
            statements=[
                wafv2.CfnWebACL.StatementProperty(byte_match_statement=batch),
                wafv2.CfnWebACL.StatementProperty(byte_match_statement=posted()),
                wafv2.CfnWebACL.StatementProperty(
                    not_statement=wafv2.CfnWebACL.NotStatementProperty(
                        statement=wafv2.CfnWebACL.StatementProperty(regex_match_statement=stated)
                    )
                ),
            ]
        )
        rules = [
            ("FloodFromOneAddress", wafv2.CfnWebACL.StatementProperty(rate_based_statement=flood)),
            ("OversizedBody", wafv2.CfnWebACL.StatementProperty(and_statement=oversized)),
            ("OversizedBatch", wafv2.CfnWebACL.StatementProperty(and_statement=oversized_batch)),
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
            # By it alone CloudWatch tells the metrics of two firewalls apart.
            visibility_config=visibility(stage.prefix),
        )
        wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=api.stage_arn, web_acl_arn=firewall.attr_arn
        )
        self._log(firewall, stage, key)

    def _log(self, firewall: wafv2.CfnWebACL, stage: Stage, key: kms.IKey) -> None:
        """Keep what was blocked, and by which rule.

        Source: AWS WAF Developer Guide, "Logging AWS WAF web ACL traffic".
        """
        # Digits of the stack's own id: a log that is retained keeps its name.
        incarnation = Fn.select(0, Fn.split("-", Fn.select(2, Fn.split("/", Aws.STACK_ID))))
        name = f"{LOG_PREFIX}{stage.prefix}-{incarnation}"
        group = logs.LogGroup(
            self,
            "Log",
            log_group_name=name,
            encryption_key=key,
            retention=stage.log_retention,
            removal_policy=stage.removal,
        )
        logging = wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=firewall.attr_arn,
            # Without the ":*" that a log group's own ARN ends with.
            log_destination_configs=[
                Stack.of(self).format_arn(
                    service="logs",
                    resource="log-group",
                    resource_name=name,
                    arn_format=ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
            redacted_fields=[
                *(Hidden(single_header={"Name": header}) for header in NOT_LOGGED),
                # An API that asks for no query may be sent one, with anything in it.
                Hidden(query_string={}),
            ],
            logging_filter={
                "DefaultBehavior": "DROP",
                "Filters": [
                    {
                        "Behavior": "KEEP",
                        "Requirement": "MEETS_ANY",
                        "Conditions": [{"ActionCondition": {"Action": "BLOCK"}}],
                    }
                ],
            },
        )
        logging.node.add_dependency(group)


def posted() -> wafv2.CfnWebACL.ByteMatchStatementProperty:
    """Return what matches a POST: other methods of a path have no body and state no length."""
    return wafv2.CfnWebACL.ByteMatchStatementProperty(
        field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(method={}),
        positional_constraint="EXACTLY",
        search_string="POST",
        text_transformations=AS_IT_IS,
    )


def at_most(limit: int) -> str:
    """Return a regular expression for the whole numbers up to a limit, as HTTP writes a length.

    Args:
        limit: At least 10.

    >>> at_most(120)
    '^([0-9]{1,2}|1[0-1][0-9]|120)$'
    >>> at_most(1_638_400)
    '^([0-9]{1,6}|1[0-5][0-9]{5}|16[0-2][0-9]{4}|163[0-7][0-9]{3}|1638[0-3][0-9]{2}|1638400)$'
    """
    return f"^({'|'.join(_up_to(str(limit)))})$"


def _up_to(limit: str) -> Sequence[str]:
    shorter = [f"[0-9]{{1,{len(limit) - 1}}}"]
    for place, digit in enumerate(limit):
        below, rest = int(digit) - 1, len(limit) - place - 1
        least = 0 if place else 1
        if below < least:
            continue
        here = str(least) if below == least else f"[{least}-{below}]"
        digits = {0: "", 1: "[0-9]"}.get(rest, f"[0-9]{{{rest}}}")
        shorter.append(f"{limit[:place]}{here}{digits}")
    return [*shorter, limit]
