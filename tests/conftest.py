"""What holds for every test."""

import os

import cdk_app  # noqa: F401 (it says which node the CDK's library starts, before that is imported)

# Read when OpenMP loads. Its threads wait by spinning, and on a busy machine two of them take
# several times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
