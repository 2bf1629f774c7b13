"""JSON Schema (draft 2020-12) of what the API takes and answers, closed and exact.

What a request may hold is the schema that validates it. An answer may be of years ago: names that
a product defines, such as codes of reasons or views, are free text in it, and everything else is
stated.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from credit_core.domain.application import APPLICATION_ID_PATTERN, ApplicationReader
from credit_core.domain.batch_body import APPLICATIONS, LARGEST_BATCH
from credit_core.domain.counterfactual import BETTER
from credit_core.domain.decision import FeatureStatus
from credit_core.domain.explanation import WhyNone
from credit_core.domain.judgement import DeciderKind, ReferralCause
from credit_core.domain.loan_outcome import OutcomeBody
from credit_core.domain.model_manifest import Estimate, Evaluation, Gate, Role, RolloutMode
from credit_core.domain.policy_definition import MAXIMUM_REASONS, Outcome
from credit_core.domain.referrals import CURSOR_PATTERN, LARGEST_PAGE
from credit_core.domain.review import ReviewReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

    from credit_core.domain.product import CreditProduct

type Schema = dict[str, Any]

SCHEMAS = "#/components/schemas/"
TIMESTAMP: Schema = {"type": "string", "format": "date-time"}
SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
OUTCOMES = [outcome.value for outcome in Outcome]
APPLICATION_ID: Schema = {"type": "string", "pattern": f"^(?:{APPLICATION_ID_PATTERN})$"}
CURSOR: Schema = {"type": "string", "pattern": f"^(?:{CURSOR_PATTERN})$"}


def ref(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"{SCHEMAS}{name}"}


def closed(properties: dict[str, Schema], *, optional: Iterable[str] = (), **more: Any) -> Schema:
    """Return the schema of an object that has these members and no other.

    >>> closed({"ready": {"type": "boolean"}})["required"]
    ['ready']
    """
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in set(optional)],
        "additionalProperties": False,
        **more,
    }


def listed(items: Schema, **more: Any) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **more}


def nullable(schema: Schema) -> Schema:
    """Return the schema of the same, or null.

    >>> nullable({"type": "number"})
    {'type': ['number', 'null']}
    """
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def described(schema: Schema, description: str) -> Schema:
    """Return the schema with a description."""
    return {**schema, "description": description}


def published(model: type[BaseModel]) -> dict[str, Schema]:
    """Return the schemas of a pydantic model and of what it is made of, by name.

    Titles, which only repeat the names, are left out.
    """
    schema = untitled(model.model_json_schema(ref_template=SCHEMAS + "{model}"))
    parts: dict[str, Schema] = schema.pop("$defs", {})
    return parts | {model.__name__: schema}


def untitled(schema: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names.

    >>> untitled({"title": "A", "properties": {"title": {"title": "Title", "type": "string"}}})
    {'properties': {'title': {'type': 'string'}}}
    """
    if isinstance(schema, list):
        return [untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: {name: untitled(part) for name, part in value.items()}
        if key in {"properties", "$defs"}
        else untitled(value)
        for key, value in schema.items()
        if key != "title"
    }


def request_schemas(product: CreditProduct) -> dict[str, Schema]:
    """Return the schemas of the bodies that a product's API takes."""
    (application,) = published(ApplicationReader(product).schema).values()
    (review,) = published(ReviewReader(product).schema).values()
    (report,) = published(OutcomeBody).values()
    return {
        "Application": described(application, f"An application for {product.title.lower()}."),
        "Review": described(review, "What a person decided, and why."),
        "OutcomeReport": described(report, "What became of a loan."),
    }


def decision_schemas() -> dict[str, Schema]:
    """Return the schema of a decision, and of its parts."""
    model = closed(
        {
            "version": TEXT,
            "sha256": described(SHA256, "Of the model's ONNX file."),
            "role": described(
                {"enum": [role.value for role in Role], "type": "string"},
                "As what it answered: the model that decides, or one that is tried on a share of "
                "the applicants. The same applicant always meets the same one while it is tried.",
            ),
        }
    )
    cause = closed(
        {
            "code": {"enum": [cause.value for cause in ReferralCause], "type": "string"},
            "detail": described(TEXT, "Names and measures, never a value of the applicant."),
            "retryable": {
                "type": "boolean",
                "description": "Whether the same application may be sent again for another "
                "decision, because the cause may have passed.",
            },
        }
    )
    reason = closed(
        {
            "code": described(TEXT, "Stable code of the reason, for your letters."),
            "text": described(TEXT, "What can be stated to the applicant."),
            "feature": described(TEXT, "The feature that the reason is about."),
            "contribution_log_odds": described(
                nullable(NUMBER),
                "How far the feature raised the log-odds of default against the reference "
                "applicant; null for a rule.",
            ),
            "contribution_points": described(
                nullable(NUMBER), "The same in points, negative; null for a rule."
            ),
        }
    )
    view = closed(
        {
            "status": {"enum": [status.value for status in FeatureStatus], "type": "string"},
            "event_timestamp": described(nullable(TIMESTAMP), "When the features were true."),
            "age_seconds": described(nullable(NUMBER), "Their age when the decision was made."),
        }
    )
    decision = closed(
        {
            "application_id": APPLICATION_ID,
            "product": TEXT,
            "outcome": {"enum": OUTCOMES, "type": "string"},
            "decided_by": closed(
                {
                    "kind": {"enum": [kind.value for kind in DeciderKind], "type": "string"},
                    "code": described(TEXT, "Code of the rule, the cut-off or the fault."),
                },
                description="What settled the outcome.",
            ),
            "cause": described(nullable(ref("Cause")), "Why it was referred; else null."),
            "probability_of_default": described(
                nullable(SHARE), "Null where the model could not be asked."
            ),
            "points": described(nullable(NUMBER), "The same on the policy's scale; more is safer."),
            "risk_band": described(nullable(TEXT), "Null where the policy has no bands."),
            "reasons": listed(
                ref("Reason"),
                maxItems=MAXIMUM_REASONS,
                description="The adverse-action reasons, the weightiest first. A decline has one "
                "at least.",
            ),
            "feature_status": {
                "type": "object",
                "additionalProperties": ref("ViewStatus"),
                "description": "State of each feature view at the instant of the decision.",
            },
            "model": described(nullable(ref("Model")), "Null where no model was asked."),
            "policy_version": TEXT,
            "decided_at": TIMESTAMP,
            "revision": {
                "type": "integer",
                "minimum": 1,
                "description": "1, and one more for each retryable referral that it supersedes.",
            },
        },
        description="A decision, as it was recorded before it was answered.",
        allOf=[
            {
                "if": {"properties": {"outcome": {"const": Outcome.REFER.value}}},
                "then": {"properties": {"cause": {"not": {"type": "null"}}}},
                "else": {"properties": {"cause": {"type": "null"}}},
            },
            {
                "if": {"properties": {"outcome": {"const": Outcome.DECLINE.value}}},
                "then": {"properties": {"reasons": {"minItems": 1}}},
            },
        ],
    )
    return {
        "Decision": decision,
        "Reason": reason,
        "Cause": cause,
        "ViewStatus": view,
        "Model": model,
    }


def record_schemas(requests: dict[str, Schema]) -> dict[str, Schema]:
    """Return the schemas of what is recorded beside a decision: as it was sent, and by whom.

    Args:
        requests: The schemas of the bodies.
    """
    review = _as_sent(requests["Review"])
    # The product may have defined other codes then.
    review["adverse_action_codes"] = listed(TEXT, maxItems=MAXIMUM_REASONS)
    client = described({"type": "string"}, "The application whose token was used.")
    standing = closed(
        {
            "outcome": {"enum": OUTCOMES, "type": "string"},
            "by": {"enum": ["model", "person"], "type": "string"},
            "at": TIMESTAMP,
        },
        description="The outcome that counts now, and whose it is.",
    )
    return {
        "RecordedReview": closed(
            {
                "application_id": APPLICATION_ID,
                **review,
                "client_id": client,
                "decided_at": described(TIMESTAMP, "Of the decision that was reviewed."),
                "reviewed_at": TIMESTAMP,
            }
        ),
        "RecordedOutcome": closed(
            {**_as_sent(requests["OutcomeReport"]), "client_id": client, "reported_at": TIMESTAMP}
        ),
        "ApplicationRecord": closed(
            {
                "application_id": APPLICATION_ID,
                "standing": standing,
                "decision": ref("Decision"),
                "superseded": listed(
                    ref("Decision"), description="Retryable referrals it took the place of."
                ),
                "reviews": listed(ref("RecordedReview")),
                "outcomes": listed(ref("RecordedOutcome")),
            }
        ),
    }


def _as_sent(body: Schema) -> dict[str, Schema]:
    properties: dict[str, Schema] = deepcopy(body["properties"])
    return properties


def referral_schemas() -> dict[str, Schema]:
    """Return the schema of a page of the referral queue, and of its parts."""
    decision = decision_schemas()["Decision"]["properties"]
    unread = "Null where the recorded decision can't be read."
    told = closed(
        {
            **{name: decision[name] for name in ("application_id", "revision", "decided_at")},
            "cause": described(nullable(ref("Cause")), f"Why it was referred. {unread}"),
            "decided_by": described(nullable(decision["decided_by"]), unread),
            **{name: decision[name] for name in ("probability_of_default", "points", "risk_band")},
            "policy_version": described(nullable(decision["policy_version"]), unread),
            "model_version": described(nullable(TEXT), "Null where no model was asked."),
        },
        description="A referral that nobody has reviewed.",
    )
    page = closed(
        {
            "referrals": listed(
                ref("Referral"), maxItems=LARGEST_PAGE, description="The oldest first."
            ),
            "next": described(
                nullable(CURSOR), "Send it as `after` for the page behind this one; null: no more."
            ),
        }
    )
    return {"Referrals": page, "Referral": told}


def explanation_schemas() -> dict[str, Schema]:
    """Return the schema of an explanation, and of its parts."""
    value: Schema = {"type": ["number", "string", "null"]}
    rule = closed(
        {
            "code": TEXT,
            "text": TEXT,
            "outcome": {"enum": OUTCOMES, "type": "string"},
            "state": {"enum": ["applies", "unchecked"], "type": "string"},
        }
    )
    contribution = closed(
        {
            "feature": TEXT,
            "description": TEXT,
            "value": described(value, "What the model saw; null is unknown."),
            "reference": described(value, "The reference applicant's."),
            "contribution_log_odds": NUMBER,
            "contribution_points": NUMBER,
        }
    )
    counterfactual = closed(
        {
            "changes": listed(closed({"feature": TEXT, "from": value, "to": value}), minItems=1),
            "outcome": described(
                {"enum": [it.value for it in BETTER[Outcome.DECLINE]], "type": "string"},
                "A decline becomes a referral only where no change is known to be approved.",
            ),
            "probability_of_default": SHARE,
            "points": NUMBER,
            "smallest": {
                "type": "boolean",
                "description": "Whether it is known that no smaller change would do, and, where "
                "it is referred, that none would be approved.",
            },
        }
    )
    decision = decision_schemas()["Decision"]["properties"]
    explanation = closed(
        {
            **{
                name: decision[name]
                for name in ("application_id", "outcome", "decided_by", "cause", "model")
            },
            "rules": listed(
                ref("CheckedRule"), description="Rules that apply, or could not be checked."
            ),
            "reference_log_odds": described(
                nullable(NUMBER), "Log-odds of default of the reference applicant."
            ),
            "log_odds": described(nullable(NUMBER), "Log-odds of default of this applicant."),
            "contributions": listed(
                ref("Contribution"),
                description="Of each feature, the largest first; they sum to the difference.",
            ),
            "counterfactual": described(
                nullable(ref("Counterfactual")),
                "A change of what the applicant can influence that would have come out better.",
            ),
            "no_counterfactual": described(
                nullable(
                    closed(
                        {
                            "code": {"enum": [code.value for code in WhyNone], "type": "string"},
                            "detail": TEXT,
                        }
                    )
                ),
                "Why there is none; null where there is one.",
            ),
        }
    )
    return {
        "Explanation": explanation,
        "CheckedRule": rule,
        "Contribution": contribution,
        "Counterfactual": counterfactual,
    }


def model_card_schemas() -> dict[str, Schema]:
    """Return the schema of the champion's card, and of its parts."""
    card = closed(
        {
            "product": TEXT,
            "version": TEXT,
            "sha256": SHA256,
            "algorithm": TEXT,
            "created_at": TIMESTAMP,
            "promoted_at": TIMESTAMP,
            "policy_version": TEXT,
            "evaluation": described(
                ref("Evaluation"), "Quality on loans that it was not trained on."
            ),
            "gates": listed(ref("Gate"), description="What it had to pass, with the evidence."),
            "inputs": listed(TEXT),
            "reference_applicant": {
                "type": "object",
                "additionalProperties": {"type": ["number", "string", "null"]},
                "description": "The applicant that reasons are measured against.",
            },
            "training_set": {
                "type": "object",
                "additionalProperties": {"type": ["integer", "string", "null"]},
            },
            "challenger": described(
                nullable(
                    closed(
                        {
                            "version": TEXT,
                            "mode": {
                                "enum": [mode.value for mode in RolloutMode],
                                "type": "string",
                            },
                            "share": described(SHARE, "Of the applicants; 0 in shadow."),
                        }
                    )
                ),
                "The model that is tried beside it, unheard (`shadow`) or on a share of the "
                "applicants (`live`); null if there is none.",
            ),
        },
        description="The champion's card.",
    )
    parts = published(Estimate) | published(Evaluation) | published(Gate)
    del parts["Gate"]["properties"]["look_at"]
    return {"ModelCard": card} | parts


def problem_schemas() -> dict[str, Schema]:
    """Return the schema of a problem (RFC 9457), and of a fault of a body."""
    fault = closed(
        {
            "path": described(TEXT, "The field at fault; `$` is the whole body."),
            "message": described(TEXT, "What is expected there; it never repeats what was sent."),
        }
    )
    problem = closed(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": TEXT,
            "status": {
                "type": "integer",
                "minimum": 400,
                "maximum": 599,
                "description": "That of the response. Absent where API Gateway refuses or fails "
                "for a rare reason of its own, before or after the service.",
            },
            "request_id": described(TEXT, "Quote it when you report the problem."),
            "detail": TEXT,
            "faults": listed(
                ref("Fault"), minItems=1, description="Every fault of the request, all at once."
            ),
        },
        optional=("status", "detail", "faults"),
        description="Problem details, RFC 9457.",
    )
    return {"Problem": problem, "Fault": fault}


def batch_schemas() -> dict[str, Schema]:
    """Return the schemas of a batch and its answer."""
    decided = closed({"status": {"const": 200, "type": "integer"}, "decision": ref("Decision")})
    refused = closed(
        {
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "problem": described(ref("Problem"), "As if it had been sent alone."),
        }
    )
    return {
        "Batch": closed(
            {
                APPLICATIONS: described(
                    listed(
                        {"anyOf": [ref("Application"), {"description": "Refused alone."}]},
                        minItems=1,
                        maxItems=LARGEST_BATCH,
                    ),
                    "The applications. What is none is refused alone, and harms no other.",
                )
            },
        ),
        "BatchAnswer": closed(
            {
                "results": listed(
                    {"oneOf": [decided, refused]},
                    minItems=1,
                    maxItems=LARGEST_BATCH,
                    description="One for each application, in their order.",
                )
            }
        ),
    }


def health_schemas() -> dict[str, Schema]:
    """Return the schema of the answer of a service that can decide."""
    return {
        "Health": closed(
            {
                "status": {"const": "ready", "type": "string"},
                "product": TEXT,
                "model": closed({"version": TEXT, "sha256": SHA256}),
                "policy_version": TEXT,
            }
        )
    }


def all_schemas(product: CreditProduct) -> dict[str, Schema]:
    """Return every schema of a product's API by its name."""
    requests = request_schemas(product)
    return (
        requests
        | decision_schemas()
        | batch_schemas()
        | record_schemas(requests)
        | referral_schemas()
        | explanation_schemas()
        | model_card_schemas()
        | health_schemas()
        | problem_schemas()
    )
