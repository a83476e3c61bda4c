"""Where the checkpoints of v3's job are, so that no job finds state that is not its own."""

from hashlib import sha256

from coffee_core.menu import DRINKS, STORES
from coffee_core.settings import Settings


def checkpoints_uri(settings: Settings, epoch: str) -> str:
    """Return the URI of the checkpoints of one epoch: a folder for each job, ``chk-N`` in it.

    No job finds the state of an earlier epoch: a replay starts from nothing, however it is interrupted. Nor
    that of another menu or number of partitions: its tally has other columns.
    """
    # Not as_uri(): Flink takes the path as it is and would keep a %20.
    root = settings.given_flink_checkpoints or f"file://{settings.home / 'flink' / 'checkpoints'}"
    shape = sha256(repr((DRINKS, STORES, settings.topic_partitions)).encode()).hexdigest()[:8]
    return f"{root}/epoch-{epoch}-{shape}"
