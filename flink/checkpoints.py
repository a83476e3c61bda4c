"""The job's checkpoints: how often one is taken, how, and where they lie."""

import re
from hashlib import sha256

from coffee_core.menu import DRINKS, STORES
from coffee_core.settings import Settings

CHECKPOINT_EVERY_S = 15
"""Interval of the checkpoints. Orders during one are late, by some 50 ms: fewer than 0.5 %. After a crash up to
one interval of orders is read again."""
CHECKPOINT_EVERY_RECORDS = 10_000
"""Records of the log after which the submitter has one taken before its time. Without that a job that was killed
just after it had drained 200,000 orders read them all again, cold: 12 to 16 s, with it 4 (a busy machine)."""
NUM_RETAINED = 3
"""Checkpoints that Flink keeps, the newest ones."""
_FOLDER = re.compile(r"/epoch-(\w+)-[0-9a-f]{8}(?:/|$)")


def checkpoint_options(settings: Settings, epoch: str) -> dict[str, str]:
    """Return the options of the job that are about checkpoints."""
    interval = f"{CHECKPOINT_EVERY_S} s"
    return {
        "execution.checkpointing.interval": interval,
        # However long a checkpoint takes, half of the time is left for orders.
        "execution.checkpointing.min-pause": interval,
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.dir": checkpoints_uri(settings, epoch),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": str(NUM_RETAINED),
        # A checkpoint writes only what is new.
        "execution.checkpointing.incremental": "true",
    }


def checkpoints_uri(settings: Settings, epoch: str) -> str:
    """Return the URI of the checkpoints of one epoch: a folder for each job, ``chk-N`` in it.

    The folder's name holds the epoch: a replay starts without state, however it is interrupted. It also holds a
    digest of menu and partitions: with others the tally has other columns.
    """
    # Not as_uri(): Flink takes the path as it is and would keep a %20.
    root = settings.given_flink_checkpoints or f"file://{settings.home / 'flink' / 'checkpoints'}"
    shape = sha256(repr((DRINKS, STORES, settings.topic_partitions)).encode()).hexdigest()[:8]
    return f"{root}/epoch-{epoch}-{shape}"


def epoch_of(uri: str) -> str | None:
    """Return the epoch in whose folder a checkpoint lies, None where it lies elsewhere."""
    found = _FOLDER.search(uri)
    return None if found is None else found[1]
