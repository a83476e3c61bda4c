"""Random orders: deterministic, unique, within its shares, and honest about what it made."""

import json
from collections import Counter
from decimal import Decimal

from coffee_core.clock import now_us
from coffee_core.load.orders import Attempt, Kind, OrderMix, RandomOrders
from coffee_core.menu import DRINKS, STORES
from coffee_core.order import parse_price, parse_timestamp_us
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3

START_US = 1_700_000_000_000_000


def _made(orders: int, mix: OrderMix | None = None, seed: int = 7) -> list[Attempt]:
    source = RandomOrders(mix, seed=seed, start_us=START_US, remember=True)
    for _ in range(orders):
        source.next(V2)
    return source.attempted


def test_the_same_seed_makes_the_same_orders() -> None:
    assert _made(300) == _made(300)
    assert _made(300) != _made(300, seed=8)


def test_a_seed_that_is_used_again_makes_other_keys() -> None:
    first = {attempt.key for attempt in _made(100)}
    later = RandomOrders(seed=7, start_us=START_US + 1, remember=True)
    for _ in range(100):
        later.next(V2)
    assert not first & {attempt.key for attempt in later.attempted}


def test_an_order_is_what_its_body_says() -> None:
    for attempt in _made(300, OrderMix(malformed=0)):
        body = json.loads(attempt.body, parse_float=Decimal)
        assert (body["drink"], body["store"], body["timestamp"]) == (
            attempt.drink,
            attempt.store,
            attempt.timestamp,
        )
        assert parse_price(body["price"]) == attempt.price_cents
        assert parse_timestamp_us(attempt.timestamp) == attempt.ordered_at_us
        assert attempt.drink in DRINKS
        assert attempt.store in STORES


def test_every_new_order_has_a_timestamp_and_a_key_of_its_own() -> None:
    new = [attempt for attempt in _made(2_000) if attempt.kind is Kind.NEW]
    assert len({attempt.timestamp for attempt in new}) == len(new)
    assert len({attempt.key for attempt in new}) == len(new)


def test_an_order_is_dated_when_it_is_made() -> None:
    orders = RandomOrders(OrderMix(repeats=0))
    orders.next(V1)
    before_us = now_us()
    assert before_us <= orders.next(V1).ordered_at_us <= now_us()


def test_a_repeat_is_an_earlier_order_under_its_key() -> None:
    seen: dict[object, bytes] = {}
    repeats = 0
    for attempt in _made(2_000, OrderMix(repeats=0.3)):
        if attempt.kind is Kind.REPEAT:
            repeats += 1
            assert seen[attempt.key] == attempt.body
        elif attempt.kind is Kind.NEW:
            seen[attempt.key] = attempt.body
    assert 450 < repeats < 750


def test_repeats_stay_in_their_pipeline() -> None:
    orders = RandomOrders(OrderMix(repeats=0.5), seed=1, start_us=START_US, remember=True)
    for index in range(600):
        orders.next((V1, V2, V3)[index % 3])
    homes: dict[object, set[Pipeline]] = {}
    for attempt in orders.attempted:
        homes.setdefault(attempt.key, set()).add(attempt.pipeline)
    assert all(len(pipelines) == 1 for pipelines in homes.values())


def test_shares_are_kept() -> None:
    kinds = Counter(attempt.kind for attempt in _made(5_000, OrderMix(repeats=0.1, malformed=0.2)))
    assert 850 < kinds[Kind.MALFORMED] < 1_150
    assert 400 < kinds[Kind.REPEAT] < 600


def test_orders_without_a_key_are_never_repeated() -> None:
    made = _made(1_000, OrderMix(repeats=0.3, keyless=0.5, malformed=0))
    keyless = [attempt for attempt in made if attempt.key is None]
    assert all(attempt.kind is Kind.NEW for attempt in keyless)
    assert 200 < len(keyless) < 500


def test_weights_choose_the_drinks() -> None:
    drinks = Counter(attempt.drink for attempt in _made(300, OrderMix(drinks={"latte": 1.0, "americano": 0.0})))
    assert set(drinks) == {"latte"}


def test_without_memory_nothing_is_kept() -> None:
    orders = RandomOrders(seed=1)
    orders.next(V1)
    assert orders.attempted == []
