"""What a stage costs a month, line by line, from list prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_cli.capacity_plan import READ_UNITS_AN_ITEM, RECEIPT_WRITE_UNITS
from credit_cli.prices import HOURS_A_MONTH, SECONDS_A_MONTH, US_EAST_1

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from credit_cli.prices import Prices

RECEIPT_GB = 5.6e3 / 1e9
"""Of a decision, in the table and again in the archive."""

RECEIPT_OVERHEAD_GB = 0.5e3 / 1e9
"""Of a decision, in the table alone: its entry in the index by applicant, and 100 bytes for each of
both, which DynamoDB adds."""

FEATURE_GB = 1.5e3 / 1e9
"""Of a row of the online store, with its key."""

LOG_GB_A_DECISION = 1.6e3 / 1e9
"""A decision's own line, Lambda's three, and one of the access log."""

SAMPLED_TRACES_PER_SECOND, SAMPLED_SHARE = 1.0, 0.05
"""X-Ray's rule where nobody made another: the first of each second, and 5 % of the others."""

ARCHIVE_BATCH = 20
"""Receipts of a call of the archiver, at most times: it waits for 5 seconds."""

ARCHIVE_SECONDS = 0.5

MONITORING_SECONDS = 1 / 300
"""Of a receipt, read and counted by a function of 1.73 GB; see docs/monitoring.md."""
MONITORING_GB = 1_769 / 1_024


@dataclass(frozen=True, kw_only=True)
class StageShape:
    """What a stage has that is charged for, whether anybody applies or not.

    Attributes:
        scorer_memory_mb: Of the scorer.
        warm: Environments kept warm, the mean of a month.
        keys: Customer-managed keys.
        secrets: Secrets.
        metrics: Custom metrics.
        alarms: Alarms, each metric of an expression counted: CloudWatch charges by metric.
        composite_alarms: Alarms made of others.
        dashboards: Dashboards.
        firewall_rules: Rules and managed rule groups; 0 where there is no firewall.
        clients: Applications that get tokens.
        token_minutes: For how long a token is good.
        tracing: Whether requests are traced.
        receipt_days: How long a receipt is kept, in the table and in the archive.
        log_days: How long logs are kept.
        log_protection: Whether they are searched for personal data as they come.
        receipts_seldom_read: Whether their table is of the class for infrequent access.
    """

    scorer_memory_mb: int
    warm: float
    keys: int
    secrets: int
    metrics: int
    alarms: int
    composite_alarms: int
    dashboards: int
    firewall_rules: int
    clients: int
    token_minutes: int
    tracing: bool
    receipt_days: int
    log_days: int
    log_protection: bool
    receipts_seldom_read: bool


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a month brings.

    Attributes:
        decisions: A month.
        duration_seconds: Of a decision, as Lambda bills it.
        views: Feature views that a decision reads.
        applicants: Entities in the online store, with a row in each view.
        updates: Rows that a month's materializations write.
        pipeline_gb_seconds: Of the functions of materializations, retrainings and checks.
        transitions: Of their state machines.
        scanned_tb: By the queries of retrainings.
    """

    decisions: float
    duration_seconds: float
    views: int = 2
    applicants: int = 0
    updates: int = 0
    pipeline_gb_seconds: float = 100_000
    transitions: float = 20_000
    scanned_tb: float = 0.05


@dataclass(frozen=True)
class CostLine:
    """One line of the estimate: what is charged, by what, in dollars a month."""

    name: str
    because: str
    dollars: float


def costs(shape: StageShape, use: Use, prices: Prices = US_EAST_1) -> list[CostLine]:
    """Return the lines of a month's bill, after so many months that what is kept stays the same."""
    gb = shape.scorer_memory_mb / 1_024
    millions = use.decisions / 1e6
    kept_receipts_gb = use.decisions / 30.4 * shape.receipt_days * RECEIPT_GB
    features_gb = use.applicants * use.views * FEATURE_GB
    table_gb = kept_receipts_gb * (1 + RECEIPT_OVERHEAD_GB / RECEIPT_GB)
    logs_gb = use.decisions * LOG_GB_A_DECISION
    logs_dollars = prices.log_gb
    if shape.log_protection:
        logs_dollars += prices.log_gb_searched_for_personal_data
    feature_reads = use.decisions * READ_UNITS_AN_ITEM * use.views
    receipt_reads = use.decisions * READ_UNITS_AN_ITEM
    receipt_writes = use.decisions * RECEIPT_WRITE_UNITS
    write_dollars, read_dollars, table_dollars = (
        (
            prices.dynamodb_seldom_read_million_writes,
            prices.dynamodb_seldom_read_million_reads,
            prices.dynamodb_seldom_read_gb_month,
        )
        if shape.receipts_seldom_read
        else (
            prices.dynamodb_million_writes,
            prices.dynamodb_million_reads,
            prices.dynamodb_gb_month,
        )
    )
    archived = use.decisions / ARCHIVE_BATCH * ARCHIVE_SECONDS * 2
    monitored = use.decisions * MONITORING_SECONDS * MONITORING_GB
    per_second = use.decisions / SECONDS_A_MONTH
    traces = (
        min(per_second, SAMPLED_TRACES_PER_SECOND)
        + SAMPLED_SHARE * max(0.0, per_second - SAMPLED_TRACES_PER_SECOND)
    ) * SECONDS_A_MONTH
    tokens = shape.clients * HOURS_A_MONTH * 60 / shape.token_minutes
    lines = [
        CostLine(
            "Lambda, kept warm",
            f"{shape.warm:g} environments of {gb:.2f} GB",
            shape.warm * gb * SECONDS_A_MONTH * prices.lambda_warm_gb_second,
        ),
        CostLine(
            "Lambda, decisions",
            f"{millions:g} million of {1e3 * use.duration_seconds:g} ms",
            millions * prices.lambda_million_requests
            + use.decisions * use.duration_seconds * gb * prices.lambda_gb_second_where_warm,
        ),
        CostLine(
            "Lambda, archive and pipelines",
            f"{archived + monitored + use.pipeline_gb_seconds:,.0f} GB-s",
            (archived + monitored + use.pipeline_gb_seconds) * prices.lambda_gb_second
            + use.decisions / ARCHIVE_BATCH / 1e6 * prices.lambda_million_requests,
        ),
        CostLine(
            "API Gateway", f"{millions:g} million requests", millions * prices.api_million_requests
        ),
        CostLine(
            "DynamoDB, requests",
            f"{receipt_writes + use.updates:,.0f} writes, "
            f"{feature_reads + receipt_reads:,.0f} reads",
            receipt_writes / 1e6 * write_dollars
            + receipt_reads / 1e6 * read_dollars
            + use.updates / 1e6 * prices.dynamodb_million_writes
            + feature_reads / 1e6 * prices.dynamodb_million_reads,
        ),
        CostLine(
            "DynamoDB, storage",
            f"{table_gb + features_gb:.1f} GB after {shape.receipt_days} days, recovery included",
            table_gb * table_dollars
            + features_gb * prices.dynamodb_gb_month
            + (table_gb + features_gb) * prices.dynamodb_recovery_gb_month,
        ),
        CostLine(
            "S3",
            f"{kept_receipts_gb:.1f} GB of receipts, an object each",
            kept_receipts_gb * prices.s3_gb_month
            # Written once, and read once by the daily monitoring.
            + use.decisions / 1e3 * (prices.s3_thousand_writes + prices.s3_thousand_reads),
        ),
        CostLine(
            "Logs",
            f"{logs_gb:.1f} GB a month, kept for {shape.log_days} days",
            logs_gb * logs_dollars + logs_gb * shape.log_days / 30.4 * prices.log_gb_month,
        ),
        CostLine(
            "Metrics, alarms, dashboard",
            f"{shape.metrics} metrics, {shape.alarms} alarms",
            shape.metrics * prices.metric_month
            + shape.alarms * prices.alarm_month
            + shape.composite_alarms * prices.composite_alarm_month
            + shape.dashboards * prices.dashboard_month,
        ),
        CostLine(
            "Keys and secrets",
            f"{shape.keys} keys, {shape.secrets} secret(s)",
            shape.keys * prices.kms_key_month
            + shape.secrets * prices.secret_month
            # A bucket key and a table key are asked for anew every five minutes.
            + SECONDS_A_MONTH / 300 * 10 / 1e4 * prices.kms_ten_thousand_requests,
        ),
        CostLine(
            "Cognito",
            f"{shape.clients} clients, {tokens:,.0f} tokens",
            shape.clients * prices.client_month + tokens / 1e3 * prices.token_thousand,
        ),
        CostLine(
            "Step Functions and Athena",
            f"{use.transitions:,.0f} transitions",
            use.transitions / 1e3 * prices.state_transition_thousand
            + use.scanned_tb * prices.athena_tb,
        ),
    ]
    if shape.firewall_rules:
        lines.append(
            CostLine(
                "Firewall",
                f"{shape.firewall_rules} rules",
                prices.firewall_month
                + shape.firewall_rules * prices.firewall_rule_month
                + millions * prices.firewall_million_requests,
            )
        )
    if shape.tracing:
        lines.append(
            CostLine("Traces", f"{traces:,.0f} sampled", traces / 1e6 * prices.trace_million)
        )
    return lines


def total(lines: Iterable[CostLine]) -> float:
    """Return the dollars of all lines, in whole cents."""
    return round(sum(line.dollars for line in lines), 2)


DEV = StageShape(
    scorer_memory_mb=1_769,
    warm=1,
    keys=3,
    secrets=1,
    # No drift of each input.
    metrics=45,
    alarms=77,
    composite_alarms=1,
    dashboards=1,
    firewall_rules=6,
    clients=3,
    token_minutes=60,
    tracing=True,
    receipt_days=30,
    log_days=30,
    log_protection=True,
    receipts_seldom_read=False,
)
PROD = StageShape(
    scorer_memory_mb=1_769,
    # 10 for 70 of a week's 168 hours, 5 for the others.
    warm=7.1,
    keys=3,
    secrets=1,
    metrics=70,
    alarms=77,
    composite_alarms=1,
    dashboards=1,
    firewall_rules=6,
    clients=3,
    token_minutes=60,
    tracing=True,
    receipt_days=3 * 365,
    log_days=365,
    log_protection=True,
    receipts_seldom_read=True,
)
SHAPES: Mapping[str, StageShape] = {"dev": DEV, "prod": PROD}
"""As ``cdk_app/stages.py`` has them; a test compares."""
