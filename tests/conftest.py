"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

import cdk_app  # noqa: F401 (it says which node the CDK's library starts, before that is imported)

# Read when OpenMP loads. Its threads wait by spinning, and on a busy machine two of them take
# several times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No property here is about time, and a busy machine makes any example late. All else stays as
# Hypothesis chooses it, where CI is set in another way.
settings.register_profile(
    "patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")
