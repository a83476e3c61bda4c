"""CloudEvents: what the message id is, and what is refused."""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from backend.api.admission import InFlight
from backend.api.answer_counters import AnswerCounts, RequestCounts
from backend.api.middleware import Observe
from backend.api.openapi import document
from backend.api.orders import BatchEndpoint, OrderEndpoint, OrderSubmitter
from backend.api.parsing import NAMESPACE, _event_id
from backend.clients.counters import Counters
from backend.clients.health import Health
from coffee_core.order import Order
from coffee_core.pipelines.constants import V2
from tests.unit.backend.api.asgi import JSON, VALID, Answer, ask

STRUCTURED = ("content-type", "application/cloudevents+json; charset=utf-8")
BATCH = ("content-type", "application/cloudevents-batch+json")
_BODY = document((V2,))["paths"]["/api/v2/order"]["post"]["requestBody"]["content"]
EVENT = _BODY["application/cloudevents+json"]["example"]
KEY = EVENT["id"]
CE = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/tills/7", "ce-type": "order"}


class Kept:
    """An ingest that keeps what reaches it, and which of it may be repeated."""

    health = Health("none")

    def __init__(self) -> None:
        self.ids: list[UUID] = []

    async def submit(self, order: Order, keyed: bool) -> None:
        assert keyed
        self.ids.append(order.message_id)

    async def submit_all(self, orders: Sequence[Order], keyed: AbstractSet[UUID]) -> None:
        assert {order.message_id for order in orders} == keyed
        self.ids += [order.message_id for order in orders]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def _app(kept: Kept, endpoint: Any = OrderEndpoint) -> ASGIApp:
    counters = Counters()
    answers = AnswerCounts(counters, V2)
    return Observe(endpoint(V2, OrderSubmitter(kept), answers, InFlight()), RequestCounts(counters))


async def _post(kept: Kept, event: Any, *headers: tuple[str, str]) -> Answer:
    return await ask(_app(kept), "/", json.dumps(event).encode(), [STRUCTURED, *headers])


async def test_an_id_that_is_a_uuid_is_the_message_id(kept: Kept) -> None:
    answer = await _post(kept, EVENT)
    assert (answer.status, answer.json["message_id"]) == (202, KEY)
    assert kept.ids == [UUID(KEY)]


async def test_any_other_id_is_one_only_together_with_its_source(kept: Kept) -> None:
    events = [{**EVENT, "id": "7"}, {**EVENT, "id": "7"}, {**EVENT, "id": "7", "source": "/tills/8"}]
    for event in events:
        assert (await _post(kept, event)).status == 202
    assert kept.ids[0] == uuid5(NAMESPACE, "/tills/7 7") != uuid5(NAMESPACE_URL, "/tills/7 7")
    assert kept.ids[0] == kept.ids[1] != kept.ids[2]


async def test_a_binary_event_has_the_id_that_a_structured_one_has(kept: Kept) -> None:
    assert (await ask(_app(kept), "/", json.dumps(VALID).encode(), [JSON, *CE.items()])).status == 202
    assert (await _post(kept, {**EVENT, "id": "7"})).status == 202
    assert kept.ids[0] == kept.ids[1]


async def test_a_batch_of_events_has_a_result_for_each(kept: Kept) -> None:
    body = json.dumps([EVENT, {**EVENT, "id": "7"}]).encode()
    answer = await ask(_app(kept, BatchEndpoint), "/", body, [BATCH])
    assert (answer.status, len(answer.json["orders"])) == (202, 2)
    assert kept.ids == [UUID(KEY), uuid5(NAMESPACE, "/tills/7 7")]
    spoilt = json.dumps([EVENT, {**EVENT, "id": ""}]).encode()
    answer = await ask(_app(kept, BatchEndpoint), "/", spoilt, [BATCH])
    assert (answer.status, answer.json["field"], answer.json["index"]) == (422, "id", 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        *(({name: ""}, name) for name in ("specversion", "id", "source", "type")),
        ({"specversion": "0.3"}, "specversion"),
        ({"datacontenttype": "text/xml"}, "datacontenttype"),
        ({"data": {**VALID, "drink": "tea"}}, "drink"),
        ({"data": {**VALID, "size": 1}}, "size"),
    ],
)
async def test_what_is_no_event_or_no_order_is_refused(kept: Kept, change: Any, field: str) -> None:
    answer = await _post(kept, {**EVENT, **change})
    assert (answer.status, answer.json["field"]) == (422, field)
    assert kept.ids == []


@pytest.mark.parametrize(
    "event", [[], 1, None, {}, {**EVENT, "id": 7}, {**EVENT, "data": None}, {**EVENT, "data": "x"}, [EVENT]]
)
async def test_what_has_another_form_is_refused(kept: Kept, event: Any) -> None:
    assert (await _post(kept, event)).status == 422


async def test_what_is_no_json_is_refused(kept: Kept) -> None:
    for body in (b"", b"{", b'{"data":{"drink":"\xff"}}', b"[" * 5000):
        assert (await ask(_app(kept), "/", body, [STRUCTURED])).status in (400, 422)


@pytest.mark.parametrize("missing", ["ce-id", "ce-source", "ce-type"])
async def test_a_binary_event_has_all_of_its_attributes(kept: Kept, missing: str) -> None:
    headers = [JSON, *((name, value) for name, value in CE.items() if name != missing)]
    answer = await ask(_app(kept), "/", json.dumps(VALID).encode(), headers)
    assert (answer.status, answer.json["field"]) == (422, missing.removeprefix("ce-"))


async def test_another_key_beside_the_event_is_refused(kept: Kept) -> None:
    assert (await _post(kept, EVENT, ("Idempotency-Key", KEY))).status == 202
    answer = await _post(kept, {**EVENT, "id": "7"}, ("Idempotency-Key", KEY))
    assert (answer.status, answer.json["field"]) == (422, "Idempotency-Key")


@pytest.mark.parametrize("source", ["/tills 7", "/tills\t7", "/tills/\x00", " "])
async def test_two_events_of_sources_with_blanks_are_not_one(kept: Kept, source: str) -> None:
    """``/a b`` with the id ``c`` would have the name of ``/a`` with the id ``b c``."""
    answer = await _post(kept, {**EVENT, "id": "7", "source": source})
    assert (answer.status, answer.json["field"], kept.ids) == (422, "source", [])


SOURCES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(st.tuples(SOURCES, st.text(min_size=1)), unique=True))
def test_different_pairs_of_source_and_id_have_different_names(pairs: list[tuple[str, str]]) -> None:
    fixed = {"specversion": "1.0", "type": "order"}
    ids = {_event_id({**fixed, "source": source, "id": name}) for source, name in pairs}
    assert len(ids) == len(pairs)


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
@pytest.mark.parametrize("value", ["%ff", "%c3", "%ed%a0%80", "\u00ff"])
async def test_an_attribute_that_is_no_text_is_not_replaced_by_another(kept: Kept, name: str, value: str) -> None:
    headers = [JSON, *{**CE, f"ce-{name}": value}.items()]
    answer = await ask(_app(kept), "/", json.dumps(VALID).encode(), headers)
    assert (answer.status, answer.json["field"], kept.ids) == (422, name, [])


async def test_an_event_has_one_id(kept: Kept) -> None:
    headers = [JSON, *CE.items(), ("ce-id", "8")]
    answer = await ask(_app(kept), "/", json.dumps(VALID).encode(), headers)
    assert (answer.status, answer.json["field"], kept.ids) == (422, "id", [])
