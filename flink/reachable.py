"""Waits until the servers of the job accept connections, telling once which one is awaited."""

import asyncio
import logging
from urllib.parse import urlsplit

from coffee_core.settings import Settings

_PAUSE_S = 0.2
_CONNECT_S = 2.0


def _places(settings: Settings) -> dict[str, list[tuple[str, int]]]:
    servers = (each.strip().rpartition(":") for each in settings.kafka_servers.split(",") if each.strip())
    places = {"Kafka": [(host, int(port)) for host, _, port in servers]}
    for name, url, port in (
        ("Flink", settings.flink_rest_url, 8081),
        ("Redis", settings.redis_url, 6379),
        ("PostgreSQL", settings.database_url, 5432),
    ):
        parts = urlsplit(url)
        places[name] = [(parts.hostname or "127.0.0.1", parts.port or port)]
    return places


async def wait_for_servers(settings: Settings, log: logging.Logger) -> None:
    """Return once all four accept connections; of several brokers one is enough."""
    for name, places in _places(settings).items():
        told = False
        while not any([await _accepts(host, port) for host, port in places]):
            if not told:
                log.info("waiting for %s at %s", name, ",".join(f"{host}:{port}" for host, port in places))
                told = True
            await asyncio.sleep(_PAUSE_S)


async def _accepts(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
