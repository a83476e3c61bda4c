"""The compose file as the engine would read it: variables replaced, anchors merged."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / "docker" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+):-([^{}]*)\}")
"""The innermost: a default may hold another variable."""


def text(environ: Mapping[str, str] | None = None) -> str:
    """Return the file with variables from ``environ``, or their defaults, in their place."""
    return _interpolated(FILE.read_text(encoding="utf-8"), environ or {})


def services(environ: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the services with everything merged into them.

    As in the engine, variables take their place in the values, and no letter of theirs is YAML.
    """
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]
    return {name: _replaced(service, environ or {}) for name, service in found.items()}


def _replaced(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(each, environ) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, environ) for each in value]
    return _interpolated(value, environ) if isinstance(value, str) else value


def _interpolated(text: str, environ: Mapping[str, str]) -> str:
    # The innermost first; what a variable holds is not looked into.
    found: list[str] = []

    def held(match: "re.Match[str]") -> str:
        found.append(environ.get(match[1]) or match[2])
        return f"\0{len(found) - 1}\0"

    while _VARIABLE.search(text):
        text = _VARIABLE.sub(held, text)
    text = text.replace("$$", "$")
    for index in reversed(range(len(found))):
        text = text.replace(f"\0{index}\0", found[index])
    return text
