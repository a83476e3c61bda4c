"""A real worker that makes its calls to the servers on command, one by one, and dies between any two."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from backend.clients.daemon import Database
from backend.pipelines.v2_streams.worker import Worker

Gate = Callable[[], AbstractAsyncContextManager[None]]
_TURNS = 20
"""Turns of the loop within which a worker has come from one call to the next: more than it needs."""


class _Connection:
    """The two calls that a worker makes to PostgreSQL, behind a gate."""

    def __init__(self, connection: Database, gate: Gate) -> None:
        self._connection = connection
        self._gate = gate

    async def execute(self, *call: Any, **options: Any) -> Any:
        async with self._gate():
            return await self._connection.execute(*call, **options)

    async def fetch(self, *call: Any, **options: Any) -> Any:
        async with self._gate():
            return await self._connection.fetch(*call, **options)


class _Redis(Redis):
    """A client whose every command waits at a gate."""

    gate: Gate

    async def execute_command(self, *call: Any, **options: Any) -> Any:
        async with self.gate():
            return await super().execute_command(*call, **options)


class Puppet:
    """A worker under a name; killed, it is gone, and the next call of ``advance`` starts another in its place."""

    def __init__(self, connection: Database, client: Redis, name: str, batch_orders: int) -> None:
        self._connection = connection
        self._client = client
        self._name = name
        self._batch_orders = batch_orders
        self._calls = asyncio.Semaphore(0)
        self._at_gate = 0
        self._calling = 0
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def advance(self, calls: int) -> None:
        """Let it make this many calls; it then stands before the next one. Raises what it raises."""
        if self._task is None:
            self._task = asyncio.create_task(self._live())
            await self._stands()
        for _ in range(calls):
            self._calls.release()
            await self._stands()

    async def kill(self) -> None:
        """End it where it stands: after one call and before the next."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _stands(self) -> None:
        """Wait until no call is under way and it stands before the next one, or two that it makes at once."""
        assert self._task is not None
        while not self._task.done():
            self._arrived.clear()
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if self._at_gate and not self._calling:
                return
            arriving = asyncio.create_task(self._arrived.wait())
            await asyncio.wait((self._task, arriving), return_when=asyncio.FIRST_COMPLETED)
            arriving.cancel()
        self._task.result()

    @asynccontextmanager
    async def _gate(self) -> AsyncIterator[None]:
        self._at_gate += 1
        self._arrived.set()
        try:
            await self._calls.acquire()
        finally:
            self._at_gate -= 1
        self._calling += 1
        try:
            yield
        finally:
            self._calling -= 1
            self._arrived.set()

    async def _live(self) -> None:
        client = _Redis(connection_pool=self._client.connection_pool)
        client.gate = self._gate
        connection = cast("Database", _Connection(self._connection, self._gate))
        while True:
            worker = Worker(connection, client, self._name, self._batch_orders)
            # Scripts that go between their loading and their call end it; it begins anew, as after any error.
            with contextlib.suppress(NoScriptError):
                await worker.start()
                while True:
                    await worker.step()
