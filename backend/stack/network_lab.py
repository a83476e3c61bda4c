"""The part ``network-lab``: a relay on every link, in one process, and the commands that break links.

Commands come over a port of the loopback, one JSON object a line, after one with the password. What a connection
has broken is whole again when that connection ends, however it does.
"""

import asyncio
import json
import logging
import secrets
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backend.stack.links import Network, network
from backend.stack.part import LOOPBACK, Part
from backend.stack.relay import WHOLE, Condition, Link, Listener, PreciseSelector, listen
from backend.stack.stop_signal import stop_on_signals
from coffee_core.children import python_module
from coffee_core.errors import CoffeeError, StackError
from coffee_core.passwords import make_password, read_password
from coffee_core.runstate import read_state
from coffee_core.settings import Settings

NAME = "network-lab"
_WITHIN_S = 5.0
_ROUND_TRIPS, _WARM_UP = 400, 100
_MESSAGE = b"x" * 200

_log = logging.getLogger(__name__)


class NetworkLabError(CoffeeError):
    """The network lab does not answer, or refuses."""


def part(settings: Settings, links: Network) -> Part:
    """Return the relay's part."""
    make_password(settings.home, NAME)
    remark = ""

    async def ready() -> bool:
        nonlocal remark
        try:
            async with NetworkControl(settings.home, links.control_port) as control:
                now = await control.overview()
        except NetworkLabError:
            return False
        remark = f"{len(now.connections)} links; a round trip takes {now.added_us / 1_000:.2f} ms longer (p50)"
        return True

    return Part(
        NAME,
        python_module("backend.stack.network_lab"),
        ready,
        port=links.control_port,
        other_ports=links.ports[1:],
        remark=lambda: remark,
    )


def through_relays(part: Part, settings: Settings, links: Network) -> Part:
    """Return a part that finds its servers through the relay, and waits for it."""
    if not any(part.name == link.client for link in links.links):
        return part
    return replace(part, env={**part.env, **links.addresses(settings, part.name)}, needs=(*part.needs, NAME))


# What commands and measurements need of it.


@dataclass(frozen=True, slots=True)
class Overview:
    """How the network lab stands."""

    connections: dict[str, int]
    """Link → connections that are open now."""
    added_us: float
    """What a relay without a fault adds to a round trip: the median, in microseconds, measured when it started."""


class NetworkControl:
    """A connection to the network lab of a home. What it breaks is whole again when it ends.

    Use it as an asynchronous context manager. Its methods raise NetworkLabError where the lab is away or refuses.
    """

    def __init__(self, home: Path, port: int) -> None:
        self._home, self._port = home, port

    async def __aenter__(self) -> Self:
        """Connect."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self._port)
        except (OSError, TimeoutError) as error:
            raise NetworkLabError(f"the network lab does not answer on port {self._port}: {error}") from error
        try:
            await self._ask(password=read_password(self._home, NAME))
        except BaseException:
            self._writer.transport.abort()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let everything be whole again."""
        self._writer.transport.abort()

    async def overview(self) -> Overview:
        """Return how it stands."""
        return Overview(**await self._ask(do="overview"))

    async def put(self, links: Sequence[str], requests: Condition, answers: Condition) -> None:
        """Let these links be so from now on, or until this connection ends."""
        await self._ask(do="put", links=links, requests=asdict(requests), answers=asdict(answers))

    async def reset(self, links: Sequence[str]) -> int:
        """Reset every connection of these links; return how many there were."""
        return int(await self._ask(do="reset", links=links))

    async def end_clients(self, links: Sequence[str]) -> int:
        """End every connection of these links towards its client; return how many there were."""
        return int(await self._ask(do="end_clients", links=links))

    async def _ask(self, **command: object) -> Any:
        try:
            async with asyncio.timeout(_WITHIN_S):
                self._writer.write(json.dumps(command).encode() + b"\n")
                answer = json.loads(await self._reader.readline() or b'{"error": "it has ended"}')
        except (OSError, TimeoutError, ValueError) as error:
            raise NetworkLabError(f"the network lab does not answer: {error or 'no answer'}") from error
        if "error" in answer:
            raise NetworkLabError(f"the network lab refuses: {answer['error']}")
        return answer["result"]


# The process.


class _Control:
    """Takes the commands of whoever connects."""

    def __init__(self, links: dict[str, Link], password: str, added_us: float) -> None:
        self._links = links
        self._password = password
        self._added_us = added_us

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends; then let be whole what it has broken."""
        broken: dict[str, Link] = {}
        known = False
        try:
            while line := await reader.readline():
                try:
                    command = json.loads(line)
                    if not known:
                        known = secrets.compare_digest(str(command["password"]), self._password)
                        answer: dict[str, object] = (
                            {"result": None} if known else {"error": "that is not its password"}
                        )
                    else:
                        answer = {"result": self._do(command, broken)}
                except (ValueError, LookupError, TypeError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                writer.write(json.dumps(answer).encode() + b"\n")
                if not known:
                    break
        except (OSError, ValueError):  # reset, or a line without an end
            _log.debug("a connection for commands broke off")
        finally:
            for link in broken.values():
                link.put(WHOLE, WHOLE)
            writer.close()

    def _do(self, command: dict[str, Any], broken: dict[str, Link]) -> object:
        if command["do"] == "overview":
            connections = {name: len(link.connections) for name, link in self._links.items()}
            return asdict(Overview(connections, self._added_us))
        links = [self._links[name] for name in command["links"]]
        if command["do"] == "reset":
            return sum(link.reset() for link in links)
        if command["do"] == "end_clients":
            return sum(link.end_clients() for link in links)
        if command["do"] != "put":
            raise ValueError(f"no command {command['do']!r}")
        requests, answers = Condition(**command["requests"]), Condition(**command["answers"])
        for link in links:
            broken[link.name] = link
            link.put(requests, answers)
        return None


async def serve(settings: Settings, links: Network, stop: asyncio.Event) -> None:
    """Relay until the event. Raises OSError where a port is taken."""
    by_name = {each.name: Link(each.name) for each in links.links}
    listeners = [
        Listener(each.port, each.upstream_port, by_name[each.name], each.backwards) for each in links.links
    ]
    if links.job_manager_port is not None:
        of_job_manager = {each.client: by_name[each.name] for each in links.links if each.backwards}

        async def find(port: int) -> Link:
            client = await asyncio.to_thread(_owner, settings.home, tuple(of_job_manager), port)
            return of_job_manager.get(client, Link("unknown"))

        listeners.append(Listener(links.job_manager_port, settings.flink_rpc_port, find))
    servers = [await listen(listener, LOOPBACK) for listener in listeners]
    control = _Control(by_name, make_password(settings.home, NAME), await added_us())
    servers.append(await asyncio.start_server(control.serve, LOOPBACK, links.control_port))
    await stop.wait()
    for server in servers:
        server.close()


def _owner(home: Path, parts: Sequence[str], port: int) -> str:
    """Return which of these parts has a connection from this port; empty where none has."""
    import psutil  # the wrappers import this module, too

    for name in parts:
        state = read_state(home, name)
        if state is None or state.pid is None:
            continue
        try:
            connections = psutil.Process(state.pid).net_connections("tcp")
        except psutil.Error:
            continue
        if any(each.laddr and each.laddr.port == port for each in connections):
            return name
    return ""


async def added_us() -> float:
    """Measure what a relay adds to a round trip, p50 in microseconds: with one, less without."""
    with socket.create_server((LOOPBACK, 0)) as echo:
        threading.Thread(target=_echo, args=(echo,), daemon=True).start()
        direct = await asyncio.to_thread(_round_trip_us, echo.getsockname()[1])
        relay = await listen(Listener(0, echo.getsockname()[1], Link("own")), LOOPBACK)
        relayed = await asyncio.to_thread(_round_trip_us, relay.sockets[0].getsockname()[1])
        relay.close()
    return max(0.0, relayed - direct)


def _echo(server: socket.socket) -> None:
    for _ in range(2):
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := connection.recv(65_536):
                connection.sendall(data)


def _round_trip_us(port: int) -> float:
    times = []
    with socket.create_connection((LOOPBACK, port), _WITHIN_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(_ROUND_TRIPS):
            began = time.perf_counter()
            client.sendall(_MESSAGE)
            client.recv(65_536)
            times.append((time.perf_counter() - began) * 1e6)
    return sorted(times[_WARM_UP:])[(_ROUND_TRIPS - _WARM_UP) // 2]


async def _run() -> None:
    settings = Settings.from_env()
    links = network(settings)
    if links is None:
        raise StackError("COFFEE_NETWORK_LAB is no: there is no network lab to run")
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    await serve(settings, links, stop)


def main() -> None:
    """Relay by the settings of the environment until a signal."""
    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(PreciseSelector())) as runner:
            runner.run(_run())
    except (CoffeeError, OSError) as error:
        sys.exit(f"network-lab: {error}")


if __name__ == "__main__":
    main()
