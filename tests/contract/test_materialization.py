"""What the materializer stores is what the scorer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.adapters.online_store_writer import stored_attributes
from credit_core.domain.online_store import entity_key, row_from_stored
from credit_core.domain.product import DType
from credit_core.ports import FilePart, LakeRow
from credit_core.use_cases.materialize import materialize
from tests.builders import AN_APPLICATION, NOW, PRODUCT, SECRET
from tests.feature_rows import AN_HOUR_AGO, FakeLake, FakeRejectedRows, FakeStore, never

if TYPE_CHECKING:
    from credit_core.domain.product import Feature, FeatureView


def values(feature: Feature) -> st.SearchStrategy[Any]:
    """Return valid values of a feature, as a Parquet file may hold them."""
    if feature.dtype is DType.CATEGORY:
        found: st.SearchStrategy[Any] = st.sampled_from(feature.categories)
    else:
        assert feature.minimum is not None
        assert feature.maximum is not None
        low, high = int(feature.minimum), int(feature.maximum)
        found = st.integers(low, high)
        if feature.dtype is DType.FLOAT:
            found = st.floats(low, high)
    return found | st.none() if feature.nullable else found


@pytest.mark.parametrize("view", PRODUCT.feature_views, ids=lambda view: str(view.name))
@given(data=st.data())
def test_every_row_that_is_accepted_can_be_read_by_the_scorer(
    view: FeatureView, data: st.DataObject
) -> None:
    features = tuple(data.draw(values(feature)) for feature in view.features)
    keys = {name: str(AN_APPLICATION[name]) for name in view.entity.key_names}
    row = LakeRow(0, tuple(keys.values()), AN_HOUR_AGO, AN_HOUR_AGO, features)
    path = PRODUCT.view_prefix(view) + "part-1.parquet"
    store = FakeStore()

    done = materialize(
        PRODUCT,
        FilePart(path),
        lake=FakeLake({path: [row]}),
        store=store,
        rejected_rows=FakeRejectedRows(),
        secret=SECRET,
        as_of=NOW,
        wait=never,
    )

    assert done.written == 1
    key = entity_key(PRODUCT, view, keys, secret=SECRET)
    item: Any = stored_attributes(store.rows[key], view.ttl)
    read = row_from_stored(
        view,
        key,
        recency_text=item["recency"]["S"],
        features_json=item["features"]["S"],
    )
    assert read == store.rows[key]
    assert tuple(read.features.values()) == features
