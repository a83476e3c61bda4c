"""The compose file as the engine would read it: variables replaced, anchors merged."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^{}]*)\}")
"""The innermost: a default may hold another variable."""


def text(environ: Mapping[str, str] | None = None) -> str:
    """Return the file with variables from ``environ``, or their defaults, in their place."""
    given = environ or {}
    raw = FILE.read_text(encoding="utf-8")
    while _VARIABLE.search(raw):
        raw = _VARIABLE.sub(lambda found: given.get(found[1]) or found[2], raw)
    return raw.replace("$$", "$")


def services() -> dict[str, dict[str, Any]]:
    """Return the services with everything merged into them."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(text())["services"]
    return found
