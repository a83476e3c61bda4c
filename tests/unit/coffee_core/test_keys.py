"""The names that outside users read: a change here breaks somebody's dashboard."""

import pytest

from coffee_core import keys
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3

METRICS = ("total_revenue", "drink_counts", "drink_revenue", "store_counts", "store_revenue", "total_orders")


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_the_six_metric_keys_are_the_founding_ones(version: str) -> None:
    assert keys.MetricKeys(Pipeline(version)).metrics == tuple(f"{version}:metrics:{name}" for name in METRICS)


def test_the_logs_and_their_groups_are_the_founding_ones() -> None:
    assert (keys.STREAM, keys.STREAM_GROUP) == ("orders:stream", "order-workers")
    assert (keys.TOPIC, keys.FLINK_GROUP) == ("orders", "flink-processors")


def test_everything_else_lies_under_lab() -> None:
    own = keys.MetricKeys(V2)
    for key in (own.latency, own.counters, own.fence, own.standstill, own.idempotency("x")):
        assert key.startswith("v2:lab:")


def test_the_fence_and_the_epoch_are_the_documented_key() -> None:
    assert keys.MetricKeys(V1).fence == "v1:lab:fence"
    assert keys.MetricKeys(V3).epoch == "v3:lab:fence"


def test_the_windows_of_the_job_are_the_documented_ones() -> None:
    own = keys.MetricKeys(V3)
    assert own.window(1_736_935_200) == "v3:lab:windows:1736935200"
    assert (own.late, own.watermark) == ("v3:lab:windows:late", "v3:lab:windows:watermark")
