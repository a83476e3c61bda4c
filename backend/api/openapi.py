"""The OpenAPI 3.1 document, made from the types of the bodies and from the kinds of problems."""

import html
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from backend.api import problems, schema
from backend.api.dashboard import said
from backend.api.parsing import KEY_FIELDS
from backend.api.problems import KINDS, NOT_FOUND, Kind, ProblemError
from coffee_core.menu import STORES
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V2
from coffee_core.windows import LATE_AFTER_S, MOST_MINUTES, SHOWN_MINUTES, WINDOW_S, StoreSums, Windows

# The paths of the windows in the OpenAPI document.


_START_S = 1_736_935_200
_NONE = dict.fromkeys(STORES, 0)
_LATE = StoreSums({**_NONE, "central": 1}, {**_NONE, "central": 350})
_EXAMPLE = Windows(
    {
        _START_S: StoreSums({**_NONE, "uptown": 2}, {**_NONE, "uptown": 925}),
        _START_S + WINDOW_S: StoreSums({**_NONE, "uptown": 1}, {**_NONE, "uptown": 500}),
    },
    _LATE,
    (_START_S + WINDOW_S) * 1_000_000,
)


def path(pipeline: Pipeline, problems: dict[str, Any]) -> dict[str, Any]:
    """Return the path of one pipeline; ``problems`` are its responses beside the windows."""
    example = said(_EXAMPLE, (_START_S + WINDOW_S + LATE_AFTER_S) * 1_000_000)
    found = {
        "description": "the windows",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/LastWindows"}, "example": example}
        },
    }
    minutes = {"type": "integer", "minimum": 1, "maximum": MOST_MINUTES, "default": SHOWN_MINUTES}
    parameter = {"name": "minutes", "in": "query", "required": False, "schema": minutes, "example": SHOWN_MINUTES}
    keeps_none = pipeline == V2
    return {
        f"/api/{pipeline}/windows": {
            "get": {
                "operationId": f"{pipeline}_windows",
                "summary": "Why v2 has no windows" if keeps_none else "The last one-minute windows in event time",
                "tags": [str(pipeline)],
                **({} if keeps_none else {"parameters": [parameter]}),
                "responses": problems if keeps_none else {"200": found, **problems},
            }
        }
    }


# The docs page: one HTML page made from the OpenAPI document, with nothing to load from anywhere.


LINES = "application/x-ndjson"
"""The media type of one JSON object a line."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #8882; border-radius: 4px; padding: 0 .2em; }
pre { padding: .6em; overflow-x: auto; } summary { cursor: pointer; } table { border-collapse: collapse; }
td, th { border-top: 1px solid #8886; padding: .3em .6em; text-align: left; vertical-align: top; }
:root { color-scheme: light dark; }
"""


def render(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f"<details id='{_text(name)}'><summary><code>{_text(name)}</code></summary>{_code(schema)}</details>"
        for name, schema in document["components"]["schemas"].items()
    ]
    return page(
        info["title"],
        f"<p>{_text(info['description'])}</p>"
        "<p>The same for programs: <a href='/openapi.json'>/openapi.json</a></p>"
        f"<h2>Paths</h2>{''.join(operations)}<h2>Bodies</h2>{''.join(schemas)}"
        f"<h2>Problems</h2>{problem_table()}",
    )


def problem_table() -> str:
    """Return every kind of problem as a table."""
    rows = "".join(
        f"<tr id='{kind.name}'><td>{kind.status}</td><td><a href='{kind.type}'><code>{kind.name}</code></a></td>"
        f"<td>{_text(kind.title)}. {_text(kind.meaning)}</td></tr>"
        for kind in KINDS
    )
    return f"<table><tr><th>status</th><th>type</th><th>meaning</th></tr>{rows}</table>"


def page(title: str, content: str) -> str:
    """Return a whole page around ``content``, which is HTML."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{_text(title)}</title><style>{_STYLE}</style><h1>{_text(title)}</h1>{content}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"<h3><code>{method.upper()} {_text(path)}</code></h3><p>{_text(operation['summary'])}.</p>"]
    parts += [f"<p>{_text(operation[name])}</p>" for name in ("description",) if name in operation]
    parts += [
        f"<p>{_text(each['in'])} <code>{_text(each['name'])}</code>: {_text(each.get('description', ''))}</p>"
        for each in operation.get("parameters", ())
    ]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        example = content["example"]
        shown = "\n".join(map(json.dumps, example)) if media_type == LINES else example
        parts.append(f"<p>Body, <code>{media_type}</code>:</p>{_code(shown)}")
    for status, answer in operation["responses"].items():
        examples = "".join(_examples(each) for each in answer["content"].values())
        parts.append(f"<details><summary>{status} {_text(answer['description'])}</summary>{examples}</details>")
    return "".join(parts)


def _examples(content: dict[str, Any]) -> str:
    named = [each["value"] for each in content.get("examples", {}).values()]
    return "".join(_code(each) for each in [*named, *([content["example"]] if "example" in content else [])])


def _code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{_text(text)}</pre>"


def _text(text: str) -> str:
    return html.escape(text, quote=True)


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
        may = ("no-windows",) if pipeline == V2 else ("unavailable", "invalid-field")
        paths |= path(pipeline, _problems((*_ANY, *_WHO, *may)))
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
    info = pipeline.info
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
    return {_JSON: batch, LINES: batch, _EVENTS % "-batch": events}


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


# What the API says of itself: /openapi.json, /docs and a page of each kind of problem.


_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_HTML = {"Content-Security-Policy": _NOTHING_ELSE, "X-Content-Type-Options": "nosniff"}


def routes(pipelines: tuple[Pipeline, ...]) -> list[Route]:
    """Return the routes."""
    kinds = {kind.name: kind for kind in KINDS}

    async def openapi_json(_: Request) -> Response:
        return Response(_raw(pipelines), media_type="application/json")

    async def docs_html(_: Request) -> Response:
        return HTMLResponse(_docs(pipelines), headers=_HTML)

    async def problems(request: Request) -> Response:
        if _wants_html(request):
            return HTMLResponse(page("Problems", problem_table()), headers=_HTML)
        return JSONResponse([_said(kind) for kind in KINDS])

    async def problem(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in kinds:
            raise ProblemError(NOT_FOUND, f"{name[:100]} is no kind of problem; /problems lists them")
        said = _said(kinds[name])
        if _wants_html(request):
            content = f"<p>Status {said['status']}, type <code>{said['type']}</code>.</p><p>{said['meaning']}</p>"
            return HTMLResponse(page(str(said["title"]), content), headers=_HTML)
        return JSONResponse(said)

    return [
        Route("/openapi.json", openapi_json),
        Route("/docs", docs_html),
        Route("/problems", problems),
        Route("/problems/{name}", problem),
    ]


# Made once, and only when somebody asks: the start does not wait for them.
@cache
def _document(pipelines: tuple[Pipeline, ...]) -> dict[str, Any]:
    return document(pipelines)


@cache
def _raw(pipelines: tuple[Pipeline, ...]) -> bytes:
    return msgspec.json.encode(_document(pipelines))


@cache
def _docs(pipelines: tuple[Pipeline, ...]) -> str:
    return render(_document(pipelines))


def _said(kind: Kind) -> dict[str, str | int]:
    return {"type": kind.type, "status": kind.status, "title": kind.title, "meaning": kind.meaning}


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
