"""The document: it describes what runs, its schemas agree with the parser, and every problem has its page."""

import json
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from backend.api import openapi
from backend.api.dashboard import windows_json
from backend.api.openapi import document
from backend.api.parsing import KEY_FIELDS, MAX_ORDERS, parse
from backend.api.problems import INVALID, PROBLEM_TYPES, ProblemError, problem_body
from backend.pipelines.status import Found
from coffee_core import pipelines
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.order import FIELDS, TIMESTAMP_PATTERN, UUID_PATTERN
from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.pipelines import Windows as WindowsKind
from coffee_core.pipelines.constants import V2
from coffee_core.windows import LATE_AFTER_S, MOST_MINUTES, SHOWN_MINUTES, WINDOW_S, StoreSums, Windows
from tests.unit.backend.api.asgi import ask

_DESCRIBED = document(DEFAULT_PIPELINES)
_DOCUMENT = json.loads(json.dumps(_DESCRIBED), parse_float=Decimal)
_SCHEMAS = _DOCUMENT["components"]["schemas"]
_BODIES = _DESCRIBED["paths"]["/api/v2/order"]["post"]["requestBody"]["content"]
ORDER = _BODIES["application/json"]["example"]


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


def test_the_schemas_have_the_fields_and_limits_of_the_parser() -> None:
    for name, more in (("Order", ()), ("BatchOrder", KEY_FIELDS)):
        schema = _SCHEMAS[name]
        assert list(schema["properties"]) == [*FIELDS, *more]
        assert schema["required"] == list(FIELDS)
        assert schema["additionalProperties"] is False
        fields = schema["properties"]
        assert fields["drink"] == {"type": "string", "enum": list(DRINKS)}
        assert fields["store"] == {"type": "string", "enum": list(STORES)}
        price = fields["price"]
        assert (price["exclusiveMinimum"], price["maximum"], price["multipleOf"]) == (
            0,
            Decimal(MAX_PRICE_CENTS) / 100,
            Decimal("0.01"),
        )
        assert fields["timestamp"]["pattern"] == f"^{TIMESTAMP_PATTERN}$"
        assert {fields[key]["pattern"] for key in more} <= {f"^{UUID_PATTERN}$"}
    assert _SCHEMAS["BatchOrder"]["not"] == {"required": list(KEY_FIELDS)}


def test_every_key_is_described_as_the_parser_reads_it() -> None:
    paths = _DOCUMENT["paths"]
    (header,) = paths["/api/v1/order"]["post"]["parameters"]
    assert header["schema"]["anyOf"] == [{"pattern": f"^{UUID_PATTERN}$"}, {"pattern": f'^"{UUID_PATTERN}"$'}]
    (parameter,) = paths["/api/v1/order/{message_id}"]["get"]["parameters"]
    assert parameter["schema"]["pattern"] == f"^{UUID_PATTERN}$"
    assert _SCHEMAS["Taken"]["properties"]["message_id"]["pattern"] == f"^{UUID_PATTERN}$"


def test_batches_and_windows_are_described_with_their_limits() -> None:
    paths = _DOCUMENT["paths"]
    for media in paths["/api/v3/orders"]["post"]["requestBody"]["content"].values():
        assert (media["schema"]["minItems"], media["schema"]["maxItems"]) == (1, MAX_ORDERS)
    (minutes,) = paths["/api/v1/windows"]["get"]["parameters"]
    assert (minutes["schema"]["maximum"], minutes["schema"]["default"]) == (MOST_MINUTES, SHOWN_MINUTES)
    example = paths["/api/v1/windows"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert (example["window_s"], example["late_after_s"]) == (WINDOW_S, LATE_AFTER_S)


async def test_problems_and_windows_have_the_members_of_their_schemas() -> None:
    problem = ProblemError(INVALID, "x", field="f", index=0, message_id="m", message_ids=["m"])
    assert list(json.loads(problem_body(problem, "id"))) == list(_SCHEMAS["Problem"]["properties"])
    assert list(found := windows_json(Windows({0: StoreSums({}, {})}, StoreSums({}, {}), None), 1)) == list(
        _SCHEMAS["LastWindows"]["properties"]
    )
    assert set(found["windows"][0]) == set(_SCHEMAS["Window"]["properties"])
    assert set(status := _SCHEMAS["OrderStatus"]["properties"]) == {"message_id", "accepted", *Found._fields}
    assert set(status) == set(_SCHEMAS["OrderStatus"]["required"])


def test_a_pipeline_of_another_package_has_the_paths_of_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = replace(V2.info, name="toy", title='A "toy"', accepted_status=201, windows=WindowsKind.ROWS)
    monkeypatch.setitem(pipelines._declared, "toy", toy)
    paths = document((Pipeline("toy"),))["paths"]
    assert [path for path in paths if "toy" in path] == [
        "/api/toy/order",
        "/api/toy/orders",
        "/api/toy/order/{message_id}",
        "/api/toy/order/{message_id}/xray",
        "/api/toy/lag",
        "/api/toy/windows",
    ]
    order = paths["/api/toy/order"]["post"]
    assert (order["operationId"], order["summary"]) == ("toy_order", 'Place an order: A "toy"')
    assert order["responses"]["201"]["content"]["application/json"]["example"]["status"] == "stored"


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
    assert {kind.name for kind in PROBLEM_TYPES} - described == nowhere


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


@pytest.mark.parametrize("kind", PROBLEM_TYPES, ids=lambda kind: kind.name)
async def test_every_problem_type_has_its_page(app: ASGIApp, kind: Any) -> None:
    said = (await ask(app, kind.uri, method="GET")).json
    assert (said["type"], said["status"], said["title"]) == (kind.uri, kind.status, kind.title)
    page = await ask(app, kind.uri, method="GET", headers=[("accept", "text/html,*/*")])
    assert page.headers["content-type"].startswith("text/html")
    assert kind.title in page.body.decode()


async def test_an_unknown_problem_type_is_not_found(app: ASGIApp) -> None:
    answer = await ask(app, "/problems/nonsense", method="GET")
    assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")


def test_the_docs_know_every_problem() -> None:
    text = (Path(__file__).parents[4] / "docs" / "api.md").read_text(encoding="utf-8")
    for kind in PROBLEM_TYPES:
        assert f"| {kind.status} | `{kind.uri}` | {kind.title}. {kind.meaning} |" in text
