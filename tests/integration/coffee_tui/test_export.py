"""A recording as a page: the dashboard's own screen, and a player that needs no network."""

import base64
import gzip
import html
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from coffee_core.pipelines import PIPELINES
from coffee_tui.__main__ import command
from coffee_tui.app import CoffeeApp
from coffee_tui.data import sources
from coffee_tui.data.recording import Frame
from coffee_tui.data.snapshot import PipelineView, Snapshot
from coffee_tui.export import player_page
from tests.browser import DESK, PHONE, open_browser
from tests.unit.coffee_tui.scripted import ALL, app, screen_text, snapshot
from tests.waiting import until

_TITLE = "<b>coffee</b> & co"


def _frames() -> list[Frame]:
    """Ten minutes, of each a moment of the demo: it does not end before it was looked at."""
    demo = [frame.value for frame in sources.demo().player.frames if isinstance(frame.value, Snapshot)]  # type: ignore[union-attr]
    return [Frame(60.0 * minute, demo[minute * 40]) for minute in range(11)]


async def _page(frames: list[Frame]) -> str:
    return await player_page(ALL, frames, _TITLE, lambda _done_s, _whole_s: None)


def _recorded(page: str) -> dict[str, Any]:
    found = re.search(r'id="frames">([^<]+)<', page)
    assert found is not None
    recorded: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return recorded


def _text(recorded: dict[str, Any], place: int) -> str:
    """Return a frame as text, as the player puts it together."""
    rows = [-1] * recorded["size"][1]
    for _, changed in recorded["frames"][: place + 1]:
        for y, row in changed:
            rows[y] = row
    lines = []
    for row in rows:
        line = ""
        for x, text, _ in recorded["rows"][row]:
            line = line.ljust(x) + text
        lines.append(line.rstrip())
    return "\n".join(lines)


async def test_each_frame_is_the_screen_that_the_dashboard_shows() -> None:
    shown = [snapshot(uptime_s=second) for second in (7, 8, 61)]
    recorded = _recorded(await _page([Frame(float(at), value) for at, value in enumerate(shown)]))
    assert [at for at, _ in recorded["frames"]] == [0, 1, 2]
    assert len(recorded["frames"][1][1]) < 5, "a second more changes few rows"
    dashboard, feed, _ = app()
    async with dashboard.run_test(size=tuple(recorded["size"])):
        for place, value in enumerate(shown):
            feed.queue.put_nowait(replace(value, mode=f"recording {place:3.0f} s"))
            wanted = _body(_text(recorded, place))
            await until(partial(_shows, dashboard, wanted), what=f"the same as frame {place}")


async def test_as_many_columns_as_there_are_stand_beside_one_another() -> None:
    five = tuple(PIPELINES)
    shown = replace(snapshot(), pipelines=tuple(PipelineView(pipeline) for pipeline in five))
    recorded = _recorded(await player_page(five, [Frame(0.0, shown)], _TITLE, lambda _done_s, _whole_s: None))
    text = _text(recorded, 0)
    assert recorded["size"] == [170, 40]
    assert all(pipeline.info.title in text for pipeline in five)
    assert "tab" not in text.lower()


def _shows(dashboard: CoffeeApp, body: list[str]) -> bool:
    return _body(screen_text(dashboard)) == body


def _body(text: str) -> list[str]:
    """Return what is above the order panel, which a recording has filled otherwise."""
    return text.splitlines()[:25]


async def test_what_changes_sooner_than_it_can_be_read_is_one_frame() -> None:
    values = [snapshot(uptime_s=second) for second in range(5)]
    recorded = _recorded(await _page([Frame(0.1 * at, value) for at, value in enumerate(values)]))
    assert [at for at, _ in recorded["frames"]] == [0, 0.3]
    assert "00:04" in _text(recorded, 1)


async def test_the_page_plays_without_a_network_and_by_keys_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(await _page(_frames()), encoding="utf-8")
    assert html.escape(_TITLE) in path.read_text(encoding="utf-8")
    async with open_browser(tmp_path / "profile") as browser:
        for dark, width in ((False, DESK), (True, PHONE)):
            await browser.open(path, dark=dark, width=width)
            await until(lambda: browser.ask("document.getElementById('play').textContent == 'Pause'"))
            await until(lambda: browser.ask("now > 0"), what="it plays by itself")
            await browser.press(" ")
            assert await browser.ask("playing") is False
            await browser.press("End")
            assert await browser.ask("document.getElementById('clock').textContent") == "10:00 of 10:00"
            await browser.press("Home")
            await browser.press("ArrowRight")
            assert await browser.ask("[now, document.getElementById('at').value]") == [5, "5"]
            await browser.press(">")
            assert await browser.ask("document.getElementById('speed').value") == "2"
            await browser.ask("document.getElementById('text').open = true")
            await until(
                lambda: browser.ask(
                    "document.getElementById('plain').textContent.includes('How late is the dashboard')"
                )
            )
            colours = "new Set(new Uint32Array(document.getElementById('screen').getContext('2d')"
            colours += ".getImageData(0, 0, 1080, 720).data.buffer)).size"
            assert await browser.ask(colours) > 20, "something is drawn"
            await browser.ask("document.getElementById('at').value = 600; document.getElementById('at').oninput()")
            assert await browser.ask("place == screens.length - 1")
            assert await browser.ask("document.documentElement.scrollWidth") <= width
            assert await browser.faults() == []
            assert browser.requests == [path.as_uri()]
            assert browser.complaints == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "--export goes with --replay FILE or --demo alone"),
        (["--demo", "--json"], "--export goes with --replay FILE or --demo alone"),
        (["--demo", "--web"], "--web goes with"),
    ],
)
def test_a_page_of_no_recording_is_refused(words: list[str], complaint: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [*words, "--export", str(tmp_path / "page.html")])
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []
