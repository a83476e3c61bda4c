"""Request ids: the client's where it sends a sane one, else one of ours."""

import re
import secrets

from starlette.types import Scope

HEADER = b"x-request-id"
_SCOPE_KEY = "coffee.request_id"
_SANE = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


def assign(scope: Scope) -> bytes:
    """Give a request its id and return it as a header value."""
    for name, value in scope["headers"]:
        if name == HEADER and _SANE.fullmatch(value):
            break
    else:
        value = secrets.token_hex(8).encode()
    scope[_SCOPE_KEY] = value
    return bytes(value)


def request_id(scope: Scope) -> str:
    """Return the id of a request."""
    return bytes(scope[_SCOPE_KEY]).decode("ascii")
