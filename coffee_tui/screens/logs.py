"""Logs: each process of a stack on this machine, followed, searched."""

import re
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.widget import Widget
from textual.widgets import Input, RichLog, Static

from coffee_core.runstate import read_env
from coffee_core.settings import Settings
from coffee_tui.data.connection import one_line
from coffee_tui.screens.base_screen import Page
from coffee_tui.theme import AMBER, DIM, GREY, GROUND, SLOTS, TEXT

_EVERY_S = 0.5
_LINES = 2_000
_FIRST_BYTES = 65_536
_LOG = "log"
"""Which log a name is of, beneath it."""
_ROOMY = 100
"""From this many cells on a line has its date; below, its time of day."""
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\S*")


class LogsScreen(Page):
    """One log at a time; the newest line is at the bottom."""

    KEYS: ClassVar[tuple[Binding, ...]] = (
        Binding("right,tab", "choose(1)", "next log", key_display="→", tooltip="the next log", id="logs-next"),
        Binding(
            "left,shift+tab",
            "choose(-1)",
            "previous",
            key_display="←",
            tooltip="the log before",
            id="logs-previous",
        ),
        Binding(
            "slash",
            "find",
            "search",
            key_display="/",
            tooltip="show the lines with these words alone",
            id="logs-search",
        ),
        Binding("f", "follow", "follow", tooltip="follow the end, or stay", id="logs-follow"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    def __init__(self, logs: list[Path] | str) -> None:
        super().__init__("Logs")
        self._paths = [] if isinstance(logs, str) else logs
        self._why = logs if isinstance(logs, str) else ""
        self._index = 0
        self._tail: Tail | None = None
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._words: list[str] = []

    def body(self) -> Iterable[Widget]:
        """Return the names, the search, the lines."""
        yield Static(id="message")
        yield Input(placeholder="words to search for, Enter; empty: all lines", id="search")
        yield RichLog(max_lines=_LINES, min_width=1, wrap=True, highlight=False, markup=False)

    def on_mount(self) -> None:
        """Open the first log and follow it."""
        self.query_one(RichLog).focus()
        self._open(0)
        self.set_interval(_EVERY_S, self._read)

    def _open(self, index: int) -> None:
        message = self.query_one("#message", Static)
        if not self._paths:
            message.update(self._why)
            return
        self._index = index % len(self._paths)
        self._tail = Tail(self._paths[self._index])
        names, chosen = Text(), f"bold {GROUND} on {SLOTS[0]}"
        for at, path in enumerate(self._paths):
            names.append(f" {path.stem} ", chosen if at == self._index else GREY)
            names.apply_meta({_LOG: at}, len(names) - len(path.stem) - 2)
            names.append(" ")
        message.update(names)
        self._read()

    def _read(self) -> None:
        if self._tail is None:
            return
        log = self.query_one(RichLog)
        try:
            afresh, lines = self._tail.read()
        except OSError as error:
            self.query_one("#message", Static).update(f"{self._paths[self._index]}: {one_line(error)}")
            return
        if afresh:
            self._lines.clear()
            log.clear()
        self._lines.extend(lines)
        self._write(log, lines)

    def _write(self, log: RichLog, lines: Iterable[str]) -> None:
        for line in lines:
            if self._is_shown(line):
                shown = line if self.size.width >= _ROOMY else _STAMP.sub(r"\1", line)
                text = Text(shown, TEXT if self._words else GREY)
                text.highlight_words(self._words, f"bold {AMBER}", case_sensitive=False)
                log.write(text, expand=True)

    def _is_shown(self, line: str) -> bool:
        return all(word in line.lower() for word in self._words)

    def on_resize(self) -> None:
        """Wrap the lines anew."""
        self.call_after_refresh(self._again)

    def _again(self) -> None:
        # None where the page has been closed since it was resized.
        for log in self.query(RichLog):
            log.clear()
            self._write(log, self._lines)
            if self._words and not log.lines:
                log.write(Text("no line has these words", DIM))

    def text(self) -> str:
        """Return the lines that are shown."""
        return "\n".join(filter(self._is_shown, self._lines)) if self._paths else self._why

    def copied(self) -> str:
        """Return the path of the log."""
        return str(self._paths[self._index]) if self._paths else self._why

    def on_click(self, event: Click) -> None:
        """Show the log whose name was clicked."""
        if _LOG in event.style.meta:
            self._open(event.style.meta[_LOG])

    def action_choose(self, steps: int) -> None:
        """Show another log."""
        if self._paths:
            self._open(self._index + steps)

    def action_find(self) -> None:
        """Ask for words to search for."""
        field = self.query_one(Input)
        field.add_class("open")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show the lines with these words alone."""
        self._words = event.value.lower().split()
        event.input.remove_class("open")
        self.query_one(RichLog).focus()
        self._again()

    def action_follow(self) -> None:
        """Follow the end, or stay."""
        log = self.query_one(RichLog)
        log.auto_scroll = not log.auto_scroll
        self.set_title("Logs" if log.auto_scroll else "Logs · staying: {logs-follow} follows the end again")


def local_logs(settings: Settings) -> list[Path] | str:
    """Return the log of each process by name; where there is none to read, why."""
    try:
        if read_env(settings.home).get("API_URL", settings.api_url_with_login) != settings.api_url_with_login:
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
