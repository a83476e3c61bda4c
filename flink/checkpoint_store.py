"""Which checkpoint the job continues from, and which ones nobody needs any more.

A folder that this machine can read is listed. Of storage that only Flink can read, the submitter records in Redis
the checkpoints that Flink's REST API reports.
"""

import asyncio
import logging
import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from redis.asyncio import Redis

from coffee_core.keys import SAVEPOINTS, MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings
from flink.checkpoints import NUM_RETAINED, checkpoints_uri
from flink.rest import FlinkRest

RECORDED = MetricKeys(V3).checkpoints
"""Key of the list of recorded checkpoints."""
_FILE = "file://"
_JOB_ID = re.compile(r"[0-9a-f]{32}")
_EPOCH = re.compile(r"epoch-.+")
_PATTERNS = ("*/chk-*", f"{SAVEPOINTS}/savepoint-*")

log = logging.getLogger("flink.submit")


class CheckpointStore(Protocol):
    """Where the job's checkpoints are. Its methods raise what Flink's REST API and Redis raise."""

    async def newest(self, epoch: str, refused: Collection[str]) -> str | None:
        """Return the URI of the newest checkpoint of an epoch that is not refused."""

    def stable_uri(self, epoch: str) -> str | None:
        """Return the URI that leads to whatever checkpoint is chosen last, None where there can be none."""

    async def choose(self, epoch: str, checkpoint: str) -> str:
        """Return the URI with which a job is planned that continues from this checkpoint."""

    def chosen(self, epoch: str, uri: str) -> str:
        """Return the URI of the checkpoint to which a URI of Flink's REST API leads."""

    async def note_completed(self, epoch: str, job_id: str) -> None:
        """Take notice of what the job of an epoch has completed."""


def checkpoint_store(settings: Settings, rest: FlinkRest, redis: Redis) -> CheckpointStore:
    """Return the store that fits the URI of the settings."""
    in_folder = checkpoints_uri(settings, "").startswith(_FILE)
    return FolderCheckpoints(settings) if in_folder else RecordedCheckpoints(rest, redis)


class FolderCheckpoints:
    """A folder of this machine, or one that is mounted here as it is where Flink runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._not_removed = ""
        """Why something could not be removed, as last logged."""

    async def newest(self, epoch: str, refused: Collection[str]) -> str | None:
        """List the folder."""
        paths = {_path(uri) for uri in refused}
        path = await asyncio.to_thread(newest_checkpoint, self._folder(epoch), paths)
        return None if path is None else f"{_FILE}{path}"

    def stable_uri(self, epoch: str) -> str:
        """Return a link."""
        return f"{_FILE}{restore_link(self._folder(epoch))}"

    async def choose(self, epoch: str, checkpoint: str) -> str:
        """Point the link."""
        folder = self._folder(epoch)
        await asyncio.to_thread(point_restore_link, folder, _path(checkpoint))
        return self.stable_uri(epoch)

    def chosen(self, epoch: str, uri: str) -> str:
        """Follow the link."""
        path, link = _path(uri), restore_link(self._folder(epoch))
        return f"{_FILE}{link.readlink() if path == link else path}"

    async def note_completed(self, epoch: str, job_id: str) -> None:
        """Remove what nobody needs any more; where that fails, the job runs all the same."""
        try:
            await asyncio.to_thread(remove_others, self._folder(epoch), job_id)
        except OSError as error:
            if str(error) != self._not_removed:
                log.warning("a checkpoint that nobody needs cannot be removed: %s", error)
            self._not_removed = str(error)

    def _folder(self, epoch: str) -> Path:
        return _path(checkpoints_uri(self._settings, epoch))


class RecordedCheckpoints:
    """Storage that only Flink can read: the last answers of its REST API are kept in Redis.

    Checkpoints of earlier jobs and epochs stay on the storage: a rule of its own removes them.
    """

    def __init__(self, rest: FlinkRest, redis: Redis) -> None:
        self._rest = rest
        self._redis = redis

    async def newest(self, epoch: str, refused: Collection[str]) -> str | None:
        """Read what was recorded."""
        return next((uri for uri in await self._recorded(epoch) if uri not in refused), None)

    def stable_uri(self, epoch: str) -> None:
        """Return nothing: there are no links, each checkpoint is planned when it is needed."""

    async def choose(self, epoch: str, checkpoint: str) -> str:  # noqa: ARG002
        """Return the checkpoint itself."""
        return checkpoint

    def chosen(self, epoch: str, uri: str) -> str:  # noqa: ARG002
        """Return the URI itself."""
        return uri

    async def note_completed(self, epoch: str, job_id: str) -> None:
        """Ask Flink, and record what is new."""
        uri = await self._rest.latest_checkpoint(job_id)
        if uri is None or uri in await self._recorded(epoch):
            return
        async with self._redis.pipeline(transaction=True) as write:
            write.lpush(RECORDED, f"{epoch} {uri}")
            write.ltrim(RECORDED, 0, NUM_RETAINED - 1)
            await write.execute()

    async def _recorded(self, epoch: str) -> list[str]:
        listed: Any = self._redis.lrange(RECORDED, 0, -1)
        entries = [entry.partition(" ") for entry in await listed]
        return [uri for of, _, uri in entries if of == epoch]


def _path(uri: str) -> Path:
    """Return the path of ``file:///…``, or of ``file:/…`` as Flink writes it."""
    return Path(uri.removeprefix(_FILE).removeprefix("file:"))


def newest_checkpoint(folder: Path, refused: Collection[Path] = ()) -> Path | None:
    """Return the folder of the newest completed checkpoint or savepoint of any job, except for those refused.

    A checkpoint is complete once its ``_metadata`` is there: Flink writes it last.
    """
    found = [path for pattern in _PATTERNS for path in folder.glob(f"{pattern}/_metadata")]
    complete = [path for path in found if path.parent not in refused]
    return max(complete, key=_age).parent if complete else None


def _age(metadata: Path) -> tuple[int, int]:
    """Order by time, and checkpoints of one job by their number where a file system's clock is coarse."""
    number = metadata.parent.name.removeprefix("chk-")
    return metadata.stat().st_mtime_ns, int(number) if number.isdecimal() else 0


def restore_link(folder: Path) -> Path:
    """Return the link from which jobs are restored: a plan has it as its checkpoint, wherever it points."""
    return folder / "restore-from"


def point_restore_link(folder: Path, checkpoint: Path) -> None:
    """Let the link point to a checkpoint. Not while a job may still read from where it points now."""
    link = restore_link(folder)
    made = link.with_suffix(".new")
    for path in (link, made):
        # What has copied the folder to here may have followed the link.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
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
