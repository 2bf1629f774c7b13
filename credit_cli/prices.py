"""AWS's list prices that a deployment is charged by, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Of one region, without free tiers, discounts and taxes; a month has 730 hours.

    Source: the services' pricing pages, "US East (N. Virginia)", read in November 2025. Compare
    them before a budget is made of this: AWS changes them, and other regions have others.
    """

    api_million_requests: float = 3.50
    lambda_million_requests: float = 0.20
    lambda_gb_second: float = 0.0000166667
    lambda_warm_gb_second: float = 0.0000041667
    lambda_gb_second_where_warm: float = 0.0000097222
    dynamodb_million_writes: float = 0.625
    dynamodb_million_reads: float = 0.125
    dynamodb_seldom_read_million_writes: float = 0.78
    dynamodb_seldom_read_million_reads: float = 0.155
    dynamodb_gb_month: float = 0.25
    dynamodb_seldom_read_gb_month: float = 0.10
    dynamodb_recovery_gb_month: float = 0.20
    s3_gb_month: float = 0.023
    s3_thousand_writes: float = 0.005
    s3_thousand_reads: float = 0.0004
    kms_key_month: float = 1.00
    kms_ten_thousand_requests: float = 0.03
    secret_month: float = 0.40
    metric_month: float = 0.30
    alarm_month: float = 0.10
    composite_alarm_month: float = 0.50
    dashboard_month: float = 3.00
    log_gb: float = 0.50
    log_gb_searched_for_personal_data: float = 0.12
    log_gb_month: float = 0.03
    trace_million: float = 5.00
    firewall_month: float = 5.00
    firewall_rule_month: float = 1.00
    firewall_million_requests: float = 0.60
    state_transition_thousand: float = 0.025
    athena_tb: float = 5.00
    client_month: float = 6.00
    token_thousand: float = 2.25


US_EAST_1 = Prices()
HOURS_A_MONTH = 730
SECONDS_A_MONTH = HOURS_A_MONTH * 3_600
