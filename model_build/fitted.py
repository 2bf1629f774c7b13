"""What fitting a candidate leaves: the model as it is served, and its answers to the loans.

It is what travels from the functions that fit, side by side, to the one that judges; no pickle
does, so what is judged is exactly what can be served.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ARRAYS = (
    "fold_losses",
    "fitted_probability",
    "tested_probability",
    "served_probability",
    "probes",
    "probed_probability",
)


def _no_probes() -> NDArray[np.float32]:
    return np.empty((0, 0), dtype=np.float32)


def _no_answers() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class ScorecardBin:
    """A line of a scorecard's points table.

    ``label`` says which values, as "36 to 60", "unknown" or a category; ``share`` is of the loans
    fitted on, ``default_rate`` theirs, ``weight_of_evidence`` ln(share of goods / share of bads)
    of the bin, ``log_odds`` what the bin adds to the log-odds of default.
    """

    feature: str
    label: str
    share: float
    default_rate: float
    weight_of_evidence: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class FittedCandidate:
    """A candidate after fitting.

    ``parameters`` are those that the search chose. ``fold_losses`` is the log loss of each fold
    held out, shape (folds,). All probabilities are scikit-learn's: ``fitted_probability`` of the
    final model for the loans it was fitted on; ``tested_probability`` for the tested loans by a
    model that has not seen them, which measures it; ``served_probability`` for the same loans by
    the final model, which ``onnx`` has to equal. Out of time the latter two are the same.
    ``points_table`` is empty unless it is a scorecard. ``probes`` are rows on split thresholds,
    shape (k, G), and ``probed_probability`` the final model's answers to them, see
    ``model_build.probes``.
    """

    name: str
    pairwise: bool
    parameters: Mapping[str, str | int | float]
    onnx: bytes
    fold_losses: NDArray[np.float64]
    fitted_probability: NDArray[np.float64]
    tested_probability: NDArray[np.float64]
    served_probability: NDArray[np.float64]
    points_table: tuple[ScorecardBin, ...] = ()
    probes: NDArray[np.float32] = field(default_factory=_no_probes)
    probed_probability: NDArray[np.float64] = field(default_factory=_no_answers)

    def to_bytes(self) -> bytes:
        """Return it as one file; the same candidate gives the same bytes."""
        about = {
            "name": self.name,
            "pairwise": self.pairwise,
            "parameters": dict(self.parameters),
            "points_table": [
                [getattr(line, field) for field in ScorecardBin.__slots__]
                for line in self.points_table
            ],
        }
        body = io.BytesIO()
        np.savez(
            body,
            about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
            onnx=np.frombuffer(self.onnx, dtype=np.uint8),
            **{name: getattr(self, name) for name in ARRAYS},
        )
        return body.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> FittedCandidate:
        """Read what ``to_bytes`` returned."""
        with np.load(io.BytesIO(body), allow_pickle=False) as stored:
            about = json.loads(stored["about"].tobytes())
            return cls(
                about["name"],
                about["pairwise"],
                about["parameters"],
                stored["onnx"].tobytes(),
                points_table=tuple(ScorecardBin(*line) for line in about["points_table"]),
                **{name: stored[name] for name in ARRAYS},
            )
