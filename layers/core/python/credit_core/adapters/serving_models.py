"""The models in memory: fetched by the rollout pointer, verified, swapped when ready."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from credit_core.domain.model_manifest import RolloutMode
from credit_core.errors import ArtifactIntegrityError, ModelUnavailableError
from credit_core.ports import Lineup

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.model_manifest import Challenger, ModelReference, RolloutPointer
    from credit_core.ports import LoadedModel

RETRY_SECONDS = 10.0
"""How long a model that failed to load is left alone before it is tried again."""

CHECK_SECONDS = 60.0
"""How often the stored bytes of the models in memory are looked at again."""

REPLICATION_SECONDS = 60.0
"""How long an earlier pointer is taken for one of a replica that is behind, not for a restored one.

Source: Amazon DynamoDB Developer Guide, "DynamoDB read consistency": usually a second or less.
"""


class ServingModels:
    """Holds the champion that the pointer names, its challenger, and the champion that it replaced.

    A model is loaded beside the serving ones and takes its place when it is ready: no request waits
    for it or fails because of it. Only where no champion serves yet a request waits for a while,
    and never for a challenger. A move between models that are in memory, such as a change of share,
    a promotion of the challenger or a rollback, takes effect at once. Any number of threads may ask
    for the models; only one loads.

    Damaged bytes in the bucket harm nobody whose model is in memory, and everybody after the next
    start. So they are looked at now and then, and told like a load that failed.

    Args:
        load: Fetches, verifies and warms a registered model.
        check: Raises ArtifactIntegrityError where the stored bytes are not the registered ones.
        pointer_seconds: Age up to which a known pointer is good.
        patience_seconds: How long a request waits for the first champion.
        on_failure: Told of each failed load, by the thread that loads.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        load: Callable[[ModelReference], LoadedModel],
        *,
        check: Callable[[ModelReference], object],
        pointer_seconds: float,
        patience_seconds: float,
        on_failure: Callable[[Exception], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._check = check
        self._pointer_seconds = pointer_seconds
        self._patience_seconds = patience_seconds
        self._on_failure = on_failure
        self._clock = clock
        self._pointer: RolloutPointer | None = None
        self._pointer_read_at = self._pointer_taken_at = float("-inf")
        self._models: dict[ModelReference, LoadedModel] = {}
        self._failed_at: dict[ModelReference, float] = {}
        self._lineup: Lineup | None = None
        self._is_complete = False
        self._arranging = threading.Lock()
        self._busy = threading.Lock()
        self._loading: threading.Thread | None = None
        self._champion_tried = threading.Event()
        self._checked_at = clock()
        self._checking: threading.Thread | None = None

    def pointer_is_old(self) -> bool:
        """Whether the known pointer should be read again."""
        return self._clock() - self._pointer_read_at > self._pointer_seconds

    def lineup(self, pointer: RolloutPointer | None) -> Lineup:
        """Return the models to score with; ``pointer`` is the one just read, if it was read.

        Raises:
            ModelUnavailableError: There is no champion, or the first one is not loaded yet.
        """
        if pointer is not None:
            self._take(pointer)
            self._check_now_and_then()
        if not self._is_complete:
            self._start_loading()
            if self._lineup is None and self._loading is not None:
                self._champion_tried.wait(self._patience_seconds)
        if self._lineup is None:
            wanted = self._pointer
            raise ModelUnavailableError(
                f"champion {wanted.champion.version} is not loaded"
                if wanted
                else "no champion has been promoted yet"
            )
        return self._lineup

    def warm_up(self, pointer: RolloutPointer, *, seconds: float) -> None:
        """Load all that a pointer names, or wait so long for it, where no client waits.

        Raises:
            ModelUnavailableError: The champion could not be loaded by then.
        """
        self._take(pointer)
        self._start_loading()
        if self._loading is not None:
            self._loading.join(seconds)
        self.lineup(None)

    def _take(self, pointer: RolloutPointer) -> None:
        now = self._clock()
        self._pointer_read_at = now
        if pointer == self._pointer:
            return
        with self._arranging:
            known = self._pointer
            is_late = known is not None and pointer.revision < known.revision
            if is_late and now - self._pointer_taken_at < REPLICATION_SECONDS:
                return
            self._pointer, self._pointer_taken_at = pointer, now
            self._arrange()

    def _arrange(self) -> None:
        """Put up the models of the pointer that are in memory; forget those that it doesn't name.

        Until its champion is there the models before go on. Until its challenger is there, the
        champion is alone.
        """
        pointer = self._pointer
        if pointer is None:
            return
        champion = self._models.get(pointer.champion)
        if champion is None:
            self._is_complete = False
            if self._lineup is not None:
                self._lineup = Lineup(self._lineup.champion)
            return
        trial = pointer.challenger
        challenger = self._models.get(trial.model) if trial else None
        self._lineup = (
            Lineup(champion, challenger, _share(trial, challenger))
            if trial and challenger
            else Lineup(champion)
        )
        self._is_complete = trial is None or challenger is not None
        named = {*_wanted(pointer), pointer.previous_champion}
        self._models = {name: model for name, model in self._models.items() if name in named}

    def _start_loading(self) -> None:
        # The lock only says that somebody loads; nobody waits for it.
        if not self._due() or not self._busy.acquire(blocking=False):
            return
        if self._lineup is None:
            self._champion_tried.clear()
        self._loading = threading.Thread(target=self._load_all, daemon=True)
        self._loading.start()

    def _load_all(self) -> None:
        try:
            while due := self._due():
                self._load_one(due[0])
                self._champion_tried.set()
        finally:
            self._champion_tried.set()
            self._busy.release()

    def _load_one(self, name: ModelReference) -> None:
        try:
            model = self._load(name)
        except Exception as error:  # noqa: BLE001 (the serving models go on, whatever happened)
            self._failed_at[name] = self._clock()
            self._on_failure(error)
            return
        with self._arranging:
            self._models[name] = model
            self._arrange()

    def _check_now_and_then(self) -> None:
        now = self._clock()
        if now - self._checked_at < CHECK_SECONDS or self._lineup is None:
            return
        self._checked_at = now
        if self._checking is None or not self._checking.is_alive():
            self._checking = threading.Thread(target=self._check_all, daemon=True)
            self._checking.start()

    def _check_all(self) -> None:
        for name in list(self._models):
            try:
                self._check(name)
            except ArtifactIntegrityError as error:
                self._on_failure(error)
            except ModelUnavailableError:
                pass  # a store that does not answer says nothing about the bytes

    def _due(self) -> list[ModelReference]:
        """Return what is to be loaded, the champion first; what failed a while ago is again."""
        pointer = self._pointer
        if pointer is None:
            return []
        return [
            name
            for name in _wanted(pointer)
            if name not in self._models
            and self._clock() - self._failed_at.get(name, float("-inf")) >= RETRY_SECONDS
        ]


def _wanted(pointer: RolloutPointer) -> list[ModelReference]:
    trial = pointer.challenger
    return [pointer.champion, *([trial.model] if trial else ())]


def _share(trial: Challenger, challenger: LoadedModel) -> float:
    """Return the share of applicants whom the challenger answers.

    Whoever moved the pointer, a model whose contributions are not exact gives no reasons.
    """
    if trial.mode is not RolloutMode.LIVE or not challenger.manifest.pairwise:
        return 0.0
    return trial.share
