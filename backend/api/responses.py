"""Request ids: the client's where it sends a sane one, else one of ours."""

import random
import re

from starlette.types import Scope, Send

HEADER = b"x-request-id"
_SCOPE_KEY = "coffee.request_id"
_SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def assign(scope: Scope) -> bytes:
    """Give a request its id and return it as a header value."""
    value = scope[_SCOPE_KEY] = choose(scope["headers"])
    return value


def choose(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the id of a request with these headers."""
    for name, value in headers:
        if name == HEADER and _SANE.fullmatch(value):
            return value
    return b"%016x" % random.getrandbits(64)


def request_id(scope: Scope) -> str:
    """Return the id of a request."""
    return bytes(scope[_SCOPE_KEY]).decode("ascii")


JSON = (b"content-type", b"application/json")


async def answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer; ``headers`` without its length."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
