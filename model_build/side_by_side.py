"""Fits candidates one after the other, or side by side in processes, with the same result."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from typing import TYPE_CHECKING

import numpy as np

from model_build.directions import with_implied_directions
from model_build.fit import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.queues import SimpleQueue

    from credit_core.domain.product import Column, CreditProduct
    from model_build.candidates import Candidate
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSplit

    type Words = SimpleQueue[str]

WORTH_A_PROCESS = 50_000
"""Numbers to learn from, folds counted where they measure; below, imports take longer than fits."""
LOOK_SECONDS = 0.2

_words: list[Words] = []
"""In a worker: where it says how far it has got."""


def fit_all(
    product: CreditProduct,
    split: LoanSplit,
    candidates: Sequence[Candidate],
    *,
    seed: int,
    progress: Callable[[str], None],
    workers: int,
) -> list[FittedCandidate]:
    """Return the fitted candidates in the order given.

    They keep to the directions of risk that the declared ones imply, too.

    Args:
        product: Whose loans these are.
        split: Which loans they are fitted on and measured with.
        candidates: Who is fitted.
        seed: Of what they draw.
        progress: Told the candidate's name and what is being done.
        workers: Processes at the most. With more than one, the caller's main module is imported
            again in each, so it must be guarded by its name.
    """
    product = with_implied_directions(product, split.fitted)
    workers = min(workers, len(candidates))
    if workers < 2 or _size(split) < WORTH_A_PROCESS:  # noqa: PLR2004 (one at a time)
        return [_fitted(product, split, it, seed, _named(it, progress)) for it in candidates]
    # A fork would copy locks that other threads hold, those of OpenMP and DuckDB among them.
    context = get_context("spawn")
    words: Words = context.SimpleQueue()
    with ProcessPoolExecutor(workers, context, _remember, (words,)) as pool:
        sent = (_sendable(product), split)
        # The last are the most complex: begun first, none is left to run alone at the end.
        futures: dict[str, Future[FittedCandidate]] = {
            it.name: pool.submit(_fit_in_worker, *sent, it, seed) for it in reversed(candidates)
        }
        waiting = set(futures.values())
        try:
            while waiting:
                done, waiting = wait(waiting, LOOK_SECONDS, FIRST_COMPLETED)
                while not words.empty():
                    progress(words.get())
                for future in done:
                    future.result()
        except BaseException:
            # What runs is waited for: a worker that is just starting would stumble over its end.
            pool.shutdown(cancel_futures=True)
            raise
        return [futures[it.name].result() for it in candidates]


def _size(split: LoanSplit) -> int:
    return split.fitted.matrix.size * (1 if split.out_of_time else len(split.folds))


def _named(candidate: Candidate, progress: Callable[[str], None]) -> Callable[[str], None]:
    return lambda words: progress(f"{candidate.name}: {words}")


def _fitted(
    product: CreditProduct,
    split: LoanSplit,
    candidate: Candidate,
    seed: int,
    progress: Callable[[str], None],
) -> FittedCandidate:
    progress("fitting")
    return fit(product, split, candidate, seed=seed, progress=progress)


def _sendable(product: CreditProduct) -> CreditProduct:
    """Return the product without its functions, which have no name in another process.

    The split has what they computed.
    """
    derived = tuple(replace(it, function=_computed_before) for it in product.derived_features)
    return replace(product, derived_features=derived)


def _computed_before(*columns: Column) -> Column:
    return np.full(len(columns[0]), np.nan)


def _remember(words: Words) -> None:
    _words.append(words)


def _fit_in_worker(
    product: CreditProduct, split: LoanSplit, candidate: Candidate, seed: int
) -> FittedCandidate:
    return _fitted(product, split, candidate, seed, _named(candidate, _words[0].put))
