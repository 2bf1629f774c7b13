"""Failed gates in words, wherever a command tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from credit_core.domain.model_manifest import Gate


def failed_gate_lines(failed: Iterable[Gate]) -> Iterator[str]:
    """Yield each gate with its evidence and, in a line of its own, what to look at."""
    for gate in failed:
        yield f"  ✗ {gate.name}: {gate.evidence}"
        if gate.look_at:
            yield f"    look at: {gate.look_at}"
