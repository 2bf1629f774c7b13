"""What the API offers: each route, the function that answers it, and the scopes that open it."""

from __future__ import annotations

from dataclasses import dataclass

from cdk_app.components.client_access import DECIDE, READ, REPORT, REVIEW

SCORER, RECORDS, BATCH = "scorer", "records", "batch"
DECISIONS_PATH, BATCHES_PATH = "/v1/decisions", "/v1/decision-batches"


@dataclass(frozen=True)
class Route:
    """A method of a path. A token with any one of ``scopes`` opens it; without scopes it is open.

    ``function`` is the name of the function that answers.
    """

    method: str
    path: str
    function: str
    scopes: tuple[str, ...]


ROUTES = (
    Route("POST", DECISIONS_PATH, SCORER, (DECIDE,)),
    Route("GET", "/v1/health", SCORER, (DECIDE, READ)),
    Route("POST", BATCHES_PATH, BATCH, (DECIDE,)),
    Route("GET", "/v1/decisions/{application_id}", RECORDS, (READ,)),
    Route("GET", "/v1/decisions/{application_id}/explanation", RECORDS, (READ,)),
    Route("GET", "/v1/referrals", RECORDS, (REVIEW,)),
    Route("POST", "/v1/decisions/{application_id}/review", RECORDS, (REVIEW,)),
    Route("POST", "/v1/outcomes", RECORDS, (REPORT,)),
    Route("GET", "/v1/model", RECORDS, (READ,)),
    Route("GET", "/v1/openapi.json", RECORDS, ()),
    Route("GET", "/v1/docs", RECORDS, ()),
)


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that a path offers."""
    return tuple(route.method for route in ROUTES if route.path == path)
