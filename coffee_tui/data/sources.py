"""Where an app's figures come from: a running stack or a recording, with a recorder beside either."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from urllib.parse import urlsplit

from coffee_core.errors import CoffeeError
from coffee_core.pipelines import Pipeline
from coffee_tui.data.connection import Attachment
from coffee_tui.data.faults import Faults
from coffee_tui.data.live import Feed, LiveFeed
from coffee_tui.data.orders import LiveOrders, Orders
from coffee_tui.data.recording import Player, Recorder, read_recording

_ANSWERS_WITHIN_S = 2.0
DEMO = "demo.jsonl.gz"
"""The recording that ships with the package."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that the app is made on."""

    pipelines: tuple[Pipeline, ...]
    """What is shown."""
    feed: Feed
    """Where snapshots come from."""
    orders: Orders
    """What the keys reach."""
    player: Player | None = None
    """The recording that is played, where one is."""
    attachment: Attachment | None = None
    """The stack, where there is one."""
    faults: Faults | None = None
    """What can be broken on purpose, where there is a stack."""


def live() -> Sources:
    """Attach to a running stack. Raises ConfigError where a setting cannot be used."""
    attachment = Attachment()
    faults = Faults(attachment)
    feed, orders = LiveFeed(attachment, lambda: faults.felt), LiveOrders(attachment)
    return Sources(attachment.settings.pipelines, feed, orders, attachment=attachment, faults=faults)


def stack_answers() -> bool:
    """Tell whether an API listens where the settings say. Raises ConfigError where a setting cannot be used."""
    url = urlsplit(Attachment().settings.api_url)
    port = url.port or {"https": 443}.get(url.scheme, 80)
    try:
        socket.create_connection((url.hostname or "", port), _ANSWERS_WITHIN_S).close()
    except OSError:
        return False
    return True


def replay(path: Path, *, speed: float = 1.0, again: bool = False) -> Sources:
    """Play a recording. Raises CoffeeError where it cannot be read."""
    try:
        pipelines, frames = read_recording(path)
    except OSError as error:
        raise CoffeeError(f"{path} cannot be read: {error.strerror or error}") from error
    player = Player(frames, speed=speed, again=again)
    return Sources(pipelines, player, player.orders, player=player)


def demo(*, speed: float = 1.0) -> Sources:
    """Play the recording that ships with the package, again and again."""
    with as_file(files("coffee_tui") / DEMO) as path:
        return replay(path, speed=speed, again=True)


@contextmanager
def open_recorder(path: Path | None, pipelines: tuple[Pipeline, ...]) -> Iterator[Recorder | None]:
    """Open a recorder where a path is given. Raises CoffeeError where the file cannot be written."""
    if path is None:
        yield None
        return
    try:
        recorder = Recorder(path, pipelines)
    except OSError as error:
        raise CoffeeError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield recorder
    finally:
        recorder.close()
