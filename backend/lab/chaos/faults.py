"""The menu of faults: a table, from which the help, the runs and docs/chaos.md are made."""

from dataclasses import dataclass
from enum import StrEnum

from coffee_core.pipelines import PIPELINES, Pipeline
from coffee_core.pipelines.constants import V1, V2, V3

WORKING_TASK_MANAGER = "flink-taskmanager"
"""Stands for whichever TaskManager runs the job when the fault strikes."""
FROZEN_S = 5.0
"""Seconds that a lasting fault lasts where nothing else is asked."""
_V1, _V2, _V3 = V1, V2, V3
_ALL = PIPELINES


class Deed(StrEnum):
    """What is done."""

    KILL = "kill"
    FREEZE = "freeze"
    SLOW = "slow"
    FILL_DISK = "fill disk"
    FILL_MEMORY = "fill memory"
    LOCK = "lock"
    POISON = "poison"
    STORM = "storm"
    FLUSH = "flush"
    REPLAY_PENDING = "replay pending"
    REPLAY_TOPIC = "replay topic"


_LASTING = (Deed.FREEZE, Deed.SLOW, Deed.FILL_DISK, Deed.FILL_MEMORY, Deed.LOCK)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the menu."""

    name: str
    """As it is called on the command line."""
    teaches: str
    """What there is to see, in one line."""
    deed: Deed
    part: str = ""
    """Process name of what is done to; empty where it is no process."""
    may_refuse: tuple[Pipeline, ...] = ()
    """Pipelines that may fail requests under it; one failed request of another is a fault of the lab."""
    log: Pipeline | None = None
    """Whose log is put into or replayed; None where none is."""

    @property
    def lasts(self) -> bool:
        """Tell whether it goes on for a time, which can then be chosen."""
        return self.deed in _LASTING


_PARTS: dict[str, tuple[tuple[Pipeline, ...], str, str]] = {
    "postgres": (
        (_V1,),
        "v1 refuses until it is back; v2 and v3 go on accepting, their logs fill and then drain",
        "a database that hangs is worse than one that is gone: v1 runs into its timeouts, v2 and v3 pile up",
    ),
    "redis": (
        (_V2,),
        "an acknowledged XADD survives (AOF, fsync always); v1 and v3 go on accepting, their metrics catch up",
        "v2 cannot say whether its XADD took place: unknown answers, that a repeat under the same key resolves",
    ),
    "kafka": (
        (_V3,),
        "acks=all: what was acknowledged is on disk; the producer and Flink find the broker again by themselves",
        "a broker that hangs: sends run into their timeout, and a send without an answer may still have arrived",
    ),
    "flink-jobmanager": (
        (),
        "the job is lost and submitted again from its newest checkpoint; no order counts twice",
        "the JobManager leaves the data path alone: orders flow on for as long as heartbeats are forgiven",
    ),
    WORKING_TASK_MANAGER: (
        (),
        "the warm spare takes over from the checkpoint, reads again what came after it, counts nothing twice",
        "a TaskManager that hangs, is given up, and wakes as a second writer: the fence must refuse it",
    ),
    "flink-job": (
        (),
        "the submitter is no part of the data path: its successor adopts the running job",
        "nothing is to be seen in the numbers; while it hangs, a lost job would not be submitted again",
    ),
    "cafe-order-api": (
        _ALL,
        "requests in flight end as unknown; a client repeats them under their keys and nothing is stored twice",
        "no new connection is answered; an open-loop client piles up and sends late, and nothing is lost",
    ),
    "cafe-order-aggregator": (
        (),
        "a scan starts afresh: the metrics are late by one run, never wrong",
        "the dashboard stands still while orders are committed: v1's weakness in one picture",
    ),
    "stream-worker": (
        (),
        "killed between commit and acknowledgement, its batch is delivered again and counted once",
        "its entries stay pending under its name; nobody counts them twice when it wakes",
    ),
}


def _of_part(part: str) -> tuple[Fault, Fault]:
    may_refuse, killed, frozen = _PARTS[part]
    return (
        Fault(f"kill-{part}", killed, Deed.KILL, part, may_refuse),
        Fault(f"freeze-{part}", frozen, Deed.FREEZE, part, may_refuse),
    )


_FULL_DISKS: dict[str, tuple[tuple[Pipeline, ...], str]] = {
    "postgres": (
        (_V1,),
        "PostgreSQL panics rather than promise what it cannot write, and recovers once there is room again",
    ),
    "redis": (
        (_V2,),
        "Redis ends in the middle of a write, with all it acknowledged on disk; v1 and v3 go on accepting",
    ),
    "kafka": (
        (_V3,),
        "the broker gives up its only log folder and halts; it comes back with all that it acknowledged",
    ),
    WORKING_TASK_MANAGER: (
        (),
        "no checkpoint can be written, in the end no state: the job stands still, and goes on from the last one",
    ),
}

_MENU = (
    *(fault for pair in zip(*(_of_part(part) for part in _PARTS), strict=True) for fault in pair),
    *(
        Fault(f"full-disk-{part}", teaches, Deed.FILL_DISK, part, may_refuse)
        for part, (may_refuse, teaches) in _FULL_DISKS.items()
    ),
    Fault(
        "full-memory-redis",
        "Redis refuses what needs memory: v2 says 503, its worker still drains; v1 and v3 go on accepting",
        Deed.FILL_MEMORY,
        may_refuse=(_V2,),
    ),
    Fault(
        "slow-postgres",
        "a database that gets a fifth of its time: v1's clients wait for it, those of v2 and v3 do not notice",
        Deed.SLOW,
        "postgres",
        may_refuse=(_V1,),
    ),
    Fault(
        "lock-postgres",
        "an ACCESS EXCLUSIVE lock on the orders, as a careless migration takes it: all others wait behind it",
        Deed.LOCK,
        may_refuse=(_V1,),
    ),
    Fault(
        "poison-stream",
        "entries straight into the stream that can never be stored: dead letters, and nothing behind them waits",
        Deed.POISON,
        log=_V2,
    ),
    Fault(
        "poison-topic",
        "records straight into the topic that can never be stored: the job must not loop over them",
        Deed.POISON,
        log=_V3,
    ),
    Fault(
        "retry-storm",
        "clients that all send their last orders again, several times at once, under the same keys: counted once",
        Deed.STORM,
        may_refuse=_ALL,
    ),
    Fault(
        "flush-metrics",
        "the metric keys are deleted: v1 heals at its next run, v2's worker notices, v3 with its next order",
        Deed.FLUSH,
    ),
    Fault(
        "replay-v2",
        "a consumer dies with entries it has read; `coffee replay v2` hands them on at once, each counted once",
        Deed.REPLAY_PENDING,
        log=_V2,
    ),
    Fault(
        "replay-v3",
        "`coffee replay v3` under load: the whole topic into empty state, and the same numbers at the end",
        Deed.REPLAY_TOPIC,
        log=_V3,
    ),
)
FAULTS: dict[str, Fault] = {fault.name: fault for fault in _MENU}
"""Every fault by its name, in the order of the menu."""
