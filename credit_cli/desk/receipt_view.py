"""What a decision's own receipt says that its answer leaves out, as far as it can be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from credit_cli.replay_rendering import record_document
from credit_core.domain.application_records import DECISION
from credit_core.domain.rollout import Shadow
from credit_core.domain.terms import Terms
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.product import CreditProduct


@dataclass(frozen=True)
class ReceiptView:
    """The records of one application as they are stored; ``problem`` says why there are none."""

    records: Sequence[StoredRecord] = ()
    problem: str = ""
    _missing: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def current(self) -> StoredRecord:
        """The receipt of the decision, empty if it can't be had."""
        return next((one for one in self.records if one.get("record") == DECISION), self._missing)

    @cached_property
    def terms(self) -> Terms | None:
        """The terms of the decision, None if they can't be read."""
        packed = self.current.get("terms")
        if not isinstance(packed, bytes):
            return None
        try:
            return Terms.unpack(packed)
        except DamagedReceiptError:
            return None

    @cached_property
    def shadow(self) -> Shadow | str | None:
        """What the model said that did not answer, or why that can't be read; None if none did."""
        text = self.current.get("shadow")
        if text is None:
            return None
        try:
            return Shadow.from_receipt(str(text))
        except DamagedReceiptError as error:
            return str(error)

    @cached_property
    def stages_ms(self) -> Mapping[str, float]:
        """The time of each stage before the receipt was written, in milliseconds."""
        try:
            found = json.loads(str(self.current.get("stage_ms")))
        except ValueError:
            return {}
        if not isinstance(found, dict):
            return {}
        return {
            str(name): float(ms)
            for name, ms in found.items()
            if isinstance(ms, int | float) and not isinstance(ms, bool)
        }

    def documents(self) -> list[dict[str, Any]]:
        """Return every record as JSON, with what is packed in it unpacked."""
        return [_plain(record_document(record)) for record in self.records]

    def units(self, product: CreditProduct) -> Mapping[str, str | None]:
        """Return the unit of each input of the model: of the decision, else of the product now."""
        if self.terms is not None:
            return {given.name: given.unit for given in self.terms.inputs}
        return {feature.name: feature.unit for feature in product.model_features}


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document in which bytes that could not be unpacked are told by their length."""
    return {
        name: f"{len(value):,} bytes" if isinstance(value, bytes) else value
        for name, value in document.items()
    }
