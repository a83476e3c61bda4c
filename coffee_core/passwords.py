"""The random passwords of the embedded servers: a file for each under COFFEE_HOME, its owner's alone."""

import os
import re
import secrets
import tempfile
from pathlib import Path

from coffee_core.errors import ConfigError
from coffee_core.file_lock import file_lock
from coffee_core.runstate import sync, sync_folders

FOLDER = "passwords"
"""Where they lie in a home."""
_BYTES = 24
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,}")
"""Letters that need no escape, neither in a URL nor in SQL nor in a server's configuration."""


def read_password(home: Path, server: str) -> str:
    """Return the password of an embedded server; empty where it has never been started in this home.

    Raises ConfigError where its file cannot be read or holds no password.
    """
    path = home / FOLDER / server
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"the password in {path} cannot be read: {type(error).__name__}") from error
    if not _PASSWORD.fullmatch(text):
        raise ConfigError(f"{path} holds no password: delete it, and the next start makes another")
    return text


def make_password(home: Path, server: str) -> str:
    """Return the password of an embedded server, made now where there is none; processes agree on one.

    Raises ConfigError as ``read_password`` does.
    """
    if password := read_password(home, server):
        return password
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)  # 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_BYTES))
            file.flush()
            sync(handle)
        # Whole from its first moment, and never in the place of another's.
        try:
            Path(folder / server).hardlink_to(name)
        except PermissionError:  # a file system without links
            with file_lock(folder / ".lock"):
                if not (folder / server).exists():
                    Path(name).rename(folder / server)
    except FileExistsError:
        pass  # another process was quicker: its password counts
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folders(home, folder)  # clients keep it: it must not be another one after a power cut
    return read_password(home, server)
