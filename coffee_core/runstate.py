"""State of a running stack that its wrappers publish: where each part stands, the addresses, remarks.

Files under ``COFFEE_HOME/run``, each replaced as a whole by a rename, so that nobody reads half of one.
"""

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from coffee_core.file_lock import try_lock

STANDBY_WARM = "spare, warm"
NEXT_START_PLANNED = "next start planned"
"""Remarks that the bench waits for."""
NOT_RUNNING = "flink-job is not running"
"""Key of the remark that says why v3's job does not run, and what helps; there only while it does not."""


class State(StrEnum):
    """Where a part stands."""

    WAITING = "waiting"
    """Its wrapper runs and waits for another part."""
    STARTING = "starting"
    """Its process runs and is not yet ready."""
    UP = "up"
    """Ready: its own check has passed."""
    BACKOFF = "backoff"
    """It died and will be started again shortly."""
    STOPPING = "stopping"
    """It has been asked to end and finishes the work in hand."""
    EXTERNAL = "external"
    """Given by a URL: not started here."""
    STOPPED = "stopped"
    """Not running."""


@dataclass(frozen=True, slots=True)
class PartState:
    """One part of the running stack."""

    name: str
    """Process name, as in the Procfile."""
    pid: int | None
    """Process id of the part itself (not of its wrapper), where it runs."""
    port: int | None
    """Main TCP port, where it listens."""
    state: State
    """Where it stands."""
    detail: str = ""
    """One line more: what it waits for, how it died."""
    since_us: int = 0
    """Since when it stands there: microseconds since the epoch."""
    restarts: int = 0
    """How often its wrapper has started it again."""
    wrapper_pid: int | None = None
    """Process id of its wrapper; where that process is gone, the part is stopped, whatever state was published.

    The lock that the wrapper holds counts more than this: a pid may belong to another program by now.
    """


@dataclass(frozen=True, slots=True)
class Cost:
    """What one part of an embedded stack costs: its process and all below it."""

    cores: float | None
    """Processor time per second, since the reading before; None at first."""
    memory_bytes: int
    """Resident memory, shared pages counted once."""


READY_FILE = "COFFEE_READY_FILE"
"""Variable naming a file that is there for as long as a daemon without a port can work."""


def tell_ready(*, ready: bool) -> None:
    """Publish to the wrapper of this process, where there is one, whether it can work now."""
    if name := os.environ.get(READY_FILE):
        if ready:
            Path(name).touch(mode=0o600)
        else:
            Path(name).unlink(missing_ok=True)


def run_dir(home: Path) -> Path:
    """Return the folder of the run files."""
    return home / "run"


def write_private(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace a file as a whole, readable by its owner alone.

    ``durable``: it is on disk afterwards. Without that a power cut may leave it empty.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                sync(handle)
        Path(name).replace(path)
        if durable:
            sync_file(path.parent)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sync_file(path: Path) -> None:
    """Put on disk what a file holds; of a folder, which files it has."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(handle)
    finally:
        os.close(handle)


def sync_folders(home: Path, *folders: Path) -> None:
    """Put on disk the names in these folders, in all between them and the home, and that of the home itself.

    What a server syncs is the file; that its folder has it is another matter.
    """
    above = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(home)}
    for folder in (*folders, *above):
        sync_file(folder)
    # Of a shared folder one may know no more than the way through it: then its owner has to sync it.
    with contextlib.suppress(PermissionError):
        sync_file(home.parent)


def sync(handle: int) -> None:
    """Put on disk what was written to a descriptor, through the disk's own cache, where macOS' fsync() ends."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(handle)
        return
    try:
        fcntl.fcntl(handle, full)
    except OSError:  # not every file system has it
        os.fsync(handle)


def lock_path(home: Path, name: str) -> Path:
    """Return the file that the wrapper of a part keeps locked for as long as it lives."""
    return run_dir(home) / f"{name}.lock"


def write_state(home: Path, state: PartState) -> None:
    """Publish the state of one part; on a full disk in the place of the last one. Raises OSError."""
    path, text = run_dir(home) / f"{state.name}.json", json.dumps(asdict(state))
    try:
        write_private(path, text)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not path.exists():
            raise
        # Not as a whole: who reads half of it takes it for none. Spaces after it are JSON, too.
        with path.open("r+b", buffering=0) as file:
            file.write(text.encode().ljust(path.stat().st_size))


def read_state(home: Path, name: str) -> PartState | None:
    """Return the state of one part, or None where it was never published there.

    A part whose wrapper has gone is reported as stopped, without a pid. A file that a power cut has left empty or
    torn is none.
    """
    try:
        raw = json.loads((run_dir(home) / f"{name}.json").read_text(encoding="utf-8"))
        state = PartState(**{**raw, "state": State(raw["state"])})
    except (FileNotFoundError, ValueError, TypeError, LookupError):
        return None
    if not _is_kept(home, state):
        return PartState(state.name, None, state.port, State.STOPPED, since_us=state.since_us)
    return state


def _is_kept(home: Path, state: PartState) -> bool:
    """Tell whether the wrapper that has published this still lives."""
    if state.wrapper_pid is None or not alive(state.wrapper_pid):
        return False
    try:
        handle = os.open(lock_path(home, state.name), os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):
        return True  # kept without a lock, or by another account: the pid is all there is
    try:
        return not try_lock(handle, shared=True)
    finally:
        os.close(handle)


def read_states(home: Path) -> list[PartState]:
    """Return the state of every part that was ever published there, by name, as ``read_state`` does."""
    # None: removed by `coffee down` between the listing and the reading.
    states = (read_state(home, path.stem) for path in sorted(run_dir(home).glob("*.json")))
    return [state for state in states if state is not None]


def write_remarks(home: Path, remarks: Mapping[str, str]) -> None:
    """Publish remarks on Flink's parts, by the address of a TaskManager's process or the name of a part."""
    write_private(run_dir(home) / "flink-remarks", json.dumps(dict(remarks)))


def read_remarks(home: Path) -> dict[str, str]:
    """Return the remarks on Flink's parts as ``write_remarks`` has published them, or nothing."""
    try:
        remarks = json.loads((run_dir(home) / "flink-remarks").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return remarks if isinstance(remarks, dict) else {}


def alive(pid: int) -> bool:
    """Tell whether a process exists (a zombie does, until its parent reaps it)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def forget_states(home: Path) -> None:
    """Remove the states that an earlier stack has left, also those of parts that no longer run."""
    for path in run_dir(home).glob("*.json"):
        path.unlink(missing_ok=True)


def write_env(home: Path, values: Mapping[str, str]) -> None:
    """Publish the addresses of the running stack as KEY=VALUE lines."""
    write_private(run_dir(home) / "env", "".join(f"{key}={value}\n" for key, value in values.items()))


def read_env(home: Path) -> dict[str, str]:
    """Return the addresses published last, or nothing where no stack has been started there."""
    try:
        text = (run_dir(home) / "env").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def forget_env(home: Path) -> None:
    """Remove the addresses: nothing answers there any more."""
    (run_dir(home) / "env").unlink(missing_ok=True)
