"""Run a program as another account where this process is root: above all PostgreSQL, which refuses root.

The program gets no right of root but to reach its own files.
"""

import os
import pwd
import shutil
from pathlib import Path

from coffee_core.errors import StackError

_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAP_SETPCAP = 8


def server_account(data: Path) -> tuple[int, int]:
    """Return the uid and gid that a server with this data folder must run as.

    That is the folder's owner; ``nobody`` where it belongs to root or is missing. Where this process is not root,
    its own account. Raises StackError where there is no account ``nobody``.
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


def account_obstacle(uid: int) -> str:
    """Return why PostgreSQL's initdb cannot run as this account, and what to do; empty where it can."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return (
            f"PostgreSQL refuses to be set up by an account without a name (uid {uid}): "
            "add it to /etc/passwd, or run as another user, or set DATABASE_URL"
        )
    return ""


def run_as(argv: tuple[str, ...], uid: int, gid: int, *, dies_with_parent: bool = True) -> tuple[str, ...]:
    """Return the command that runs ``argv`` as this account; ``argv`` itself where this process has it already.

    ``dies_with_parent``: it is killed where the process that has started it ends.

    Raises StackError where setpriv is missing, which Linux alone has.
    """
    if os.geteuid() == uid:
        return argv
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(
            "PostgreSQL refuses to run as root: run coffee as an ordinary user, or, on Linux, install setpriv "
            "(util-linux)"
        )
    command = [setpriv, f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    if dies_with_parent:
        # setpriv sets the parent-death signal again: the change of uid clears it.
        command += ["--pdeathsig", "KILL"]
    # COFFEE_HOME, and a clone under /root, are closed to that account: give it a capability to traverse them.
    if capability := _traversal_capability():
        command += [f"--inh-caps=-all,+{capability}", f"--ambient-caps=-all,+{capability}"]
        # PostgreSQL checks its own programs with access(2), which ignores the capabilities of a user other than
        # root unless this bit is set.
        command += ["--securebits=+no_setuid_fixup"] if _held(_CAP_SETPCAP) else []
    return (*command, *argv)


def chown_tree(data: Path, uid: int, gid: int) -> None:
    """Give a folder under COFFEE_HOME, with all its contents, to this account, where this process is root.

    Raises StackError where the system refuses it.
    """
    if os.geteuid() != 0 or data.stat().st_uid == uid:
        return
    try:
        for folder, _, files in os.walk(data):
            for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118
                os.chown(path, uid, gid, follow_symlinks=False)
    except PermissionError as error:
        raise StackError(f"cannot give {data} to uid {uid} ({error}): run coffee as an ordinary user") from error


def _traversal_capability() -> str:
    """Return the least capability of this process that lets another account through closed folders, or nothing."""
    if _held(_CAP_DAC_READ_SEARCH):
        return "dac_read_search"
    return "dac_override" if _held(_CAP_DAC_OVERRIDE) else ""


def _held(capability: int) -> bool:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except FileNotFoundError:  # not Linux
        return False
    permitted = next(line for line in status.splitlines() if line.startswith("CapPrm:"))
    return bool(int(permitted.split()[1], 16) >> capability & 1)
