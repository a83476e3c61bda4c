"""The logs of a stack on this machine: which there are, and what is new in one."""

from pathlib import Path

from coffee_core.runstate import read_env
from coffee_core.settings import Settings

_FIRST_BYTES = 65_536


def local_logs(settings: Settings) -> list[Path] | str:
    """Return the log of each process by name; where there is none to read, why."""
    try:
        if read_env(settings.home).get("API_URL", settings.api_url) != settings.api_url:
            return "the stack that is shown does not run under this COFFEE_HOME: its logs are where it runs"
        found = sorted((settings.home / "logs").glob("*.log"))
    except PermissionError:
        return f"{settings.home} belongs to somebody else: its logs are theirs to read"
    return found or f"no logs under {settings.home / 'logs'}: a remote stack keeps them where it runs"


class Tail:
    """Reads a log from near its end, then what is added; starts over where it was replaced or cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file_id = self._at = 0
        self._rest = b""

    def read(self) -> tuple[bool, list[str]]:
        """Return (whether it starts over, whole lines that are new). Raises OSError where it cannot be read."""
        with self._path.open("rb") as file:
            size, file_id = file.seek(0, 2), self._path.stat().st_ino
            afresh = file_id != self._file_id or size < self._at
            if afresh:
                self._file_id, self._rest = file_id, b""
                self._at = max(0, size - _FIRST_BYTES)
            file.seek(self._at)
            data = self._rest + file.read(4 * _FIRST_BYTES)
            cut = afresh and self._at > 0
            self._at = file.tell()
        *lines, self._rest = data.split(b"\n")
        whole = lines[1:] if cut else lines
        return afresh, [line.decode(errors="replace").rstrip("\r") for line in whole]
