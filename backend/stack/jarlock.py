"""The checked-in lock of every jar: Maven coordinate, size in bytes, SHA-256."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from coffee_core.errors import StackError

LOCK_NAME = "jars.lock.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar that the lock knows."""

    coordinate: str
    """``group:artifact:version`` on Maven Central."""
    bytes: int
    """Size in bytes."""
    sha256: str
    """Hash of the file, lower-case hexadecimal."""

    @property
    def file_name(self) -> str:
        """Name of the file in the cache: ``artifact-version.jar``."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


JarLock = Mapping[str, tuple[LockedJar, ...]]
"""Group (kafka, connectors, planner) → its jars in classpath order."""


def read_lock(text: str | None = None) -> JarLock:
    """Read the lock that is shipped with the package, or the given text."""
    if text is None:
        text = files("backend.stack").joinpath(LOCK_NAME).read_text(encoding="utf-8")
    return {group: tuple(LockedJar(**jar) for jar in jars) for group, jars in json.loads(text).items()}


def write_lock(lock: JarLock) -> str:
    """Return the text of a lock, one jar a line so that a change reads well in a diff."""
    groups = []
    for group, jars in lock.items():
        lines = ",\n".join(f"    {json.dumps(asdict(jar))}" for jar in jars)
        groups.append(f'  "{group}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(groups) + "\n}\n"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def verify(jar: LockedJar, path: Path) -> None:
    """Compare a file with the lock.

    Raises StackError naming the jar and what differs.
    """
    size = path.stat().st_size
    if size != jar.bytes:
        raise StackError(f"{jar.coordinate}: {size:,} bytes instead of the {jar.bytes:,} of {LOCK_NAME}")
    if (found := sha256_of(path)) != jar.sha256:
        raise StackError(
            f"{jar.coordinate}: SHA-256 {found} is not the {jar.sha256} of {LOCK_NAME}; the file was refused"
        )
