"""What holds for every test."""

import os

# Read when OpenMP loads. Its threads wait by spinning, and on a busy machine two of them take
# several times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
