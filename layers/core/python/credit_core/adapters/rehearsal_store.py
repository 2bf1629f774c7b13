"""The decision store during a rehearsal: everything is read and written, nobody is decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from credit_core.domain.online_store import feature_row
from credit_core.domain.rehearsal import PREFIX
from credit_core.ports import Lineup, StoredFeatures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.model_manifest import RolloutPointer
    from credit_core.domain.product import CreditProduct, Value
    from credit_core.domain.receipt import Receipt
    from credit_core.ports import DecisionStore, ModelSource, Readout, Timer


class RehearsalStore:
    """The real store, read in full, with made-up features in the place of what it found.

    What could not be read stays unread, so that a missing permission shows. Receipts are written
    under names that no client can use.

    Args:
        store: The real one.
        product: Whose features they are.
        views: Made-up features by view; None leaves what was read.
        as_of: Now; the made-up rows are of this moment.
    """

    def __init__(
        self,
        store: DecisionStore,
        *,
        product: CreditProduct,
        views: Mapping[str, Mapping[str, Value]] | None,
        as_of: datetime,
    ) -> None:
        self._store = store
        self._product = product
        self._views = views
        self._as_of = as_of

    def read(
        self, entity_keys: Sequence[str], *, application_id: str, with_pointer: bool, timer: Timer
    ) -> Readout:
        """Read what a decision reads, and put the made-up features in its place.

        Raises:
            DamagedReceiptError: There is an earlier receipt, and it cannot be read.
        """
        found = self._store.read(
            entity_keys,
            application_id=PREFIX + application_id,
            with_pointer=with_pointer,
            timer=timer,
        )
        if self._views is None:
            return found
        rows = {
            key: self._row(view.name, key)
            for view, key in zip(self._product.feature_views, entity_keys, strict=True)
        }
        return replace(found, rows=rows)

    def write(self, receipt: Receipt, *, timer: Timer) -> Receipt | None:
        """Write the receipt unless there is one; return the earlier one in that case.

        Raises:
            DamagedReceiptError: There is an earlier one, and it cannot be read.
            StoreUnavailableError: It is not known to be written.
        """
        return self._store.write(_renamed(receipt), timer=timer)

    def supersede(self, receipt: Receipt, earlier: Receipt, *, timer: Timer) -> Receipt | None:
        """Write a receipt in the place of an earlier, retryable one, and keep that one too.

        Raises:
            DamagedReceiptError: What is there instead cannot be read.
            StoreUnavailableError: It is not known to be written.
        """
        return self._store.supersede(_renamed(receipt), earlier, timer=timer)

    def _row(self, name: str, key: str) -> StoredFeatures:
        view = self._product.view(name)
        row = feature_row(
            view,
            key,
            event_timestamp=self._as_of,
            created_timestamp=self._as_of,
            features=(self._views or {})[name],
        )
        return StoredFeatures(row.recency, row.features_json())


class ChampionAlone:
    """The models without a challenger: whose answer is known is the champion."""

    def __init__(self, models: ModelSource) -> None:
        self._models = models

    def pointer_is_old(self) -> bool:
        """Whether the known pointer should be read again."""
        return self._models.pointer_is_old()

    def lineup(self, pointer: RolloutPointer | None) -> Lineup:
        """Return the champion; ``pointer`` is the one just read, if it was read.

        Raises:
            ModelUnavailableError: There is no champion, or it cannot be loaded.
        """
        return Lineup(self._models.lineup(pointer).champion)


def _renamed(receipt: Receipt) -> Receipt:
    return replace(receipt, application_id=PREFIX + receipt.application_id)
