"""A credit product: one declarative definition from which everything else follows.

The request schema, the Glue tables, the point-in-time SQL, the training columns and their order,
the ONNX input, the online item layout and the reason texts are all derived from it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import traceback
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.definition_faults import shown
from credit_core.domain.definitions import (
    LARGEST_EXACT_INTEGER,
    NAME,
    NAME_RULE,
    REFER,
    RETENTION_TTLS,
    AdverseActionReason,
    Change,
    Column,
    Defaults,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    Influence,
    KeyType,
    Label,
    MonitoredGroup,
    ProhibitedInput,
    Refer,
    RiskDirection,
    Value,
)
from credit_core.domain.places import APPLICATIONS_FOLDER
from credit_core.domain.policy_definition import (
    Band,
    Comparison,
    Condition,
    Outcome,
    Policy,
    Rule,
    RuleKind,
)
from credit_core.domain.product_faults import product_faults
from credit_core.errors import InvalidProductError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

__all__ = [
    "LARGEST_EXACT_INTEGER",
    "NAME",
    "REFER",
    "RETENTION_TTLS",
    "AdverseActionReason",
    "Band",
    "Change",
    "Column",
    "Comparison",
    "Condition",
    "CreditProduct",
    "DType",
    "Defaults",
    "DerivedFeature",
    "Entity",
    "EntityKey",
    "Feature",
    "FeatureView",
    "Influence",
    "KeyType",
    "Label",
    "MonitoredGroup",
    "Outcome",
    "Policy",
    "ProhibitedInput",
    "Refer",
    "RiskDirection",
    "Rule",
    "RuleKind",
    "Value",
    "load_product",
    "load_product_file",
    "product_names",
    "safe_ratio",
]


@dataclass(frozen=True, kw_only=True)
class CreditProduct:
    """Everything the service has to know about one credit product.

    The first of ``entities`` is who applies: by its keys a challenger's share is drawn, and loans
    are kept together when a model is trained.

    Raises:
        InvalidProductError: The definition contradicts itself; all faults are listed.
    """

    name: str
    title: str
    description: str
    entities: tuple[Entity, ...]
    feature_views: tuple[FeatureView, ...]
    request_features: tuple[Feature, ...]
    derived_features: tuple[DerivedFeature, ...]
    label: Label
    policy: Policy
    prohibited: tuple[ProhibitedInput, ...] = field(default=())
    monitored_groups: tuple[MonitoredGroup, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check the whole definition at once."""
        faults = product_faults(self)
        if faults:
            raise InvalidProductError(str(self.name), faults)

    @property
    def applicant(self) -> Entity | None:
        """Who applies; None where the product has no entity."""
        return self.entities[0] if self.entities else None

    @cached_property
    def views_of_applicant(self) -> tuple[FeatureView, ...]:
        """Views whose rows describe one applicant each, and nobody else."""
        return tuple(view for view in self.feature_views if view.entity == self.applicant)

    @cached_property
    def entity_keys(self) -> tuple[EntityKey, ...]:
        """Application fields that identify entities, each once, in order of definition."""
        return tuple({key.name: key for entity in self.entities for key in entity.keys}.values())

    @cached_property
    def entity_key_names(self) -> tuple[str, ...]:
        """Names of ``entity_keys``."""
        return tuple(key.name for key in self.entity_keys)

    @cached_property
    def base_features(self) -> tuple[Feature, ...]:
        """Features that are sent or stored, in model order."""
        return self.request_features + tuple(
            feature for view in self.feature_views for feature in view.features
        )

    @cached_property
    def base_positions(self) -> Mapping[str, int]:
        """Column of each base feature in the model's matrix."""
        return {feature.name: index for index, feature in enumerate(self.base_features)}

    @cached_property
    def model_features(self) -> tuple[Feature, ...]:
        """The G inputs of the model, in the order of its matrix: sent, stored, derived."""
        return self.base_features + self.derived_features

    @cached_property
    def applications_table(self) -> str:
        """Name of the Glue table of applications and their labels."""
        return f"{self.name}_applications"

    @property
    def applications_prefix(self) -> str:
        """Key prefix of the applications' Parquet files in the lake."""
        return f"{self.name}/{APPLICATIONS_FOLDER}/"

    @property
    def features_prefix(self) -> str:
        """Key prefix of the feature files of all views in the lake."""
        return f"{self.name}/features/"

    def view_table(self, view: FeatureView) -> str:
        """Name of the Glue table of a view's history."""
        return f"{self.name}_{view.name}"

    def view_prefix(self, view: FeatureView) -> str:
        """Key prefix of a view's Parquet files in the lake."""
        return f"{self.features_prefix}{view.name}/"

    def view(self, name: str) -> FeatureView:
        """Return the view of that name.

        Raises:
            KeyError: The product has no such view.
        """
        for view in self.feature_views:
            if view.name == name:
                return view
        raise KeyError(name)


def safe_ratio(numerator: Column, denominator: Column) -> Column:
    """Return ``numerator / denominator``, NaN where the denominator is not positive.

    Args:
        numerator: Shape (n,), any unit.
        denominator: Shape (n,), any unit.

    >>> safe_ratio(np.array([10.0, 1.0]), np.array([4.0, 0.0]))
    array([2.5, nan])
    """
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1.0), np.nan)


def product_names() -> tuple[str, ...]:
    """Return the names of the modules under ``products/``, sorted."""
    package = importlib.import_module("products")
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in names if NAME.match(name)))


def load_product(name: str) -> CreditProduct:
    """Return the ``PRODUCT`` of the module ``products.<name>``.

    Raises:
        InvalidProductError: There is no such module, it can't be imported, or its PRODUCT is
            broken; with the line where that can be told.
    """
    if not NAME.match(name):
        raise InvalidProductError(name, [f"not a product name: {NAME_RULE}"])
    try:
        spec = importlib.util.find_spec(f"products.{name}")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise InvalidProductError(name, [f"there is no file products/{name}.py"])
    product = _product_of(
        name, f"products/{name}.py", spec.origin, lambda: importlib.import_module(spec.name)
    )
    if product.name != name:
        raise InvalidProductError(
            name, [f"name: {product.name!r}, but its file is products/{name}.py"]
        )
    return product


def load_product_file(path: Path) -> CreditProduct:
    """Return the ``PRODUCT`` of a definition file, which may lie anywhere and have any name.

    Raises:
        InvalidProductError: There is no such file, it can't be imported, or its PRODUCT is broken;
            with the line where that can be told.
    """
    if not path.is_file():
        raise InvalidProductError(path.stem, [f"there is no file {path}"])
    module_name = f"_definition_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    loader = _SourceOnly(module_name, str(path))
    spec = importlib.util.spec_from_loader(module_name, loader)
    assert spec is not None  # noqa: S101 (it is None only where no loader is given)
    module = importlib.util.module_from_spec(spec)

    def import_it() -> ModuleType:
        # Dataclasses look their module up by its name.
        sys.modules[module_name] = module
        loader.exec_module(module)
        return module

    return _product_of(path.stem, str(path), str(path), import_it)


class _SourceOnly(SourceFileLoader):
    """Reads a file as it is now, and leaves no compiled copy beside it."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Say that a compiled copy cannot be told from an outdated one."""
        raise OSError(path)


def _product_of(
    name: str, place: str, origin: str, import_it: Callable[[], ModuleType]
) -> CreditProduct:
    try:
        module = import_it()
    except InvalidProductError as error:
        raise InvalidProductError(name, error.faults) from error
    except (Exception, SystemExit) as error:
        raise InvalidProductError(name, [_import_fault(error, origin)]) from error
    product = getattr(module, "PRODUCT", None)
    if not isinstance(product, CreditProduct):
        raise InvalidProductError(
            name, [f"PRODUCT: expected a CreditProduct in {place}, not {shown(product)}"]
        )
    return product


def _import_fault(error: BaseException, origin: str) -> str:
    """Return what stopped the import of a product's module: file, line and error in one line."""
    if isinstance(error, SyntaxError) and error.filename:
        place, line, said = Path(error.filename), error.lineno, error.msg
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == origin] or frames[-1:]
        place, line, said = Path(own[-1].filename), own[-1].lineno, " ".join(str(error).split())
    return f"{place.parent.name}/{place.name}, line {line}: {type(error).__name__}: {said}"
