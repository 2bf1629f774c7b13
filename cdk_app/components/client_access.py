"""Who may call the API: applications of three kinds, each with a token of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, Duration
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cdk_app.stages import Stage

RESOURCE_SERVER = "decisions"
DECIDE, READ, REVIEW, REPORT = "decide", "read", "review", "report"
SCOPES: Mapping[str, str] = {
    DECIDE: "Ask for credit decisions",
    READ: "Read decisions and the model's card",
    REVIEW: "See what waits for a person, and record their review",
    REPORT: "Report what became of a loan",
}
CLIENTS: Mapping[str, tuple[str, ...]] = {
    # Loan origination, points of sale.
    "Application": (DECIDE, READ),
    # Where people decide what was referred or contested.
    "Desk": (READ, REVIEW),
    # Loan accounting, which learns what became of a loan.
    "Servicing": (REPORT,),
}
"""The scopes of each kind of caller."""


def scope_name(scope: str) -> str:
    """Return a scope as tokens carry it."""
    return f"{RESOURCE_SERVER}/{scope}"


class ClientAccess(Construct):
    """A user pool without users: it only issues tokens to applications (client credentials)."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.user_pool = cognito.UserPool(
            self,
            "UserPool",
            self_sign_up_enabled=False,
            # No person ever signs in; should one be added by hand, these are the terms.
            mfa=cognito.Mfa.REQUIRED,
            mfa_second_factor=cognito.MfaSecondFactor(otp=True, sms=False),
            password_policy=cognito.PasswordPolicy(
                min_length=16,
                require_digits=True,
                require_lowercase=True,
                require_symbols=True,
                require_uppercase=True,
            ),
            account_recovery=cognito.AccountRecovery.NONE,
            feature_plan=cognito.FeaturePlan.ESSENTIALS,
            deletion_protection=stage.deletion_protection,
            removal_policy=stage.removal,
        )
        threat = "Threat protection watches people's sign-ins; this pool has no users at all."
        acknowledge(self.user_pool, {"AwsSolutions-COG3": threat, "AwsSolutions-COG8": threat})
        scopes = {
            name: cognito.ResourceServerScope(scope_name=name, scope_description=description)
            for name, description in SCOPES.items()
        }
        server = self.user_pool.add_resource_server(
            "Decisions", identifier=RESOURCE_SERVER, scopes=list(scopes.values())
        )
        self.client_ids = {
            kind: self._client(
                kind,
                [cognito.OAuthScope.resource_server(server, scopes[name]) for name in names],
                minutes=stage.token_validity_minutes,
            )
            for kind, names in CLIENTS.items()
        }
        # Domain prefixes are shared by all accounts of a region; the account's number, filled in
        # by CloudFormation, makes this one unique.
        domain = self.user_pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"{stage.prefix}-{Aws.ACCOUNT_ID}"
            ),
        )
        self.token_url = f"{domain.base_url()}/oauth2/token"

    def _client(self, kind: str, scopes: Sequence[cognito.OAuthScope], *, minutes: int) -> str:
        client = self.user_pool.add_client(
            kind,
            generate_secret=True,
            auth_flows=cognito.AuthFlow(),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(client_credentials=True), scopes=list(scopes)
            ),
            access_token_validity=Duration.minutes(minutes),
            prevent_user_existence_errors=True,
        )
        return client.user_pool_client_id
