"""The menu of faults, from which the help, the runs and docs/chaos.md are made.

What is about the shared servers and the API stands here; what is about one pipeline alone stands in its
``faults.py``. Who may refuse orders under a fault of a server follows from what the pipelines declare.
"""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType

from backend.lab.chaos.network import NETWORK_FAULTS
from backend.pipelines.faults import Action, Fault, Locate, part_faults, refused_without
from coffee_core.pipelines import PIPELINES, Pipeline

FROZEN_S = 5.0
"""Seconds that a lasting fault lasts where nothing else is asked."""

_SERVERS = (
    *part_faults(
        "postgres",
        "who commits in the request refuses until it is back; logs go on accepting, fill, and then drain",
        "a database that hangs is worse than one that is gone: v1 runs into its timeouts, logs pile up",
        "PostgreSQL panics rather than promise what it cannot write, and recovers once there is room again",
        may_refuse=refused_without("postgres"),
    ),
    *part_faults(
        "redis",
        "an acknowledged XADD survives (AOF, fsync always); logs elsewhere go on accepting, metrics catch up",
        "v2 cannot say whether its XADD took place: unknown answers, that a repeat under the same key resolves",
        "Redis ends in the middle of a write, with all it acknowledged on disk; logs elsewhere go on accepting",
        may_refuse=refused_without("redis"),
    ),
    Fault(
        "full-memory-redis",
        "Redis refuses what needs memory: v2 says 503, its worker still drains; all others go on accepting",
        Action.FILL_MEMORY,
        may_refuse=refused_without("redis"),
    ),
    Fault(
        "slow-postgres",
        "a database that gets a fifth of its time: clients of a commit wait for it, those of a log do not notice",
        Action.SLOW,
        "postgres",
        may_refuse=refused_without("postgres"),
    ),
    Fault(
        "lock-postgres",
        "an ACCESS EXCLUSIVE lock on the orders, as a careless migration takes it: all others wait behind it",
        Action.LOCK,
        may_refuse=refused_without("postgres"),
    ),
)
_API = (
    *part_faults(
        "network-lab",
        "every connection between two parts breaks at once, and is made anew as soon as there is a way again",
        "nothing gets from one part to another, and none of them has died: each runs into its own timeouts",
        may_refuse=PIPELINES,
    ),
    *NETWORK_FAULTS,
    *part_faults(
        "cafe-order-api",
        "requests in flight end as unknown; a client repeats them under their keys and nothing is stored twice",
        "no new connection is answered; an open-loop client piles up and sends late, and nothing is lost",
        may_refuse=PIPELINES,
    ),
    Fault(
        "retry-storm",
        "clients that all send their last orders again, several times at once, under the same keys: counted once",
        Action.STORM,
        may_refuse=PIPELINES,
    ),
    Fault(
        "flush-metrics",
        "the metric keys are deleted: v1 heals at its next run, v3 with its next order, v2 and v4 notice it",
        Action.FLUSH,
    ),
    Fault(
        "kill-everything",
        "every process of the lab at once, its supervisor too, then `coffee up`: nothing is lost or doubled",
        Action.KILL_EVERYTHING,
        may_refuse=PIPELINES,
    ),
)


def faults_of(pipeline: Pipeline) -> tuple[Fault, ...]:
    """Return the faults of one pipeline alone: of its ``faults.py``, and of services not named in it."""
    module = _faults_module(pipeline)
    own: tuple[Fault, ...] = module.FAULTS if module is not None else ()
    named = {fault.name for fault in own}
    unnamed = (
        fault
        for service in pipeline.info.services
        for fault in part_faults(
            service.name,
            f"{service.name} starts afresh: what {pipeline} had in hand is counted once, late but right",
            f"{pipeline} shows nothing new while {service.name} hangs; nothing is counted twice when it wakes",
        )
        if fault.name not in named
    )
    return (*own, *unnamed)


def _faults_module(pipeline: Pipeline) -> ModuleType | None:
    name = f"{pipeline.info.package}.faults"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def menu(pipelines: Sequence[Pipeline]) -> dict[str, Fault]:
    """Return every fault by its name, in order: by action, then servers, the pipelines' servers, API, daemons."""
    daemons = {service.name for pipeline in pipelines for service in pipeline.info.services}
    own = [fault for pipeline in pipelines for fault in faults_of(pipeline)]
    parts = (
        *_SERVERS,
        *(fault for fault in own if fault.part not in daemons),
        *_API,
        *(fault for fault in own if fault.part in daemons),
    )
    actions = list(Action)
    return {fault.name: fault for fault in sorted(parts, key=lambda fault: actions.index(fault.action))}


def _locators() -> Mapping[str, Locate]:
    modules = (_faults_module(pipeline) for pipeline in PIPELINES)
    return {part: locate for module in modules for part, locate in getattr(module, "LOCATORS", {}).items()}


FAULTS: dict[str, Fault] = menu(PIPELINES)
"""Every fault of the registered pipelines."""
LOCATORS: Mapping[str, Locate] = _locators()
"""Part that stands for one of several processes → how to find which of them it is now."""
