"""One client of one pipeline under load: it remembers everything it attempted and everything it was told."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from backend.lab.chaos.verdict import failed
from coffee_core.load.generator import Generator
from coffee_core.load.mix import Attempt, Kind, Mix, MixSettings
from coffee_core.load.outcome import Answer, Outcome
from coffee_core.load.sender import Sender
from coffee_core.pipelines import Pipeline

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_IN_FLIGHT = 128
"""A connection for each: what comes later is sent late, instead of timing out in a queue of our own."""
_KEYLESS = 0.05
"""A client without keys cannot repeat, but must not be stored twice either."""


class Client:
    """Sends a mix at a constant rate, open loop. Use it as an asynchronous context manager.

    A pipeline's client has connections of its own: one that hangs does not hold up another.
    """

    def __init__(self, api_url: str, pipeline: Pipeline, authorization: Mapping[str, str] | None = None) -> None:
        self.pipeline = pipeline
        """Where everything goes."""
        self.answers: list[Answer] = []
        """Every answer, in the order in which they came."""
        self._mix = Mix(MixSettings(keyless=_KEYLESS), remember=True)
        self._sender = Sender(api_url, connections=_IN_FLIGHT, authorization=authorization)
        self._generator = Generator(self._sender, self._mix, on_answer=self.answers.append, in_flight=_IN_FLIGHT)
        self._again: list[Attempt] = []
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the connections; nothing is sent yet."""
        await self._opened.enter_async_context(self._sender)
        await self._opened.enter_async_context(self._generator)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Offer nothing more and wait for the answers to what was sent."""
        await self._opened.__aexit__(kind, error, trace)

    def run_at(self, rate_per_s: float) -> None:
        """Offer this many orders a second from now on."""
        self._generator.run_at(rate_per_s, [self.pipeline])

    def check(self) -> None:
        """Raise what went wrong inside the load."""
        self._generator.counts()

    @property
    def attempts(self) -> list[Attempt]:
        """Everything that was sent or is about to be."""
        return [*self._mix.attempted, *self._again]

    @property
    def begun(self) -> int:
        """Distinct well-formed orders so far."""
        return sum(attempt.kind is Kind.NEW for attempt in self._mix.attempted)

    @property
    def waiting(self) -> int:
        """Requests that were meant to be sent by now and have no answer yet."""
        counts = self._generator.counts()[self.pipeline]
        return counts.offered - counts.ended

    def failures(self) -> list[str]:
        """Return what failed requests were told, the most frequent first, each with how often."""
        told = Counter(_UUID.sub("…", each.reason) for each in self.answers if failed(each))
        return [f"{count:,} × {reason}" for reason, count in told.most_common()]

    def first_accepted(self) -> Attempt | None:
        """Return the earliest order under a key of the client's own that was acknowledged."""
        keyed = (
            each.attempt for each in self.answers if each.outcome is Outcome.ACKNOWLEDGED and each.attempt.key
        )
        return next(keyed, None)

    async def storm(self, orders: int, times: int) -> None:
        """Send the last orders again under their keys, each several times, all at once."""
        last = [each for each in self._mix.attempted[-orders:] if each.kind is Kind.NEW and each.key]
        again = [replace(each, kind=Kind.REPEAT) for each in last for _ in range(times)]
        self._again += again
        for answer in await asyncio.gather(*(self._sender.send(attempt) for attempt in again)):
            self.answers.append(answer)
