"""What a process that we start has of the user's world: an allow-list of variables, and an import path of our own.

A shell has variables that are meant for other programs: PGSSLMODE for a database in the cloud, JAVA_TOOL_OPTIONS
for somebody's own Java, PYTHONPATH, http_proxy. A working folder has files that are somebody else's: ``redis.py``,
``backend/``. Neither reaches a child. Every child is started with ``child_environ``, and a Python one by
``python_module``; a test holds the sources to it.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from coffee_core.pipelines import FOLDERS_VARIABLE, package_folders
from coffee_core.server_urls import PostgresUrl
from coffee_core.settings import Settings

_SYSTEM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TEMP", "TMP", "TZ", "TZDIR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    # The authorities behind the certificates of servers of one's own, where the system keeps them elsewhere.
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    # Without these Python finds no C++ library on NixOS, and itself none of its own on many clusters.
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
    "ROOT_LOG_LEVEL",  # Flink's
)
_SYSTEM_PREFIXES = ("NIX_LD", "COFFEE_", "OTEL_")
_SETTINGS = tuple(setting.metadata["env"] for setting in fields(Settings))
_TERMINAL = (
    *("TERM", "TERMINFO", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LC_TERMINAL", "NO_COLOR"),
    *("LANG", "LANGUAGE", "LOCALE_ARCHIVE", "LOCPATH"),
    *("TEXTUAL", "TEXTUAL_LOG", "TEXTUAL_DEVTOOLS_HOST", "TEXTUAL_DEVTOOLS_PORT"),
    # What somebody wants of every program on his terminal.
    *("TEXTUAL_ANIMATIONS", "TEXTUAL_COLOR_SYSTEM", "TEXTUAL_FILTERS", "TEXTUAL_DIM_FACTOR", "ESCDELAY"),
    *("TEXTUAL_DISABLE_KITTY_KEY", "TEXTUAL_SMOOTH_SCROLL"),
)
_TERMINAL_PREFIXES = ("LC_",)
PROXIES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
"""What names the proxies of the web."""
_DOWNLOAD = (*PROXIES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC")
_LOOPBACK = "localhost,127.0.0.1,::1"
_TEXT = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
"""Whatever the user's language, what programs write for us is English and UTF-8, and a path is what it is."""
_OURS = {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module of ours, whatever lies in the working folder."""
    return (sys.executable, "-P", "-m", module, *arguments)


def child_environ(
    extra: Mapping[str, str] | None = None, *, terminal: bool = False, downloads: bool = False
) -> dict[str, str]:
    """Return the whole environment of a child: what the allow-list has of ours, its import path, and ``extra``.

    ``terminal``: it draws on the user's terminal, in the user's language. ``downloads``: it fetches from the web,
    by the user's proxies.
    """
    # OpenTelemetry's exporter sends to a collector that may lie behind a proxy; nothing else here asks one.
    by_proxies = downloads or bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))
    given = {name: value for name, value in os.environ.items() if _is_inherited(name, terminal, by_proxies)}
    if by_proxies:
        given["no_proxy"] = ",".join(filter(None, (given.get("no_proxy") or given.get("NO_PROXY"), _LOOPBACK)))
    return {**given, **_database_url(), **({} if terminal else _TEXT), **_OURS, **_import_path(), **(extra or {})}


def _database_url() -> dict[str, str]:
    """Return the URL of the user's own PostgreSQL with what libpq's variables say beside it, a password too.

    A child has none of these variables: some of them may be meant for another database.
    """
    if not (url := os.environ.get("DATABASE_URL")):
        return {}
    with contextlib.suppress(ValueError):  # the child says what is wrong with it
        url = str(PostgresUrl.parse(url.strip(), os.environ))
    return {"DATABASE_URL": url}


def _is_inherited(name: str, terminal: bool, by_proxies: bool) -> bool:
    return (
        name in _SYSTEM
        or name in _SETTINGS
        or name.startswith(_SYSTEM_PREFIXES)
        or (terminal and (name in _TERMINAL or name.startswith(_TERMINAL_PREFIXES)))
        or (by_proxies and name in _DOWNLOAD)
    )


def _import_path() -> dict[str, str]:
    """Return where a child finds our modules, and the packages of the user's own pipelines, as we found them."""
    found = {}
    root = Path(__file__).parents[1]
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - as it stands in sys.path
    # What stands before the standard library comes from PYTHONPATH or is the working folder: a child has neither.
    before = sys.path[: sys.path.index(library)] if library in sys.path else sys.path
    if root in (Path(entry).absolute() for entry in before):
        found["PYTHONPATH"] = str(root)
    if folders := package_folders():
        found[FOLDERS_VARIABLE] = os.pathsep.join(folders)
    return found
