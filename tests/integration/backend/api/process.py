"""The order API as a process of its own, and a client of it."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import IO, Any

import aiohttp

from coffee_core.pipelines import pipeline_named
from tests.servers import free_port, tail
from tests.waiting import until

ORDER = {"drink": "latte", "store": "uptown", "price": 5.0, "timestamp": "2025-01-15T10:00:00Z"}
OTHER = {**ORDER, "price": 4.99}
KEY = "0190f5fe-7c1e-7abc-8def-0123456789ab"


def taken(pipeline: str, message_id: str) -> tuple[int, dict[str, Any]]:
    """Return the answer to an order that was taken under this id."""
    info = pipeline_named(pipeline).info
    status, word = info.accepted_status, "stored" if info.commits_in_request else "accepted"
    link = f"/api/{pipeline}/order/{message_id}"
    return status, {"message_id": message_id, "status": word, "links": {"status": link}}


def _keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key} if key else {}


class Api:
    """A running order API."""

    def __init__(self, process: "subprocess.Popen[bytes]", base_url: str, session: aiohttp.ClientSession) -> None:
        self.process = process
        self.base_url = base_url
        self._session = session
        self.killed = False
        """Whether it was ended on purpose, without a chance to end in order."""

    def kill(self) -> None:
        """End it as the kernel does."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    async def order(
        self, pipeline: str, order: Mapping[str, Any] = ORDER, key: str = "", headers: Mapping[str, str] = {}
    ) -> tuple[int, dict[str, Any]]:
        """Post an order; return the status and the JSON of the answer."""
        body, sent = json.dumps(order), {"Content-Type": "application/json", **_keyed(key), **headers}
        async with self._session.post(f"/api/{pipeline}/order", data=body, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def batch(
        self, pipeline: str, body: bytes, media_type: str = "application/json", headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Post orders; return the status and the JSON of the answer."""
        headers = {"Content-Type": media_type, **headers}
        async with self._session.post(f"/api/{pipeline}/orders", data=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> tuple[int, Any]:
        """Return the status and the JSON of a page."""
        async with self._session.get(path) as answer:
            return answer.status, await answer.json(content_type=None)

    async def is_ready(self, pipeline: str) -> bool:
        """Tell what /readyz says of a pipeline."""
        return (await self.get(f"/readyz/{pipeline}"))[0] == 200

    async def is_not_ready(self, pipeline: str) -> bool:
        """Tell the opposite."""
        return not await self.is_ready(pipeline)


def _spawn(env: Mapping[str, str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "backend.api"], env=env, stdout=output, stderr=output)


@contextlib.asynccontextmanager
async def running(home: Path, port: int = 0, name: str = "api", **env: str) -> AsyncIterator[Api]:
    """Start an API with these settings and stop it afterwards; it must then end with exit code 0.

    Its log is ``name``.log in its home.
    """
    port, log = port or free_port(), home / f"{name}.log"
    base_url = f"http://127.0.0.1:{port}"
    whole = {**os.environ, **env, "COFFEE_HOME": str(home), "COFFEE_API_PORT": str(port)}
    with log.open("ab") as output:
        process = _spawn(whole, output)
    try:
        async with aiohttp.ClientSession(base_url) as session:

            async def alive() -> bool:
                assert process.poll() is None, tail(log)
                try:
                    async with session.get("/livez") as answer:
                        # Another one may listen on the same port.
                        return answer.status == 200 and b"startup complete" in log.read_bytes()
                except aiohttp.ClientConnectionError:
                    return False

            await until(alive, 60, "the API is alive")
            api = Api(process, base_url, session)
            yield api
        if not api.killed:
            process.terminate()
            assert process.wait(30) == 0, tail(log)
    finally:
        process.kill()
        process.wait()
