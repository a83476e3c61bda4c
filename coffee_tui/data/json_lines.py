"""Snapshots for scripts: one JSON object a line."""

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime

from coffee_core.output import Output
from coffee_core.tasks import end_tasks
from coffee_tui.data.live import Feed
from coffee_tui.data.plain import to_plain
from coffee_tui.data.recording import Recorder
from coffee_tui.data.snapshot import Snapshot

_HISTORIES = ("rate_history", "api_history", "dashboard_history")


def line(snapshot: Snapshot, at: datetime) -> str:
    """Return a snapshot as one line: the fields of ``Snapshot`` and the time; histories are the reader's own."""
    plain = to_plain(snapshot)
    del plain["faults"]
    for view in plain["pipelines"]:
        for name in _HISTORIES:
            del view[name]
        view["drinks"], view["stores"] = dict(view["drinks"]), dict(view["stores"])
    return json.dumps({"time": at.isoformat(timespec="milliseconds"), **plain})


async def write_lines(feed: Feed, output: Output, recorder: Recorder | None = None) -> int:
    """Write a line for each snapshot until interrupted or until nobody reads; return the exit code."""
    ended = asyncio.Event()

    def publish(snapshot: Snapshot) -> None:
        if recorder is not None:
            recorder.write(snapshot)
        sys.stdout.write(line(snapshot, datetime.now(UTC)) + "\n")
        sys.stdout.flush()
        if not output.is_read:
            ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    running = asyncio.ensure_future(feed.run(publish))
    waiting = asyncio.ensure_future(ended.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        waiting.cancel()
        running.result()
    await end_tasks(running)
    return 0
