"""What a log must not show: masked for its readers, and counted, should it ever be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws
from aws_cdk import aws_logs as logs

if TYPE_CHECKING:
    from constructs import IConstruct

    from credit_core.domain.product import CreditProduct

PERSONAL = (
    "BankAccountNumber-US",
    "CreditCardNumber",
    "DriversLicense-US",
    "EmailAddress",
    "IndividualTaxIdentificationNumber-US",
    "PassportNumber-US",
    "PhoneNumber-US",
    "Ssn-US",
)
"""By which CloudWatch itself knows a person.

Source: Amazon CloudWatch Logs User Guide, "Types of data that you can protect".
"""
SECRETS = ("AwsSecretKey",)

MOST_CUSTOM = 10
LONGEST_EXPRESSION = 200
"""Source: the same guide, "Custom data identifiers"."""


def protect_logs(scope: IConstruct, *, product: CreditProduct) -> None:
    """Have each log group below a construct mask personal data; no log group is forgotten.

    Whoever may read it all the same needs ``logs:Unmask``, which no role here has. CloudWatch
    counts what it finds as ``LogEventsWithFindings``.
    """
    for construct in scope.node.find_all():
        if isinstance(construct, logs.CfnLogGroup):
            construct.data_protection_policy = policy(product)


def policy(product: CreditProduct) -> dict[str, Any]:
    """Return a log group's data protection policy.

    Raises:
        ValueError: The product's applicants have more keys than a policy can name.
    """
    keys = applicant_keys(product)
    if len(keys) > MOST_CUSTOM:
        message = f"{len(keys)} keys of an applicant; a policy names {MOST_CUSTOM} at most"
        raise ValueError(message)
    known = [
        f"arn:{Aws.PARTITION}:dataprotection::aws:data-identifier/{name}"
        for name in (*PERSONAL, *SECRETS)
    ]
    custom = [{"Name": name, "Regex": expression} for name, expression in keys.items()]
    identifiers = [*known, *keys]
    return {
        "Name": "personal-data",
        "Description": "Personal data and secrets are masked, and their finds counted",
        "Version": "2021-06-01",
        # Where a product has no keys of an applicant, there is nothing of its own to look for.
        **({"Configuration": {"CustomDataIdentifier": custom}} if custom else {}),
        "Statement": [
            {
                "Sid": "Count",
                "DataIdentifier": identifiers,
                "Operation": {"Audit": {"FindingsDestination": {}}},
            },
            {
                "Sid": "Mask",
                "DataIdentifier": identifiers,
                "Operation": {"Deidentify": {"MaskConfig": {}}},
            },
        ],
    }


def applicant_keys(product: CreditProduct) -> dict[str, str]:
    """Return, for each key by which the lender knows an applicant, what shows one in a log.

    That is the key's name with a value behind it, as in a request's JSON, quoted or not, and also
    where that JSON is text within other JSON. A message about the name alone shows nothing.
    """
    return {
        name.replace("_", "-"): f"{name}[^a-zA-Z0-9_,]{{2,16}}[a-zA-Z0-9_-]{{1,64}}"
        for name in (product.applicant.key_names if product.applicant else ())
    }
