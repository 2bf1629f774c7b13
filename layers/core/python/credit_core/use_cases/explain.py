"""Explain a recorded decision from its receipt and the model that decided."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from credit_core.domain.application_records import DECISION
from credit_core.domain.decision import assumed_in
from credit_core.domain.explanation import Explanation, ReceiptContents, explanation_of
from credit_core.domain.judgement import Judge
from credit_core.domain.receipt import receipt_of, row_of, views_of
from credit_core.domain.terms import Terms
from credit_core.errors import ApplicationUnknownError, DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.product import CreditProduct
    from credit_core.domain.receipt import Receipt
    from credit_core.ports import LoadedModel, RegisteredModels

LARGEST_DIFFERENCE = 1e-5
"""In probability; below it is what another processor makes of the same float32 sums."""


class ExplainDecision:
    """Explains decisions of one product, one after the other.

    Args:
        product: As it is defined now; a counterfactual has to be something that can be sent.
        records: Returns the records of an application.
        load_model: Loads the models that decided.
    """

    def __init__(
        self,
        product: CreditProduct,
        *,
        records: Callable[[str], Iterable[StoredRecord]],
        load_model: RegisteredModels,
    ) -> None:
        self._product = product
        self._records = records
        self._load_model = load_model
        self._loaded: tuple[tuple[str, str, str], LoadedModel] | None = None

    def __call__(self, application_id: str) -> Explanation:
        """Return the explanation of the decision that is recorded under an id.

        Raises:
            ApplicationUnknownError: Nothing was decided under this id.
            DamagedReceiptError: The decision cannot be read, or doesn't follow from its receipt.
            ModelUnavailableError: The model that decided cannot be loaded.
            StoreUnavailableError: The store did not answer.
        """
        for record in self._records(application_id):
            if record.get("record") == DECISION:
                return self.of_receipt(receipt_of(record))
        raise ApplicationUnknownError(application_id)

    def of_receipt(self, receipt: Receipt) -> Explanation:
        """Return the explanation of the decision in a receipt.

        Raises:
            DamagedReceiptError: It cannot be read, or the decision doesn't follow from it.
            ModelUnavailableError: The model that decided cannot be loaded.
        """
        try:
            recorded = _read(receipt)
            model = self._model(receipt, recorded)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            message = f"the decision cannot be read ({type(error).__name__})"
            raise DamagedReceiptError(message) from None
        if model is None:
            return explanation_of(recorded, None, model, self._product)
        judge = Judge(recorded.terms)
        assessment = judge(recorded.row, model, assumed=recorded.assumed).assessment
        if assessment is None or not math.isclose(
            assessment.probability_of_default,
            recorded.response["probability_of_default"],
            rel_tol=0,
            abs_tol=LARGEST_DIFFERENCE,
        ):
            raise DamagedReceiptError("the decision does not follow from its receipt")
        return explanation_of(recorded, assessment, model, self._product)

    def _model(self, receipt: Receipt, recorded: ReceiptContents) -> LoadedModel | None:
        """Return the model that judged, None where none did."""
        response = recorded.response
        if response["probability_of_default"] is None:
            return None
        key = receipt.product, response["model"]["version"], receipt.manifest_sha256
        if self._loaded is None or self._loaded[0] != key:
            product, version, manifest_sha256 = key
            model = self._load_model(product, version=version, manifest_sha256=manifest_sha256)
            self._loaded = key, model
        return self._loaded[1]


def _read(receipt: Receipt) -> ReceiptContents:
    """Return what a receipt keeps.

    Raises:
        DamagedReceiptError: Its terms cannot be read, or its numbers are not those of all inputs.
        ValueError: Something else can't; or AttributeError, LookupError, TypeError.
    """
    terms, row = Terms.unpack(receipt.terms), row_of(receipt.model_input)
    response = json.loads(receipt.response)
    came_before_input = row.size == 0 and response["probability_of_default"] is None
    if row.size != len(terms.inputs) and not came_before_input:
        raise DamagedReceiptError(f"{row.size} numbers for {len(terms.inputs)} inputs")
    return ReceiptContents(
        terms,
        row,
        json.loads(receipt.request),
        assumed_in(views_of(json.loads(receipt.served))),
        response,
    )
