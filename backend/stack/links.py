"""The links of a network lab: which parts talk to which, and the ports between them.

Ports are counted from ``COFFEE_NETWORK_LAB_PORT``, in an order that the settings alone decide: every wrapper comes
to the same ones. What has no relay: Flink's blob server and its metrics, which no order passes, and the exchange
of data between two TaskManagers, which a job in one slot does not need.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

from backend.stack.wanted import API, wanted_servers, wanted_services
from coffee_core.settings import Settings

JOB_MANAGER = "flink-jobmanager"
TASK_MANAGERS = ("flink-taskmanager-1", "flink-taskmanager-2")
"""One works, the other is the standby; they change places with every failure."""
SUBMITTER = "flink-job"
_VARIABLES = {
    "postgres": "DATABASE_URL",
    "redis": "REDIS_URL",
    "kafka": "KAFKA_BOOTSTRAP_SERVERS",
    JOB_MANAGER: "FLINK_REST_URL",
}
"""Server → the variable by which a client is told where it is."""


@dataclass(frozen=True, slots=True)
class LinkPorts:
    """One link between two parts."""

    client: str
    """The part that opens connections; ``flink-job`` stands for the submitter and for its job in Flink."""
    server: str
    port: int
    """Where the relay listens."""
    upstream_port: int
    """Where the relay goes on to."""
    backwards: bool = False
    """It is the server that opens connections there."""

    @property
    def name(self) -> str:
        """``CLIENT:SERVER``."""
        return f"{self.client}:{self.server}"


@dataclass(frozen=True, slots=True)
class Network:
    """All links of one stack."""

    control_port: int
    """Where the relay takes commands."""
    links: tuple[LinkPorts, ...]
    job_manager_port: int | None
    """Where the TaskManagers find their JobManager: Flink knows one address of it, so they share it."""

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port on which the relay listens, that for commands first."""
        shared = () if self.job_manager_port is None else (self.job_manager_port,)
        return (self.control_port, *(link.port for link in self.links), *shared)

    def link(self, client: str, server: str) -> LinkPorts | None:
        """Return the link between two parts; None where they have none."""
        return next((link for link in self.links if (link.client, link.server) == (client, server)), None)

    def brokers_listeners(self) -> dict[int, int]:
        """Return on which ports the broker listens beside its own, and which ones it tells clients there.

        A client goes to where the broker says that it is, so each has a listener of its own.
        """
        return {link.upstream_port: link.port for link in self.links if link.server == "kafka"}

    def addresses(self, settings: Settings, client: str) -> dict[str, str]:
        """Return where a part finds its servers, by the variables that say so."""
        ports = {link.server: link.port for link in self.links if link.client == client and not link.backwards}
        through = replace(
            settings,
            postgres_port=ports.get("postgres", settings.postgres_port),
            redis_port=ports.get("redis", settings.redis_port),
            kafka_port=ports.get("kafka", settings.kafka_port),
            flink_rest_port=ports.get(JOB_MANAGER, settings.flink_rest_port),
        ).addresses
        return {name: through[name] for server, name in _VARIABLES.items() if server in ports}


def network(settings: Settings) -> Network | None:
    """Return the links of a stack with these settings; None where it has no network lab.

    A server that was given by its URL has none.
    """
    if not settings.network_lab:
        return None
    free = count(settings.network_lab_port)
    control_port = next(free)
    embedded = _embedded(settings)
    links = list(_to_servers(settings, embedded, free))
    if JOB_MANAGER not in embedded:
        return Network(control_port, tuple(links), None)
    links.append(LinkPorts(SUBMITTER, JOB_MANAGER, next(free), settings.flink_rest_port))
    links += [LinkPorts(name, JOB_MANAGER, next(free), next(free), backwards=True) for name in TASK_MANAGERS]
    return Network(control_port, tuple(links), next(free))


def _embedded(settings: Settings) -> Mapping[str, int]:
    """Return the port of each server that this stack starts."""
    wanted = wanted_servers(settings)
    servers = (
        ("postgres", "postgres", settings.given_database_url, settings.postgres_port),
        ("redis", "redis", settings.given_redis_url, settings.redis_port),
        ("kafka", "kafka", settings.given_kafka_servers, settings.kafka_port),
        ("flink", JOB_MANAGER, settings.given_flink_rest_url, settings.flink_rest_port),
    )
    return {name: port for server, name, given, port in servers if server in wanted and not given}


def _to_servers(settings: Settings, embedded: Mapping[str, int], free: Iterator[int]) -> Iterator[LinkPorts]:
    clients = [(API, wanted_servers(settings))]
    clients += [(service.name, frozenset(servers)) for service, servers in wanted_services(settings)]
    if JOB_MANAGER in embedded:
        clients.append((SUBMITTER, wanted_servers(settings)))
    for client, servers in clients:
        for server in ("postgres", "redis", "kafka"):
            if server in servers and server in embedded:
                port = next(free)
                # A listener of the broker's own leads to it.
                yield LinkPorts(client, server, port, next(free) if server == "kafka" else embedded[server])
