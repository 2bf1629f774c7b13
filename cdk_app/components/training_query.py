"""Athena for the training set: a workgroup of its own, and what its caller must be allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_athena as athena
from constructs import Construct

if TYPE_CHECKING:
    from cdk_app.components.storage import Storage
    from cdk_app.components.workflow import Workflow
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

RESULTS_PREFIX = "training-sets/"
CATALOG = "AwsDataCatalog"
"""Athena's name for the account's Glue catalog."""

RETRY_ATHENA = {
    "ErrorEquals": [
        "Athena.InternalServerException",
        "Athena.SdkClientException",
        "Athena.TooManyRequestsException",
    ],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 5,
    "JitterStrategy": "FULL",
}
RETRY_QUERY = {
    "ErrorEquals": ["QueryFailed", "QueryTimedOut"],
    "IntervalSeconds": 5,
    "MaxAttempts": 1,
    "JitterStrategy": "FULL",
}
CALL_SECONDS = 60


class TrainingQuery(Construct):
    """A workgroup that says where results lie, how they are encrypted, how much may be read."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, storage: Storage
    ) -> None:
        super().__init__(scope, id_)
        self._product = product
        self._storage = storage
        self.workgroup = stage.prefix
        encryption = athena.CfnWorkGroup.EncryptionConfigurationProperty(
            encryption_option="SSE_KMS", kms_key=storage.key.key_arn
        )
        athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=self.workgroup,
            description="Training sets of the credit-decision service",
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=stage.retraining.query_scanned_bytes,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=storage.buckets.results.s3_url_for_object(RESULTS_PREFIX),
                    encryption_configuration=encryption,
                ),
            ),
        )

    def allow(self, workflow: Workflow) -> None:
        """Allow a workflow to run the query: Athena reads and writes as its caller."""
        may = workflow.role
        lake, results = self._storage.buckets.lake, self._storage.buckets.results
        arn = Stack.of(self).format_arn
        database = self._storage.catalog.database_name
        may.allow(
            "athena:GetQueryExecution",
            "athena:StartQueryExecution",
            "athena:StopQueryExecution",
            on=[arn(service="athena", resource="workgroup", resource_name=self.workgroup)],
        )
        may.allow(
            "athena:GetDataCatalog",
            on=[arn(service="athena", resource="datacatalog", resource_name=CATALOG)],
        )
        # Whatever a query reads, Athena looks up the account's database `default` first, and makes
        # it where there is none.
        # Source: Athena User Guide, "Configure access to databases and tables in the AWS Glue Data
        # Catalog".
        may.allow(
            "glue:CreateDatabase",
            "glue:GetDatabase",
            "glue:GetDatabases",
            on=[
                arn(service="glue", resource="catalog"),
                arn(service="glue", resource="database", resource_name="default"),
            ],
        )
        may.allow(
            "glue:GetDatabase",
            "glue:GetPartitions",
            "glue:GetTable",
            on=[
                arn(service="glue", resource="catalog"),
                arn(service="glue", resource="database", resource_name=database),
                *(
                    arn(service="glue", resource="table", resource_name=f"{database}/{table}")
                    for table in self._storage.catalog.table_names
                ),
            ],
        )
        may.allow_objects("s3:GetObject", bucket=lake, prefix=f"{self._product.name}/")
        may.allow_objects(
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            bucket=results,
            prefix=RESULTS_PREFIX,
        )
        may.allow("s3:GetBucketLocation", on=[lake.bucket_arn, results.bucket_arn])
        for bucket, prefix in ((lake, f"{self._product.name}/"), (results, RESULTS_PREFIX)):
            # Athena asks for objects that may not be there, such as a table's empty partition.
            may.allow_listing(bucket, prefix, tells_what_is_missing=True)
        may.allow("s3:ListBucketMultipartUploads", on=[results.bucket_arn])


def training_query_states(
    stage: Stage, *, sql: str, database: str, workgroup: str
) -> dict[str, Any]:
    """Return a Map state whose one item is the query: started, waited for, and told what it found.

    Its result is a list of one: ``output_location``, ``query`` and ``query_execution_id``.

    Started and polled, not `.sync`: the local cloud lacks that, and a failure's reason from Athena
    reaches the cause as a sentence. A Map, because that can be tried again as a whole: a query that
    failed is asked anew, in the same run or when that is redriven. A redriven run that had ended in
    a Fail state of its own would end there again at once.
    """
    sdk = f"arn:{Aws.PARTITION}:states:::aws-sdk:athena"
    limit = stage.retraining.query_timeout_seconds
    query_id = {"QueryExecutionId": "{% $query_execution_id %}"}
    call = {"Type": "Task", "TimeoutSeconds": CALL_SECONDS, "Retry": [RETRY_ATHENA]}
    states: dict[str, Any] = {
        "StartQuery": {
            **call,
            "Resource": f"{sdk}:startQueryExecution",
            "Arguments": {
                "QueryString": sql,
                "QueryExecutionContext": {"Database": database},
                "WorkGroup": workgroup,
            },
            "Assign": {
                "query_execution_id": "{% $states.result.QueryExecutionId %}",
                "asked_ms": "{% $millis() %}",
            },
            "Next": "WaitForQuery",
        },
        "WaitForQuery": {
            "Type": "Wait",
            "Seconds": stage.retraining.query_poll_seconds,
            "Next": "GetQuery",
        },
        "GetQuery": {
            **call,
            "Resource": f"{sdk}:getQueryExecution",
            "Arguments": query_id,
            "Output": "{% $states.result.QueryExecution %}",
            "Next": "QueryDone",
        },
        "QueryDone": {
            "Type": "Choice",
            "Choices": [
                {
                    "Condition": "{% $states.input.Status.State = 'SUCCEEDED' %}",
                    "Next": "QuerySucceeded",
                },
                {
                    "Condition": "{% $states.input.Status.State in ['FAILED', 'CANCELLED'] %}",
                    "Next": "QueryFailed",
                },
                {
                    "Condition": f"{{% $millis() - $asked_ms > {1_000 * limit} %}}",
                    "Next": "StopQuery",
                },
            ],
            "Default": "WaitForQuery",
        },
        "QuerySucceeded": {
            "Type": "Pass",
            "Output": {
                "output_location": "{% $states.input.ResultConfiguration.OutputLocation %}",
                "query": sql,
                "query_execution_id": "{% $query_execution_id %}",
            },
            "End": True,
        },
        "QueryFailed": {
            "Type": "Fail",
            "Error": "QueryFailed",
            "Cause": "{% 'the training set query ' & $query_execution_id & ' '"
            " & $lowercase($states.input.Status.State) & ': '"
            " & $states.input.Status.StateChangeReason %}",
        },
        "StopQuery": {
            **call,
            "Resource": f"{sdk}:stopQueryExecution",
            "Arguments": query_id,
            "Next": "QueryTimedOut",
        },
        "QueryTimedOut": {
            "Type": "Fail",
            "Error": "QueryTimedOut",
            "Cause": "{% 'the training set query ' & $query_execution_id & ' was stopped after"
            f" {limit} s' %}}",
        },
    }
    return {
        "Type": "Map",
        "Items": [{}],
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "StartQuery",
            "States": states,
        },
        "Retry": [RETRY_QUERY],
    }
