"""Hostile bodies: each is refused with a 4xx, and nothing of it reaches a pipeline.

COFFEE_FUZZ_BODIES sets how many are tried (default 500), e.g. 100000.
"""

import asyncio
import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from starlette.types import ASGIApp

from backend.api.admission import InFlight
from backend.api.answer_counters import AnswerCounts, RequestCounts
from backend.api.middleware import Observe
from backend.api.openapi import document
from backend.api.orders import BatchEndpoint, OrderEndpoint, OrderSubmitter
from backend.clients.counters import Counters
from backend.clients.health import Health
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from tests.unit.backend.api.asgi import VALID, ask

BODIES = int(os.environ.get("COFFEE_FUZZ_BODIES", "500"))
_PROBLEM = jsonschema.Draft202012Validator(document((V2,))["components"]["schemas"]["Problem"])
_GOOD = json.dumps(VALID).encode()


class Keeping:
    """An ingest that keeps what reaches it."""

    health = Health("none")

    def __init__(self) -> None:
        self.orders: list[Order] = []

    async def submit(self, order: Order, keyed: bool) -> None:
        self.orders.append(order)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        self.orders += orders


_NUMBERS = ("NaN", "-Infinity", "1e400", "-0", "0", "1e-400", "9" * 400, "1e99999999999", "0x10", "01", "1.", "-5")
_TEXTS = (
    *("\\ud800", "\\u0000", "\\udc00\\ud800", "latte\\u0000", "Latte", "ｌａｔｔｅ", "latte "),
    *("'; drop table orders; --", "${jndi:ldap://x}"),
)
_literals: SearchStrategy[str] = st.one_of(
    st.sampled_from(_NUMBERS),
    st.sampled_from([f'"{text}"' for text in _TEXTS]),
    st.sampled_from(["null", "true", "[]", "{}", '{"$gt":0}', "[" * 3000, '{"a":' * 3000 + "1" + "}" * 3000]),
    st.text(max_size=20).map(json.dumps),
    st.integers().map(str),
)


@st.composite
def _spoilt(draw: DrawFn) -> bytes:
    """Make an order in which one field has a hostile value."""
    name = draw(st.sampled_from(list(VALID)))
    literal = draw(_literals)
    parts = [f'"{each}":{literal if each == name else json.dumps(value)}' for each, value in VALID.items()]
    return ("{" + ",".join(draw(st.permutations(parts))) + "}").encode("utf-8", "surrogatepass")


@st.composite
def _twice(draw: DrawFn) -> bytes:
    """Make an order in which a field is given twice, perhaps spelled otherwise."""
    name = draw(st.sampled_from(list(VALID)))
    spelled = draw(st.sampled_from([name, f"\\u{ord(name[0]):04x}{name[1:]}"]))
    extra = f'"{spelled}":{json.dumps(VALID[name])}'.encode()
    return draw(st.sampled_from([b"{" + extra + b"," + _GOOD[1:], _GOOD[:-1] + b"," + extra + b"}"]))


@st.composite
def _bent(draw: DrawFn) -> bytes:
    """Cut a good order short, or put bytes into the middle of it that are no UTF-8."""
    at = draw(st.integers(0, len(_GOOD) - 1))
    junk = draw(st.sampled_from([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\x00", b"\xf4\x90\x80\x80"]))
    return draw(st.sampled_from([_GOOD[:at], _GOOD[:at] + junk + _GOOD[at:], _GOOD + junk, junk + _GOOD]))


_bodies = st.one_of(
    _spoilt(),
    _twice(),
    _bent(),
    st.binary(max_size=200),
    st.sampled_from(["utf-16", "utf-32", "utf-8-sig"]).map(lambda name: json.dumps(VALID).encode(name)),
    st.lists(_literals, max_size=3).map(lambda items: f"[{','.join(items)}]".encode("utf-8", "surrogatepass")),
    st.floats().map(lambda value: struct.pack("d", value) + _GOOD),
)


_kept, _in_flight, _runner = Keeping(), InFlight(), asyncio.Runner()
_submitter, _counters = OrderSubmitter(_kept), Counters()
_answers, _counts = AnswerCounts(_counters, V2), RequestCounts(_counters)
_order = Observe(OrderEndpoint(V2, _submitter, _answers, _in_flight), _counts)
_batch = Observe(BatchEndpoint(V2, _submitter, _answers, _in_flight), _counts)
_EVENT = b'{"specversion":"1.0","id":"1","source":"/tills/7","type":"order","data":'
_endpoints: list[tuple[ASGIApp, str, Callable[[bytes], bytes]]] = [
    (_order, "application/json", lambda raw: raw),
    (_batch, "application/json", lambda raw: b"[" + _GOOD + b"," + raw + b"]"),
    (_order, "application/cloudevents+json", lambda raw: _EVENT + raw + b"}"),
    (_order, "application/cloudevents+json", lambda raw: raw),
]


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    _runner.close()


def _is_an_order(raw: bytes) -> bool:
    """Tell, by another parser, whether a body happens to be a good order after all."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=once)
    except (ValueError, AssertionError, RecursionError):
        return False
    same = {**fields, "price": 0} == {**VALID, "price": 0} if isinstance(fields, dict) else False
    # An integer that hypothesis has drawn may be a price.
    return same and type(fields["price"]) in (int, float) and 0 < fields["price"] <= 10_000


@settings(max_examples=BODIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(_bodies)
def test_a_hostile_body_is_a_4xx_and_never_an_order(raw: bytes) -> None:
    if _is_an_order(raw):
        return
    for endpoint, media_type, body in _endpoints:
        answer = _runner.run(ask(endpoint, "/", body(raw), [("content-type", media_type)]))
        assert 400 <= answer.status < 500, (answer.status, answer.body)
        _PROBLEM.validate(answer.json)
    assert _kept.orders == []
    assert _in_flight.weight == 0
