"""The options of the job, and its names."""

import sys
from pathlib import Path

from coffee_core.server_urls import HttpUrl
from coffee_core.settings import Settings
from flink.checkpoints import checkpoint_options

JOB_NAME = "coffee-orders"
"""Name of the job that processes the orders."""
WARM_UP_NAME = "coffee-warm-up"
"""Name of the short job that warms the standby TaskManager."""
PLANNED_JOB_ID = "c0ffeec0ffeec0ffeec0ffeec0ffee00"
"""Job id in every plan; each submission replaces it with a new one."""
EPOCH_PARAMETER = "coffee.epoch"
"""Global job parameter with the epoch, readable through Flink's REST API."""


def options(settings: Settings, epoch: str, restore: str | None) -> dict[str, str]:
    """Return the options of the job of an epoch, which continues from the checkpoint at ``restore`` (a URI)."""
    rest = HttpUrl.parse(settings.flink_rest_url).endpoint
    chosen = {
        "execution.target": "remote",
        "rest.address": rest.host,
        "rest.port": str(rest.port),
        "pipeline.name": JOB_NAME,
        "$internal.pipeline.job-id": PLANNED_JOB_ID,
        "pipeline.global-job-parameters": f"{EPOCH_PARAMETER}:{epoch}",
        "parallelism.default": str(settings.flink_parallelism),
        # Python in the TaskManager's own process: nothing is buffered for it at a checkpoint's barrier.
        "python.execution-mode": "thread",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "python.pythonpath": str(Path(__file__).parent.parent),
        "pipeline.object-reuse": "true",
        "execution.buffer-timeout.interval": "0 ms",
        **checkpoint_options(settings, epoch),
        # The ids of a whole horizon outgrow any heap: RocksDB keeps them on disk.
        "state.backend.type": "rocksdb",
        # Each checkpoint leaves a small file. Levelled compaction would rewrite all ids at every fourth.
        "state.backend.rocksdb.compaction.style": "UNIVERSAL",
        # Nearly every id is looked up once only, before it is stored: the filter spares the read.
        "state.backend.rocksdb.use-bloom-filter": "true",
        # In one piece, the filter of some 700,000 ids outgrows its place in the cache: from then on it may be read
        # from the file for every order, at a fifth of the speed.
        "state.backend.rocksdb.memory.partitioned-index-filters": "true",
        # Expired ids leave the disk with a compaction; without this option an old file waits 30 days for one.
        "state.backend.rocksdb.compaction.filter.periodic-compaction-time": f"{settings.dedup_horizon_ms} ms",
        # Restart at once after the first failure; ever more slowly while PostgreSQL or Kafka stays away.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "50 ms",
        "restart-strategy.exponential-delay.max-backoff": "1 s",
        "restart-strategy.exponential-delay.backoff-multiplier": "1.5",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "10 s",
        "restart-strategy.exponential-delay.jitter-factor": "0.0",
        "table.local-time-zone": "UTC",
        # One Redis call each 5 ms, not one an order. At 2 ms orders are seen 1 to 2 ms sooner at 20/s, but at
        # 500/s it takes 0.15 of a core more: where both are busy, they are seen later.
        "table.exec.mini-batch.enabled": "true",
        "table.exec.mini-batch.allow-latency": "5 ms",
        "table.exec.mini-batch.size": "5000",
        # How long the deduplication remembers an id; the state of the tally has its own TTL, by a hint.
        "table.exec.state.ttl": f"{settings.dedup_horizon_ms} ms",
        # Only first orders reach this sink, which the planner cannot see; a trigger of the table keeps the first
        # row anyway. So the sink needs no state.
        "table.exec.sink.require-on-conflict": "false",
        "table.exec.sink.upsert-materialize": "NONE",
        # One source and one deduplication for all inserts.
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
    }
    if restore is not None:
        chosen["execution.state-recovery.path"] = restore
    return chosen


def warm_up_options(settings: Settings, slots: int) -> dict[str, str]:
    """Return the options of the job that warms this many slots."""
    chosen = {
        **options(settings, WARM_UP_NAME, None),
        "pipeline.name": WARM_UP_NAME,
        "parallelism.default": str(slots),
        "restart-strategy.type": "none",
    }
    # Without checkpoints it leaves nothing from which the job of the orders could be restored by mistake.
    del chosen["execution.checkpointing.interval"]
    return chosen
