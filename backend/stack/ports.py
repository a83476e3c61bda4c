"""Whether a port is free, and which program has it where it is not."""

import socket
from dataclasses import fields

from coffee_core.errors import StackError
from coffee_core.settings import Settings


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_free(settings: Settings, port: int) -> None:
    """Raise StackError where the port is taken, naming its owner where known and the setting that moves it."""
    if not is_free(port):
        raise StackError(
            f"port {port} is taken by {owner(port)}: end that, or move this part with {setting_of(settings, port)}"
        )


def setting_of(settings: Settings, port: int) -> str:
    """Return the name of the setting that has this port."""
    names = (setting.metadata["env"] for setting in fields(settings) if getattr(settings, setting.name) == port)
    return next((name for name in names if name.endswith("_PORT")), "its COFFEE_…_PORT setting")


def owner(port: int) -> str:
    """Return the program and pid that listen on a port, as far as we may see them."""
    import psutil  # only where something is wrong: it takes longer to load than a wrapper to start

    try:
        connections = psutil.net_connections(kind="tcp")
        pids = [c.pid for c in connections if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid]
        return f"{psutil.Process(pids[0]).name()} (pid {pids[0]})" if pids else "a program of another user"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return "another program"
