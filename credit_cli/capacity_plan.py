"""From requests per second and their duration to the numbers to set in a stage."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

LAMBDA_ACCOUNT_CONCURRENCY = 1_000
"""Environments at once that a region of an account usually has; new accounts begin with 10.

Source: AWS Lambda Developer Guide, "Lambda quotas".
"""

LAMBDA_UNRESERVED = 100
"""What Lambda keeps for functions that reserve nothing.

Source: AWS Lambda Developer Guide, "Configuring reserved concurrency for a function".
"""

API_REQUESTS_PER_SECOND = 10_000
"""Of all APIs of an account's region. Source: Amazon API Gateway quotas."""

TABLE_WRITES, TABLE_READS = 4_000, 12_000
"""Units per second that a new on-demand table takes at once; it doubles its peak in 30 minutes.

Source: Amazon DynamoDB Developer Guide, "On-demand capacity mode".
"""

REQUESTS_AN_ENVIRONMENT = 10
"""A second, of what is warm and of what is reserved, however short a request is; beyond it a
request starts cold, or is turned away.

Source: AWS Lambda Developer Guide, "Understanding function scaling", on requests per second.
"""

RECEIPT_WRITE_UNITS = 7
"""Of 1 KB each: a receipt has 5.6 KB, see docs/benchmarks-decisions.md, and its entry in the index
by applicant takes one more."""

READ_UNITS_AN_ITEM = 0.5
"""Of up to 4 KB, read eventually consistent."""

LARGEST_TARGET = 0.7
"""Of warm environments in use: what a minute's average hides fits into the rest."""

RETRIES = 2.0
"""How much more than the peak the API lets through: each request sent twice."""

VERSIONS_AT_ONCE = 2
"""While a canary runs, the version before is as warm as the new one."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is expected.

    Args:
        requests_per_second: Applications at the peak, one by one.
        duration_seconds: Of a decision, from the first to the last byte: its mean.
        deadline_seconds: The longest that a decision waits for its stores.
        cold_share: Of requests at the peak that may meet no warm environment.
        views: Feature views that a decision reads.
    """

    requests_per_second: float
    duration_seconds: float
    deadline_seconds: float = 0.08
    cold_share: float = 0.001
    views: int = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The numbers to set, by the names that they have in ``cdk_app/stages.py``.

    ``busy`` environments there are on average at the peak; ``cold_share`` of its requests meet
    none that is warm and free. ``account_concurrency`` is what the account's region has to allow.
    """

    busy: float
    provisioned_concurrency: int
    cold_share: float
    target_utilization: float
    maximum: int
    reserved: int
    throttle_requests_per_second: int
    throttle_burst: int
    read_units_per_second: float
    write_units_per_second: float
    account_concurrency: int
    remarks: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return the JSON object in which it is printed."""
        return {**asdict(self), "remarks": list(self.remarks)}


def busy_environments(requests_per_second: float, duration_seconds: float) -> float:
    """Return how many environments are busy on average.

    Source: Little, "A Proof for the Queuing Formula L = λW", Operations Research 9 (1961).

    >>> busy_environments(50, 0.02)
    1.0
    """
    return requests_per_second * duration_seconds


def share_without_a_free_one(environments: int, busy: float) -> float:
    """Return the share of requests that find all warm environments busy, and start a cold one.

    Requests are taken to come by chance, and not to wait: Lambda sends them elsewhere at once.

    Args:
        environments: That are warm.
        busy: How many would be on average if there were always one more.

    Source: Erlang's loss formula B(c, a), by its recursion; Erlang (1917), "Solution of some
    Problems in the Theory of Probabilities of Significance in Automatic Telephone Exchanges".

    >>> round(share_without_a_free_one(2, 1.0), 3)
    0.2
    """
    share = 1.0
    for number in range(1, environments + 1):
        share = busy * share / (number + busy * share)
    return share


def warm_environments(busy: float, *, cold_share: float) -> int:
    """Return the least number of warm environments of which one is free for almost everybody.

    >>> warm_environments(1.0, cold_share=0.001)
    6
    """
    environments = 1
    while share_without_a_free_one(environments, busy) > cold_share:
        environments += 1
    return environments


def plan(load: Load) -> Plan:
    """Return the numbers for a load."""
    busy = busy_environments(load.requests_per_second, load.duration_seconds)
    often = math.ceil(load.requests_per_second / REQUESTS_AN_ENVIRONMENT)
    warm = max(warm_environments(busy, cold_share=load.cold_share), often)
    target = math.floor(100 * min(LARGEST_TARGET, max(busy / warm, 0.1))) / 100
    slow = busy_environments(load.requests_per_second, load.deadline_seconds)
    maximum = max(warm, warm_environments(slow, cold_share=load.cold_share))
    # Beside what is warm, what starts cold when all of it is slow.
    reserved = VERSIONS_AT_ONCE * maximum + math.ceil(slow)
    throttle = math.ceil(RETRIES * load.requests_per_second)
    reads = load.requests_per_second * READ_UNITS_AN_ITEM * (load.views + 1)
    writes = load.requests_per_second * RECEIPT_WRITE_UNITS
    return Plan(
        busy=round(busy, 3),
        provisioned_concurrency=warm,
        cold_share=share_without_a_free_one(warm, busy),
        target_utilization=target,
        maximum=maximum,
        reserved=reserved,
        throttle_requests_per_second=throttle,
        throttle_burst=2 * throttle,
        read_units_per_second=round(reads, 3),
        write_units_per_second=round(writes, 3),
        account_concurrency=reserved + LAMBDA_UNRESERVED,
        remarks=tuple(_remarks(reserved, throttle, reads, writes)),
    )


def _remarks(reserved: int, throttle: int, reads: float, writes: float) -> list[str]:
    """Return what has to be asked of AWS before."""
    remarks = []
    if reserved + LAMBDA_UNRESERVED > LAMBDA_ACCOUNT_CONCURRENCY:
        remarks.append(
            f"more than Lambda's usual {LAMBDA_ACCOUNT_CONCURRENCY:,} environments at once: ask "
            "for quota L-B99A9384"
        )
    if throttle > API_REQUESTS_PER_SECOND:
        remarks.append(
            f"more than API Gateway's usual {API_REQUESTS_PER_SECOND:,} requests a second: ask for "
            "quota L-8A5B8E43"
        )
    for what, units, limit in (("reads", reads, TABLE_READS), ("writes", writes, TABLE_WRITES)):
        if units > limit:
            remarks.append(
                f"more {what} than the {limit:,} units a second of a new table: warm it before "
                "(DynamoDB warm throughput), or let the load grow over hours"
            )
    return remarks
