"""The document: it describes what runs, its schemas agree with the parser, and every problem has its page."""

import json
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from backend.api import openapi
from backend.api.openapi import ORDER, document
from backend.api.parsing import parse
from backend.api.problems import KINDS, ProblemError
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V2
from tests.unit.backend.api.asgi import ask

_DOCUMENT = json.loads(json.dumps(document(PIPELINES)), parse_float=Decimal)


def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": _DOCUMENT["components"]}
    )


def _accepts(raw: bytes) -> bool:
    try:
        parse(raw)
    except ProblemError:
        return False
    return True


_junk = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.integers(), st.lists(st.integers(), max_size=2)
)
_cents = st.integers(1, 1_000_000).map(lambda cents: cents / 100)
_moments = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
_orders = st.fixed_dictionaries(
    {
        "drink": st.one_of(st.sampled_from(DRINKS), _junk),
        "store": st.one_of(st.sampled_from(STORES), _junk),
        "price": st.one_of(_cents, st.floats(-10, 20_000, allow_nan=False), _junk),
        "timestamp": st.one_of(st.just("2025-01-15T10:00:00Z"), _moments, _junk),
    },
    optional={"size": _junk},
)


@example({**ORDER, "price": 10**26})
@given(st.one_of(_orders, _orders.map(lambda order: {**ORDER, **dict(list(order.items())[:1])}), _junk))
def test_the_schema_and_the_parser_agree(order: Any) -> None:
    raw = json.dumps(order).encode()
    # The remainder of a whole number of 27 digits, as they may be tried here, has more digits than Decimal grants.
    with localcontext(prec=1_000):
        valid = _validator("Order").is_valid(json.loads(raw, parse_float=Decimal))
    if _accepts(raw):
        assert valid
    elif valid:
        # What a schema cannot say: that a date exists and lies in a year from 1970 to 9999.
        assert not _accepts(json.dumps({**ORDER, "timestamp": order["timestamp"]}).encode())
        assert _accepts(json.dumps({**order, "timestamp": ORDER["timestamp"]}).encode())


def _operations() -> list[tuple[str, dict[str, Any]]]:
    return [(path, each) for path, methods in _DOCUMENT["paths"].items() for each in methods.values()]


def _examples() -> list[tuple[dict[str, Any], Any]]:
    found = []
    for _, operation in _operations():
        for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media in holder.get("content", {}).values():
                found += [(media["schema"], each["value"]) for each in media.get("examples", {}).values()]
                found += [(media["schema"], media["example"])] if "example" in media else []
    return found


def test_every_example_fits_its_schema() -> None:
    examples = _examples()
    assert len(examples) > 50
    for schema, shown in examples:
        jsonschema.Draft202012Validator({**schema, "components": _DOCUMENT["components"]}).validate(shown)


def test_every_operation_can_refuse_and_every_problem_is_described_somewhere() -> None:
    described = set()
    for path, operation in _operations():
        assert operation["operationId"]
        names = {
            name
            for answer in operation["responses"].values()
            for name in answer["content"].get("application/problem+json", {}).get("examples", {})
        }
        assert "internal-error" in names, path
        described |= names
    # These are answered where no operation is: another method, another pipeline, no request at all.
    nowhere = {"method-not-allowed", "pipeline-not-running", "malformed-request", "headers-too-large"}
    assert {kind.name for kind in KINDS} - described == nowhere


def test_only_pipelines_that_run_are_described() -> None:
    paths = openapi.document((V2,))["paths"]
    assert "/api/v2/order" in paths
    assert not [path for path in paths if path.startswith(("/api/v1", "/api/v3"))]


async def test_the_document_is_served(app: ASGIApp) -> None:
    answer = await ask(app, "/openapi.json", method="GET")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["openapi"] == "3.1.0"
    assert json.loads(answer.body, parse_float=Decimal) == _DOCUMENT


async def test_the_docs_page_loads_nothing_from_anywhere(app: ASGIApp) -> None:
    answer = await ask(app, "/docs", method="GET")
    text = answer.body.decode()
    assert answer.status == 200
    for path in _DOCUMENT["paths"]:
        assert path in text
    for outside in ("<script", "<link", "<img", "src=", "@import", "url(", "http://", "https://"):
        assert outside not in text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_every_problem_type_has_its_page(app: ASGIApp, kind: Any) -> None:
    said = (await ask(app, kind.type, method="GET")).json
    assert (said["type"], said["status"], said["title"]) == (kind.type, kind.status, kind.title)
    page = await ask(app, kind.type, method="GET", headers=[("accept", "text/html,*/*")])
    assert page.headers["content-type"].startswith("text/html")
    assert kind.title in page.body.decode()


async def test_an_unknown_problem_type_is_not_found(app: ASGIApp) -> None:
    answer = await ask(app, "/problems/nonsense", method="GET")
    assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")


def test_the_docs_know_every_problem() -> None:
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"| {kind.status} | `{kind.type}` | {kind.title}. {kind.meaning} |" in text
