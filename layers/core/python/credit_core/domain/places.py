"""Where things lie: names that functions write to and that their roles are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct, FeatureView

RUNS = "runs/"
"""In the results bucket: plan, tallies and summary of each materialization."""

MAP_RESULTS = f"{RUNS}map-results"
"""In the results bucket: what Step Functions itself keeps of a Distributed Map."""

REJECTED = "rejected/"
"""In the results bucket: rejected rows of each run."""

REJECTED_PUSHES = f"{REJECTED}push/"
"""In the results bucket: rejected rows of the event bus."""

TRAINING_RUNS = "training-runs/"
"""In the results bucket: what each step of a retraining leaves for the next."""

FITTED = "fitted"
"""What a candidate says of its progress at last."""

RETRAINING_LOCK = "lock"
"""In the registry, in a partition of its own: which retraining runs."""

ARRIVED = "_SUCCESS"
"""Name of the empty object by which a writer says that all its files are there, as Spark does."""

COMPARISONS = "comparisons/"
"""In the results bucket: champion and challenger compared, a document and its words for each."""

SKEW_REPORTS = "skew/"
"""In the results bucket: what was served compared with the lake."""

MONITORING = "monitoring/"
"""In the results bucket: what each day's decisions were like, a document and a page for each."""

SERVED_TRAINING_SETS = "training-sets/served/"
"""In the results bucket: training sets of what was served."""

BY_APPLICANT = "by-applicant"
"""Index of the decisions table by the keyed hash of who applied."""

AWAITING_REVIEW = "awaiting-review"
"""Index of the decisions table by what waits for a person, in parts, each oldest first."""

ERASED_TAG = ("applicant", "erased")
"""Tag of an object of the archive that ends when the duty to keep it does."""

APPLICATIONS_FOLDER, PUSHED_FOLDER = "applications", "pushed"
"""In the lake, below a product and below a view: what starts no materialization."""


def pushed_prefix(product: CreditProduct, view: FeatureView) -> str:
    """Return the key prefix of a view's pushed rows in the lake."""
    return f"{product.view_prefix(view)}{PUSHED_FOLDER}/"


def receipts_prefix(product: str) -> str:
    """Return the key prefix of a product's records in the archive of receipts."""
    return f"receipts/{product}/"


def watermark_partition(product: str) -> str:
    """Return the partition key of a product's watermark in the registry.

    The rollout pointer has another, so that a role for the one is none for the other.
    """
    return f"{product}#materialization"


def rollout_partition(product: str) -> str:
    """Return the partition key of a product's rollout pointer and its moves.

    Models have another: who registers them cannot make one of them answer.
    """
    return f"{product}#rollout"


def approvals_partition(product: str) -> str:
    """Return the partition key of what people said of a product's rollouts in the registry.

    The pointer has another: who approves cannot move it.
    """
    return f"{product}#approvals"


def retraining_partition(product: str) -> str:
    """Return the partition key of a product's retraining lock in the registry."""
    return f"{product}#retraining"


def erased_partition(product: str) -> str:
    """Return the partition key of a product's erased applicants in the registry."""
    return f"{product}#erased"


def progress_key(run_id: str, step: str) -> str:
    """Return where a step of a retraining says in the results bucket how far it has got."""
    return f"{TRAINING_RUNS}{run_id}/progress/{step}"
