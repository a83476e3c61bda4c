"""Random orders over the menu, with repeats and malformed ones among them."""

import json
import math
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

from coffee_core.clock import now_us, to_datetime
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import PIPELINES, Pipeline

_PRICES_CENTS = {"cappuccino": (400, 550), "americano": (300, 400), "latte": (425, 600)}
_RECENT = 1_000


class Kind(StrEnum):
    """What an attempt is meant to be."""

    NEW = "new"
    REPEAT = "repeat"
    """The same order under the same Idempotency-Key as an earlier attempt."""
    MALFORMED = "malformed"
    """Must be refused with a 4xx."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as it is to be sent."""

    pipeline: Pipeline
    """Where it goes."""
    kind: Kind
    """What it is meant to be."""
    body: bytes
    """The request's body."""
    key: UUID | None
    """Its Idempotency-Key, where it has one."""
    timestamp: str
    """Its timestamp, unique among the new orders of one source: finds its row where it has no key."""
    drink: str
    store: str
    price_cents: int
    """Price in cents."""
    ordered_at_us: int
    """The timestamp, in microseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class OrderMix:
    """Shares and weights of random orders. Raises ValueError in words where they contradict each other."""

    repeats: float = 0.05
    """Share of attempts that repeat an earlier one under its key."""
    malformed: float = 0.01
    """Share of attempts that must be refused."""
    keyless: float = 0.0
    """Share of new orders without an Idempotency-Key; they are never repeated."""
    drinks: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(DRINKS, 1.0))
    """Drink → weight."""
    stores: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(STORES, 1.0))
    """Store → weight."""

    def __post_init__(self) -> None:
        for name in ("repeats", "malformed", "keyless"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"the share of {name} must lie between 0 and 1, not {getattr(self, name)}")
        if self.repeats + self.malformed > 1:
            raise ValueError("the shares of repeats and malformed orders add up to more than 1")
        _check_weights("drink", self.drinks, DRINKS)
        _check_weights("store", self.stores, STORES)


def _check_weights(what: str, weights: Mapping[str, float], menu: tuple[str, ...]) -> None:
    for name, weight in weights.items():
        if name not in menu:
            raise ValueError(f"{name!r} is no {what}; choose from {', '.join(menu)}")
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(f"the weight of {name} must be 0 or more, not {weight}")
    if not sum(weights.values()) > 0:
        raise ValueError(f"at least one {what} must have a weight above 0")


class RandomOrders:
    """Makes random attempts, the same ones for the same seed and start.

    New orders are dated by the clock; where ``start_us`` is given from there on, 1 µs apart.
    With ``remember`` every attempt is kept in ``attempted``, for a test that compares row by row; without it
    memory stays constant however long it runs.
    """

    def __init__(
        self,
        mix: OrderMix | None = None,
        *,
        seed: int | None = None,
        start_us: int | None = None,
        remember: bool = False,
    ) -> None:
        self.mix = mix or OrderMix()
        """Shares and weights of the attempts to come; may be replaced at any time."""
        self._random = random.Random(seed)
        self._by_clock = start_us is None
        self._time_us = now_us() if start_us is None else start_us
        # Of the start, too: a seed that is used again must not make the keys of other orders.
        self._keys = random.Random(None if seed is None else f"{seed} {self._time_us}")
        self._recent: dict[Pipeline, deque[Attempt]] = {pipeline: deque(maxlen=_RECENT) for pipeline in PIPELINES}
        self._remember = remember
        self.attempted: list[Attempt] = []
        """Every attempt in the order made, where they are remembered."""

    def next(self, pipeline: Pipeline) -> Attempt:
        """Make the next attempt for a pipeline."""
        attempt = self._make(pipeline)
        if self._remember:
            self.attempted.append(attempt)
        return attempt

    def _make(self, pipeline: Pipeline) -> Attempt:
        chance = self._random.random()
        recent = self._recent[pipeline]
        if chance < self.mix.malformed:
            return self._malformed(pipeline)
        if recent and chance < self.mix.malformed + self.mix.repeats:
            return replace(self._random.choice(recent), kind=Kind.REPEAT)
        attempt = self._new(pipeline, Kind.NEW)
        if attempt.key is not None:
            recent.append(attempt)
        return attempt

    def _new(self, pipeline: Pipeline, kind: Kind) -> Attempt:
        # Strictly growing, so that each finds its row.
        self._time_us = max(self._time_us + 1, now_us() if self._by_clock else 0)
        drink = self._weighted(self.mix.drinks)
        store = self._weighted(self.mix.stores)
        low, high = _PRICES_CENTS[drink]
        cents = self._random.randrange(low, high + 1, 5)
        key = UUID(int=self._keys.getrandbits(128), version=4)
        timestamp = _rfc3339(self._time_us)
        body = json.dumps({"drink": drink, "store": store, "price": "@", "timestamp": timestamp})
        # Written as the decimal it is: no float comes between the cents and the client.
        raw = body.replace('"@"', f"{cents // 100}.{cents % 100:02d}").encode()
        keyless = kind is Kind.NEW and self._random.random() < self.mix.keyless
        return Attempt(
            pipeline, kind, raw, None if keyless else key, timestamp, drink, store, cents, self._time_us
        )

    def _weighted(self, weights: Mapping[str, float]) -> str:
        return self._random.choices(tuple(weights), tuple(weights.values()))[0]

    def _malformed(self, pipeline: Pipeline) -> Attempt:
        valid = self._new(pipeline, Kind.MALFORMED)
        malformed = self._random.choice(_MALFORMATIONS)(json.loads(valid.body))
        raw = malformed if isinstance(malformed, bytes) else json.dumps(malformed).encode()
        return replace(valid, body=raw)


def _rfc3339(time_us: int) -> str:
    return to_datetime(time_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_MALFORMATIONS = (
    lambda fields: {**fields, "drink": "mocha"},
    lambda fields: {**fields, "store": "airport"},
    lambda fields: {**fields, "price": 0},
    lambda fields: {**fields, "price": 4.005},
    lambda fields: {**fields, "timestamp": fields["timestamp"].removesuffix("Z")},
    lambda fields: {name: value for name, value in fields.items() if name != "price"},
    lambda fields: json.dumps(fields)[:-1].encode(),
)
