"""Who may ask for decisions: client applications with a token of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, Duration
from aws_cdk import aws_cognito as cognito
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge

if TYPE_CHECKING:
    from cdk_app.stages import Stage

RESOURCE_SERVER = "decisions"
DECIDE = "decide"


class ClientAccess(Construct):
    """A user pool without users: it only issues tokens to applications (client credentials)."""

    scope_name = f"{RESOURCE_SERVER}/{DECIDE}"

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
        decide = cognito.ResourceServerScope(
            scope_name=DECIDE, scope_description="Ask for a credit decision"
        )
        server = self.user_pool.add_resource_server(
            "Decisions", identifier=RESOURCE_SERVER, scopes=[decide]
        )
        self.application_client = self.user_pool.add_client(
            "Application",
            generate_secret=True,
            auth_flows=cognito.AuthFlow(),
            o_auth=cognito.OAuthSettings(
                flows=cognito.OAuthFlows(client_credentials=True),
                scopes=[cognito.OAuthScope.resource_server(server, decide)],
            ),
            access_token_validity=Duration.minutes(stage.token_validity_minutes),
            prevent_user_existence_errors=True,
        )
        # Domain prefixes are shared by all accounts of a region; the account's number, filled in
        # by CloudFormation, makes this one unique.
        domain = self.user_pool.add_domain(
            "Domain",
            cognito_domain=cognito.CognitoDomainOptions(
                domain_prefix=f"{stage.prefix}-{Aws.ACCOUNT_ID}"
            ),
        )
        self.token_url = f"{domain.base_url()}/oauth2/token"
