"""Sends attempts and measures them from the moment they were meant to be sent."""

import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, TCPConnector

from coffee_core.load.orders import Attempt
from coffee_core.load.statistics import Answer, Outcome, outcome_of, reason_of


class Sender:
    """An HTTP client of the order API. Use it as an asynchronous context manager."""

    def __init__(
        self,
        api_url: str | Callable[[], str],
        *,
        timeout_s: float = 10.0,
        connections: int = 128,
        authorization: Mapping[str, str] | None = None,
    ) -> None:
        # A dashboard that was there before its stack learns of the address later.
        self._api_url = api_url if callable(api_url) else lambda: api_url
        self._timeout_s = timeout_s
        self._connections = connections
        self._headers = {"Content-Type": "application/json"} | dict(authorization or {})
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; nothing is sent yet."""
        self._session = ClientSession(
            connector=TCPConnector(limit=self._connections),
            timeout=ClientTimeout(total=self._timeout_s),
            headers=self._headers,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def send(self, attempt: Attempt, intended_s: float | None = None) -> Answer:
        """POST one attempt; ``intended_s`` (monotonic seconds, default now) is where its latency begins.

        Every failure of the network is an outcome, never an exception.
        """
        if self._session is None:
            raise RuntimeError("the sender has not been opened")
        begun_s = time.monotonic() if intended_s is None else intended_s
        headers = {} if attempt.key is None else {"Idempotency-Key": str(attempt.key)}
        url = f"{self._api_url()}/api/{attempt.pipeline}/order"
        status, message_id = None, None
        try:
            async with self._session.post(url, data=attempt.body, headers=headers) as response:
                status = response.status
                body = await response.read()
                outcome, reason = outcome_of(status), ""
                message_id = _json(body).get("message_id")
                if outcome is not Outcome.ACKNOWLEDGED:
                    reason = reason_of(status, body)
        except ClientConnectorError as error:
            outcome, reason = Outcome.REFUSED, f"no connection: {error.os_error.strerror or error}"
        except TimeoutError:
            outcome, reason = Outcome.UNKNOWN, f"no answer within {self._timeout_s:g} s"
        except (ClientError, OSError) as error:
            outcome, reason = Outcome.UNKNOWN, f"connection lost: {error}"
        latency_us = int((time.monotonic() - begun_s) * 1e6)
        return Answer(attempt, outcome, status, message_id, reason, latency_us, begun_s)


def _json(body: bytes) -> dict[str, Any]:
    # A proxy in between may answer with a page of its own.
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
