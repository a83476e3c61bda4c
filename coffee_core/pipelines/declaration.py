"""What a pipeline declares of itself: all that the dashboard, the command line and the reports need to know of it.

Its implementation is a package of its own (``package``), which is loaded only where orders are accepted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum


class LogKind(StrEnum):
    """What a pipeline's log is."""

    STREAM = "stream"
    """A Redis stream."""
    TOPIC = "topic"
    """A Kafka topic."""
    TABLE = "table"
    """A table of PostgreSQL, which has a column for each field of ``Order`` and a whole number for a place."""


@dataclass(frozen=True, slots=True)
class Log:
    """Where orders wait for the processor."""

    kind: LogKind
    name: str
    """Key of the stream, or name of the topic or of the table."""
    dead_letters: str
    """The same of its dead letters."""
    group: str
    """Consumer group that reads it; empty of a table."""
    entries: str
    """What it holds, e.g. ``records``."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the chain that an order passes."""

    label: str
    """Short name in the dashboard."""
    parts: tuple[str, ...]
    """Prefixes of the names of the processes that it depends on."""
    periodic: bool = False
    """It works now and then, by the clock: orders wait before it by design."""


@dataclass(frozen=True, slots=True)
class Service:
    """A daemon of the pipeline's own: ``python -m MODULE``."""

    name: str
    """Its name in the Procfile and in the dashboard."""
    module: str
    also_with: str = ""
    """Field of ``Settings``: where it is set, the service runs also without its pipeline, for others."""
    short: str = ""
    """Its name in the first line of the dashboard, where that is shorter."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A Python package without which a pipeline cannot run."""

    module: str
    """What is imported of it."""
    package: str
    """Its name on PyPI."""
    hint: str
    """Why it may be missing."""


class Windows(Enum):
    """Where the one-minute windows in event time of a pipeline are."""

    NONE = "none"
    ROWS = "rows"
    """Summed up by PostgreSQL at each request: a scan of the pipeline's rows."""
    REDIS = "redis"
    """Kept in Redis by the processor; reading them costs nothing."""


class Repair(StrEnum):
    """What can be done to bring a pipeline back in step; the value is the command of ``coffee``."""

    RECONCILE = "reconcile"
    REPLAY = "replay"
    SAVEPOINT = "savepoint"
    NEW_BALANCE = "reconcile --new-balance"
    """Where the log can be lost while the rows are not."""
    COMPARE = "reconcile --compare"
    """Where only a replay mends a drift, so that an operator has to start it."""
    DEAD_LETTERS = "dead-letters"


@dataclass(frozen=True, slots=True)
class Claims:
    """What the founding note claims of a pipeline, aspect by aspect: text to hold measurements against."""

    api_response: str = "–"
    dashboard_latency: str = "–"
    delivery: str = "–"
    persistence: str = "–"
    replay: str = "–"
    downtime: str = "–"
    aggregation: str = "–"
    scalability: str = "–"


@dataclass(frozen=True, slots=True)
class Declaration:
    """One pipeline."""

    name: str
    """Its API version: the prefix of its Redis keys and of its partition, and the path of its endpoints."""
    title: str
    """Short name, for a column's headline."""
    package: str
    """The package of its implementation, with a module ``operations`` (see ``backend.pipelines.operations``)."""
    accepted_status: int
    """HTTP status of an accepted order: 201 where it is committed, 202 where a log has acknowledged it."""
    chain: tuple[Stage, ...]
    """The stages that an order passes, in order; it waits before the third."""
    colour: int
    """Slot of its accent colour, 0 to 4, others wrap: see ``coffee_tui.theme``."""
    servers: tuple[str, ...] = ("postgres", "redis")
    """Servers it stands on, of postgres, redis, kafka and flink."""
    services: tuple[Service, ...] = ()
    """Its own daemons beside the API."""
    processor: str = ""
    """Prefix of the name of the process that writes the metrics; empty where that is the API."""
    storer: str = ""
    """Name of the service that stores the rows, where that is another one and neither waits for the other."""
    cost_label: str = ""
    """Name of ``cost_parts`` together."""
    cost_parts: tuple[str, ...] = ()
    """Prefixes of the names of the processes that run for this pipeline alone."""
    log: Log | None = None
    """Where orders wait; None where the rows themselves are the log."""
    windows: Windows = Windows.NONE
    repairs: frozenset[Repair] = frozenset()
    claims: Claims = field(default_factory=Claims)
    round_trips: float = 6
    """Round trips that an order waits for until it is visible, one after the other, at worst.

    Counted in the code, the batch before its own among them: with each server on a machine of its own, a network
    adds so many times what it takes there and back.
    """
    requires: tuple[Requirement, ...] = ()
    variants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Other ways of doing the same: name → settings; the bench measures how much each takes, on another stack."""
    schema: str = ""
    """Name of a statement in the package's ``queries.sql`` that makes what its rows need, after the migrations.

    It must be harmless where that is there already. Empty where the migrations know its rows.
    """
    default: bool = True
    """Runs where COFFEE_PIPELINES is not set."""

    @property
    def shown_in_runs(self) -> bool:
        """Its metrics are written by a run now and then, not as orders come."""
        return any(stage.periodic for stage in self.chain)

    @property
    def commits_in_request(self) -> bool:
        """Its answer means that the row is committed."""
        return self.accepted_status == 201
