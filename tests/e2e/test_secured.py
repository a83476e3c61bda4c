"""Servers of one's own that want mutual TLS, a user and a password: every client of the lab brings them along."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from coffee_core.pipelines import DEFAULT_PIPELINES, Pipeline
from coffee_core.pipelines.constants import V3
from coffee_tui.data.connection import Attachment
from coffee_tui.data.live import LiveFeed
from coffee_tui.data.snapshot import Snapshot
from tests.e2e.engine import stop_and_go_on
from tests.e2e.lab import Lab
from tests.e2e.truth import expected_rows, mixed_attempts, post_all, shown_totals, stored_rows
from tests.outside.brokers import Brokers
from tests.outside.certificates import certificate
from tests.outside.guarded import guarded_postgres, guarded_redis
from tests.waiting import until

pytestmark = pytest.mark.slow

REDIS_PASSWORD, KAFKA_PASSWORD = "hush-redis", "hush-kafka's"


@pytest.fixture(scope="module")
def secured_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("secured")
    shown = certificate(folder, "127.0.0.1", mutual=True)
    with ExitStack() as servers:
        kafka = servers.enter_context(Brokers(folder / "kafka", 1, shown, "coffee", KAFKA_PASSWORD))
        lab = Lab(
            folder / "coffee home",
            "v1,v2,v3",
            DATABASE_URL=servers.enter_context(guarded_postgres(folder / "pg", shown)),
            REDIS_URL=servers.enter_context(guarded_redis(folder / "redis", shown, REDIS_PASSWORD)),
            KAFKA_BOOTSTRAP_SERVERS=kafka.servers,
            KAFKA_SECURITY_PROTOCOL="SASL_SSL",
            KAFKA_SASL_USERNAME="coffee",
            KAFKA_SASL_PASSWORD=KAFKA_PASSWORD,
            KAFKA_SSL_CA=str(shown.authority),
            KAFKA_SSL_KEYSTORE=str(shown.client_keystore),
        )
        with lab.running():
            yield lab


@pytest.mark.parametrize("pipeline", list(DEFAULT_PIPELINES))
async def test_orders_go_through_and_balance(secured_lab: Lab, pipeline: Pipeline) -> None:
    attempts = mixed_attempts(pipeline, 150, seed=80 + int(pipeline[1:]))
    expected = expected_rows(attempts)
    await post_all(secured_lab.settings, pipeline, attempts)

    async def all_shown() -> bool:
        return (await shown_totals(secured_lab.settings, pipeline)).orders == len(expected)

    await until(all_shown, within_s=120)
    keys = [attempt.key for attempt in attempts]

    async def all_stored() -> bool:
        return await stored_rows(secured_lab.settings, pipeline, keys) == expected

    await until(all_stored, within_s=120)
    audited = await asyncio.to_thread(secured_lab.coffee, "audit", "--deep", "--pipelines", str(pipeline))
    assert audited.returncode == 0, audited.stdout + audited.stderr


async def test_a_replay_ends_on_the_same_numbers_and_dead_letters_can_be_listed(secured_lab: Lab) -> None:
    replayed = await asyncio.to_thread(secured_lab.coffee, "replay", "v3", timeout_s=200)
    assert replayed.returncode == 0, replayed.stderr
    listed = await asyncio.to_thread(secured_lab.coffee, "dead-letters", "v3")
    assert listed.returncode == 0, listed.stderr


async def test_the_job_stops_with_a_savepoint_and_goes_on(secured_lab: Lab) -> None:
    before = await shown_totals(secured_lab.settings, V3)
    await stop_and_go_on(secured_lab)
    attempts = mixed_attempts(V3, 50, seed=88)
    await post_all(secured_lab.settings, V3, attempts)
    wanted = before.orders + len(expected_rows(attempts))

    async def all_shown() -> bool:
        return (await shown_totals(secured_lab.settings, V3)).orders >= wanted

    await until(all_shown, within_s=120)
    audited = await asyncio.to_thread(secured_lab.coffee, "audit", "--pipelines", "v3")
    assert audited.returncode == 0, audited.stdout + audited.stderr


async def test_the_dashboard_sees_them(secured_lab: Lab) -> None:
    seen: list[Snapshot] = []
    feed = asyncio.create_task(LiveFeed(Attachment.to(secured_lab.settings)).run(seen.append))
    try:
        await until(lambda: seen and all(view.orders for view in seen[-1].pipelines), within_s=120)
        assert not feed.done()
    finally:
        feed.cancel()
        await asyncio.gather(feed, return_exceptions=True)


def test_no_password_is_in_a_log_or_in_the_arguments_of_a_process(secured_lab: Lab) -> None:
    logs = [path for path in secured_lab.home.rglob("*.log*") if path.is_file()]
    assert logs
    texts = {str(path): path.read_text(errors="replace") for path in logs}
    texts |= {f"pid {each.pid}": " ".join(each.cmdline()) for each in secured_lab.processes()}
    password = urlsplit(secured_lab.settings.database_url).password
    assert password
    secrets = (password, REDIS_PASSWORD, KAFKA_PASSWORD)
    told = [place for place, text in texts.items() if any(secret in text for secret in secrets)]
    assert told == []
