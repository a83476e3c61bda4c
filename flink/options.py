"""The options of the job, and its names."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from coffee_core.settings import Settings
from flink.checkpoints import checkpoint_options

JOB_NAME = "coffee-orders"
"""Name by which everybody knows the job of the orders."""
WARM_UP_NAME = "coffee-warm-up"
"""Name of the short job that warms the standby TaskManager."""
PLANNED_JOB_ID = "c0ffeec0ffeec0ffeec0ffeec0ffee00"
"""The id that every plan carries; each submission puts one of its own in its place."""
EPOCH_PARAMETER = "coffee.epoch"
"""Parameter of the job that tells its epoch to whoever asks Flink."""


def options(settings: Settings, epoch: str, restore: str | None) -> dict[str, str]:
    """Return the options of the job of an epoch, which continues from the checkpoint at ``restore`` (a URI)."""
    rest = urlsplit(settings.flink_rest_url)
    chosen = {
        "execution.target": "remote",
        "rest.address": rest.hostname or "127.0.0.1",
        "rest.port": str(rest.port or (443 if rest.scheme == "https" else 80)),
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
        # Ids of a whole horizon outgrow any heap: they lie on disk.
        "state.backend.type": "rocksdb",
        # Each checkpoint leaves a small file. By levels, every fourth would have all ids written anew.
        "state.backend.rocksdb.compaction.style": "UNIVERSAL",
        # Nearly every id is asked for once, when it is not there.
        "state.backend.rocksdb.use-bloom-filter": "true",
        # In one piece, the filter of some 700,000 ids outgrows its place in the cache: from then on it may be read
        # from the file for every order, at a fifth of the speed.
        "state.backend.rocksdb.memory.partitioned-index-filters": "true",
        # What is forgotten leaves the disk with the next compaction; without this an old file waits for 30 days.
        "state.backend.rocksdb.compaction.filter.periodic-compaction-time": f"{settings.dedup_horizon_ms} ms",
        # At once after the first failure; ever more slowly while PostgreSQL or Kafka stays away.
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
        # What the deduplication remembers; the tally has a hint of its own.
        "table.exec.state.ttl": f"{settings.dedup_horizon_ms} ms",
        # The planner does not see that only first orders reach the table. They do, and a trigger there would keep
        # the first row: no state of the sink's own has to.
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
    # Without checkpoints it leaves nothing from which the job of the orders could be continued by mistake.
    del chosen["execution.checkpointing.interval"]
    return chosen
