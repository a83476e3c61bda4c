"""What the stack has used so far: processor and memory of all its processes; what orders have left on disk."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend.daemon import open_postgres, open_redis
from backend.lab.bench.resources import sql
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import read_states
from coffee_core.settings import Settings


@dataclass(frozen=True, slots=True)
class Usage:
    """A reading."""

    cpu_s: float
    """Processor seconds of all parts and their children, living ones and those they have waited for."""
    memory_bytes: int
    """Memory: shared pages divided among those who share them (PSS) where the system can tell, else resident."""
    memory_of: Mapping[str, int]
    """Memory by part."""


async def usage(home: Path) -> Usage:
    """Read what the parts in a home use."""
    return await asyncio.to_thread(_usage, home)


def _usage(home: Path) -> Usage:
    cpu_s, memory_of = 0.0, {}
    for state in read_states(home):
        if state.pid is None:
            continue
        try:
            root = psutil.Process(state.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        memory_of[state.name] = 0
        for process in family:
            try:
                times = process.cpu_times()
                cpu_s += times.user + times.system + times.children_user + times.children_system
                memory_of[state.name] += _memory(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    return Usage(cpu_s, sum(memory_of.values()), memory_of)


def _memory(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pipeline's orders have left behind so far."""

    disk_bytes: int
    """Its partition with its index, the append-only file of Redis, and for v3 the topic."""
    logged_bytes: int
    """Written to logs: PostgreSQL's write-ahead log, the append-only file, and for v3 the topic."""
    redis_bytes: int
    """Memory of Redis."""


async def kept(settings: Settings, pipeline: Pipeline) -> Kept:
    """Read what is kept. Raises the errors of both servers."""
    connection = await open_postgres(settings.database_url)
    try:
        (row,) = await connection.fetch(sql("size"), f"orders_{pipeline}")
    finally:
        await connection.close()
    async with open_redis(settings.redis_url) as client:
        info = await client.info("everything")
    logs = int(info["aof_current_size"])
    if pipeline is Pipeline.V3:
        logs += await asyncio.to_thread(_size, settings.home / "kafka" / "data")
    return Kept(row["kept"] + logs, int(row["logged"]) + logs, int(info["used_memory"]))


def _size(folder: Path) -> int:
    """Return the bytes of the topic's segments: what is written, not what is set aside for the index."""
    return sum(path.stat().st_size for path in folder.glob("orders-*/*.log"))
