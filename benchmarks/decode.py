"""What a scorer spends on each view after the read: decode and check the row, judge its age.

    .venv/bin/python benchmarks/decode.py

Rows are as the materializer stores them. Times are CPU time, the median of several loops.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from credit_core.domain.online_store import entity_key, feature_row, row_from_stored
from credit_core.domain.product import DType, load_product
from credit_core.ports import Readout, StoredFeatures
from credit_core.use_cases.score import serve_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.product import CreditProduct, Feature, FeatureView, Value

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = b"0123456789abcdef0123456789abcdef"
LOOPS = 9


def a_value(feature: Feature) -> Value:
    """Return a valid value with as many digits as real ones have."""
    if feature.dtype is DType.CATEGORY:
        return feature.categories[-1]
    low, high = feature.minimum or 0.0, feature.maximum or 0.0
    if feature.dtype is DType.INTEGER:
        return int(low) + 3 if high - low > 3 else int(low)  # noqa: PLR2004 (one of a few)
    return low + (high - low) / 7


def stored(product: CreditProduct, view: FeatureView) -> tuple[str, StoredFeatures]:
    """Return a row of an hour ago and its key."""
    keys = {key.name: "key-1" for key in view.entity.keys}
    row = feature_row(
        view,
        entity_key(product, view, keys, secret=SECRET),
        event_timestamp=NOW - timedelta(hours=1),
        created_timestamp=NOW - timedelta(minutes=50),
        features={feature.name: a_value(feature) for feature in view.features},
    )
    return row.entity_key, StoredFeatures(row.recency, row.features_json())


def microseconds(call: Callable[[], object], *, calls: int) -> float:
    """Return the CPU time of one call, the median of several loops."""
    found = []
    for _ in range(LOOPS):
        started = time.process_time()
        for _ in range(calls):
            call()
        found.append((time.process_time() - started) / calls * 1e6)
    return round(statistics.median(found), 1)


def of_view(product: CreditProduct, view: FeatureView, *, calls: int) -> dict[str, Any]:
    """Return the figures of a view."""
    key, row = stored(product, view)
    readout = Readout({key: row})
    if serve_view(view, key, readout, as_of=NOW).features is None:
        raise RuntimeError(f"the row of {view.name} is not served")

    def decode() -> object:
        return row_from_stored(view, key, recency_text=row.recency, features_json=row.features_json)

    return {
        "features": len(view.features),
        "bytes": len(row.recency) + len(row.features_json),
        "parse_json_us": microseconds(lambda: json.loads(row.features_json), calls=calls),
        "decode_us": microseconds(decode, calls=calls),
        "serve_us": microseconds(lambda: serve_view(view, key, readout, as_of=NOW), calls=calls),
    }


def measure(product_name: str, *, calls: int) -> dict[str, dict[str, Any]]:
    """Return the figures of each view of a product."""
    product = load_product(product_name)
    return {view.name: of_view(product, view, calls=calls) for view in product.feature_views}


def lines(measured: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table for a person."""
    head = ("view", "features", "bytes", "JSON alone us", "decode us", "decode and serve us")
    shown = ["{:<20}{:>10}{:>8}{:>15}{:>11}{:>21}".format(*head)]
    for name, found in measured.items():
        features, size, parse, decode, serve = found.values()
        shown.append(f"{name:<20}{features:>10}{size:>8}{parse:>15}{decode:>11}{serve:>21}")
    return shown


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--product", default="personal_loan")
    parser.add_argument("--calls", type=int, default=2_000, help="calls in a loop")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = measure(options.product, calls=options.calls)
    print(json.dumps(measured, indent=2) if options.json else "\n".join(lines(measured)))


if __name__ == "__main__":
    main()
