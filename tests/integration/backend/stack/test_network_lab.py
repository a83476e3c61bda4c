"""The process of the network lab: it takes commands from whoever knows its password, and leaves nothing broken."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.stack.links import network
from backend.stack.network_lab import NetworkControl, NetworkLabError, serve
from backend.stack.relay import WHOLE, Condition
from coffee_core.settings import Settings
from coffee_core.tasks import end_tasks
from tests.servers import free_port
from tests.waiting import until

LINK = "cafe-order-api:redis"
SILENT = Condition(blocked=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = {f"COFFEE_{name}_PORT": str(free_port()) for name in ("POSTGRES", "REDIS")}
    return Settings.from_env(
        {
            **ports,
            "COFFEE_HOME": str(tmp_path),
            "COFFEE_PIPELINES": "v1",
            "COFFEE_NETWORK_LAB": "yes",
            "COFFEE_NETWORK_LAB_PORT": str(free_block(6)),
        }
    )


def free_block(length: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        first = free_port()
        if all(_is_free(port) for port in range(first, first + length)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
async def lab(settings: Settings) -> AsyncIterator[NetworkControl]:
    """Serve in this loop; return what connects to it."""
    links, stop = network(settings), asyncio.Event()
    assert links is not None
    serving = asyncio.create_task(serve(settings, links, stop))
    control = NetworkControl(settings.home, links.control_port)

    async def answers() -> bool:
        if serving.done():
            serving.result()
        try:
            async with control:
                return True
        except NetworkLabError:
            return False

    try:
        await until(answers)
        yield control
    finally:
        stop.set()
        await serving


async def round_trip(settings: Settings, server: asyncio.Queue[bytes]) -> None:
    links = network(settings)
    assert links is not None
    link = links.link("cafe-order-api", "redis")
    assert link is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"PING\n")
    try:
        server.put_nowait(await reader.readline())
    finally:
        writer.transport.abort()


async def test_what_a_command_breaks_is_whole_when_whoever_gave_it_has_gone(
    settings: Settings, lab: NetworkControl
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", settings.redis_port)
    answers = asyncio.Queue[bytes]()
    await round_trip(settings, answers)
    assert answers.get_nowait() == b"PING\n"
    async with lab:
        await lab.put([LINK], SILENT, SILENT)
        waiting = asyncio.create_task(round_trip(settings, answers))

        async def is_held() -> bool:
            return (await lab.overview()).connections[LINK] == 1

        await until(is_held)
        assert answers.empty()
    await waiting
    assert answers.get_nowait() == b"PING\n"
    await end_tasks(waiting)
    server.close()


async def test_it_tells_its_links_and_what_it_costs(lab: NetworkControl) -> None:
    async with lab:
        now = await lab.overview()
    assert set(now.connections) == {
        f"{client}:{server}"
        for client in ("cafe-order-api", "cafe-order-aggregator")
        for server in ("postgres", "redis")
    }
    assert now.added_us >= 0


async def test_commands_that_make_no_sense_are_refused_by_name(lab: NetworkControl) -> None:
    async with lab:
        with pytest.raises(NetworkLabError, match="no such thing"):
            await lab.put(["no such thing"], WHOLE, WHOLE)
        assert await lab.reset([LINK]) == 0


async def test_without_the_password_nothing_is_broken(
    settings: Settings, lab: NetworkControl, tmp_path: Path
) -> None:
    links = network(settings)
    assert links is not None
    stranger = NetworkControl(tmp_path / "elsewhere", links.control_port)
    with pytest.raises(NetworkLabError, match="password"):
        await stranger.__aenter__()
    with pytest.raises(NetworkLabError, match="does not answer"):
        await NetworkControl(settings.home, free_port()).__aenter__()
