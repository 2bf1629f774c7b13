"""Training rows of what was really served: receipts joined with what became of their loans.

A row holds the very numbers that the model was given when the application was decided, so a model
trained on it cannot have seen anything that scoring would not have seen.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from credit_core.domain.loan_outcome import default_within
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.point_in_time import training_set_columns, view_event_column
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.product import DType
from credit_core.domain.receipt import READ_ERRORS, receipt_of, row_of
from credit_core.domain.terms import Terms
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.product import CreditProduct, Feature, FeatureView
    from credit_core.domain.receipt import Receipt
    from credit_core.domain.terms import ModelInput
    from credit_core.use_cases.served_decisions import ServedDecision, ServedDecisions


class LeftOut(StrEnum):
    """Why a decision became no training row."""

    NO_LOAN = "no_loan"
    """It was not approved, or the application was withdrawn."""

    NOT_REPORTED = "not_reported"
    """It was approved, and what became of it is not known."""

    TOO_YOUNG = "too_young"
    """The label's horizon has not passed: of such loans only the early outcomes are known."""

    NOT_SERVED = "not_served"
    """A view had nothing to serve when it was decided, so a person had to decide."""

    OTHER_DEFINITION = "other_definition"
    """It was decided on other inputs than the product defines today."""

    DAMAGED = "damaged"
    """A record of it cannot be read."""

    OVER_LIMIT = "over_limit"
    """It was not read, because there were too many."""


@dataclass(frozen=True, slots=True)
class ServedTrainingSet:
    """The CSV that a trainer reads, and what it was made of.

    ``rows`` plus ``left_out`` are the ``decisions`` of the days.
    """

    body: bytes
    decisions: int
    rows: int
    defaults: int
    left_out: Mapping[LeftOut, int]

    def document(self) -> dict[str, Any]:
        """Return the JSON object in which a caller receives it, without the rows."""
        return {
            "decisions": self.decisions,
            "rows": self.rows,
            "defaults": self.defaults,
            "left_out": {str(why): self.left_out.get(why, 0) for why in LeftOut},
        }


def served_training_set(
    product: CreditProduct,
    decisions: ServedDecisions,
    *,
    as_of: datetime,
    any_age: bool = False,
    unreported_repay: bool = False,
) -> ServedTrainingSet:
    """Return the training set of the decisions whose outcome is known.

    Its columns are those of the product's training-set query, rows in order of time. Columns of
    monitored groups are empty: no receipt holds what the model must not see.

    Args:
        product: As it is defined today. A receipt serves as long as it has today's features.
        decisions: Where they are read from.
        as_of: Now; loans count from when the label's horizon has passed.
        any_age: Take younger loans too, as far as their outcome was reported. Defaults come
            early, so they are more frequent among these than among all.
        unreported_repay: Take an approved loan of which nothing was reported when the horizon
            passed for one that did not default. Right where each default is reported.

    Raises:
        StoreUnavailableError: The archive did not answer.
    """
    reader = _RowReader(product)
    left_out: Counter[LeftOut] = Counter()
    rows: list[dict[str, str]] = []
    for decision in decisions:
        row: dict[str, str] | LeftOut
        try:
            receipt = receipt_of(decision.receipt)
            label = _label(
                product, decision, receipt, as_of=as_of, any_age=any_age, assume=unreported_repay
            )
            row = label if isinstance(label, LeftOut) else reader.row(receipt, defaulted=label)
        except (DamagedReceiptError, *READ_ERRORS):
            row = LeftOut.DAMAGED
        if isinstance(row, LeftOut):
            left_out[row] += 1
        else:
            rows.append(row)
    left_out[LeftOut.DAMAGED] += decisions.damaged
    left_out[LeftOut.OVER_LIMIT] += decisions.unread
    rows.sort(key=lambda row: (row["event_timestamp"], row["application_id"]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, training_set_columns(product), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return ServedTrainingSet(
        text.getvalue().encode(),
        decisions=decisions.made,
        rows=len(rows),
        defaults=sum(row[product.label.name] == "1" for row in rows),
        left_out=left_out,
    )


def _label(
    product: CreditProduct,
    decision: ServedDecision,
    receipt: Receipt,
    *,
    as_of: datetime,
    any_age: bool,
    assume: bool,
) -> bool | LeftOut:
    """Return whether a loan defaulted within the horizon, or why that is not known."""
    if decision.standing != Outcome.APPROVE:
        return LeftOut.NO_LOAN
    decided_at = datetime.fromisoformat(receipt.decided_at)
    horizon = product.label.horizon
    defaulted = default_within(decision.reported, decided_on=decided_at.date(), horizon=horizon)
    is_over = decided_at + horizon <= as_of
    if defaulted is None:
        if decision.reported:
            return LeftOut.NO_LOAN
        return False if assume and is_over else LeftOut.NOT_REPORTED
    return defaulted if any_age or is_over else LeftOut.TOO_YOUNG


class _RowReader:
    """Makes rows of receipts; which terms serve is looked up once."""

    def __init__(self, product: CreditProduct) -> None:
        self._product = product
        self._inputs: dict[bytes, Mapping[str, tuple[int, ModelInput]]] = {}

    def row(self, receipt: Receipt, *, defaulted: bool) -> dict[str, str] | LeftOut:
        """Return the receipt's row by column, or why it has none.

        Raises:
            DamagedReceiptError: Its terms cannot be read; other errors tell other damage.
        """
        product = self._product
        inputs = self._inputs_of(receipt.terms)
        if any(not _serves(inputs.get(each.name), each) for each in product.base_features):
            return LeftOut.OTHER_DEFINITION
        served: Mapping[str, Mapping[str, Any]] = json.loads(receipt.served)
        if any(view.name not in served for view in product.feature_views):
            return LeftOut.OTHER_DEFINITION
        if any(served[view.name]["features"] is None for view in product.feature_views):
            return LeftOut.NOT_SERVED
        numbers = row_of(receipt.model_input).tolist()
        values = {
            feature.name: _text(feature, numbers[inputs[feature.name][0]])
            for feature in product.base_features
        }
        events = {
            view_event_column(view): _event(view, served[view.name])
            for view in product.feature_views
        }
        return {
            "application_id": receipt.application_id,
            "event_timestamp": _moment(receipt.decided_at),
            **values,
            product.label.name: str(int(defaulted)),
            **dict.fromkeys((group.name for group in product.monitored_groups), ""),
            **events,
        }

    def _inputs_of(self, packed: bytes) -> Mapping[str, tuple[int, ModelInput]]:
        if packed not in self._inputs:
            inputs = Terms.unpack(packed).inputs
            self._inputs[packed] = {each.name: (place, each) for place, each in enumerate(inputs)}
        return self._inputs[packed]


def _serves(found: tuple[int, ModelInput] | None, feature: Feature) -> bool:
    """Whether an input of a receipt's terms means what a feature of today means."""
    return (
        found is not None
        and not found[1].derived_from
        and found[1].categories == feature.categories
        and found[1].unit == feature.unit
    )


def _text(feature: Feature, number: float) -> str:
    """Return a number of the model's input as a field of the CSV, empty where unknown."""
    if feature.dtype is DType.CATEGORY:
        return "" if number < 0 else feature.categories[int(number)]
    if math.isnan(number):
        return ""
    return repr(int(number)) if feature.dtype is DType.INTEGER else repr(number)


def _event(view: FeatureView, served: Mapping[str, Any]) -> str:
    """Return the event timestamp of a view's row as the query gives it, empty without a row."""
    event = served["event_timestamp"]
    if event is None and served["status"] != "missing":
        raise DamagedReceiptError(f"{view.name} is {served['status']} and has no event")
    return _moment(event) if event else ""


def _moment(text: str) -> str:
    """Return a moment as the query's CSV has it: in UTC, without saying so.

    >>> _moment("2026-11-22T10:55:03.193Z")
    '2026-11-22 10:55:03.193'
    """
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return timestamp_text(moment).removesuffix("Z").replace("T", " ")
