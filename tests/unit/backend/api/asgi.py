"""Asks an ASGI application directly, in this process."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

VALID = {"drink": "latte", "store": "uptown", "price": 5.0, "timestamp": "2025-01-15T10:00:00Z"}
JSON = ("content-type", "application/json")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


async def ask(
    app: ASGIApp,
    path: str,
    body: bytes | Iterable[bytes] = b"",
    headers: Iterable[tuple[str, str]] = (JSON,),
    method: str = "POST",
    raises: type[Exception] | None = None,
) -> Answer:
    parts = [body] if isinstance(body, bytes) else list(body)
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": index + 1 < len(parts)}
        for index, part in enumerate(parts)
    ]
    answers: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        answers.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "scheme": "http",
        "server": ("127.0.0.1", 8005),
        "client": ("127.0.0.1", 1),
        # As every request of HTTP/1.1 has one; that of ``headers`` goes before it.
        "headers": [(name.lower().encode(), value.encode()) for name, value in (*headers, ("host", "127.0.0.1"))],
    }
    if raises is None:
        await app(scope, receive, send)
    else:  # the server would log it
        with pytest.raises(raises):
            await app(scope, receive, send)
    start, *rest = answers
    return Answer(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )
