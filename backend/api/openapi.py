"""The OpenAPI 3.1 document, made from the types of the bodies and from the kinds of problems."""

from collections.abc import Iterable
from typing import Any

import msgspec

from backend.api import docs_page, openapi_windows, problems, schema
from backend.api.body import KEY_FIELDS
from backend.api.kinds import KINDS, Kind
from coffee_core.pipelines import INFO, Pipeline

ORDER = {"drink": "latte", "store": "uptown", "price": 5.00, "timestamp": "2025-01-15T10:00:00Z"}
"""The example of an order."""
KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"
"""The example of a message id."""
EVENT = {"specversion": "1.0", "id": KEY, "source": "/tills/7", "type": "com.example.order", "data": ORDER}
"""The example of an order as a CloudEvent."""

_JSON = "application/json"
_EVENTS = "application/cloudevents%s+json"
_MANY = {"type": "array", "minItems": 1, "maxItems": 1_000}

_ANY = ("internal-error",)
_WHO = ("unauthorized", "misdirected-request")
_GATE = (*_WHO, "too-many-requests", "overloaded")
_TAKING = (
    *_ANY,
    *_GATE,
    *("malformed-json", "request-timeout", "key-in-flight", "body-too-large", "unsupported-media-type"),
    *("invalid-field", "key-conflict", "unavailable", "outcome-unknown"),
)
_READING = (*_ANY, *_WHO, "unavailable")


_EVENT = {
    "type": "object",
    "description": "one event",
    "properties": {"data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}


def document(pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    """Return the document of an API with these pipelines."""
    _, components = msgspec.json.schema_components(schema.BODIES, ref_template="#/components/schemas/{name}")
    # Either name, not both: no type can say it.
    components["BatchOrder"]["not"] = {"required": list(KEY_FIELDS)}
    paths: dict[str, Any] = {}
    for pipeline in pipelines:
        paths |= _pipeline_paths(pipeline)
        may = ("no-windows",) if pipeline is Pipeline.V2 else ("unavailable", "invalid-field")
        paths |= openapi_windows.path(pipeline, _problems((*_ANY, *_WHO, *may)))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "coffee-rt order API",
            "version": "1",
            "description": "Orders into three pipelines. A 2xx is durable, a 4xx or 503 is nowhere, and a 504 "
            "says that nobody can tell: repeat it under its message id.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths | _shared_paths(),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "only where COFFEE_API_TOKEN is set"}
            },
        },
        "security": [{}, {"token": []}],
    }


def _pipeline_paths(pipeline: Pipeline) -> dict[str, Any]:
    info = INFO[pipeline]
    word = "stored" if info.accepted_status == 201 else "accepted"
    path = f"/api/{pipeline}/order"
    taken = {"message_id": KEY, "status": word, "links": {"status": f"{path}/{KEY}"}}
    good = str(info.accepted_status)
    return {
        path: {
            "post": {
                "operationId": f"{pipeline}_order",
                "summary": f"Place an order: {info.title}",
                "tags": [str(pipeline)],
                "parameters": [_key_header()],
                "requestBody": {
                    "required": True,
                    "description": "A binary CloudEvent is an order with ce-… headers.",
                    "content": _json("Order", ORDER) | {_EVENTS % "": _json("CloudEvent", EVENT)[_JSON]},
                },
                "responses": {good: _taken(word, "Taken", taken, location=True), **_problems(_TAKING)},
            }
        },
        f"{path}s": {
            "post": {
                "operationId": f"{pipeline}_orders",
                "summary": "Place up to 1,000 orders, all or none of them",
                "description": "A JSON array, one JSON object a line, or a batch of CloudEvents.",
                "tags": [str(pipeline)],
                "requestBody": {"required": True, "content": _batch()},
                "responses": {good: _taken(word, "TakenBatch", {"orders": [taken]}), **_problems(_TAKING)},
            }
        },
        f"{path}/{{message_id}}": {
            "get": {
                "operationId": f"{pipeline}_status",
                "summary": "What has become of an order",
                "tags": [str(pipeline)],
                "parameters": [
                    {
                        "name": "message_id",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "format": "uuid", "pattern": f"^{schema.UUID_PATTERN}$"},
                        "example": KEY,
                    }
                ],
                "responses": {
                    "200": {
                        "description": "what is known; null is what cannot be",
                        "content": _json(
                            "OrderStatus",
                            {
                                "message_id": KEY,
                                "accepted": True,
                                "stored": True,
                                "shown": None,
                                "accepted_us": 1_736_935_200_000_000,
                                "stored_us": 1_736_935_200_012_345,
                            },
                        ),
                    },
                    **_problems((*_READING, "not-found", "invalid-field")),
                },
            }
        },
    }


def _shared_paths() -> dict[str, Any]:
    dashboard = {"$ref": "#/components/schemas/Dashboard"}
    return {
        "/api/dashboard": {
            "get": {
                "operationId": "dashboard",
                "summary": "All pipelines at one moment",
                "tags": ["dashboard"],
                "responses": {
                    "200": {"description": "the totals", "content": {"application/json": {"schema": dashboard}}},
                    **_problems(_READING),
                },
            }
        },
        "/api/events": {
            "get": {
                "operationId": "events",
                "summary": "The dashboard as server-sent events, one on every change, at most ten a second",
                "description": "Each event is the same JSON as /api/dashboard. /ws/dashboard sends the same.",
                "tags": ["dashboard"],
                "responses": {
                    "200": {
                        "description": "a stream that does not end",
                        "content": {"text/event-stream": {"schema": _EVENT}},
                    },
                    **_problems((*_ANY, *_WHO, "overloaded")),
                },
            }
        },
    }


def _json(name: str, example: object) -> dict[str, Any]:
    return {_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": example}}


def _batch() -> dict[str, Any]:
    item = {"$ref": "#/components/schemas/BatchOrder"}
    # As OpenAPI 3.2 says it: of a media type that is a sequence, the schema is that of the items as an array.
    batch = {
        "schema": {**_MANY, "items": item},
        "example": [{**ORDER, "message_id": KEY}],
    }
    events = {"schema": {**_MANY, "items": {"$ref": "#/components/schemas/CloudEvent"}}, "example": [EVENT]}
    return {_JSON: batch, docs_page.LINES: batch, _EVENTS % "-batch": events}


def _key_header() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "A UUID, bare or in quotes: it becomes the message id, and makes a repeat a repeat.",
        "schema": {
            "type": "string",
            "anyOf": [{"pattern": f"^{schema.UUID_PATTERN}$"}, {"pattern": f'^"{schema.UUID_PATTERN}"$'}],
        },
        "example": KEY,
    }


def _taken(word: str, name: str, example: object, *, location: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": word, "content": _json(name, example)}
    if location:
        answer["headers"] = {
            "Location": {"description": "what has become of the order", "schema": {"type": "string"}}
        }
    return answer


def _problems(names: Iterable[str]) -> dict[str, Any]:
    wanted = set(names)
    by_status: dict[int, list[Kind]] = {}
    for kind in KINDS:
        if kind.name in wanted:
            by_status.setdefault(kind.status, []).append(kind)
    return {str(status): _problem(kinds) for status, kinds in by_status.items()}


def _problem(kinds: list[Kind]) -> dict[str, Any]:
    return {
        "description": "; or: ".join(f"{kind.name}: {kind.title}" for kind in kinds),
        "content": {
            problems.CONTENT_TYPE.decode(): {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.name: {"value": _example(kind)} for kind in kinds},
            }
        },
    }


def _example(kind: Kind) -> dict[str, Any]:
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.meaning,
        "request_id": "5f2c7a90b1d3e846",
    }
