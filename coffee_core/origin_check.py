"""Which requests of a browser may reach a server without a password: those of its own pages, to its own name."""

import ipaddress
from urllib.parse import urlsplit

_LOCAL = "localhost"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host == _LOCAL:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(bound_to: str, host: str, origin: str | None) -> str:
    """Return why a request is refused; empty where it is not.

    ``bound_to`` is the address that is listened on, ``host`` and ``origin`` are the request's headers. A page of
    another site may open a websocket to any address: only its origin shows that. And a foreign name may resolve to
    loopback (DNS rebinding): on loopback, only loopback's names are answered.
    """
    if is_loopback(bound_to) and not is_loopback(_name(f"//{host}")):
        return "this server is for its own machine alone: it answers to localhost and 127.0.0.1"
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return "this server is not for pages of another site"
    return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
