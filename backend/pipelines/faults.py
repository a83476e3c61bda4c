"""Faults on purpose, as far as pipelines have a part in them: what a fault is, and what it needs to strike.

A pipeline may have a ``faults.py`` in its package, with ``FAULTS``: a tuple of those that concern it alone (its
own daemons and servers, its own log, its own replay). Where the name of a part stands for whichever of several
processes does the work, ``LOCATORS`` holds the function that finds it. What concerns the servers and the API that
all share stands in ``backend.lab.chaos.faults``, which puts the menu together. Drivers are imported by the actions
alone: the menu is listed where no server runs.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.ids import new_message_id
from coffee_core.load.orders import Attempt
from coffee_core.pipelines import PIPELINES, Declaration, LogKind, Pipeline
from coffee_core.settings import Settings


class NotReadyError(CoffeeError):
    """The stack is not in order, so nothing can be learned by breaking it."""


class Action(StrEnum):
    """The kinds of faults, in the order of the menu."""

    KILL = "kill"
    FREEZE = "freeze"
    FILL_DISK = "fill disk"
    FILL_MEMORY = "fill memory"
    SLOW = "slow"
    LOCK = "lock"
    HOLD = "hold"
    CUT = "cut"
    NETWORK = "network"
    POISON = "poison"
    STORM = "storm"
    FLUSH = "flush"
    REPLAY = "replay"
    REBALANCE = "rebalance"
    KILL_EVERYTHING = "kill everything"
    POWER_CUT = "power cut"
    SEVERAL = "several"


_LASTING = (
    *(Action.FREEZE, Action.SLOW, Action.FILL_DISK, Action.FILL_MEMORY, Action.LOCK),
    *(Action.HOLD, Action.CUT, Action.NETWORK),
)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a fault has done."""

    what: str
    """In words, for the progress and the notes."""
    poison: int = 0
    """Messages that must now become dead letters."""
    problem: str = ""
    """What did not come back; empty where everything did."""


class StrikeContext(Protocol):
    """Where a fault strikes, as far as a pipeline's own action needs it."""

    @property
    def settings(self) -> Settings:
        """The settings of the stack that is broken."""

    @property
    def lasts_s(self) -> float:
        """For how long a lasting fault is to last, in seconds."""

    @property
    def struck(self) -> Callable[[], None]:
        """To be called once, at the moment of the fault."""

    def first_accepted(self, pipeline: Pipeline) -> Attempt | None:
        """Return an order that was acknowledged under a key of the client's own; None where there is none."""

    async def still_down(self) -> str:
        """Wait until every part is up; return what is not, in words, and nothing where all are."""


Strike = Callable[[StrikeContext], Awaitable[Effect]]
"""Strikes. Raises NotReadyError where there is nothing to strike, else a CoffeeError or what the drivers raise."""
Locate = Callable[[Settings], Awaitable[str]]
"""Returns the name of the process that does the work of a part now. Raises NotReadyError where none does."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the menu."""

    name: str
    """As it is called on the command line."""
    teaches: str
    """What there is to see, in one line."""
    action: Action
    part: str = ""
    """Process name of what is broken; empty where it is no process."""
    may_refuse: tuple[Pipeline, ...] = ()
    """Pipelines that may fail requests under it; one failed request of another is a fault of the lab."""
    log: Pipeline | None = None
    """Whose log is put into or replayed; None where none is."""
    strike: Strike | None = None
    """The pipeline's own action; None where the lab knows what to do by the kind of the fault."""

    @property
    def lasts(self) -> bool:
        """Tell whether it goes on for a time, which can then be chosen."""
        return self.action in _LASTING


def part_faults(
    part: str, killed: str, frozen: str, full_disk: str = "", *, may_refuse: tuple[Pipeline, ...] = ()
) -> tuple[Fault, ...]:
    """Return the faults of a part by what there is to see when it is killed, frozen, or its disk is full.

    Without a text for the full disk, there is no such fault.
    """
    texts = (
        (Action.KILL, "kill", killed),
        (Action.FREEZE, "freeze", frozen),
        (Action.FILL_DISK, "full-disk", full_disk),
    )
    return tuple(Fault(f"{verb}-{part}", text, action, part, may_refuse) for action, verb, text in texts if text)


def refused_without(server: str) -> tuple[Pipeline, ...]:
    """Return the pipelines that cannot accept an order while this server is away, by what they declare."""
    return tuple(pipeline for pipeline in PIPELINES if server in _accepting_servers(pipeline.info))


_LOG_SERVERS = {LogKind.STREAM: "redis", LogKind.TOPIC: "kafka", LogKind.TABLE: "postgres"}


def _accepting_servers(info: Declaration) -> tuple[str, ...]:
    """Return the servers that must answer before an order of a pipeline is accepted."""
    if info.commits_in_request:
        return ("postgres",)
    if info.log is not None:
        return (_LOG_SERVERS[info.log.kind],)
    return info.servers


# Orders that can never become a row, for poisoning a log behind the API's back.


def unstorable_orders(known: Attempt | None) -> list[dict[str, Any]]:
    """Return messages that no processor can store; with a known order, another order under its id, too."""
    valid = _valid_order()
    orders: list[dict[str, Any]] = [
        {"garbage": "\x00\x01\x02"},
        {**_valid_order(), "drink": "mocha"},
        {**_valid_order(), "store": ""},
        {**_valid_order(), "price_cents": -1},
        {**_valid_order(), "price_cents": 10**30},
        {**_valid_order(), "ordered_at_us": "yesterday"},
        {**_valid_order(), "message_id": "not-a-uuid"},
        {name: value for name, value in valid.items() if name != "store"},
    ]
    if known is not None:
        conflict = {"message_id": str(known.key), "ordered_at_us": known.ordered_at_us, "price_cents": 999_999}
        orders.append({**_valid_order(), **conflict})
    return orders


def oversized_order() -> dict[str, Any]:
    """Return an order whose drink has a name of 100 kB."""
    return {**_valid_order(), "drink": "x" * 100_000}


def _valid_order() -> dict[str, Any]:
    return {
        "message_id": str(new_message_id()),
        "drink": "latte",
        "store": "uptown",
        "price_cents": 500,
        "ordered_at_us": now_us(),
        "accepted_at_us": now_us(),
    }
