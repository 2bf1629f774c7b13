"""The champion in memory: fetched by the rollout pointer, verified, swapped when ready."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from credit_core.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.model_manifest import RolloutPointer
    from credit_core.ports import LoadedModel

RETRY_SECONDS = 10.0
"""How long a pointer that failed to load is left alone before it is tried again."""


class Champions:
    """Holds the model that the pointer names.

    A model is loaded beside the serving one and takes its place when it is ready: no request waits
    for it or fails because of it. Where none is serving yet, a request waits for a while. Any
    number of threads may ask for the model; only one loads.

    Args:
        load: Fetches, verifies and warms the model of a pointer.
        pointer_seconds: Age up to which a known pointer is good.
        patience_seconds: How long a request waits for the first model.
        on_failure: Told of each failed load, by the thread that loads.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        load: Callable[[RolloutPointer], LoadedModel],
        *,
        pointer_seconds: float,
        patience_seconds: float,
        on_failure: Callable[[Exception], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._pointer_seconds = pointer_seconds
        self._patience_seconds = patience_seconds
        self._on_failure = on_failure
        self._clock = clock
        self._pointer: RolloutPointer | None = None
        self._pointer_read_at = float("-inf")
        self._model: LoadedModel | None = None
        self._loaded: tuple[str, str] | None = None
        self._failed: tuple[str, str] | None = None
        self._failed_at = float("-inf")
        self._busy = threading.Lock()
        self._loading: threading.Thread | None = None

    def pointer_is_old(self) -> bool:
        """Whether the known pointer should be read again."""
        return self._clock() - self._pointer_read_at > self._pointer_seconds

    def model(
        self, pointer: RolloutPointer | None, *, patience_seconds: float | None = None
    ) -> LoadedModel:
        """Return the model to score with; ``pointer`` is the one just read, if it was read.

        Args:
            pointer: None where it was not read, or did not come.
            patience_seconds: Instead of a request's, where no client waits.

        Raises:
            ModelUnavailableError: There is no champion, or the first one is not loaded yet.
        """
        if pointer is not None:
            self._pointer, self._pointer_read_at = pointer, self._clock()
        wanted = self._pointer
        if wanted is None:
            raise ModelUnavailableError("no champion has been promoted yet")
        if self._loaded != _identity(wanted) and not self._failed_recently(wanted):
            self._start_loading(wanted)
        if self._model is None and self._loading is not None:
            self._loading.join(
                self._patience_seconds if patience_seconds is None else patience_seconds
            )
        if self._model is None:
            raise ModelUnavailableError(f"champion {wanted.champion} is not loaded")
        return self._model

    def _start_loading(self, pointer: RolloutPointer) -> None:
        # The lock only says that somebody loads; nobody waits for it.
        if self._busy.acquire(blocking=False):
            self._loading = threading.Thread(target=self._swap_to, args=(pointer,), daemon=True)
            self._loading.start()

    def _swap_to(self, pointer: RolloutPointer) -> None:
        try:
            model = self._load(pointer)
        except Exception as error:  # noqa: BLE001 (the serving model goes on, whatever happened)
            self._failed, self._failed_at = _identity(pointer), self._clock()
            self._on_failure(error)
        else:
            self._model, self._loaded = model, _identity(pointer)
        finally:
            self._busy.release()

    def _failed_recently(self, pointer: RolloutPointer) -> bool:
        return (
            self._failed == _identity(pointer) and self._clock() - self._failed_at < RETRY_SECONDS
        )


def _identity(pointer: RolloutPointer) -> tuple[str, str]:
    return pointer.champion, pointer.manifest_sha256
