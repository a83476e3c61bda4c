"""What the stack has used so far: processor, memory, disk; of all its processes together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from backend.daemon import open_postgres, open_redis
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
    written_bytes: int
    """Bytes that the parts have caused to be written to disk; 0 where the system does not tell."""
    memory_of: Mapping[str, int]
    """Memory by part."""


async def usage(home: Path) -> Usage:
    """Read what the parts in a home use."""
    return await asyncio.to_thread(_usage, home)


def _usage(home: Path) -> Usage:
    cpu_s, written, memory_of = 0.0, 0, {}
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
                written += process.io_counters().write_bytes if hasattr(process, "io_counters") else 0
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
    return Usage(cpu_s, sum(memory_of.values()), written, memory_of)


def _memory(process: psutil.Process) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pipeline's orders have left behind so far."""

    disk_bytes: int
    """Its partition with its index, the append-only file of Redis, and for v3 the topic."""
    redis_bytes: int
    """Memory of Redis."""


async def kept(settings: Settings, pipeline: Pipeline) -> Kept:
    """Read what is kept. Raises the errors of both servers."""
    connection = await open_postgres(settings.database_url)
    try:
        table = await connection.fetchval(
            "select pg_total_relation_size($1::text::regclass)", f"orders_{pipeline}"
        )
    finally:
        await connection.close()
    async with open_redis(settings.redis_url) as client:
        info = await client.info("everything")
    disk = int(table) + int(info["aof_current_size"])
    if pipeline is Pipeline.V3:
        disk += await asyncio.to_thread(_size, settings.home / "kafka" / "data")
    return Kept(disk, int(info["used_memory"]))


def _size(folder: Path) -> int:
    """Return the bytes of the topic's segments: what is written, not what is set aside for the index."""
    return sum(path.stat().st_size for path in folder.glob("orders-*/*.log"))
