"""What the figures rest on: the machine, and what the running servers say of their own durability."""

import os
import platform
from importlib.metadata import version
from typing import Any

import psutil

from backend.daemon import open_postgres, open_redis
from coffee_core.settings import Settings


async def facts(settings: Settings) -> dict[str, Any]:
    """Ask machine and servers. Raises the errors of both servers."""
    connection = await open_postgres(settings.database_url)
    try:
        postgres = {name: await connection.fetchval(f"show {name}") for name in ("synchronous_commit", "fsync")}
        server = await connection.fetchval("show server_version")
    finally:
        await connection.close()
    async with open_redis(settings.redis_url) as client:
        policy = {name: (await client.config_get(name))[name] for name in ("appendonly", "appendfsync")}
        info = await client.info("server")
    return {
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "python": platform.python_version(),
        },
        "servers": {
            "postgres": server,
            "redis": info.get("valkey_version") or info.get("redis_version"),
            "coffee_rt": version("coffee-rt"),
        },
        "durability": postgres | policy | {"kafka": "acks=all, idempotent producer"},
        "aggregator_interval_s": settings.aggregator_interval_s,
    }
