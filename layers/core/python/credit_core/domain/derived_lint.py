"""Derived features, tried on a grid of valid inputs: what no definition shows until it is run."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING, cast

import numpy as np

from credit_core.domain.findings import Finding, Severity
from credit_core.domain.product import DType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from credit_core.domain.product import Column, CreditProduct, DerivedFeature, Feature

SHARES = (0.0, 1e-6, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.8, 1.0)
"""Where in an input's range the grid looks; finer at its lower end, where most values lie."""
FULL_GRID_INPUTS = 3
RANDOM_ROWS = 1_000
ROWS_ALONE = 200
SAME = 1e-9
"""Relative difference below which two values count as equal when a direction is judged."""

PROMISE = "Training calls it on columns, scoring on one row; both must get the same."


class _BrokenError(Exception):
    """The function can't be judged further; the finding says why."""


def derived_findings(product: CreditProduct) -> Iterator[Finding]:
    """Yield what goes wrong when the derived features are computed on valid inputs."""
    by_name = {feature.name: feature for feature in product.base_features}
    for derived in product.derived_features:
        inputs = [by_name[name] for name in derived.inputs]
        try:
            yield from _findings(derived, inputs)
        except _BrokenError as error:
            yield _error(derived, str(error))


def _findings(derived: DerivedFeature, inputs: list[Feature]) -> Iterator[Finding]:
    rows = _grid(inputs)
    values = _computed(derived, rows)
    yield from _warned(derived, rows)
    if not np.array_equal(values, _computed(derived, rows), equal_nan=True):
        yield _error(derived, "gives other values for the same inputs when called again")
    step = max(1, len(rows) // ROWS_ALONE)
    alone = np.concatenate([_computed(derived, rows[[row]]) for row in range(0, len(rows), step)])
    if not np.array_equal(values[::step], alone, equal_nan=True) or not np.array_equal(
        values[::-1], _computed(derived, rows[::-1]), equal_nan=True
    ):
        yield _error(derived, "gives a row another value alone than among others")
    yield from _value_findings(derived, inputs, rows, values)
    yield from _direction_findings(derived, inputs, rows)


def _value_findings(
    derived: DerivedFeature, inputs: list[Feature], rows: NDArray[np.float64], values: Column
) -> Iterator[Finding]:
    infinite = np.isinf(values)
    if infinite.any():
        yield _error(derived, f"is infinite {_example(inputs, rows, infinite)}")
    if not derived.nullable:
        unknown = np.isnan(values)
        if unknown.any():
            yield _error(
                derived, f"is unknown {_example(inputs, rows, unknown)}, and is not nullable"
            )
    elif np.isnan(values).all():
        yield _error(derived, "is unknown for every input tried")
    known = values[np.isfinite(values)]
    low, high = cast("float", derived.minimum), cast("float", derived.maximum)
    outside = np.isfinite(values) & ((values < low) | (values > high))
    if outside.any():
        yield Finding(
            severity=Severity.WARNING,
            place=_place(derived),
            what=(
                f"lies outside its range, {low:g} to {high:g}: {values[outside][0]:g}"
                f" {_example(inputs, rows, outside)}"
            ),
            why="Its inputs were within theirs, so an applicant can have such a value.",
            remedy="Widen minimum and maximum, or bound the function.",
        )
    if known.size and np.ptp(known) == 0:
        yield Finding(
            severity=Severity.WARNING,
            place=_place(derived),
            what=f"is {known[0]:g} for every input tried",
            why="A constant tells the model nothing.",
            remedy="Remove it, or correct the function.",
        )


def _direction_findings(
    derived: DerivedFeature, inputs: list[Feature], rows: NDArray[np.float64]
) -> Iterator[Finding]:
    """Yield a finding per input that the function moves against its declared direction.

    ``risk`` is the direction of the whole effect, so where both declare one, the function has to
    rise in an input of the same direction and to fall in one of the other.
    """
    for column, feature in enumerate(inputs):
        if feature.risk is None:
            continue
        if derived.risk is None:
            yield Finding(
                severity=Severity.NOTE,
                place=_place(derived),
                what=f"has no direction of risk, though its input {feature.name} has one",
                why="Through this feature the model may move against the input's direction.",
                remedy="Declare a direction here as well, or none on the input.",
            )
            continue
        sign = 1.0 if feature.risk is derived.risk else -1.0
        steps = _points(feature)
        moved = np.repeat(rows[:, None, :], len(steps), axis=1)
        moved[:, :, column] = steps
        values = _computed(derived, moved.reshape(-1, len(inputs))).reshape(len(rows), len(steps))
        against = _moves(values, sign)
        if against.any():
            yield _error(
                derived,
                f"moves {'down' if sign > 0 else 'up'} as {feature.name} rises"
                f" {_example(inputs, rows, against, but=column)}, against their declared risk",
            )


def _moves(values: NDArray[np.float64], sign: float) -> NDArray[np.bool_]:
    """Return the rows of shape (n, steps) that go the other way between two known steps."""
    against = np.zeros(len(values), dtype=bool)
    highest = np.full(len(values), -np.inf)
    for step in values.T * sign:
        known = np.isfinite(step)
        against |= known & (step < highest - SAME * np.abs(highest))
        highest = np.where(known, np.maximum(highest, step), highest)
    return against


def _computed(derived: DerivedFeature, rows: NDArray[np.float64]) -> Column:
    """Return the function's values for rows of inputs, shape (n, inputs) to (n,).

    Raises:
        _BrokenError: It raises, changes its inputs, or returns something of another kind or shape.
    """
    arguments = [np.ascontiguousarray(column) for column in rows.T]
    given = [argument.copy() for argument in arguments]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values: object = derived.function(*arguments)
    except Exception as error:
        said = " ".join(str(error).split())
        raise _BrokenError(f"its function raises {type(error).__name__}: {said}") from error
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.floating):
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise _BrokenError(f"its function returns {kind}, not an array of floats")
    if values.shape != (len(rows),):
        raise _BrokenError(f"its function returns shape {values.shape} for {len(rows)} rows")
    if not all(map(np.array_equal, arguments, given, [True] * len(given))):
        raise _BrokenError("its function changes the arrays it is given")
    return values.astype(np.float64)


def _warned(derived: DerivedFeature, rows: NDArray[np.float64]) -> Iterator[Finding]:
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn", under="ignore"):
        warnings.simplefilter("always")
        derived.function(*(column.copy() for column in rows.T))
    for message in sorted({str(warning.message) for warning in caught}):
        yield Finding(
            severity=Severity.WARNING,
            place=_place(derived),
            what=f"its function warns: {message}",
            why="NumPy warns where it divides by zero or overflows; each scoring would warn anew.",
            remedy="Guard the operation, as safe_ratio of credit_core.domain.product does.",
        )


def _grid(inputs: list[Feature]) -> NDArray[np.float64]:
    """Return rows of valid inputs, shape (n, inputs): all combinations, or a fixed sample."""
    points = [_points(feature, with_unknown=True) for feature in inputs]
    if len(inputs) <= FULL_GRID_INPUTS:
        return np.array(list(itertools.product(*points)))
    draw = np.random.default_rng(0)
    rows = np.column_stack([draw.choice(column, RANDOM_ROWS) for column in points])
    rows[0] = [np.nanmin(column) for column in points]
    rows[1] = [np.nanmax(column) for column in points]
    return rows


def _points(feature: Feature, *, with_unknown: bool = False) -> NDArray[np.float64]:
    """Return values across a feature's range, ascending, and NaN last where it may be unknown."""
    low, high = cast("float", feature.minimum), cast("float", feature.maximum)
    points = low + np.array(SHARES) * (float(high) - float(low))
    points[-1] = high
    if feature.dtype is DType.INTEGER:
        points = np.unique(np.round(points))
    if with_unknown and feature.nullable:
        points = np.append(points, np.nan)
    return points


def _example(
    inputs: list[Feature],
    rows: NDArray[np.float64],
    where: NDArray[np.bool_],
    *,
    but: int | None = None,
) -> str:
    row = rows[np.flatnonzero(where)[0]]
    named = [
        f"{feature.name} {'unknown' if np.isnan(value) else format(value, 'g')}"
        for column, (feature, value) in enumerate(zip(inputs, row, strict=True))
        if column != but
    ]
    return f"at {', '.join(named)}" if named else "on its own"


def _place(derived: DerivedFeature) -> str:
    return f"derived_features.{derived.name}"


def _error(derived: DerivedFeature, what: str) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        place=_place(derived),
        what=what,
        why=PROMISE,
        remedy="Correct its function, or what the definition says of it.",
    )
