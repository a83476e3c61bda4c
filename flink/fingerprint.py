"""What a plan depends on, in one digest: where any of it changes, the job is planned again."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from coffee_core.settings import Settings

_SOURCES = ("flink", "coffee_core")
_SUFFIXES = (".py", ".sql", ".lua")
_CONFIGURATION = "config.yaml"


def fingerprint(settings: Settings, arguments: Sequence[str]) -> str:
    """Return the digest of settings, sources, Flink's jars and configuration, Python, and a client's arguments."""
    digest = hashlib.sha256()
    flink_home = os.environ.get("FLINK_HOME", "")  # its name changes with every jar
    for part in (sys.prefix, sys.version, flink_home, *arguments):
        digest.update(f"{part}\n".encode())
    digest.update(json.dumps(asdict(settings), default=str, sort_keys=True).encode())
    for path in (*_sources(), Path(os.environ.get("FLINK_CONF_DIR", "")) / _CONFIGURATION):
        digest.update(f"{path}\n".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()[:16]


def _sources() -> list[Path]:
    roots = (Path(str(files(package))) for package in _SOURCES)
    return sorted(path for root in roots for path in root.rglob("*") if path.suffix in _SUFFIXES)
