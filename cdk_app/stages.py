"""Stages: every literal that differs between deployments, and nowhere else an ``if stage``.

A stage names no account and no region: the command line's credentials say where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aws_cdk import RemovalPolicy
from aws_cdk.aws_logs import RetentionDays

from layers.build import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class FunctionSize:
    """Memory in MB (1,769 MB buy one virtual CPU), and the time after which Lambda gives up."""

    memory_mb: int
    timeout_seconds: int


@dataclass(frozen=True, kw_only=True)
class CapacityChange:
    """From an hour (UTC) of these days on, keep at least ``minimum`` warm.

    Never 0: then a deployment could not warm the new version, and would fail.
    """

    name: str
    hour: str
    week_day: str
    minimum: int


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Provisioned concurrency follows its utilization, between two bounds.

    ``target_utilization`` is the share of warm environments that may be busy.
    """

    maximum: int
    target_utilization: float
    schedule: tuple[CapacityChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Throttle:
    """What the API accepts from all clients together; the rest is answered 429."""

    requests_per_second: int
    burst: int


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How a batch is decided.

    ``threads`` applications at once, each within ``deadline_ms``; none begins after
    ``batch_seconds``. API Gateway waits for 29 s. ``throttle`` is in batches, of up to 100.
    """

    threads: int
    deadline_ms: int
    batch_seconds: float
    throttle: Throttle


@dataclass(frozen=True, kw_only=True)
class Firewall:
    """Limits of the web application firewall in front of the API.

    ``body_bytes`` is for every call but a batch.
    """

    requests_per_address_in_five_minutes: int
    body_bytes: int


@dataclass(frozen=True, kw_only=True)
class Patience:
    """When a measurement becomes a page: ``breaching`` of the last ``periods`` were over.

    CloudWatch calls a p99 over fewer than 1,000 samples a "low sample". With
    ``evaluate_low_samples`` it counts all the same: a lender with ten applications a minute wants
    to know, and ``breaching`` keeps one slow request from waking anybody. Without it, small
    traffic never pages.
    """

    period_seconds: int
    periods: int
    breaching: int
    evaluate_low_samples: bool


@dataclass(frozen=True, kw_only=True)
class Materialization:
    """How widely the materialization fans out, and what it tolerates before it fails.

    Files are cut between row groups, and a long row group between rows, into parts of about
    ``split_bytes`` and at most ``split_rows``: each row takes a worker some 0.2 ms. A sweep looks
    back ``sweep_overlap_hours`` further than the last successful one. Shares are of rows read and
    of files planned; 0 tolerates none.
    """

    parts_at_once: int
    split_bytes: int
    split_rows: int
    sweep_schedule: str
    sweep_overlap_hours: float
    run_hours: int
    rejected_rows_share: float
    failed_files_share: float


@dataclass(frozen=True, kw_only=True)
class Push:
    """How pushed rows are taken in.

    A message is given up after ``attempts``. It is late, and somebody is told, when it has waited
    for ``late_after_seconds``; each attempt after the first is made when the queue shows the
    message again, six timeouts of the function later.
    """

    functions_at_once: int
    attempts: int
    late_after_seconds: int


@dataclass(frozen=True, kw_only=True)
class Archiving:
    """How records of decisions reach the archive.

    A batch that fails is tried again ``retries`` times or until its oldest record is of that age;
    then it is given up, which pages, and the stream goes on. It pages too when the stream is
    ``late_after_seconds`` behind.
    """

    records_a_batch: int
    wait_seconds: int
    retries: int
    record_age_seconds: int
    late_after_seconds: int


@dataclass(frozen=True, kw_only=True)
class ModelComparison:
    """When champion and challenger are compared, over how many days, by how many decisions."""

    schedule: str
    days: int
    most_decisions: int


@dataclass(frozen=True, kw_only=True)
class SkewCheck:
    """When what was served is compared with the lake, by how many decisions of a day.

    It pages when more than ``most_share`` of a view's rows differ. What was delivered within
    ``settling_minutes`` before a decision may have been in the online store or not.
    """

    schedule: str
    most_decisions: int
    settling_minutes: float
    most_share: float


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How often the age of features is measured, and at which share of their ttl it pages."""

    every_minutes: int
    share_of_ttl: float


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """When a retraining starts by itself, and its limits.

    ``run_hours`` is the longest that one may take, its rollout and the approval of it included.
    """

    schedule: str
    candidates_at_once: int
    run_hours: int
    query_timeout_seconds: int
    query_poll_seconds: int
    query_scanned_bytes: int


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a model comes to answer: in shadow, then each share in turn, then as champion.

    While it does each for its time, one of the ``alarms`` stops it and takes it back; they are
    looked at every ``poll_seconds``. Where ``approval_hours`` is set, a person has to approve it
    within that time before it answers anybody.
    """

    shadow_seconds: int
    shares: tuple[float, ...]
    share_seconds: int
    watch_seconds: int
    poll_seconds: int
    approval_hours: int | None
    alarms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One deployment of the whole service.

    ``provisioned_concurrency`` is fixed where ``scaling`` is None, and the floor where it is not.
    ``latency_budget_ms`` is the p99 that clients are promised. ``open_throttle`` is for what needs
    no token, each method by itself. Names of resources begin with
    ``prefix``, see ``serving``.
    """

    name: str
    prefix: str = "credit"
    layer_platform: Platform
    scorer: FunctionSize
    records: FunctionSize
    batch: FunctionSize
    planner: FunctionSize
    materializer: FunctionSize
    reconciler: FunctionSize
    pusher: FunctionSize
    freshness_meter: FunctionSize
    archiver: FunctionSize
    comparer: FunctionSize
    served_set: FunctionSize
    skew: FunctionSize
    trainer: FunctionSize
    promoter: FunctionSize
    provisioned_concurrency: int
    scaling: Scaling | None
    throttle: Throttle
    open_throttle: Throttle
    batching: Batching
    firewall: Firewall | None
    latency_budget_ms: int
    scorer_deadline_ms: int
    patience: Patience
    materialization: Materialization
    push: Push
    freshness: Freshness
    archiving: Archiving
    comparison: ModelComparison
    skew_check: SkewCheck
    retraining: Retraining
    rollout: Rollout
    tracing: bool
    token_validity_minutes: int
    log_retention: RetentionDays
    access_log_days: int
    results_days: int
    receipt_days: int
    old_versions_days: int
    removal: RemovalPolicy
    deletion_protection: bool
    point_in_time_recovery: bool

    def serving(self, product: str) -> Stage:
        """Return this stage for a product, with names that no other product's stacks have."""
        return replace(self, prefix=f"credit-{self.name}-{product.replace('_', '-')}")


RECORDS = FunctionSize(memory_mb=1_024, timeout_seconds=20)
# API Gateway waits for 29 s; one application that began at the last moment has time to end.
BATCH = FunctionSize(memory_mb=1_769, timeout_seconds=28)
# Nobody waits for a single application of a batch: it has time for one more try than in the scorer.
# Two batches a second are 1,200 of the 4,000 write units that a new on-demand table takes.
BATCHING = Batching(
    threads=8,
    deadline_ms=1_000,
    batch_seconds=20.0,
    throttle=Throttle(requests_per_second=2, burst=4),
)
OPEN_THROTTLE = Throttle(requests_per_second=5, burst=10)
PROMOTER = FunctionSize(memory_mb=1_024, timeout_seconds=60)
# A run of 200,000 parts with room to spare: its plan takes 0.15 GB, beside boto3 and DuckDB, and
# its tallies 1.6 ms of a processor each, five minutes. A million would take longer than there is.
PLANNER = RECONCILER = FunctionSize(memory_mb=2_048, timeout_seconds=900)
# A row of the near future is waited for, up to two minutes.
PUSHER = FunctionSize(memory_mb=1_024, timeout_seconds=180)
FRESHNESS_METER = FunctionSize(memory_mb=512, timeout_seconds=60)
# A sound bureau sends more each day; at four fifths of the ttl there are days left to ask it why.
FRESHNESS = Freshness(every_minutes=5, share_of_ttl=0.8)

# A batch takes a second or two; a redrive reads the whole table of decisions.
ARCHIVER = FunctionSize(memory_mb=2_048, timeout_seconds=900)
# Time for an outage of S3 to pass by itself; meanwhile nobody waits for the archive.
ARCHIVING = Archiving(
    records_a_batch=100,
    wait_seconds=5,
    retries=100,
    record_age_seconds=6 * 3_600,
    late_after_seconds=900,
)

# Of the challenger and of the champion: what one of them does to the answers. Names as the pager's.
ROLLOUT_ALARMS = (
    *("ApiServerErrors", "ChallengerFailures", "ModelLoadFailure"),
    *("ScorerErrors", "ScorerLatency"),
)

# 100,000 receipts, at some 300 a second, take six minutes; their numbers take little memory.
EVIDENCE = FunctionSize(memory_mb=2_048, timeout_seconds=900)
COMPARISON = ModelComparison(schedule="cron(0 5 ? * MON *)", days=400, most_decisions=100_000)
# It reads the files of two ttls, as many as a materialization of that time did.
SKEW = FunctionSize(memory_mb=3_008, timeout_seconds=900)
SKEW_CHECK = SkewCheck(
    schedule="cron(0 3 * * ? *)", most_decisions=2_000, settling_minutes=60, most_share=0.001
)

# A file bears the time when its upload began. The lake gives up on unfinished ones after a day, by
# which S3 means the midnight (UTC) after it, and from then on in its own time: a day for each.
UPLOAD_HOURS = 72.0

LOCAL = Stage(
    name="local",
    layer_platform=Platform.HOST,
    # Nothing is charged for memory here, and a worker that starts cold unzips its layers first.
    scorer=FunctionSize(memory_mb=1_769, timeout_seconds=28),
    records=RECORDS,
    batch=BATCH,
    planner=PLANNER,
    materializer=FunctionSize(memory_mb=2_048, timeout_seconds=300),
    reconciler=RECONCILER,
    pusher=PUSHER,
    freshness_meter=FRESHNESS_METER,
    archiver=ARCHIVER,
    comparer=EVIDENCE,
    served_set=EVIDENCE,
    skew=SKEW,
    trainer=FunctionSize(memory_mb=4_096, timeout_seconds=900),
    promoter=PROMOTER,
    provisioned_concurrency=1,
    # The local cloud has no Application Auto Scaling.
    scaling=None,
    throttle=Throttle(requests_per_second=1_000, burst=2_000),
    open_throttle=OPEN_THROTTLE,
    # The emulator is no DynamoDB, see scorer_deadline_ms.
    batching=replace(BATCHING, threads=4, deadline_ms=5_000),
    firewall=None,
    latency_budget_ms=100,
    # The emulator is no DynamoDB: under load it takes longer than a deadline would allow.
    scorer_deadline_ms=5_000,
    patience=Patience(period_seconds=60, periods=1, breaching=1, evaluate_low_samples=True),
    # Each local worker is a process that unzips its layers anew: few are faster than many.
    materialization=Materialization(
        parts_at_once=2,
        split_bytes=16 * 2**20,
        split_rows=2**20,
        sweep_schedule="rate(1 hour)",
        sweep_overlap_hours=0.1,
        run_hours=1,
        rejected_rows_share=0.01,
        failed_files_share=0.0,
    ),
    push=Push(functions_at_once=2, attempts=5, late_after_seconds=1_500),
    freshness=FRESHNESS,
    # The local cloud counts no retries, and gives up by age alone: in the least that AWS allows.
    archiving=replace(ARCHIVING, wait_seconds=0, record_age_seconds=60),
    comparison=replace(COMPARISON, days=7, most_decisions=20_000),
    # A deployment here is loaded minutes before it decides.
    skew_check=replace(SKEW_CHECK, settling_minutes=1),
    retraining=Retraining(
        schedule="rate(7 days)",
        # Each local worker unzips the trainer's layers anew, on few cores.
        candidates_at_once=2,
        run_hours=2,
        query_timeout_seconds=300,
        query_poll_seconds=1,
        query_scanned_bytes=10 * 2**30,
    ),
    rollout=Rollout(
        shadow_seconds=3,
        shares=(0.2, 0.5),
        share_seconds=3,
        watch_seconds=3,
        poll_seconds=1,
        approval_hours=None,
        # The local cloud looks at no metric's dimensions: any function's failure would ring the
        # others.
        alarms=("ChallengerFailures", "ModelLoadFailure"),
    ),
    tracing=False,
    token_validity_minutes=60,
    log_retention=RetentionDays.ONE_WEEK,
    access_log_days=7,
    results_days=7,
    receipt_days=7,
    old_versions_days=7,
    removal=RemovalPolicy.DESTROY,
    deletion_protection=False,
    point_in_time_recovery=True,
)

DEV = Stage(
    name="dev",
    layer_platform=Platform.LAMBDA,
    scorer=FunctionSize(memory_mb=1_769, timeout_seconds=5),
    records=RECORDS,
    batch=BATCH,
    planner=PLANNER,
    materializer=FunctionSize(memory_mb=2_048, timeout_seconds=600),
    reconciler=RECONCILER,
    pusher=PUSHER,
    freshness_meter=FRESHNESS_METER,
    archiver=ARCHIVER,
    comparer=EVIDENCE,
    served_set=EVIDENCE,
    skew=SKEW,
    trainer=FunctionSize(memory_mb=8_192, timeout_seconds=900),
    promoter=PROMOTER,
    provisioned_concurrency=1,
    scaling=Scaling(maximum=5, target_utilization=0.7),
    throttle=Throttle(requests_per_second=20, burst=40),
    open_throttle=OPEN_THROTTLE,
    batching=BATCHING,
    firewall=None,
    latency_budget_ms=100,
    scorer_deadline_ms=80,
    patience=Patience(period_seconds=60, periods=5, breaching=3, evaluate_low_samples=True),
    materialization=Materialization(
        parts_at_once=10,
        split_bytes=16 * 2**20,
        split_rows=2**20,
        sweep_schedule="rate(6 hours)",
        sweep_overlap_hours=UPLOAD_HOURS,
        run_hours=24,
        rejected_rows_share=0.01,
        failed_files_share=0.0,
    ),
    push=Push(functions_at_once=5, attempts=5, late_after_seconds=1_500),
    freshness=FRESHNESS,
    archiving=ARCHIVING,
    comparison=COMPARISON,
    skew_check=SKEW_CHECK,
    retraining=Retraining(
        schedule="cron(0 4 ? * SUN *)",
        candidates_at_once=4,
        run_hours=3 * 24,
        query_timeout_seconds=900,
        query_poll_seconds=3,
        query_scanned_bytes=50 * 2**30,
    ),
    rollout=Rollout(
        shadow_seconds=900,
        shares=(0.1, 0.5),
        share_seconds=900,
        watch_seconds=900,
        poll_seconds=30,
        approval_hours=None,
        alarms=ROLLOUT_ALARMS,
    ),
    tracing=True,
    token_validity_minutes=60,
    log_retention=RetentionDays.ONE_MONTH,
    access_log_days=30,
    results_days=30,
    receipt_days=30,
    old_versions_days=30,
    removal=RemovalPolicy.DESTROY,
    deletion_protection=False,
    point_in_time_recovery=True,
)

PROD = Stage(
    name="prod",
    layer_platform=Platform.LAMBDA,
    scorer=FunctionSize(memory_mb=1_769, timeout_seconds=5),
    records=RECORDS,
    batch=BATCH,
    planner=PLANNER,
    materializer=FunctionSize(memory_mb=3_008, timeout_seconds=900),
    reconciler=RECONCILER,
    pusher=PUSHER,
    freshness_meter=FRESHNESS_METER,
    archiver=ARCHIVER,
    comparer=EVIDENCE,
    served_set=EVIDENCE,
    skew=SKEW,
    trainer=FunctionSize(memory_mb=8_192, timeout_seconds=900),
    promoter=PROMOTER,
    provisioned_concurrency=5,
    scaling=Scaling(
        maximum=50,
        # A free environment must be there for each sudden request: half may be busy.
        target_utilization=0.5,
        schedule=(
            CapacityChange(name="BeforeOpening", hour="6", week_day="MON-FRI", minimum=10),
            CapacityChange(name="AfterClosing", hour="20", week_day="MON-FRI", minimum=5),
        ),
    ),
    throttle=Throttle(requests_per_second=200, burst=400),
    open_throttle=OPEN_THROTTLE,
    batching=BATCHING,
    firewall=Firewall(requests_per_address_in_five_minutes=30_000, body_bytes=16_384),
    latency_budget_ms=100,
    scorer_deadline_ms=80,
    patience=Patience(period_seconds=60, periods=5, breaching=3, evaluate_low_samples=True),
    materialization=Materialization(
        parts_at_once=40,
        split_bytes=16 * 2**20,
        split_rows=2**20,
        sweep_schedule="rate(6 hours)",
        sweep_overlap_hours=UPLOAD_HOURS,
        run_hours=24,
        rejected_rows_share=0.001,
        failed_files_share=0.0,
    ),
    push=Push(functions_at_once=10, attempts=5, late_after_seconds=1_500),
    freshness=FRESHNESS,
    archiving=ARCHIVING,
    comparison=COMPARISON,
    skew_check=SKEW_CHECK,
    retraining=Retraining(
        schedule="cron(0 4 ? * SUN *)",
        candidates_at_once=4,
        run_hours=14 * 24,
        query_timeout_seconds=1_800,
        query_poll_seconds=5,
        query_scanned_bytes=1_000 * 2**30,
    ),
    rollout=Rollout(
        # Each covers the hours of a day at which applicants differ.
        shadow_seconds=24 * 3_600,
        shares=(0.05, 0.25, 0.5),
        share_seconds=24 * 3_600,
        watch_seconds=24 * 3_600,
        poll_seconds=300,
        approval_hours=7 * 24,
        alarms=ROLLOUT_ALARMS,
    ),
    tracing=True,
    token_validity_minutes=60,
    log_retention=RetentionDays.ONE_YEAR,
    access_log_days=365,
    results_days=90,
    # 25 months from the day on which an applicant was told, which may come long after the decision,
    # and with room for disputes. Source: 12 CFR 1002.12(b) (Regulation B).
    receipt_days=3 * 365,
    old_versions_days=365,
    removal=RemovalPolicy.RETAIN,
    deletion_protection=True,
    point_in_time_recovery=True,
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (LOCAL, DEV, PROD)}
