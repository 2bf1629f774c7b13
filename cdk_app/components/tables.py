"""What the scorer reads and writes: features, decisions, and which model decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from credit_core.domain.places import AWAITING_REVIEW, BY_APPLICANT
from credit_core.domain.receipt_archive import EXPIRES_AT
from credit_core.domain.referrals import WAITING

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from cdk_app.stages import Stage


class Tables(Construct):
    """Three on-demand tables; one BatchGetItem reads from all of them."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._key = key
        self.online_store = self._table(
            "OnlineStore", "entity_key", time_to_live_attribute="expires_at"
        )
        self.decisions = self._table(
            "Decisions",
            "application_id",
            "record",
            stream=dynamodb.StreamViewType.NEW_IMAGE,
            time_to_live_attribute=EXPIRES_AT,
            # Changed in place, at most twice in 30 days.
            table_class=dynamodb.TableClass.STANDARD_INFREQUENT_ACCESS
            if stage.receipts_seldom_read
            else None,
        )
        # Receipts alone have the attribute. Whoever erases an applicant finds them by it.
        self.decisions.add_global_secondary_index(
            index_name=BY_APPLICANT,
            partition_key=_text("applicant"),
            projection_type=dynamodb.ProjectionType.KEYS_ONLY,
        )
        # Referrals that nobody reviewed alone have the attribute. An update of a table may make
        # one index or remove one, not more: a release adds no second one.
        self.decisions.add_global_secondary_index(
            index_name=AWAITING_REVIEW,
            partition_key=_text(WAITING),
            sort_key=_text("decided_at"),
            projection_type=dynamodb.ProjectionType.INCLUDE,
            non_key_attributes=["response", "revision", "added", EXPIRES_AT],
        )
        self.registry = self._table("Registry", "product", "record")

    @property
    def arns(self) -> list[str]:
        """The ARNs of all three."""
        return [table.table_arn for table in (self.online_store, self.decisions, self.registry)]

    def _table(
        self, name: str, partition_key: str, sort_key: str | None = None, **props: Any
    ) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            name,
            partition_key=_text(partition_key),
            sort_key=_text(sort_key) if sort_key else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
            encryption_key=self._key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=self._stage.point_in_time_recovery
            ),
            deletion_protection=self._stage.deletion_protection,
            removal_policy=self._stage.removal,
            **props,
        )


def _text(attribute: str) -> dynamodb.Attribute:
    return dynamodb.Attribute(name=attribute, type=dynamodb.AttributeType.STRING)
