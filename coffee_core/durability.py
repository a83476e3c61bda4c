"""The durability dial: what the embedded servers must have on disk before they acknowledge, a notch at a time.

``docs/guarantees.md`` explains each notch. The stack publishes what its servers were started with, for the API,
the audit and ``coffee status``; servers given by a URL are not among them: their settings are their owner's.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coffee_core.runstate import run_dir, write_private

DEFAULT = "default"
"""The notch that is meant where nothing is said."""
SYNCHRONOUS_COMMIT, APPENDFSYNC = "synchronous_commit", "appendfsync"
ACKS, FLUSH_MESSAGES = "acks", "log.flush.interval.messages"
"""What each notch is made of, by the servers' own names."""

NOTCHES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "strict": {
        "postgres": {SYNCHRONOUS_COMMIT: "on"},
        "redis": {APPENDFSYNC: "always"},
        "kafka": {ACKS: "all", FLUSH_MESSAGES: "1"},
    },
    DEFAULT: {
        "postgres": {SYNCHRONOUS_COMMIT: "on"},
        "redis": {APPENDFSYNC: "always"},
        "kafka": {ACKS: "all", FLUSH_MESSAGES: "0"},
    },
    "relaxed": {
        "postgres": {SYNCHRONOUS_COMMIT: "off"},
        "redis": {APPENDFSYNC: "everysec"},
        "kafka": {ACKS: "1", FLUSH_MESSAGES: "0"},
    },
}
"""Notch → server → its settings. 0 messages: Kafka leaves it to the system when its log reaches the disk."""


@dataclass(frozen=True, slots=True)
class Durability:
    """What servers acknowledge by."""

    notch: str = DEFAULT
    """The notch that was chosen."""
    servers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Embedded server → its settings: those of the notch, or others where they were set alone."""
    given: tuple[str, ...] = ()
    """Servers that were given by a URL: the dial does not apply to them."""

    @classmethod
    def of(cls, notch: str, alone: Mapping[str, Mapping[str, str]], given: tuple[str, ...] = ()) -> "Durability":
        """Return a notch with the settings that were set alone; an empty one is that of the notch."""
        servers = {
            server: {name: alone.get(server, {}).get(name) or value for name, value in settings.items()}
            for server, settings in NOTCHES[notch].items()
            if server not in given
        }
        return cls(notch, servers, given)

    @property
    def label(self) -> str:
        """The notch and what differs from it, in a few words; empty where all is as by default."""
        return ", ".join((self.notch, *self._differing)) if self.servers and self._is_set else ""

    def line(self) -> str:
        """Return in one line what was chosen, and what the dial does not reach; empty where nothing was."""
        if not self._is_set:
            return ""
        parts = [
            f"{server} " + ", ".join(f"{name} {value}" for name, value in settings.items())
            for server, settings in self.servers.items()
        ]
        if self.given:
            parts.append(f"not of {', '.join(self.given)}, given by a URL: what that keeps is its own setting")
        return f"durability {self.label or self.notch}: {' · '.join(parts)}"

    @property
    def _is_set(self) -> bool:
        return self.notch != DEFAULT or bool(self._differing)

    @property
    def _differing(self) -> list[str]:
        return [
            f"{name} {value}"
            for server, settings in self.servers.items()
            for name, value in settings.items()
            if value != NOTCHES[self.notch][server][name]
        ]

    def promise_less(self, servers: tuple[str, ...]) -> tuple[str, ...]:
        """Return the settings of these servers by which orders may be lost that the default would keep."""
        return tuple(
            f"{name} {value}"
            for server in servers
            for name, value in self.servers.get(server, {}).items()
            if name != FLUSH_MESSAGES and value != NOTCHES[DEFAULT][server][name]
        )


def write_durability(home: Path, durability: Durability) -> None:
    """Publish what the servers of the running stack acknowledge by."""
    text = {"notch": durability.notch, "servers": durability.servers, "given": durability.given}
    write_private(run_dir(home) / "durability", json.dumps(text))


def read_durability(home: Path) -> Durability:
    """Return what was published last; the default, of no server, where nothing was."""
    try:
        raw: Any = json.loads((run_dir(home) / "durability").read_text(encoding="utf-8"))
        return Durability(raw["notch"], raw["servers"], tuple(raw["given"]))
    except (FileNotFoundError, ValueError, TypeError, LookupError):
        return Durability()
