"""The epoch of v3: a job writes to Redis only while the fence key holds the epoch that it was submitted with."""

from pathlib import Path

from redis.asyncio import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import write_private

FENCE = MetricKeys(Pipeline.V3).fence
_FIRST = "1"


async def current_epoch(redis: Redis, file: Path) -> str:
    """Return the epoch, putting back one that a flush has erased: the file remembers it. Raises RedisError."""
    kept = _kept(file)
    await redis.set(FENCE, kept or _FIRST, nx=True)
    epoch = str(await redis.get(FENCE) or "")
    if epoch and epoch != kept:
        write_private(file, f"{epoch}\n")
    return epoch or kept or _FIRST


def _kept(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
