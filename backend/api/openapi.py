"""The API describes itself: /openapi.json and /docs from ``openapi.yaml``, and a page of each type of problem."""

import html
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from backend.api.problems import CONTENT_TYPE, NOT_FOUND, PROBLEM_TYPES, ProblemError, ProblemType
from coffee_core.pipelines import Pipeline, Windows

_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_HTML_HEADERS = {"Content-Security-Policy": _NOTHING_ELSE, "X-Content-Type-Options": "nosniff"}


def routes(pipelines: tuple[Pipeline, ...]) -> list[Route]:
    """Return /openapi.json, /docs, /problems and /problems/{name}."""
    by_name = {problem_type.name: problem_type for problem_type in PROBLEM_TYPES}

    # Made once, at the first request: the start does not wait for YAML.
    @cache
    def described() -> dict[str, Any]:
        return document(pipelines)

    async def openapi_json(_: Request) -> Response:
        return JSONResponse(described())

    async def docs(_: Request) -> Response:
        return HTMLResponse(_docs_page(described()), headers=_HTML_HEADERS)

    async def problems(request: Request) -> Response:
        if _wants_html(request):
            return HTMLResponse(_page("Problems", _problem_table()), headers=_HTML_HEADERS)
        return JSONResponse([_problem_type(problem_type) for problem_type in PROBLEM_TYPES])

    async def problem(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in by_name:
            raise ProblemError(NOT_FOUND, f"{name[:100]} is no kind of problem; /problems lists them")
        found = by_name[name]
        if _wants_html(request):
            content = f"<p>Status {found.status}, type <code>{found.uri}</code>.</p><p>{found.meaning}</p>"
            return HTMLResponse(_page(found.title, content), headers=_HTML_HEADERS)
        return JSONResponse(_problem_type(found))

    return [
        Route("/openapi.json", openapi_json),
        Route("/docs", docs),
        Route("/problems", problems),
        Route("/problems/{name}", problem),
    ]


def _problem_type(problem_type: ProblemType) -> dict[str, str | int]:
    return {
        "type": problem_type.uri,
        "status": problem_type.status,
        "title": problem_type.title,
        "meaning": problem_type.meaning,
    }


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")


def document(pipelines: Iterable[Pipeline]) -> dict[str, Any]:
    """Return the OpenAPI document of an API with these pipelines: ``openapi.yaml``, its templates filled in."""
    import yaml

    written = files("backend.api").joinpath("openapi.yaml").read_bytes()
    # libyaml's reader where this yaml has it: 10 ms instead of 100.
    described: dict[str, Any] = yaml.load(written, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    paths, windows_path, no_windows_path = (
        described.pop(name) for name in ("x-pipeline-paths", "x-windows-path", "x-no-windows-path")
    )
    shared = described["paths"]
    described["paths"] = {}
    for pipeline in pipelines:
        last = no_windows_path if pipeline.info.windows is Windows.NONE else windows_path
        described["paths"] |= _filled({**paths, **last}, pipeline)
    described["paths"] |= shared
    for operations in described["paths"].values():
        for operation in operations.values():
            operation["responses"] |= _problem_responses(operation.pop("x-problems"))
    return described


def _filled(template: Mapping[str, Any], pipeline: Pipeline) -> dict[str, Any]:
    text = json.dumps(template)
    info = pipeline.info
    for name, value in (
        ("pipeline", str(pipeline)),
        ("title", info.title),
        ("status", str(info.accepted_status)),
        ("word", "stored" if info.commits_in_request else "accepted"),
    ):
        text = text.replace(f"<{name}>", json.dumps(value)[1:-1])
    filled: dict[str, Any] = json.loads(text)
    return filled


def _problem_responses(names: Iterable[str]) -> dict[str, Any]:
    wanted = set(names)
    by_status: dict[int, list[ProblemType]] = {}
    for problem_type in PROBLEM_TYPES:
        if problem_type.name in wanted:
            by_status.setdefault(problem_type.status, []).append(problem_type)
    return {str(status): _problem_response(found) for status, found in by_status.items()}


def _problem_response(problem_types: list[ProblemType]) -> dict[str, Any]:
    examples = {
        problem_type.name: {
            "value": {
                "type": problem_type.uri,
                "title": problem_type.title,
                "status": problem_type.status,
                "detail": problem_type.meaning,
                "request_id": "5f2c7a90b1d3e846",
            }
        }
        for problem_type in problem_types
    }
    return {
        "description": "; or: ".join(f"{found.name}: {found.title}" for found in problem_types),
        "content": {
            CONTENT_TYPE.decode(): {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}
        },
    }


# /docs: one HTML page, with nothing to load from anywhere.

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; background: #8882; border-radius: 4px; padding: 0 .2em; }
pre { padding: .6em; overflow-x: auto; } summary { cursor: pointer; } table { border-collapse: collapse; }
td, th { border-top: 1px solid #8886; padding: .3em .6em; text-align: left; vertical-align: top; }
:root { color-scheme: light dark; }
"""


def _docs_page(described: dict[str, Any]) -> str:
    info = described["info"]
    operations = [
        _operation(path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f"<details id='{_text(name)}'><summary><code>{_text(name)}</code></summary>{_code(schema)}</details>"
        for name, schema in described["components"]["schemas"].items()
    ]
    return _page(
        info["title"],
        f"<p>{_text(info['description'])}</p>"
        "<p>The same for programs: <a href='/openapi.json'>/openapi.json</a></p>"
        f"<h2>Paths</h2>{''.join(operations)}<h2>Bodies</h2>{''.join(schemas)}"
        f"<h2>Problems</h2>{_problem_table()}",
    )


def _problem_table() -> str:
    rows = "".join(
        f"<tr id='{found.name}'><td>{found.status}</td>"
        f"<td><a href='{found.uri}'><code>{found.name}</code></a></td>"
        f"<td>{_text(found.title)}. {_text(found.meaning)}</td></tr>"
        for found in PROBLEM_TYPES
    )
    return f"<table><tr><th>status</th><th>type</th><th>meaning</th></tr>{rows}</table>"


def _page(title: str, content: str) -> str:
    """Return a whole page around ``content``, which is HTML."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{_text(title)}</title><style>{_STYLE}</style><h1>{_text(title)}</h1>{content}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"<h3><code>{method.upper()} {_text(path)}</code></h3><p>{_text(operation['summary'])}.</p>"]
    if "description" in operation:
        parts.append(f"<p>{_text(operation['description'])}</p>")
    parts += [
        f"<p>{_text(found['in'])} <code>{_text(found['name'])}</code>: {_text(found.get('description', ''))}</p>"
        for found in operation.get("parameters", ())
    ]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        example = content["example"]
        shown = "\n".join(map(json.dumps, example)) if media_type == "application/x-ndjson" else example
        parts.append(f"<p>Body, <code>{media_type}</code>:</p>{_code(shown)}")
    for status, response in operation["responses"].items():
        examples = "".join(_examples(found) for found in response["content"].values())
        parts.append(f"<details><summary>{status} {_text(response['description'])}</summary>{examples}</details>")
    return "".join(parts)


def _examples(content: dict[str, Any]) -> str:
    named = [found["value"] for found in content.get("examples", {}).values()]
    return "".join(_code(shown) for shown in [*named, *([content["example"]] if "example" in content else [])])


def _code(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{_text(text)}</pre>"


def _text(text: str) -> str:
    return html.escape(text, quote=True)
