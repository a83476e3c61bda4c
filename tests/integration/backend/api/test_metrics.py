"""What Prometheus reads of the pipelines: from Redis, at scrape time."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from backend.api import live_audit
from coffee_core.keys import STREAM, MetricKeys
from coffee_core.latency import MAX_BUCKET, bucket_of
from coffee_core.pipelines.constants import V2
from tests.integration.backend.api.in_process import LocalApi

V2 = MetricKeys(V2)


async def _samples(api: LocalApi) -> dict[tuple[str, str, str], float]:
    families = text_string_to_metric_families(await api.text("/metrics"))
    return {
        (sample.name, sample.labels.get("pipeline", ""), sample.labels.get("le", "")): sample.value
        for family in families
        for sample in family.samples
    }


async def test_backlog_duplicates_dead_letters_and_latency_are_those_of_redis(
    api: LocalApi, redis: "Redis[str]"
) -> None:
    await api.order("v2")
    await redis.hset(V2.counters, mapping={"duplicates": "2", "dead": "1"})
    await redis.set(V2.total_orders, 4)
    await redis.hset(V2.latency, mapping={str(bucket_of(3_000)): "3", str(bucket_of(900_000)): "1"})
    found = await _samples(api)
    assert found["coffee_shown_up", "", ""] == 1
    assert found["coffee_backlog_orders", "v2", ""] == 1
    assert 0 <= found["coffee_lag_seconds", "v2", ""] < 60
    assert found["coffee_dependency_up", "", ""] == 1
    assert found["coffee_duplicates", "v2", ""] == 2
    assert found["coffee_dead_letters", "v2", ""] == 1
    assert found["coffee_shown_orders", "v2", ""] == 4
    late = "coffee_dashboard_latency_seconds"
    assert found[f"{late}_count", "v2", ""] == 4
    assert found[f"{late}_bucket", "v2", "0.002048"] == 0
    assert found[f"{late}_bucket", "v2", "0.004096"] == 3
    assert found[f"{late}_bucket", "v2", "+Inf"] == 4
    assert 0.85 < found[f"{late}_sum", "v2", ""] < 0.97
    assert found[f"{late}_count", "v1", ""] == 0


@pytest.mark.parametrize("value", ["many", "1.5", " 5", "٣", "1_0", str(2**63), "+5", "0x5", b"\xff"])
async def test_what_cannot_be_read_is_left_out(api: LocalApi, redis: "Redis[str]", value: str | bytes) -> None:
    await redis.set(V2.total_orders, value)
    found = await _samples(api)
    assert found["coffee_shown_up", "", ""] == 0
    assert ("coffee_shown_orders", "v2", "") not in found


@pytest.mark.parametrize("bucket", ["x", "-1", "99999999", str(MAX_BUCKET + 1)])
async def test_a_latency_that_is_none_is_left_out(api: LocalApi, redis: "Redis[str]", bucket: str) -> None:
    await redis.hset(V2.latency, bucket, "1")
    found = await _samples(api)
    assert found["coffee_shown_up", "", ""] == 0


@pytest.mark.parametrize("entry_id", ["0-1", "5-0", f"{2**64 - 1}-0"])
async def test_an_entry_whose_id_is_no_time_has_no_age(api: LocalApi, redis: "Redis[str]", entry_id: str) -> None:
    await redis.xadd(STREAM, {"drink": "latte"}, id=entry_id)
    found = await _samples(api)
    assert found["coffee_backlog_orders", "v2", ""] == 1
    assert ("coffee_lag_seconds", "v2", "") not in found


async def test_the_accounts_are_those_of_the_scrape(api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_audit, "SOON_S", 60.0)  # this machine may be slow
    monkeypatch.setattr(live_audit, "INTERVAL_S", 0.0)
    await api.order("v1")
    found = await _samples(api)
    assert found["coffee_accounts_up", "", ""] == 1
    assert found["coffee_stored_orders", "v1", ""] == 1
    assert found["coffee_backlog_orders", "v1", ""] == 1, "no aggregator has run"
    for finding in ("lost", "duplicated", "drift"):
        assert found[f"coffee_{finding}_orders", "v1", ""] == 0
