"""What the stack has used so far: processor and memory of all its processes; what orders have left on disk."""

import asyncio
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from backend.clients.daemon import open_postgres, open_redis
from backend.stack.wanted import API
from coffee_core.durability import ACKS, FLUSH_MESSAGES
from coffee_core.pipelines import LogKind, Pipeline, is_part
from coffee_core.resources import sql
from coffee_core.runstate import read_states
from coffee_core.settings import Settings

_SHARED = (API, "postgres", "redis")
"""Parts that work on the orders of every pipeline."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A reading."""

    cpu_s: float
    """Processor seconds of all parts and their children, living ones and those they have waited for."""
    memory_bytes: int
    """Memory: shared pages divided among those who share them (PSS) where the system has that, else resident."""
    memory_of: Mapping[str, int]
    """Memory by part."""
    cpu_s_of: Mapping[str, float]
    """Processor seconds by part."""

    def cpu_s_for(self, pipeline: Pipeline) -> float:
        """Return the processor seconds of the parts that work on the orders of a pipeline."""
        return sum(
            used for part, used in self.cpu_s_of.items() if is_part(part, (*_SHARED, *pipeline.info.cost_parts))
        )


async def usage(home: Path) -> Usage:
    """Read what the parts in a home use."""
    return await asyncio.to_thread(_usage, home)


def _usage(home: Path) -> Usage:
    memory_of, cpu_s_of = {}, {}
    for state in read_states(home):
        if state.pid is None:
            continue
        try:
            root = psutil.Process(state.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        memory_of[state.name], cpu_s_of[state.name] = 0, 0.0
        for process in family:
            try:
                times = process.cpu_times()
                cpu_s_of[state.name] += times.user + times.system + times.children_user + times.children_system
                memory_of[state.name] += _memory(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    return Usage(sum(cpu_s_of.values()), sum(memory_of.values()), memory_of, cpu_s_of)


def _memory(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pipeline's orders have left behind so far."""

    disk_bytes: int
    """Its partition with its index, the append-only file of Redis, and the topic where it has one."""
    logged_bytes: int
    """Written to logs: PostgreSQL's write-ahead log, the append-only file, and the topic."""
    redis_bytes: int
    """Memory of Redis."""


async def kept(settings: Settings, pipeline: Pipeline) -> Kept:
    """Read what is kept. Raises the errors of both servers."""
    connection = await open_postgres(settings.database_url)
    try:
        (row,) = await connection.fetch(sql("backend.lab.bench", "size"), f"orders_{pipeline}")
    finally:
        await connection.close()
    async with open_redis(settings.redis_url) as client:
        info = await client.info("everything")
    logs = int(info["aof_current_size"])
    log = pipeline.info.log
    if log is not None and log.kind is LogKind.TOPIC:
        logs += await asyncio.to_thread(_size, settings.home / "kafka" / "data", log.name)
    return Kept(row["kept"] + logs, int(row["logged"]) + logs, int(info["used_memory"]))


def _size(folder: Path, topic: str) -> int:
    """Return the bytes of the topic's segments: what is written, not what is set aside for the index."""
    return sum(path.stat().st_size for path in folder.glob(f"{topic}-*/*.log"))


def machine() -> dict[str, Any]:
    """Return what this machine is, as a report has it."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
    }


async def facts(settings: Settings) -> dict[str, Any]:
    """Return what the figures rest on: the machine, and the durability settings of the running servers.

    Raises the errors of both servers.
    """
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
        "machine": machine(),
        "servers": {
            "postgres": server,
            "redis": info.get("valkey_version") or info.get("redis_version"),
            "coffee_rt": version("coffee-rt"),
        },
        "durability": postgres | policy | {"kafka": _kafka_policy(settings)},
        "aggregator_interval_s": settings.aggregator_interval_s,
    }


def _kafka_policy(settings: Settings) -> str:
    chosen = settings.durability_here.servers["kafka"]
    producer = "acks=all, idempotent producer" if chosen[ACKS] == "all" else f"acks={chosen[ACKS]}"
    flushes = chosen[FLUSH_MESSAGES]
    return producer if flushes == "0" else f"{producer}, {FLUSH_MESSAGES}={flushes}"
