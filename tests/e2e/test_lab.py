"""The lab itself: what runs, what is said of it, and that it comes back as it was."""

import psutil

from coffee_core.pipelines import DEFAULT_PIPELINES
from tests.e2e.lab import BASE, V3_PARTS, Lab
from tests.e2e.truth import mixed_attempts, post_all, shown_totals, stored_totals
from tests.waiting import until

LISTENING = {"postgres", "redis", "kafka", "flink-jobmanager", "cafe-order-api"}


def test_status_lists_every_part_with_its_pid_port_and_state(lab: Lab) -> None:
    parts = lab.status()
    assert set(parts) == BASE | V3_PARTS
    for name, part in parts.items():
        assert part["state"] == "up", part
        assert psutil.pid_exists(part["pid"]), part
        assert (part["port"] is not None) >= (name in LISTENING), part


async def test_a_worker_that_is_frozen_is_named_and_nothing_is_lost(lab: Lab) -> None:
    worker = psutil.Process(lab.status()["stream-worker"]["pid"])
    worker.suspend()
    try:
        assert lab.coffee("order", "v2").returncode == 0

        async def named() -> str:
            said = lab.coffee("status")
            lines = said.stdout.splitlines() if said.returncode == 1 else []
            return next((line for line in lines if line.startswith("v2 waits: ")), "")

        assert "1 order waits on orders:stream and no stream-worker" in await until(named, within_s=120)
        audited = lab.coffee("audit", "--pipelines", "v2")
        assert (audited.returncode, audited.stderr[:17]) == (0, "coffee: v2 waits:")
        assert lab.status()["stream-worker"]["standstill"]["pipeline"] == "v2"
    finally:
        worker.resume()

    async def works() -> bool:
        return lab.coffee("status").returncode == 0

    await until(works, within_s=120)


def test_env_prints_the_addresses_of_the_running_stack(lab: Lab) -> None:
    printed = dict(line.split("=", 1) for line in lab.coffee("env").stdout.splitlines())
    assert lab.settings.addresses.items() <= printed.items()


def test_everything_listens_on_loopback_alone(lab: Lab) -> None:
    for process in lab.processes():
        for connection in process.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip in {"127.0.0.1", "::ffff:127.0.0.1", "::1"}, (process, connection)


async def test_stopping_and_starting_again_keeps_every_order_and_total(lab: Lab) -> None:
    for pipeline in DEFAULT_PIPELINES:
        await post_all(lab.settings, pipeline, mixed_attempts(pipeline, 200, seed=10))

    async def in_step() -> bool:
        pairs = [
            (await stored_totals(lab.settings, p), await shown_totals(lab.settings, p)) for p in DEFAULT_PIPELINES
        ]
        return all(stored == shown and stored.orders >= 180 for stored, shown in pairs)

    await until(in_step, within_s=120)
    before = {pipeline: await shown_totals(lab.settings, pipeline) for pipeline in DEFAULT_PIPELINES}
    assert lab.stop() == 0, lab.report()
    await until(lambda: not lab.left())
    lab.start()
    assert {pipeline: await shown_totals(lab.settings, pipeline) for pipeline in DEFAULT_PIPELINES} == before
    for pipeline in DEFAULT_PIPELINES:
        await post_all(lab.settings, pipeline, mixed_attempts(pipeline, 200, seed=11))

    async def more_is_shown() -> bool:
        totals = {p: await shown_totals(lab.settings, p) for p in DEFAULT_PIPELINES}
        return all(totals[p].orders > before[p].orders for p in DEFAULT_PIPELINES) and await in_step()

    await until(more_is_shown, within_s=120)
