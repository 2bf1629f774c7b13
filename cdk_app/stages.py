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
    """Memory in MB (1,769 MB buy one virtual CPU), and the time after which Lambda gives up.

    ``reserved`` environments are the function's alone: nobody else takes them from it, and it takes
    no more. Without, it shares with others of the account.
    """

    memory_mb: int
    timeout_seconds: int
    reserved: int | None = None


@dataclass(frozen=True, kw_only=True)
class CapacityChange:
    """From these hours (UTC) of these days on, keep at least ``minimum`` warm.

    Never 0: then a deployment could not warm the new version, and would fail. More than one hour,
    as in ``6-19``, brings a version back that was deployed in the meantime.
    """

    name: str
    hour: str
    week_day: str
    minimum: int


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Provisioned concurrency follows its utilization, between two bounds.

    ``target_utilization`` is the share of warm environments that may be busy. Each takes ten
    requests a second, however short they are: of 20 ms, at a fifth busy. A higher target would
    never be reached, and what is beyond the ten would start cold.
    """

    maximum: int
    target_utilization: float
    schedule: tuple[CapacityChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Canary:
    """How a new version of what answers takes over: a share of requests first, then all.

    ``percent`` of the requests go to it for ``minutes``; an alarm in that time takes them back.
    """

    percent: int
    minutes: int


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
    """When a measurement becomes an alarm: ``breaching`` of the last ``periods`` were over.

    CloudWatch calls a p99 over fewer than 1,000 samples a "low sample". With
    ``evaluate_low_samples`` it counts all the same: a lender with ten applications a minute wants
    to know. ``breaching``, and ``Alarms.slow`` where CloudWatch calculates, keep single slow
    requests from waking anybody. Without it, small traffic never rings.
    """

    period_seconds: int
    periods: int
    breaching: int
    evaluate_low_samples: bool


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share that rings when it is exceeded, once ``least`` of what is counted came together.

    ``least`` keeps one failure among three requests from being a rate of a third.
    """

    above: float
    least: int


@dataclass(frozen=True, kw_only=True)
class Few:
    """A share of what came within ``seconds``, for hours in which it is less than ``fewer_than``.

    Of one application an hour a short window never holds the least number, whatever happens.
    """

    share: Share
    seconds: int
    fewer_than: int


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """What kinds of alarms a stage's CloudWatch has, when they ring, and where their runbooks lie.

    Without ``composite`` each alarm that pages does so by itself; without ``metric_math`` a share
    rings at its least number, and a sum at its first part. Shares are of what came within
    ``share_seconds``: CloudWatch looks at such a window each minute, so that an outage rings as
    soon as the least number is reached; ``few`` is for hours in which it would not be.

    Attributes:
        errors: Of requests that got a fault instead of an answer.
        referrals: Of decisions left to a person for any reason; the policy itself leaves some.
        fault_referrals: Of decisions left to a person by a fault of this system; there should be
            none.
        challenger_failures: Of decisions for which a challenger was asked in vain.
        stale: Of decisions for which features were older than their ttl.
        missing: Of decisions for which features were not there; a lender's new customers have none.
        disagreement: Of shadow decisions whose outcome is not the champion's, in an hour.
        few: Of decisions that failed, or were left to a person by a fault, where few apply.
        slow: Requests above the latency budget in a minute; of fewer no p99 rings.
        throttles: Requests turned away within ``share_seconds`` that wake nobody.
        model_days: Since the champion was trained.
        candidate_days: Since any candidate was trained; two retrainings that did not come.
    """

    composite: bool = True
    metric_math: bool = True
    runbooks: str = "docs/runbooks"
    share_seconds: int = 300
    errors: Share = Share(above=0.01, least=3)
    referrals: Share = Share(above=0.6, least=20)
    fault_referrals: Share = Share(above=0.02, least=3)
    challenger_failures: Share = Share(above=0.01, least=3)
    stale: Share = Share(above=0.02, least=5)
    missing: Share = Share(above=0.25, least=20)
    disagreement: Share = Share(above=0.2, least=20)
    few: Few | None = Few(share=Share(above=0.2, least=2), seconds=10_800, fewer_than=180)
    slow: int = 3
    throttles: int = 3
    model_days: int = 180
    candidate_days: int = 15


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
    then it is given up, and the stream goes on; on-call is told. It is told too when the stream is
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

    On-call is told when more than ``most_share`` of a view's rows differ. What was delivered within
    ``settling_minutes`` before a decision may have been in the online store or not.
    """

    schedule: str
    most_decisions: int
    settling_minutes: float
    most_share: float


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """When a day's decisions are looked at, in which parts, and what on-call is told of.

    Nothing is judged of fewer than ``least_decisions``; where a day has fewer, the days before it
    are taken in. At 500, chance alone brings the stability index of ten bins to 0.04. The other
    limits are of such an index: of inputs and score against training, of outcomes and of reasons
    against the four weeks before. ``drift_per_feature`` gives each input a metric of its own, which
    AWS charges for one by one.
    """

    schedule: str
    decisions_a_part: int
    parts_at_once: int
    run_hours: int
    least_decisions: int
    most_drift: float
    most_outcome_shift: float
    most_reason_shift: float
    drift_per_feature: bool


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How often ages are measured, and at which share of a view's ttl on-call is told."""

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
class Evidence:
    """What a model has to have done before it goes a step up.

    In shadow it has come to an outcome ``least_compared`` times, as the champion did; with a share
    it has answered ``least_answered`` applicants. 0 asks for none. Where it lacks some, or an alarm
    rings that it did not cause, it is looked at again every ``again_seconds``, for
    ``patience_seconds`` longer than the step takes; then it is taken back.
    """

    least_compared: int
    least_answered: int
    again_seconds: int
    patience_seconds: int

    @property
    def counts(self) -> bool:
        """Whether decisions are counted at all."""
        return self.least_compared > 0 or self.least_answered > 0


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a model comes to answer: in shadow, then each share in turn, then as champion.

    It does each for its time; as champion it is watched for ``watch_seconds``. One of the
    ``alarms`` takes it back at once when it answers anybody, and one of ``shadow_alarms`` while it
    is only listened to. Where ``approval_hours`` is set, a person has to approve it within that
    time before it answers anybody.
    """

    shadow_seconds: int
    shares: tuple[float, ...]
    share_seconds: int
    watch_seconds: int
    evidence: Evidence
    approval_hours: int | None
    alarms: tuple[str, ...]
    shadow_alarms: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One deployment of the whole service.

    ``provisioned_concurrency`` is fixed where ``scaling`` is None, and the floor where it is not.
    Without a ``canary`` a new version answers everybody at once.
    ``latency_budget_ms`` is the p99 that clients are promised. ``open_throttle`` is for what needs
    no token, each method by itself. Names of resources begin with ``prefix``, see ``serving``.

    Where state goes with its stack, an ``emptier`` empties the buckets before, and a key's deletion
    is pending for ``key_pending_days``. ``api_logging_removal`` is of the account's one role for
    logs of APIs: where others share the account, it stays. ``saved_queries`` says whether
    CloudFormation can save queries of the logs, ``log_protection`` whether CloudWatch masks
    personal data in them. A receipt is kept for ``receipt_days``, an erased applicant's for
    ``receipt_duty_days``; where ``receipts_locked``, nobody can remove one before these are over.
    Where ``receipts_seldom_read``, their table is of the class that costs less to keep and a
    quarter more to write, which pays where they are kept for longer than six weeks.
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
    eraser: FunctionSize
    comparer: FunctionSize
    served_set: FunctionSize
    skew: FunctionSize
    monitor: FunctionSize
    trainer: FunctionSize
    promoter: FunctionSize
    emptier: FunctionSize | None
    approver: FunctionSize
    guard: FunctionSize
    rehearsal: FunctionSize
    provisioned_concurrency: int
    scaling: Scaling | None
    canary: Canary | None
    throttle: Throttle
    open_throttle: Throttle
    batching: Batching
    firewall: Firewall | None
    latency_budget_ms: int
    scorer_deadline_ms: int
    patience: Patience
    alarms: Alarms
    materialization: Materialization
    push: Push
    freshness: Freshness
    archiving: Archiving
    comparison: ModelComparison
    skew_check: SkewCheck
    monitoring: Monitoring
    retraining: Retraining
    rollout: Rollout
    tracing: bool
    token_validity_minutes: int
    log_retention: RetentionDays
    log_protection: bool
    access_log_days: int
    results_days: int
    receipt_days: int
    receipt_duty_days: int
    receipts_locked: bool
    receipts_seldom_read: bool
    old_versions_days: int
    removal: RemovalPolicy
    key_pending_days: int
    api_logging_removal: RemovalPolicy
    saved_queries: bool
    deletion_protection: bool
    point_in_time_recovery: bool

    def serving(self, product: str) -> Stage:
        """Return this stage for a product, with names that no other product's stacks have."""
        return replace(self, prefix=f"credit-{self.name}-{product.replace('_', '-')}")


RECORDS = FunctionSize(memory_mb=1_024, timeout_seconds=20)
# Some forty calls, one after the other, each of which may take as long as a function may.
REHEARSAL = FunctionSize(memory_mb=1_024, timeout_seconds=600)
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
APPROVER = FunctionSize(memory_mb=512, timeout_seconds=30)
# It waits for the promoter.
GUARD = FunctionSize(memory_mb=1_024, timeout_seconds=120)
# Some three million objects fit into its time; of more, the next deletion removes the rest.
EMPTIER = FunctionSize(memory_mb=1_024, timeout_seconds=900)
# A run of 200,000 parts with room to spare: its plan takes 0.15 GB, beside boto3 and DuckDB, and
# its tallies 1.6 ms of a processor each, five minutes. A million would take longer than there is.
PLANNER = RECONCILER = FunctionSize(memory_mb=2_048, timeout_seconds=900)
# A row of the near future is waited for, up to two minutes.
PUSHER = FunctionSize(memory_mb=1_024, timeout_seconds=180)
FRESHNESS_METER = FunctionSize(memory_mb=512, timeout_seconds=60)
# A sound bureau sends more each day; at four fifths of the ttl there are days left to ask it why.
FRESHNESS = Freshness(every_minutes=5, share_of_ttl=0.8)

# It searches the lake part by part, and goes on where it ended when it is called again.
ERASER = FunctionSize(memory_mb=2_048, timeout_seconds=900)

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

# All that page, whatever their cause: while it is looked for, the champion that was there before
# answers. Names as the pager's.
ROLLOUT_ALARMS = (
    *("ApiLatency", "ApiServerErrors", "ChallengerFailures", "FaultReferrals", "FewFaultReferrals"),
    *("FewServerErrors", "ModelLoadFailure", "ReferralRate", "ScorerErrors", "ScorerLatency"),
    "ScorerThrottles",
)
# What a model can do that is only listened to: it is asked in the scorer, after the answer.
SHADOW_ALARMS = ("ChallengerFailures", "ModelLoadFailure", "ScorerErrors", "ScorerLatency")

# 100,000 receipts, at some 300 a second, take six minutes; their numbers take little memory.
EVIDENCE = FunctionSize(memory_mb=2_048, timeout_seconds=900)
COMPARISON = ModelComparison(schedule="cron(0 5 ? * MON *)", days=400, most_decisions=100_000)
# It reads the files of two ttls, as many as a materialization of that time did.
SKEW = FunctionSize(memory_mb=3_008, timeout_seconds=900)
SKEW_CHECK = SkewCheck(
    schedule="cron(0 3 * * ? *)", most_decisions=2_000, settling_minutes=60, most_share=0.001
)
# Beyond a whole processor S3 answers no faster: 5,000 receipts take some twenty seconds.
MONITOR = FunctionSize(memory_mb=1_769, timeout_seconds=900)
MONITORING = Monitoring(
    # Three hours and a half for the archive to get what was decided before midnight.
    schedule="cron(30 3 * * ? *)",
    decisions_a_part=5_000,
    parts_at_once=20,
    run_hours=6,
    least_decisions=500,
    most_drift=0.25,
    most_outcome_shift=0.1,
    most_reason_shift=0.25,
    drift_per_feature=True,
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
    eraser=ERASER,
    comparer=EVIDENCE,
    served_set=EVIDENCE,
    skew=SKEW,
    monitor=MONITOR,
    trainer=FunctionSize(memory_mb=4_096, timeout_seconds=900),
    promoter=PROMOTER,
    emptier=EMPTIER,
    approver=APPROVER,
    guard=GUARD,
    rehearsal=REHEARSAL,
    provisioned_concurrency=1,
    # The local cloud has neither Application Auto Scaling nor CodeDeploy.
    scaling=None,
    canary=None,
    throttle=Throttle(requests_per_second=1_000, burst=2_000),
    open_throttle=OPEN_THROTTLE,
    # The emulator is no DynamoDB, see scorer_deadline_ms.
    batching=replace(BATCHING, threads=4, deadline_ms=5_000),
    firewall=None,
    latency_budget_ms=100,
    # The emulator is no DynamoDB: under load it takes longer than a deadline would allow.
    scorer_deadline_ms=5_000,
    patience=Patience(period_seconds=60, periods=1, breaching=1, evaluate_low_samples=True),
    # The local cloud's CloudFormation has neither, and one of each kind shows that an alarm rings.
    alarms=Alarms(
        composite=False,
        metric_math=False,
        share_seconds=60,
        errors=Share(above=0.01, least=1),
        referrals=Share(above=0.6, least=20),
        fault_referrals=Share(above=0.02, least=1),
        challenger_failures=Share(above=0.01, least=1),
        stale=Share(above=0.02, least=1),
        missing=Share(above=0.25, least=1),
        disagreement=Share(above=0.2, least=1),
        few=None,
        throttles=0,
    ),
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
    # A deployment here is loaded minutes before it decides, and a day of tests fits into one look.
    skew_check=replace(SKEW_CHECK, settling_minutes=1, most_decisions=20_000),
    monitoring=replace(
        MONITORING, decisions_a_part=500, parts_at_once=2, run_hours=1, least_decisions=200
    ),
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
        # Nobody calls while the sample's models are rolled out.
        evidence=Evidence(least_compared=0, least_answered=0, again_seconds=1, patience_seconds=30),
        approval_hours=None,
        # The local cloud looks at no metric's dimensions: any function's failure would ring the
        # others.
        alarms=("ChallengerFailures", "ModelLoadFailure"),
        shadow_alarms=("ChallengerFailures", "ModelLoadFailure"),
    ),
    tracing=False,
    token_validity_minutes=60,
    log_retention=RetentionDays.ONE_WEEK,
    # The local cloud reads no log before it keeps it.
    log_protection=False,
    access_log_days=7,
    results_days=7,
    receipt_days=7,
    receipt_duty_days=5,
    receipts_locked=False,
    receipts_seldom_read=False,
    old_versions_days=7,
    removal=RemovalPolicy.DESTROY,
    key_pending_days=7,
    # The account is this deployment's alone.
    api_logging_removal=RemovalPolicy.DESTROY,
    saved_queries=False,
    deletion_protection=False,
    point_in_time_recovery=True,
)

DEV = Stage(
    name="dev",
    layer_platform=Platform.LAMBDA,
    scorer=FunctionSize(memory_mb=1_769, timeout_seconds=5, reserved=20),
    records=replace(RECORDS, reserved=5),
    batch=replace(BATCH, reserved=5),
    planner=PLANNER,
    materializer=FunctionSize(memory_mb=2_048, timeout_seconds=600, reserved=20),
    reconciler=RECONCILER,
    pusher=replace(PUSHER, reserved=5),
    freshness_meter=FRESHNESS_METER,
    archiver=ARCHIVER,
    eraser=ERASER,
    comparer=EVIDENCE,
    served_set=EVIDENCE,
    skew=SKEW,
    monitor=MONITOR,
    trainer=FunctionSize(memory_mb=8_192, timeout_seconds=900, reserved=4),
    promoter=replace(PROMOTER, reserved=2),
    emptier=EMPTIER,
    approver=APPROVER,
    guard=replace(GUARD, reserved=2),
    rehearsal=REHEARSAL,
    provisioned_concurrency=1,
    scaling=Scaling(maximum=8, target_utilization=0.2),
    canary=Canary(percent=10, minutes=5),
    throttle=Throttle(requests_per_second=20, burst=40),
    open_throttle=OPEN_THROTTLE,
    batching=BATCHING,
    firewall=Firewall(requests_per_address_in_five_minutes=6_000, body_bytes=16_384),
    latency_budget_ms=100,
    scorer_deadline_ms=80,
    patience=Patience(period_seconds=60, periods=5, breaching=3, evaluate_low_samples=True),
    alarms=Alarms(),
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
    monitoring=replace(MONITORING, parts_at_once=4, drift_per_feature=False),
    retraining=Retraining(
        schedule="cron(0 4 ? * SUN *)",
        candidates_at_once=4,
        run_hours=4 * 24,
        query_timeout_seconds=900,
        query_poll_seconds=3,
        query_scanned_bytes=50 * 2**30,
    ),
    rollout=Rollout(
        shadow_seconds=900,
        shares=(0.1, 0.5),
        share_seconds=900,
        watch_seconds=900,
        # Somebody has to call, once: what asks for evidence is tried here before it is in prod.
        evidence=Evidence(
            least_compared=1, least_answered=0, again_seconds=900, patience_seconds=24 * 3_600
        ),
        approval_hours=None,
        alarms=ROLLOUT_ALARMS,
        shadow_alarms=SHADOW_ALARMS,
    ),
    tracing=True,
    token_validity_minutes=60,
    log_retention=RetentionDays.ONE_MONTH,
    log_protection=True,
    access_log_days=30,
    results_days=30,
    receipt_days=30,
    receipt_duty_days=30,
    receipts_locked=False,
    receipts_seldom_read=False,
    old_versions_days=30,
    removal=RemovalPolicy.DESTROY,
    # The least that KMS allows.
    key_pending_days=7,
    api_logging_removal=RemovalPolicy.RETAIN,
    saved_queries=True,
    deletion_protection=False,
    point_in_time_recovery=True,
)

PROD = Stage(
    name="prod",
    layer_platform=Platform.LAMBDA,
    # Two versions during a canary, each as warm as scaling lets it be, and some that start cold.
    scorer=FunctionSize(memory_mb=1_769, timeout_seconds=5, reserved=120),
    records=replace(RECORDS, reserved=30),
    batch=replace(BATCH, reserved=40),
    planner=PLANNER,
    # Twice the parts of a run: two uploads at once, and never the whole account.
    materializer=FunctionSize(memory_mb=3_008, timeout_seconds=900, reserved=80),
    reconciler=RECONCILER,
    pusher=replace(PUSHER, reserved=10),
    freshness_meter=FRESHNESS_METER,
    archiver=ARCHIVER,
    eraser=ERASER,
    comparer=EVIDENCE,
    served_set=EVIDENCE,
    skew=SKEW,
    monitor=MONITOR,
    trainer=FunctionSize(memory_mb=8_192, timeout_seconds=900, reserved=4),
    promoter=replace(PROMOTER, reserved=2),
    emptier=None,
    approver=APPROVER,
    guard=replace(GUARD, reserved=2),
    rehearsal=REHEARSAL,
    provisioned_concurrency=5,
    scaling=Scaling(
        maximum=50,
        target_utilization=0.2,
        schedule=(
            CapacityChange(name="BeforeOpening", hour="6-19", week_day="MON-FRI", minimum=10),
            CapacityChange(name="AfterClosing", hour="20", week_day="MON-FRI", minimum=5),
        ),
    ),
    # Long enough for three of five minutes of an alarm, and for the rest to be warm.
    canary=Canary(percent=10, minutes=15),
    throttle=Throttle(requests_per_second=200, burst=400),
    open_throttle=OPEN_THROTTLE,
    batching=BATCHING,
    # A lender's system calls from one address: all that the throttle lets in.
    firewall=Firewall(requests_per_address_in_five_minutes=60_000, body_bytes=16_384),
    latency_budget_ms=100,
    scorer_deadline_ms=80,
    patience=Patience(period_seconds=60, periods=5, breaching=3, evaluate_low_samples=True),
    alarms=Alarms(),
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
    monitoring=MONITORING,
    retraining=Retraining(
        schedule="cron(0 4 ? * SUN *)",
        candidates_at_once=4,
        run_hours=28 * 24,
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
        # Of 1,000 applicants a share of outcomes is known to within three points or so (95 %); 5 %
        # of as many are 50. A weekend passes within the patience.
        evidence=Evidence(
            least_compared=1_000,
            least_answered=50,
            again_seconds=3_600,
            patience_seconds=3 * 24 * 3_600,
        ),
        approval_hours=7 * 24,
        alarms=ROLLOUT_ALARMS,
        shadow_alarms=SHADOW_ALARMS,
    ),
    tracing=True,
    token_validity_minutes=60,
    log_retention=RetentionDays.ONE_YEAR,
    log_protection=True,
    access_log_days=365,
    results_days=90,
    # 25 months from the day on which an applicant was told, which may come long after the decision,
    # and with room for disputes. Source: 12 CFR 1002.12(b) (Regulation B).
    receipt_days=3 * 365,
    # Those 25 months at their longest, and the 90 days within which an applicant is told of what
    # became of a counteroffer, the latest of all notices. Source: 12 CFR 1002.9(a)(1)(iv).
    receipt_duty_days=2 * 366 + 31 + 90,
    receipts_locked=True,
    receipts_seldom_read=True,
    old_versions_days=365,
    removal=RemovalPolicy.RETAIN,
    key_pending_days=30,
    api_logging_removal=RemovalPolicy.RETAIN,
    saved_queries=True,
    deletion_protection=True,
    point_in_time_recovery=True,
)

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in (LOCAL, DEV, PROD)}
