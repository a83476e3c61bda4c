"""The job's checkpoints in a folder: the newest one to continue from, and those that nobody needs any more."""

import re
import shutil
from collections.abc import Collection
from pathlib import Path

from coffee_core.keys import SAVEPOINTS

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
