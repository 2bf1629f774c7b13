"""Writes a book: the lake as a product lays it out, and the truth aside.

Under the folder, ``<product>/applications`` and ``<product>/features/<view>`` are the lake.
``truth/applications`` holds each application's true probability of default and how it ends,
``truth/known`` the training set's columns as they should be, ``truth/features/<view>`` what is
the matter with each row, and ``truth/model.parquet`` the true model and what drifts.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_cli.book.files import ParquetWriter, feature_columns, nullable, timestamps
from credit_cli.book.knowledge import NEVER
from credit_cli.book.risk import probability
from credit_cli.book.world import World
from credit_cli.errors import UsageError
from credit_core.domain.point_in_time import view_event_column

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from credit_cli.book.deliveries import Rows
    from credit_cli.book.plan import BookPlan
    from credit_cli.book.world import Chunk
    from credit_core.domain.product import FeatureView

type Columns = Mapping[str, NDArray[Any]]

FLAGS = ("late", "correction", "corrected", "duplicated", "rejected", "missing")


@dataclass(kw_only=True)
class WrittenBook:
    """What was written: rows and files by table, and what there is to know about it."""

    rows: Counter[str] = field(default_factory=Counter)
    files: int = 0
    labels: int = 0
    defaults: int = 0
    drifted: tuple[str, ...] = ()

    @property
    def label_share(self) -> float:
        """Share of the applications whose label has been delivered."""
        return self.labels / max(1, self.rows["applications"])

    @property
    def default_rate(self) -> float | None:
        """Share of defaults among the labels that have been delivered."""
        return self.defaults / self.labels if self.labels else None


def write_book(
    folder: Path, plan: BookPlan, *, progress: Callable[[str], None] = lambda _: None
) -> WrittenBook:
    """Write a book into an empty folder.

    Args:
        folder: Gets the lake below the product's name, and ``truth``; it is made if need be.
        plan: What book.
        progress: Told what is being done.

    Raises:
        UsageError: The plan can't be, or the folder is not empty.
        CliError: A file could not be written; nothing is left of the book then.
    """
    plan.check()
    require_empty(folder)
    progress("calibrating")
    world = World.of(plan)
    try:
        with ParquetWriter() as writer:
            return BookFiles(folder, world, writer).write(progress)
    except BaseException:
        for part in (plan.product.name, "truth"):
            shutil.rmtree(folder / part, ignore_errors=True)
        raise


def require_empty(folder: Path) -> None:
    """Look whether a folder is empty or new.

    Raises:
        UsageError: It is not.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; a folder is wanted")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty", hint="name another folder, or remove it first")


class BookFiles:
    """The files of one book."""

    def __init__(self, folder: Path, world: World, writer: ParquetWriter) -> None:
        self._folder = folder
        self._truth = folder / "truth"
        self._world = world
        self._product = world.plan.product
        self._writer = writer
        tables = ("applications", *(view.name for view in self._product.feature_views))
        self._written = WrittenBook(
            rows=Counter(dict.fromkeys(tables, 0)), drifted=tuple(world.shifts)
        )

    def write(self, progress: Callable[[str], None]) -> WrittenBook:
        """Draw the book and write it."""
        world, total = self._world, self._world.plan.applicants
        self._write_model()
        for shared in world.shared.values():
            names = shared.view.entity.key_names
            keys = world.keys.keys(names, applicants=None, places=shared.place_of)
            self._write_rows(shared.view, shared.rows, keys, number=0)
        for chunk, before in world.chunks():
            people = chunk.first + np.arange(len(chunk.place))
            keys = world.keys.keys(
                self._product.entity_key_names, applicants=people, places=chunk.place
            )
            for name, rows in chunk.rows.items():
                self._write_rows(self._product.view(name), rows, keys, number=chunk.number)
            identifiers = [
                f"B-{world.plan.seed}-{before + place:09d}" for place in range(len(chunk.applicant))
            ]
            self._write_applications(chunk, keys, np.array(identifiers, dtype=object))
            progress(f"{chunk.first + len(people):,} of {total:,} applicants")
        return self._written

    def _write_rows(self, view: FeatureView, rows: Rows, keys: Columns, *, number: int) -> None:
        """Write a view's rows, shuffled over two files of the lake, and what is true of them."""
        truth = {name: keys[name][rows.entity] for name in view.entity.key_names} | _times(rows)
        truth["created_timestamp"] = nullable(truth["created_timestamp"], rows.missing)
        truth |= {flag: getattr(rows, flag) for flag in FLAGS}
        name = f"part-{number:05d}"
        self._write(self._truth / "features" / view.name / f"{name}.parquet", truth)
        delivered = np.flatnonzero(~rows.missing)
        order = np.concatenate([delivered, np.flatnonzero(rows.duplicated)])
        self._world.plan.rng("files", number, view.name).shuffle(order)
        for half, chosen in enumerate(np.array_split(order, 2)):
            part = rows[chosen]
            columns = {key: keys[key][part.entity] for key in view.entity.key_names}
            features, categories = feature_columns(view.features, part.values)
            path = self._folder / self._product.view_prefix(view) / f"{name}-{half}.parquet"
            self._write(path, columns | _times(part) | features, categories)
            self._written.rows[view.name] += len(part)

    def _write_applications(self, chunk: Chunk, keys: Columns, identifiers: NDArray[Any]) -> None:
        """Write a chunk's applications, and what is true of them."""
        product, name = self._product, f"part-{chunk.number:05d}.parquet"
        label = {product.label.name: nullable(chunk.defaulted, ~chunk.delivered)}
        # Which group an applicant belongs to has nothing to do with the risk here.
        rng = self._world.plan.rng("groups", chunk.number)
        groups = {
            group.name: rng.choice(np.array(group.values, dtype=object), size=len(identifiers))
            for group in product.monitored_groups
        }
        identified = {"application_id": identifiers}
        requests, categories = feature_columns(product.request_features, chunk.values)
        self._write(
            self._folder / product.applications_prefix / name,
            identified
            | {key: keys[key][chunk.applicant] for key in product.entity_key_names}
            | {
                "event_timestamp": timestamps(chunk.event_us),
                "created_timestamp": timestamps(chunk.created_us),
            }
            | requests
            | label
            | groups,
            categories,
        )
        self._write(
            self._truth / "applications" / name,
            identified
            | {
                "event_timestamp": timestamps(chunk.event_us),
                "log_odds": chunk.log_odds,
                "probability_of_default": np.round(probability(chunk.log_odds), 9),
                "defaulted": chunk.defaulted,
                "label_delivered": chunk.delivered,
            },
        )
        features, categories = feature_columns(product.base_features, chunk.values)
        events = {name: known.event_us() for name, known in chunk.known.items()}
        self._write(
            self._truth / "known" / name,
            identified
            | {"event_timestamp": timestamps(chunk.instant * 1_000)}
            | features
            | label
            | {
                view_event_column(view): nullable(
                    timestamps(events[view.name]), events[view.name] == NEVER
                )
                for view in product.feature_views
            },
            categories,
        )
        self._written.rows["applications"] += len(identifiers)
        self._written.labels += int(chunk.delivered.sum())
        self._written.defaults += int(chunk.defaulted[chunk.delivered].sum())

    def _write_model(self) -> None:
        """Write the terms of the true model, and by how much drift shifts each feature."""
        model, shifts = self._world.model, self._world.shifts
        rows: list[tuple[str, str | None, str | None, str | None, float, float]] = [
            ("intercept", None, None, None, model.intercept, model.intercept)
        ]
        rows += [
            (
                term.kind,
                term.first,
                term.second,
                term.category,
                term.weight,
                term.weight_after_drift,
            )
            for term in model.terms
        ]
        rows += [("shift", name, None, None, 0.0, shift) for name, shift in shifts.items()]
        kind, first, second, category, weight, after = zip(*rows, strict=True)
        texts = {"kind": kind, "first": first, "second": second, "category": category}
        numbers = {"weight": weight, "weight_after_drift": after}
        self._write(
            self._truth / "model.parquet",
            {name: np.array(column, dtype=object) for name, column in texts.items()}
            | {name: np.array(column) for name, column in numbers.items()},
        )

    def _write(
        self, path: Path, columns: Columns, categories: Mapping[str, list[str]] | None = None
    ) -> None:
        self._writer.write(path, columns, categories=categories)
        self._written.files += 1


def _times(rows: Rows) -> dict[str, NDArray[Any]]:
    return {
        "event_timestamp": timestamps(rows.event * 1_000 + rows.event_microseconds),
        "created_timestamp": timestamps(rows.created * 1_000 + rows.created_microseconds),
    }
