"""The docs page: one HTML page made from the OpenAPI document, with nothing to load from anywhere."""

import html
import json
from typing import Any

from backend.api.kinds import KINDS

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
