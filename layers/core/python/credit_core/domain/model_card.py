"""The champion's card: what anybody who relies on its decisions may know about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.online_store import timestamp_text

if TYPE_CHECKING:
    from datetime import datetime

    from credit_core.domain.model_manifest import ModelManifest, RolloutPointer


def model_card(
    pointer: RolloutPointer,
    manifest: ModelManifest,
    *,
    promoted_at: datetime,
    policy_version: str,
) -> dict[str, object]:
    """Return the card of the model that a pointer names, as JSON has it.

    Qualities come with their 95 % intervals, gates with their evidence. The reference applicant
    is the one that reasons are measured against; null is unknown. ``challenger`` says what is tried
    beside it, null if nothing is.
    """
    trial = pointer.challenger
    # What to look at if a gate failed is for whoever trains: those of a champion passed.
    facts = manifest.model_dump(mode="json", exclude={"gates": {"__all__": {"look_at"}}})
    return {
        "product": manifest.product,
        "version": manifest.version,
        "sha256": manifest.onnx_sha256,
        "algorithm": manifest.algorithm,
        "created_at": timestamp_text(manifest.created_at),
        "promoted_at": timestamp_text(promoted_at),
        "policy_version": policy_version,
        "evaluation": facts["evaluation"],
        "gates": facts["gates"],
        "inputs": facts["inputs"],
        "reference_applicant": reference_applicant(manifest),
        "training_set": facts["training_set"],
        "challenger": {"version": trial.model.version, "mode": trial.mode, "share": trial.share}
        if trial
        else None,
    }


def reference_applicant(manifest: ModelManifest) -> dict[str, float | str | None]:
    """Return the reference applicant's value of each input, categories by name."""
    return {
        name: _value(number, manifest.categories.get(name))
        for name, number in zip(manifest.inputs, manifest.reference, strict=True)
    }


def _value(number: float | None, categories: tuple[str, ...] | None) -> float | str | None:
    if categories is None or number is None:
        return number
    place = int(number)
    return categories[place] if 0 <= place < len(categories) else None
