"""Make a registered model the champion: check what the scorer will check, then move the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.model_manifest import RolloutPointer
from credit_core.errors import ModelUnavailableError

if TYPE_CHECKING:
    from datetime import datetime

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import ModelRegistry


def promote(
    product: CreditProduct,
    version: str,
    *,
    registry: ModelRegistry,
    moved_by: str,
    as_of: datetime,
) -> RolloutPointer:
    """Return the pointer that names the version as champion, moved if it did not before.

    Args:
        product: The product whose champion it becomes.
        version: A registered version.
        registry: Where models and the pointer are kept.
        moved_by: Who or what asks for it, kept in the pointer.
        as_of: Now, with time zone.

    Raises:
        ModelUnavailableError: The version is not registered, failed a gate, is not pairwise, or
            cannot be loaded for the product as it is defined now. The pointer stays.
        RolloutConflictError: Somebody else moved the pointer meanwhile. Theirs stays.
        StoreUnavailableError: The registry did not answer; doing it again is safe.
    """
    current = registry.pointer()
    if current is not None and current.champion == version:
        return current
    moved = RolloutPointer(
        product=product.name,
        champion=version,
        manifest_sha256=registry.manifest_sha256(version),
        revision=1 if current is None else current.revision + 1,
        moved_at=as_of,
        moved_by=moved_by,
        previous_champion=None if current is None else current.champion,
    )
    manifest = registry.load(moved).manifest
    if not manifest.gates_passed:
        failed = ", ".join(gate.name for gate in manifest.gates if not gate.passed) or "no gates"
        raise ModelUnavailableError(f"model {version} cannot be champion; it failed: {failed}")
    if not manifest.pairwise:
        message = f"model {version} cannot be champion; its reasons would not be exact"
        raise ModelUnavailableError(message)
    registry.move(moved)
    return moved
