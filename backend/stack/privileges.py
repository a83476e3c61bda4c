"""Run a server that refuses root: as an unprivileged account, with no more right than to read its own files."""

import os
import pwd
import shutil
import sys
from pathlib import Path

from coffee_core.errors import StackError

_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAP_SETPCAP = 8


def account(data: Path) -> tuple[int, int]:
    """Return the uid and gid that a server with this data folder must run as.

    Its present owner where that is not root, else nobody. Raises StackError where there is no such account.
    """
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return owner.st_uid, owner.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StackError(
            "PostgreSQL refuses to run as root and there is no account 'nobody': run coffee as an ordinary user"
        ) from error
    return nobody.pw_uid, nobody.pw_gid


def dropped(argv: tuple[str, ...], uid: int, gid: int) -> tuple[str, ...]:
    """Return the command that runs ``argv`` as this account; ``argv`` itself where we are it already.

    Raises StackError where we are root and the tool for it is missing.
    """
    if os.geteuid() == uid:
        return argv
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(
            "PostgreSQL refuses to run as root: install setpriv (util-linux), or run coffee as an ordinary user"
        )
    command = [setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    # The change of account clears the signal that ends a child with its parent: asked for again behind it.
    command += ["--pdeathsig", "KILL"]
    # COFFEE_HOME, and the clone where it lies in /root, are closed to that account: it may pass through.
    if capability := _passage():
        command += [f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}"]
        # PostgreSQL asks access(2) for its own programs, which otherwise ignores what an account but root holds.
        command += ["--securebits=+no_setuid_fixup"] if _held(_CAP_SETPCAP) else []
    return (*command, *argv)


def own(data: Path, uid: int, gid: int) -> None:
    """Give a folder under COFFEE_HOME to this account, with all that is in it, where root owns it.

    Raises StackError where that is refused.
    """
    if os.geteuid() != 0 or data.stat().st_uid == uid:
        return
    try:
        for folder, _, files in os.walk(data):
            for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118
                os.chown(path, uid, gid, follow_symlinks=False)
    except PermissionError as error:
        raise StackError(f"cannot give {data} to uid {uid} ({error}): run coffee as an ordinary user") from error


def _passage() -> str:
    """Return the least capability we hold that lets another account read through closed folders."""
    if _held(_CAP_DAC_READ_SEARCH):
        return "dac_read_search"
    return "dac_override" if _held(_CAP_DAC_OVERRIDE) else ""


def _held(capability: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    status = Path("/proc/self/status").read_text(encoding="ascii")
    permitted = next(line for line in status.splitlines() if line.startswith("CapPrm:"))
    return bool(int(permitted.split()[1], 16) >> capability & 1)
