"""The job's checkpoints in a folder: the newest one to continue from, and those that nobody needs any more."""

import asyncio
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis

from coffee_core.keys import SAVEPOINTS, MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from flink.options import checkpoints_uri
from flink.rest import FlinkRest

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_KINDS = ("*/chk-*", f"{SAVEPOINTS}/savepoint-*")
_EPOCH = re.compile(r"epoch-.+")


def newest_checkpoint(folder: Path, refused: Collection[Path] = ()) -> Path | None:
    """Return the folder of the newest completed checkpoint or savepoint of any job, except for those refused.

    A checkpoint is complete once its ``_metadata`` is there: Flink writes it last.
    """
    complete = [path for each in _KINDS for path in folder.glob(f"{each}/_metadata") if path.parent not in refused]
    return max(complete, key=_age).parent if complete else None


def _age(metadata: Path) -> tuple[int, int]:
    """Order by time, and checkpoints of one job by their number where a file system's clock is coarse."""
    return metadata.stat().st_mtime_ns, int(number) if (
        number := metadata.parent.name.removeprefix("chk-")
    ).isdecimal() else 0


def restore_link(folder: Path) -> Path:
    """Return the link from which jobs are restored: a plan has it as its checkpoint, wherever it points."""
    return folder / "restore-from"


def point_restore_link(folder: Path, checkpoint: Path) -> None:
    """Let the link point to a checkpoint. Not while a job may still read from where it points now."""
    link = restore_link(folder)
    made = link.with_suffix(".new")
    made.unlink(missing_ok=True)
    made.symlink_to(checkpoint, target_is_directory=True)
    made.replace(link)


def remove_others(folder: Path, job_id: str) -> None:
    """Remove the checkpoints of earlier jobs and epochs, once this job has completed a checkpoint of its own.

    ``folder`` is that of the job's epoch.
    """
    if not any(folder.glob(f"{job_id}/chk-*/_metadata")):
        return
    jobs = [path for path in folder.iterdir() if path.name != job_id and _JOB_ID.fullmatch(path.name)]
    epochs = [path for path in folder.parent.iterdir() if path != folder and _EPOCH.fullmatch(path.name)]
    for other in (*jobs, *epochs):
        shutil.rmtree(other)


# What the job continues from: a folder that can be listed tells, else Redis, where checkpoints are noted.


NOTED = MetricKeys(V3).checkpoints
_FILE = "file://"
_KEPT = 3
"""As many as Flink itself retains."""


class Restoring(Protocol):
    """The checkpoints of the job. Its methods raise what Flink's REST API and Redis raise."""

    async def newest(self, epoch: str, refused: Collection[str]) -> str | None:
        """Return the URI of the newest checkpoint of an epoch that is not refused."""

    def planned(self, epoch: str) -> str | None:
        """Return a URI that leads to whatever checkpoint it is pointed to, None where there can be none."""

    async def point(self, epoch: str, checkpoint: str) -> str:
        """Return the URI with which a job is planned that continues from this checkpoint."""

    async def note(self, epoch: str, job_id: str) -> None:
        """Take notice of what the job of an epoch has completed."""


def restoring(settings: Settings, rest: FlinkRest, redis: Redis) -> Restoring:
    """Return what fits the URI of the settings."""
    return InFolder(settings) if checkpoints_uri(settings, "").startswith(_FILE) else Noted(rest, redis)


class InFolder:
    """A folder of this machine, or one that is mounted here as it is where Flink runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def newest(self, epoch: str, refused: Collection[str]) -> str | None:
        """List the folder."""
        paths = {Path(each.removeprefix(_FILE)) for each in refused}
        path = await asyncio.to_thread(newest_checkpoint, self._folder(epoch), paths)
        return None if path is None else f"{_FILE}{path}"

    def planned(self, epoch: str) -> str:
        """Return a link."""
        return f"{_FILE}{restore_link(self._folder(epoch))}"

    async def point(self, epoch: str, checkpoint: str) -> str:
        """Point the link."""
        folder = self._folder(epoch)
        await asyncio.to_thread(point_restore_link, folder, Path(checkpoint.removeprefix(_FILE)))
        return self.planned(epoch)

    async def note(self, epoch: str, job_id: str) -> None:
        """Remove what nobody needs any more."""
        await asyncio.to_thread(remove_others, self._folder(epoch), job_id)

    def _folder(self, epoch: str) -> Path:
        return Path(checkpoints_uri(self._settings, epoch).removeprefix(_FILE))


class Noted:
    """Storage that only Flink can read: what its REST API told last is kept in Redis.

    Checkpoints of earlier jobs and epochs stay there: a rule of the storage removes them.
    """

    def __init__(self, rest: FlinkRest, redis: Redis) -> None:
        self._rest = rest
        self._redis = redis

    async def newest(self, epoch: str, refused: Collection[str]) -> str | None:
        """Read what was noted."""
        return next((uri for uri in await self._noted(epoch) if uri not in refused), None)

    def planned(self, epoch: str) -> None:
        """Return nothing: there are no links, each checkpoint is planned when it is needed."""

    async def point(self, epoch: str, checkpoint: str) -> str:  # noqa: ARG002
        """Return the checkpoint itself."""
        return checkpoint

    async def note(self, epoch: str, job_id: str) -> None:
        """Ask Flink, and note what is new."""
        uri = await self._rest.checkpoint(job_id)
        if uri is None or uri in await self._noted(epoch):
            return
        async with self._redis.pipeline(transaction=True) as write:
            write.lpush(NOTED, f"{epoch} {uri}")
            write.ltrim(NOTED, 0, _KEPT - 1)
            await write.execute()

    async def _noted(self, epoch: str) -> list[str]:
        listed: Any = self._redis.lrange(NOTED, 0, -1)
        entries = [each.partition(" ") for each in await listed]
        return [uri for of, _, uri in entries if of == epoch]
