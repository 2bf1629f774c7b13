"""The same loans and seed give the same model, byte for byte, whichever process fits it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

from model_build.fit import fit
from tests.builders import PRODUCT
from tests.integration.test_fit import ALL, SPLIT, quick


def test_another_process_writes_the_same_bytes() -> None:
    """Neither hashes of text, by which Python orders sets, nor threads have a part in it."""
    program = "from tests.integration.test_same_bytes import digests; print(digests())"

    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": order},
        ).stdout.strip()
        for order in ("1", "2")
    }

    assert printed == {digests()}


def digests() -> str:
    """Return what is written of each way of export, hashed."""
    fitted = [
        fit(PRODUCT, SPLIT, quick(ALL[name]), seed=3)
        for name in ("scorecard", "pairwise", "neural_network")
    ]
    return " ".join(hashlib.sha256(it.to_bytes()).hexdigest() for it in fitted)
