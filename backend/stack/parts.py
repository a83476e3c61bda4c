"""All parts of the stack for given settings: what runs, what does not, and why."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from backend.stack import network_lab, postgres, redis
from backend.stack.links import network
from backend.stack.part import Part
from backend.stack.ports import require_different
from backend.stack.probes import http_ok
from backend.stack.supported_pipelines import supported_pipelines
from backend.stack.wanted import API, wanted_servers, wanted_services
from coffee_core.children import python_module
from coffee_core.durability import ACKS, read_durability, write_durability
from coffee_core.errors import ConfigError
from coffee_core.pipelines import PIPELINES, Service
from coffee_core.runstate import READY_FILE, read_env, run_dir, write_env
from coffee_core.settings import Settings

_API_NEEDS = (postgres.NAME, redis.NAME)
_CONNECTED_WITHIN_S = 5.0
"""Seconds within which the API has connected to them, or is told to be up without."""


@dataclass(frozen=True, slots=True)
class _Server:
    """How a server of the stack is made."""

    names: tuple[str, ...]
    """Names of its parts."""
    build: Callable[[Settings], list[Part]]


def _kafka(settings: Settings) -> list[Part]:
    from backend.stack import kafka  # not loaded where it does not run

    return [kafka.part(settings)]


def _flink(settings: Settings) -> list[Part]:
    from backend.stack import flink  # not loaded where it does not run

    workers = [flink.task_manager(settings, number) for number in (1, 2)]
    return [flink.job_manager(settings), *workers, flink.submitter(settings)]


_SERVERS = {
    "postgres": _Server((postgres.NAME,), lambda settings: [postgres.part(settings)]),
    "redis": _Server((redis.NAME,), lambda settings: [redis.part(settings)]),
    "kafka": _Server(("kafka",), _kafka),
    "flink": _Server(("flink-jobmanager", "flink-taskmanager-1", "flink-taskmanager-2", "flink-job"), _flink),
}
"""The servers that a pipeline may declare, in the order in which they are shown."""
_DIALLED = {"DATABASE_URL": "postgres", "REDIS_URL": "redis", "KAFKA_BOOTSTRAP_SERVERS": "kafka"}
"""Address → the server that the durability dial reaches where it is empty."""
_ONLY_WHERE_WANTED = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "flink": "FLINK_REST_URL"}
"""Addresses that are nobody's where the server does not run."""

NAMES = (
    *(name for server in _SERVERS.values() for name in server.names),
    network_lab.NAME,
    API,
    *(service.name for pipeline in PIPELINES for service in pipeline.info.services),
)
"""Every process name of the Procfile, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The parts that run, by name, in the order in which they are shown."""

    settings: Settings
    """The settings with the pipelines that can run here."""
    parts: dict[str, Part]
    missing: str = ""
    """Why a pipeline does not run although it was asked for; empty where all do."""

    def dependents(self, name: str) -> tuple[str, ...]:
        """Return the names of the parts that need this one."""
        return tuple(part.name for part in self.parts.values() if name in part.needs)

    def publish(self) -> None:
        """Publish addresses and pipelines for whoever attaches; several wrappers may do so at once."""
        settings = self.settings
        values = {**served_addresses(settings), "COFFEE_PIPELINES": ",".join(settings.pipelines)}
        if read_env(settings.home) != values:
            write_env(settings.home, values)
        if read_durability(settings.home) != settings.durability_here:
            write_durability(settings.home, settings.durability_here)


def stack(settings: Settings) -> Stack:
    """Return the parts for these settings, without the pipelines that cannot run here.

    Raises StackError where a program of the lab is not installed, ConfigError where two parts have one port.
    """
    _require_embedded(settings)
    settings, missing = supported_pipelines(settings)
    servers = wanted_servers(settings)
    parts = [part for name in _SERVERS if name in servers for part in _SERVERS[name].build(settings)]
    parts += [_api(settings), *(_daemon(settings, *wanted) for wanted in wanted_services(settings))]
    if links := network(settings):
        parts = [network_lab.through_relays(part, settings, links) for part in parts]
        parts.append(network_lab.part(settings, links))
    require_different(settings, parts)
    by_name = {part.name: part for part in parts}
    return Stack(settings, {name: by_name[name] for name in NAMES if name in by_name}, missing)


def _require_embedded(settings: Settings) -> None:
    """Raise ConfigError where a part of the dial is set for a server that is not ours to set."""
    for given, variable, chosen in (
        ("DATABASE_URL", "COFFEE_POSTGRES_SYNCHRONOUS_COMMIT", settings.postgres_synchronous_commit),
        ("REDIS_URL", "COFFEE_REDIS_APPENDFSYNC", settings.redis_appendfsync),
        ("KAFKA_BOOTSTRAP_SERVERS", "COFFEE_KAFKA_FLUSH_MESSAGES", settings.kafka_flush_messages),
    ):
        server = _DIALLED[given]
        if chosen and server in settings.durability_here.given:
            raise ConfigError(f"{variable} is for the embedded {server}, and {given} names your own: set it there")


def served_addresses(settings: Settings) -> dict[str, str]:
    """Return the addresses by their variables, without those that no part of this stack serves."""
    servers = wanted_servers(settings)
    absent = {variable for server, variable in _ONLY_WHERE_WANTED.items() if server not in servers}
    return {name: value for name, value in settings.addresses.items() if name not in absent}


def _api(settings: Settings) -> Part:
    """Return the order API: up once it is connected to what it needs, and from then on for as long as it answers.

    Its servers may go away and come back meanwhile: their own parts tell that.
    """
    needing_no_other = [one for one in settings.pipelines if set(one.info.servers) <= set(_API_NEEDS)]
    questions = [f"{settings.local_api_url}/readyz/{pipeline}" for pipeline in needing_no_other]
    answers_since_s: float | None = None
    connected = False

    async def prepare() -> None:
        nonlocal answers_since_s, connected
        answers_since_s, connected = None, False

    async def ready() -> bool:
        nonlocal answers_since_s, connected
        if not await http_ok(f"{settings.local_api_url}/livez"):
            return False
        answers_since_s = answers_since_s or time.monotonic()
        connected = connected or all([await http_ok(question) for question in questions])
        # A server that does not let it in is told by the API itself, which is up.
        return connected or time.monotonic() - answers_since_s > _CONNECTED_WITHIN_S

    return Part(
        API,
        python_module("backend.api"),
        ready,
        port=settings.api_port,
        host=settings.host,
        # It is told the addresses of all servers, and cannot tell which of them are embedded.
        env={
            "COFFEE_KAFKA_ACKS": settings.durability_here.servers.get("kafka", {}).get(ACKS) or settings.kafka_acks
        },
        needs=_API_NEEDS,
        prepare=prepare,
    )


def _daemon(settings: Settings, service: Service, servers: tuple[str, ...]) -> Part:
    """Return a daemon without a port, which needs these servers: ready while its ready file exists."""
    file = run_dir(settings.home) / f"{service.name}.ready"

    async def prepare() -> None:
        file.unlink(missing_ok=True)

    async def ready() -> bool:
        return file.exists()

    return Part(
        service.name,
        python_module(service.module),
        ready,
        env={READY_FILE: str(file)},
        needs=tuple(name for server in servers for name in _SERVERS[server].names),
        prepare=prepare,
    )
