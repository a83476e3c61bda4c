"""The screens beside Live: the comparison, the latest orders with their journey, the logs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from textual.widgets import DataTable, Input

from coffee_core.pipelines import DEFAULT_PIPELINES
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.runstate import write_env
from coffee_core.settings import Settings
from coffee_core.totals import PipelineCounts
from coffee_tui.app import CoffeeApp
from coffee_tui.data.api_reader import Journey, fetch_journey
from coffee_tui.data.connection import Attachment
from coffee_tui.data.orders import Journal, SentOrder
from coffee_tui.data.snapshot import Quantiles
from coffee_tui.data.sources import Sources
from coffee_tui.screens.compare import claims
from coffee_tui.screens.logs import Tail, local_logs
from coffee_tui.screens.sent_orders import ROWS, clock, journey_rows
from tests.servers import free_port
from tests.unit.coffee_tui.scripted import ALL, NotedOrders, ScriptedFeed, app, column, screen_text, snapshot
from tests.waiting import until

ORDER = SentOrder(V2, "latte at uptown, $ 5.00", "acknowledged", 202, "", "id-2", 1_700_000_000_000_000, 900)


def _attached(home: Path, url: str = "http://127.0.0.1:1") -> tuple[CoffeeApp, NotedOrders]:
    settings = Settings.from_env({"COFFEE_HOME": str(home), "API_URL": url})
    orders = NotedOrders()
    return CoffeeApp(Sources(ALL, ScriptedFeed(), orders, attachment=Attachment.to(settings))), orders


def test_every_row_of_the_founding_note_is_compared() -> None:
    assert [claim.aspect for claim in claims(ALL)] == [
        "API Response Time",
        "Dashboard Latency",
        "Delivery Guarantee",
        "Message Persistence",
        "Replay Capability",
        "Worker Downtime",
        "Aggregation",
        "Scalability",
    ]
    assert claims(ALL)[1].claimed(ALL) == ("10-60s", "~50-100ms", "~100ms")


async def test_compare_sets_what_is_measured_beside_what_is_claimed() -> None:
    running, feed, _ = app()
    async with running.run_test(size=(120, 44)) as pilot:
        feed.queue.put_nowait(snapshot())
        await until(lambda: "all is well" in screen_text(running))
        await pilot.press("c")
        text = screen_text(running)
        for claim in claims(ALL):
            assert claim.aspect in text
            assert claim.claimed(ALL)[2] in text
        assert text.count("p50 3.1 ms · p99 9.8 ms") == 3
        faster = tuple(replace(column(each), dashboard=Quantiles(2_000, 4_000)) for each in DEFAULT_PIPELINES)
        feed.queue.put_nowait(snapshot(pipelines=faster))
        await until(lambda: screen_text(running).count("2.0 ms · p99 4.0 ms") == 3)
        await pilot.press("escape")
        assert "How late is the dashboard?" in screen_text(running)


async def test_the_latest_orders_are_listed_and_filtered(tmp_path: Path) -> None:
    running, orders = _attached(tmp_path)
    orders.journal.add(ORDER)
    refused = replace(ORDER, pipeline=V3, outcome="refused", status=503, reason="Kafka is down", message_id=None)
    orders.journal.add(replace(refused, answered_us=ORDER.answered_us + 1))
    async with running.run_test(size=(120, 30)) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("o")
        await until(lambda: "refused 503" in screen_text(running))
        lines = screen_text(running).splitlines()
        assert [line.split()[0] for line in lines[2:4]] == ["v3", "v2"], "the newest first"
        await until(lambda: "· Kafka is down" in screen_text(running))
        await pilot.press("slash", *"uptown", "space", *"v2", "enter")
        await until(lambda: running.screen.query_one(DataTable).row_count == 1)
        assert not running.screen.query_one(Input).display
        assert "acknowledged 202" in screen_text(running)


async def test_a_journey_is_asked_of_the_api() -> None:
    answers = {
        "id-2": (200, {"stored": True, "shown": None, "accepted_us": 3, "stored_us": 9}),
        "id-old": (200, {"stored": True, "shown": None}),
        "id-404": (404, {"detail": "Nothing is known"}),
    }

    async def answer(request: web.Request) -> web.Response:
        status, body = answers[request.match_info["id"]]
        return web.Response(status=status, text=json.dumps(body))

    peer = web.Application()
    peer.router.add_get("/api/v2/order/{id}", answer)
    async with TestServer(peer) as server:
        url = str(server.make_url("")).rstrip("/")
        assert await fetch_journey(_at(url), ORDER) == Journey(True, None, accepted_us=3, stored_us=9)
        assert await fetch_journey(_at(url), replace(ORDER, message_id="id-old")) == Journey(True, None)
        unknown = replace(ORDER, message_id="id-404")
        assert await fetch_journey(_at(url), unknown) == Journey(trouble="Nothing is known")
    assert (await fetch_journey(_at(f"http://127.0.0.1:{free_port()}"), ORDER)).trouble == "connection refused"
    assert (await fetch_journey(_at(url), replace(ORDER, message_id=None, reason="refused"))).trouble == "refused"


def test_what_was_seen_to_arrive_has_a_time() -> None:
    stored = Journey(True, False).with_shown_time(Journey(False, False), 100)
    shown = Journey(True, True).with_shown_time(stored, 200)
    assert shown.shown_by_us == 200
    assert Journey(True, True).with_shown_time(shown, 300) == shown
    assert Journey(True, True).with_shown_time(None, 300).shown_by_us is None, "nobody saw when"


def test_a_journey_says_whose_time_it_is_and_what_is_not_known() -> None:
    at_us = ORDER.answered_us
    whole = Journey(True, True, accepted_us=at_us - 900, stored_us=at_us + 11_100, shown_by_us=at_us + 5_000_000)
    rows = journey_rows(ORDER, whole).plain.splitlines()
    assert len(rows) == ROWS
    assert rows[1].split()[:3] == ["✓", "accepted", clock(at_us - 900)]
    assert "+12.0 ms, PostgreSQL's clock" in rows[2]
    assert rows[3].split()[:4] == ["✓", "shown", "by", clock(at_us + 5_000_000)]
    rows = journey_rows(ORDER, Journey(False, None)).plain.splitlines()
    assert rows[1].split()[:4] == ["✓", "accepted", "by", clock(at_us)]
    assert (rows[2].split(), rows[3].split()) == (["…", "stored", "not", "yet"], ["·", "shown", "not", "known"])
    assert "when is not known" in journey_rows(ORDER, Journey(True, True)).plain


def test_a_fast_pipeline_does_not_push_out_a_slow_one() -> None:
    journal = Journal()
    journal.add(replace(ORDER, pipeline=V1, answered_us=1))
    for at_us in range(2, 1_000):
        journal.add(replace(ORDER, answered_us=at_us))
    assert journal.latest(1, "v1")[0].answered_us == 1
    assert [order.answered_us for order in journal.latest(2)] == [999, 998]


def _home(tmp_path: Path, url: str) -> Path:
    (tmp_path / "logs").mkdir()
    write_env(tmp_path, {"API_URL": url})
    (tmp_path / "logs" / "kafka.log").write_text("broker started\nlistener up\n")
    (tmp_path / "logs" / "redis.log").write_text("ready to accept\n")
    return tmp_path


async def test_logs_are_followed_and_searched(tmp_path: Path) -> None:
    home = _home(tmp_path, "http://127.0.0.1:1")
    running, _ = _attached(home)
    async with running.run_test(size=(100, 24)) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("l")
        await until(lambda: "broker started" in screen_text(running))
        with (home / "logs" / "kafka.log").open("a") as log:
            log.write("leader elected\n")
        await until(lambda: "leader elected" in screen_text(running))
        await pilot.press("slash", *"listener", "enter")
        assert "listener up" in screen_text(running)
        assert "broker started" not in screen_text(running)
        await pilot.press("slash", "backspace")
        running.screen.query_one(Input).value = ""
        await pilot.press("enter", "right")
        await until(lambda: "ready to accept" in screen_text(running))
        assert "broker started" not in screen_text(running)


def test_a_log_that_was_replaced_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("one\ntw")
    tail = Tail(path)
    assert tail.read() == (True, ["one"])
    with path.open("a") as file:
        file.write("o\n")
    assert tail.read() == (False, ["two"])
    path.write_text("x\n")
    assert tail.read() == (True, ["x"])


def test_a_long_log_is_read_near_its_end(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"line {number:06}\n" for number in range(20_000)))
    _, lines = Tail(tmp_path / "a.log").read()
    assert lines[-1] == "line 019999"
    assert len(lines) < 6_000
    assert len(lines[0]) == len(lines[-1]), "no half line"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://elsewhere.example"])
def test_a_remote_stack_has_no_logs_here(tmp_path: Path, url: str) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(_home(tmp_path, "http://127.0.0.1:1")), "API_URL": url})
    logs = local_logs(settings)
    assert ("where it runs" in logs) if isinstance(logs, str) else (url == "http://127.0.0.1:1")


async def test_pages_of_a_recording_say_that_there_is_nobody_to_ask() -> None:
    running, _, _ = app()
    async with running.run_test(size=(100, 24)) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("l")
        await until(lambda: "a recording has no logs" in screen_text(running))


def _at(api_url: str) -> Settings:
    return Settings.from_env({"API_URL": api_url})


async def test_escape_closes_an_open_field_first_and_help_has_the_page_s_keys(tmp_path: Path) -> None:
    running, _ = _attached(_home(tmp_path, "http://127.0.0.1:1"))
    async with running.run_test(size=(100, 24)) as pilot:
        await until(lambda: running.live.is_current)
        await pilot.press("l", "slash", "q")
        assert running.screen.query_one(Input).value == "q"
        await pilot.press("escape")
        assert not running.screen.query_one(Input).display
        await pilot.press("f")
        await until(lambda: "staying: f follows" in screen_text(running))
        await pilot.press("f", "question_mark")
        await until(lambda: "the log before" in screen_text(running))
        assert "one order into v1" not in screen_text(running)
        await pilot.press("escape")
        await until(lambda: "staying: f follows" not in screen_text(running))
        await pilot.press("left")
        await until(lambda: "ready to accept" in screen_text(running))
        await pilot.press("q")
        await until(lambda: running.live.is_current)


async def test_every_row_says_what_is_measured_and_nothing_is_cut(tmp_path: Path) -> None:
    running, feed, _ = app()
    async with running.run_test(size=(80, 80)) as pilot:
        counts = PipelineCounts(12_406, 12_400, 12_398, 2, 3, 1, 0, 0, 0)
        feed.queue.put_nowait(
            snapshot(pipelines=tuple(replace(column(each), counts=counts) for each in DEFAULT_PIPELINES))
        )
        await until(lambda: running.live.snapshot.pipelines[0].counts == counts)
        await pilot.press("c")
        await until(lambda: "Scalability" in screen_text(running))
        text = screen_text(running)
        assert "…" not in text
        assert "12,406 rows, no log" in " ".join(text.split())
        assert text.count("lost 0") == 3
