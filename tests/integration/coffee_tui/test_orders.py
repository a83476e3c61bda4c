"""Orders out of the dashboard: one by key, many by the load process, which never outlives it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

from coffee_core.pipelines.constants import V1, V2, V3
from coffee_core.runstate import alive
from coffee_core.settings import Settings
from coffee_tui.data.connection import Attachment
from coffee_tui.data.load_plan import RATES
from coffee_tui.data.orders import LiveOrders
from coffee_tui.data.snapshot import OrdersView
from tests.servers import free_port
from tests.unit.coffee_core.load.peer import answering, peer
from tests.waiting import until


class Desk:
    """Running orders and the view that they have published last."""

    def __init__(self, api_url: str) -> None:
        self.orders = LiveOrders(Attachment.to(Settings.from_env({"API_URL": api_url})))
        self.view = OrdersView()

    def show(self, view: OrdersView) -> None:
        self.view = view

    @property
    def process(self) -> asyncio.subprocess.Process | None:
        return self.orders._process._process


@contextlib.asynccontextmanager
async def desk(api_url: str) -> AsyncIterator[Desk]:
    made = Desk(api_url)
    task = asyncio.create_task(made.orders.run(made.show))
    try:
        yield made
        assert not task.done(), task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_an_order_by_key_says_what_became_of_it() -> None:
    async with peer(answering(202, {"message_id": "x"})) as url, desk(url) as made:
        made.orders.order([V2, V3])
        await until(lambda: [one.outcome for one in made.view.keys] == ["acknowledged"] * 2)
        assert [(one.pipeline, one.status) for one in made.view.keys] == [(V2, 202), (V3, 202)]
        assert made.process is None, "one order needs no load process"


async def test_an_order_that_is_refused_says_why() -> None:
    async with desk(f"http://127.0.0.1:{free_port()}") as made:
        made.orders.order([V1])
        await until(lambda: made.view.keys and made.view.keys[0].outcome == "refused")
        assert "no connection" in made.view.keys[0].reason


async def test_load_is_started_changed_stopped_and_gone_at_the_end() -> None:
    async with peer(answering(202, {})) as url:
        async with desk(url) as made:
            made.orders.choose((V2,))
            made.orders.change_rate(+2)
            await until(lambda: made.view.plan.rate_per_s == 50)
            made.orders.toggle()
            await until(lambda: made.view.acknowledged > 20 and made.view.offered_per_s > 0)
            made.orders.burst()
            await until(lambda: made.view.sent >= 1_000, within_s=20)
            made.orders.toggle()
            await until(lambda: not made.view.running and made.view.in_flight == 0)
            assert made.process is not None
            pid = made.process.pid
            assert alive(pid)
        assert not alive(pid)


async def test_a_load_process_that_dies_is_said_and_started_anew() -> None:
    async with peer(answering(202, {})) as url, desk(url) as made:
        made.orders.toggle()
        await until(lambda: made.view.sent > 0)
        assert made.process is not None
        killed = made.process.pid
        os.kill(killed, signal.SIGKILL)
        await until(lambda: made.view.trouble != "")
        assert not made.view.running
        assert "ended with code -9" in made.view.trouble
        made.orders.toggle()
        await until(lambda: made.process is not None and made.process.pid != killed and made.view.sent > 0)
        assert made.view.running
        assert made.view.trouble == ""


async def test_the_rate_stays_within_its_steps() -> None:
    made = Desk("http://127.0.0.1:1")
    made.orders.change_rate(-100)
    made.orders.change_rate(+1)
    assert made.orders._view.plan.rate_per_s == RATES[1]
    made.orders.change_rate(+100)
    assert made.orders._view.plan.rate_per_s == RATES[-1]
