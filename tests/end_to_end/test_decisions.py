"""Decisions as a client application sees them: HTTP, a token, JSON."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.api import curl, request_token
from credit_cli.checkout import Checkout
from credit_core.domain.online_store import entity_key
from credit_core.domain.product import load_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from credit_cli.api import Answer
    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

type Applications = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.end_to_end

PRODUCT = load_product("personal_loan")
TURNED_AWAY = {429, 502, 503, 504}
PATIENCE_SECONDS = 120


def test_the_demos_application_is_decided_by_the_champion(demo: dict[str, Any]) -> None:
    decision = demo["decision"]

    assert decision["outcome"] in {"approve", "decline", "refer"}
    assert 0 < decision["probability_of_default"] < 1
    assert decision["model"]["version"] == demo["champion"]["version"]
    assert {view["status"] for view in decision["feature_status"].values()} == {"fresh"}
    stages = [stage.partition(";")[0] for stage in demo["server_timing"].split(", ")]
    assert {"parse", "read", "total"} <= set(stages)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loan_amount": 1_000, "term_months": 36, "annual_income": 200_000},
        {"loan_amount": 40_000, "employment_years": 0, "verification_status": "verified"},
    ],
)
def test_the_outcome_follows_the_cutoffs_and_its_reasons_are_words(
    client: Client, an_application: Applications, changes: dict[str, Any]
) -> None:
    decision = client(an_application(**changes)).document()

    probability, policy = decision["probability_of_default"], PRODUCT.policy
    expected = "refer"
    if probability <= policy.approve_up_to:
        expected = "approve"
    elif probability >= policy.decline_from:
        expected = "decline"
    assert decision["outcome"] == expected
    texts = {feature.adverse_action.text for feature in PRODUCT.model_features}
    assert len(decision["reasons"]) <= policy.maximum_reasons
    for reason in decision["reasons"]:
        assert reason["text"] in texts
        assert reason["contribution_log_odds"] > 0 > reason["contribution_points"]


def test_the_same_application_again_gets_the_same_bytes(
    client: Client, an_application: Applications
) -> None:
    application = an_application()

    first, second = client(application), client(application)

    assert (first.status, second.status) == (200, 200)
    assert first.body == second.body


def test_an_id_used_before_with_another_body_is_a_conflict(
    client: Client, an_application: Applications
) -> None:
    application = an_application()
    client(application)

    changed = client(application | {"loan_amount": application["loan_amount"] + 1})

    assert changed.status == 409
    assert changed.headers["Content-Type"] == "application/problem+json"


def test_fifty_calls_at_once_make_one_decision(
    client: Client, an_application: Applications, aws: LocalAws, deployment: Deployment
) -> None:
    body = json.dumps(an_application()).encode()

    def patiently(number: int) -> Answer:
        # They are more than there is concurrency, and on a busy machine workers start slowly.
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := client.post(body)).status in TURNED_AWAY:
            assert time.monotonic() < deadline, f"call {number}: {answer.body.decode()}"
            time.sleep(0.5)
        return answer

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(patiently, range(50)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    found = dynamodb.query(
        TableName=deployment["DecisionsTable"],
        KeyConditionExpression="application_id = :id",
        ExpressionAttributeValues={":id": {"S": json.loads(body)["application_id"]}},
        ConsistentRead=True,
    )
    assert found["Count"] == 1


def test_an_unknown_applicant_is_referred(client: Client, an_application: Applications) -> None:
    decision = client(an_application(applicant_id="nobody-we-know")).document()

    assert decision["outcome"] == "refer"
    assert decision["cause"]["code"] == "features_missing"
    assert decision["feature_status"]["bureau"]["status"] == "missing"


def test_a_negative_income_is_refused_by_name_and_not_repeated(
    client: Client, an_application: Applications
) -> None:
    answer = client(an_application(annual_income=-313_373_133_731))

    assert answer.status == 400
    assert [fault["path"] for fault in answer.document()["faults"]] == ["annual_income"]
    # Long enough to be in no request's id by chance.
    assert b"313373133731" not in answer.body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"application_id": NaN}', b"[" * 10_000])
def test_a_body_that_is_no_application_is_refused(client: Client, body: bytes) -> None:
    assert client.post(body).status == 400


def test_a_body_larger_than_any_application_is_refused(client: Client) -> None:
    assert client.post(b"[" * 100_000).status == 413


@pytest.mark.parametrize("token", ["", "made.up.token"])
def test_without_a_token_there_is_no_answer(
    client: Client, an_application: Applications, token: str
) -> None:
    assert client(an_application(), token=token).status in {401, 403}


@pytest.fixture
def token_without_the_scope(aws: LocalAws, deployment: Deployment) -> Iterator[str]:
    """A valid token of the same user pool, for something else."""
    cognito: CognitoIdentityProviderClient = aws.client("cognito-idp")
    pool = deployment["UserPoolId"]
    cognito.create_resource_server(
        UserPoolId=pool,
        Identifier="elsewhere",
        Name="elsewhere",
        Scopes=[{"ScopeName": "read", "ScopeDescription": "Something else"}],
    )
    made = cognito.create_user_pool_client(
        UserPoolId=pool,
        ClientName="another client",
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=["elsewhere/read"],
        AllowedOAuthFlowsUserPoolClient=True,
    )["UserPoolClient"]
    yield request_token(
        deployment.token_url,
        client_id=made["ClientId"],
        client_secret=made["ClientSecret"],
        scope="elsewhere/read",
    ).access_token
    cognito.delete_user_pool_client(UserPoolId=pool, ClientId=made["ClientId"])
    cognito.delete_resource_server(UserPoolId=pool, Identifier="elsewhere")


def test_a_token_without_the_scope_is_refused(
    client: Client, an_application: Applications, token_without_the_scope: str
) -> None:
    assert client(an_application(), token=token_without_the_scope).status in {401, 403}


@pytest.fixture
def corrupt_bureau_row(
    an_application: Applications, aws: LocalAws, deployment: Deployment
) -> Iterator[None]:
    """The example applicant's stored bureau row, cut short for a while."""
    application = an_application()
    secrets: SecretsManagerClient = aws.client("secretsmanager")
    names = [secret["Name"] for secret in secrets.list_secrets()["SecretList"]]
    keys = {key: application[key] for key in PRODUCT.entity_key_names}
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    table = deployment["OnlineStoreTable"]
    stored = None
    for name in names:
        secret = secrets.get_secret_value(SecretId=name)["SecretString"].encode()
        key = entity_key(PRODUCT, PRODUCT.view("bureau"), keys, secret=secret)
        stored = stored or dynamodb.get_item(
            TableName=table, Key={"entity_key": {"S": key}}, ConsistentRead=True
        ).get("Item")
    assert stored is not None
    cut = {"S": stored["features"]["S"][:20]}
    dynamodb.put_item(TableName=table, Item=stored | {"features": cut})
    yield
    dynamodb.put_item(TableName=table, Item=stored)


@pytest.mark.usefixtures("corrupt_bureau_row")
def test_a_corrupt_feature_row_is_referred(client: Client, an_application: Applications) -> None:
    decision = client(an_application()).document()

    assert decision["outcome"] == "refer"
    assert decision["cause"]["code"] == "features_unreadable"


def test_the_command_prints_the_apis_own_answer(
    credit: Credit, client: Client, an_application: Applications
) -> None:
    application = an_application()

    printed = credit("score", "-", "--json", stdin=json.dumps(application).encode()).stdout

    assert printed == client(application).body + b"\n"


@pytest.mark.usefixtures("demo")
def test_the_command_ends_with_3_when_the_api_refuses(
    credit: Credit, an_application: Applications
) -> None:
    body = json.dumps(an_application(annual_income=-1)).encode()

    done = credit("score", "-", check=False, stdin=body)

    assert done.returncode == 3
    assert b"annual_income must be at least 0" in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_printed_curl_returns_the_demos_decision_again(
    demo: dict[str, Any], deployment: Deployment
) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", curl(deployment.api_url)],
        cwd=Checkout().root,
        capture_output=True,
        check=True,
    )

    assert json.loads(done.stdout) == demo["decision"]
