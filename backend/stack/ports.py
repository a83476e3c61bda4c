"""Whether a port is free, and which program has it where it is not."""

import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import fields

from backend.stack.links import network
from backend.stack.part import LOOPBACK, Part
from coffee_core.errors import ConfigError, StackError
from coffee_core.settings import Settings

_NETWORK_LAB = "COFFEE_NETWORK_LAB_PORT"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen there now."""
    return _refusal(port, host) is None


def _refusal(port: int, host: str) -> OSError | None:
    """Return what the system has against a server there; None where one could listen."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return error
    except UnicodeError as error:  # no host name
        return OSError(errno.EADDRNOTAVAIL, str(error))
    refusals = []
    for family, kind, _, _, address in found:
        try:
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
        except OSError as error:
            refusals.append(error)
    # A name may have an address of a protocol that is switched off: one that is there will do.
    lasting = [error for error in refusals if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)]
    if lasting or len(refusals) < len(found):
        return next(iter(lasting), None)
    return refusals[0]


def require_free(settings: Settings, port: int, host: str = LOOPBACK) -> None:
    """Raise StackError where no server could listen there now.

    It names the owner of a taken port, where known, and the setting that moves it.
    """
    if obstacle := obstacle_at(port, host):
        raise StackError(f"port {port} {obstacle}, or move this part with {setting_of(settings, port)}")


def obstacle_at(port: int, host: str = LOOPBACK) -> str:
    """Return why no server could listen there now, and what would end that; empty where one could.

    Raises StackError where this machine has no such address.
    """
    refusal = _refusal(port, host)
    if refusal is None:
        return ""
    if refusal.errno == errno.EADDRINUSE:
        return f"is taken by {owner(port)}: end that"
    if refusal.errno in (errno.EACCES, errno.EPERM):
        return "is not for ordinary users (most systems keep those below 1024 for root): get that right"
    raise StackError(
        f"this machine has no address {host!r} to listen on: set COFFEE_HOST to 127.0.0.1, or to one that it has"
    ) from refusal


def setting_of(settings: Settings, port: int) -> str:
    """Return the name of the setting that has this port."""
    return next(iter(_settings_of(settings, port)), "its COFFEE_…_PORT setting")


def _settings_of(settings: Settings, port: int) -> list[str]:
    names = (setting.metadata["env"] for setting in fields(settings) if getattr(settings, setting.name) == port)
    found = [name for name in names if name.endswith("_PORT")]
    links = network(settings)
    if links and _NETWORK_LAB not in found and port in (*links.ports, *links.brokers_listeners()):
        found.append(_NETWORK_LAB)  # which counts on from its own
    return found


def require_different(settings: Settings, parts: Iterable[Part]) -> None:
    """Raise ConfigError where two of these parts, or one of them twice, were given the same port."""
    seen = set[int]()
    for port in (port for part in parts for port in part.ports):
        if port in seen:
            names = " and ".join(_settings_of(settings, port))
            raise ConfigError(f"{names} are both {port}: each needs a port of its own")
        seen.add(port)


def owner(port: int) -> str:
    """Return the program and pid that have a port, as far as we may see them: listening, or for a connection."""
    import psutil  # only where something is wrong: it takes longer to load than a wrapper to start

    try:
        there = [(c.status, c.pid) for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port]
    except psutil.AccessDenied:  # macOS: whose connections they are is for root alone, but for our own
        there = list(_connections_of_ours(port))
    there.sort(key=lambda connection: connection[0] != psutil.CONN_LISTEN)
    for _, pid in there:
        with suppress(psutil.NoSuchProcess):
            if pid:
                return f"{psutil.Process(pid).name()} (pid {pid})"
    return "a program of another user"


def _connections_of_ours(port: int) -> Iterator[tuple[str, int]]:
    """Yield state and pid of the connections of processes that we may look into."""
    import psutil

    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield from (
                (c.status, process.pid) for c in process.net_connections("tcp") if c.laddr and c.laddr.port == port
            )
