"""The pages of reports in a browser without a network: they ask for nothing, and all can read them."""

from pathlib import Path

import pytest

from backend.lab.bench.html import bench_page
from backend.lab.chaos.html import chaos_page
from backend.lab.decide.decision import decide
from backend.lab.decide.html import decide_page
from backend.lab.decide.question import Loss, Question
from backend.lab.page.page import Page, write
from tests.browser import DESK, PHONE, Browser, open_browser
from tests.unit.backend.lab.bench.made import result
from tests.unit.backend.lab.page.made import CELLS


async def _look(browser: Browser, path: Path) -> None:
    for dark, width in ((False, DESK), (True, PHONE)):
        await browser.open(path, dark=dark, width=width)
        assert await browser.ask("document.documentElement.scrollWidth") <= width, (
            "nothing hangs out of the window"
        )
        # What is shown on demand is looked at, too; the raw numbers are a thousand rows of one kind.
        await browser.ask("document.querySelectorAll('figure details').forEach(it => { it.open = true })")
        assert await browser.faults() == []
        missing = (
            "[...document.querySelectorAll('a[href]')].filter(a => !document.querySelector(CSS_ID(a))).length"
        )
        by_id = "const CSS_ID = a => '#' + CSS.escape(decodeURIComponent(a.hash.slice(1)));"
        assert await browser.ask(f"{{ {by_id} {missing} }}") == 0, "every link has its end"
        twice = (
            "const ids = [...document.querySelectorAll('[id]')].map(it => it.id); ids.length - new Set(ids).size"
        )
        assert await browser.ask(f"{{ {twice} }}") == 0, "no id is there twice"
        assert browser.requests == [path.as_uri()]
        assert browser.complaints == []


async def test_no_page_asks_for_anything_and_all_can_read_it(tmp_path: Path) -> None:
    question = Question(20, 200, 40, Loss.SECONDS, round_trip_ms=1)
    pages: dict[str, Page] = {
        "decide": decide_page(decide(question, result()), result(), "Made up."),
        "bench": bench_page(result()),
        "chaos": chaos_page(CELLS, "2026-01-15", "coffee chaos --all", ["freeze-kafka: did not come back"]),
    }
    async with open_browser(tmp_path / "profile") as browser:
        for name, page in pages.items():
            path = tmp_path / f"{name}.html"
            write(page, path)
            await _look(browser, path)


async def test_a_fault_of_a_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(
        '<html lang="en"><title>x</title><img src="https://example.invalid/a.png"><p style="color:#ccc">pale'
    )
    async with open_browser(tmp_path / "profile") as browser:
        with pytest.raises(AssertionError):
            await _look(browser, path)
        assert {fault.partition(":")[0] for fault in await browser.faults()} >= {"color-contrast", "image-alt"}
        assert browser.requests[1:] == ["https://example.invalid/a.png"]
