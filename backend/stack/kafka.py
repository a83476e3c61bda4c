"""The Kafka broker: one node that is its own controller (KRaft), on loopback, its jars from Maven Central."""

import asyncio
import base64
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path

from backend.clients.kafka import kafka_tls
from backend.stack.jars import JarPaths, fetch_jars
from backend.stack.jvm import Archive, Background, java, join, write_argument_file
from backend.stack.links import network
from backend.stack.part import Part
from backend.stack.probes import kafka_answers
from coffee_core.durability import FLUSH_MESSAGES
from coffee_core.errors import StackError
from coffee_core.runstate import sync_folders, write_private
from coffee_core.settings import Settings

NAME = "kafka"
_HEAP = ("-Xms96m", "-Xmx256m", "-Xmn64m", "-XX:-UseAdaptiveSizePolicy")
_JVM_FLAGS = ("-XX:+UseParallelGC", "-XX:ParallelGCThreads=2", "-XX:TieredStopAtLevel=1")
"""Small heap and quick start for one node with few partitions.

While it collects, nobody's order gets on: at 500 orders/s one thread with the usual young generation did so for
8 ms every 1.2 s, the p99 of v4's dashboard; two threads with 64 MB for young objects do for 4 ms every 2.4 s, and
take 35 MB more.
"""
_background = Background()


def part(settings: Settings) -> Part:
    """Return the embedded broker, or the given ones as an external part."""

    async def ready() -> bool:
        return await kafka_answers(settings.kafka_servers, kafka_tls(settings))

    async def settle() -> None:
        # Imported here: its library takes as long to load as the rest of a wrapper.
        from backend.stack.topics import create_topics

        await create_topics(settings)
        if not settings.given_kafka_servers:
            data = settings.home / NAME / "data"
            await asyncio.to_thread(keep_identity, data)
            # It syncs records and the names of their files, but not that its folder has the partitions'.
            await asyncio.to_thread(
                sync_folders, settings.home, *(path for path in data.iterdir() if path.is_dir())
            )
            _background.start(_archive(await fetch_jars()))
            _background.prune()

    if settings.given_kafka_servers:
        given = f"KAFKA_BOOTSTRAP_SERVERS is {settings.kafka_servers}"
        return Part(NAME, (), ready, settle=settle, external=True, given=given)
    home = settings.home / NAME
    arguments = home / "java.args"

    async def prepare() -> None:
        await asyncio.to_thread(_configure, settings, _archive(await fetch_jars()))

    return Part(
        NAME,
        (str(java()), f"@{arguments}"),
        ready,
        folder=home,
        port=settings.kafka_port,
        other_ports=(settings.kafka_controller_port, *_linked(settings)),
        prepare=prepare,
        settle=settle,
    )


def _archive(jars: JarPaths) -> Archive:
    return Archive(NAME, jars.kafka, _JVM_FLAGS)


def _configure(settings: Settings, archive: Archive) -> None:
    home = settings.home / NAME
    data = home / "data"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    format_storage(data)
    properties = home / "server.properties"
    write_properties(properties, _properties(settings, data))
    write_argument_file(
        home / "java.args",
        [
            *_HEAP,
            *_JVM_FLAGS,
            *archive.options(),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-cp",
            join(archive.classpath),
            "kafka.Kafka",
            str(properties),
        ],
    )


def format_storage(data: Path) -> None:
    """Write meta.properties once, as kafka-storage format would; put back a damaged one from its copy.

    It cannot be made anew: the broker adds the id of the folder, and to another id no partition belongs, none gets
    a leader. Raises StackError where it is damaged and there is no copy.
    """
    path = data / "meta.properties"
    if _is_identity(path):
        return
    if _is_identity(copy := _copy_of_identity(data)):
        write_private(path, copy.read_text(encoding="iso-8859-1"), durable=True)
    elif (data / "__cluster_metadata-0").exists():
        raise StackError(f"{path} is damaged, Kafka's data need it: put it back, or begin anew by `coffee reset`")
    else:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        write_private(path, f"version=1\ncluster.id={cluster}\nnode.id=1\n", durable=True)


def keep_identity(data: Path) -> None:
    """Copy meta.properties, to be put back where a power cut leaves it empty or full of zeros."""
    text = (data / "meta.properties").read_text(encoding="iso-8859-1")
    copy = _copy_of_identity(data)
    if not copy.exists() or copy.read_text(encoding="iso-8859-1") != text:
        write_private(copy, text, durable=True)


def _copy_of_identity(data: Path) -> Path:
    return data.with_name("meta.properties.copy")


def _is_identity(path: Path) -> bool:
    return path.exists() and "cluster.id=" in path.read_text(encoding="iso-8859-1")


def write_properties(path: Path, values: Mapping[str, str | int]) -> None:
    """Write a file as java.util.Properties reads it: in ISO-8859-1, with escapes for all that is not ASCII."""
    write_private(path, "".join(f"{key}={_escaped(str(value))}\n" for key, value in values.items()))


def _escaped(value: str) -> str:
    # UTF-16 units, as Java has them. A space is only lost where it comes first.
    text = value.replace("\\", "\\\\")
    units = struct.unpack(f">{len(text.encode('utf-16-be')) // 2}H", text.encode("utf-16-be"))
    escaped = "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in units)
    return f"\\{escaped}" if escaped.startswith(" ") else escaped


def _properties(settings: Settings, data: Path) -> dict[str, str | int]:
    controller = f"127.0.0.1:{settings.kafka_controller_port}"
    own = {"PLAINTEXT": (settings.kafka_port, settings.kafka_port)}
    # Whoever comes by a listener is told to come back to what that one advertises: a relay, here.
    own |= {f"LINK_{port}": (port, relay) for port, relay in _linked(settings).items()}
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "listeners": ",".join(
            [*(f"{name}://127.0.0.1:{port}" for name, (port, _) in own.items()), f"CONTROLLER://{controller}"]
        ),
        "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, (_, port) in own.items()),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in (*own, "CONTROLLER")),
        "log.dirs": str(data),
        # One node: internal topics have one partition and one replica.
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        # A killed broker may register again only once its last session has run out: 9 s by default.
        "broker.session.timeout.ms": 2_000,
        "broker.heartbeat.interval.ms": 250,
        "num.network.threads": 2,
        "num.io.threads": 2,
        "background.threads": 2,
        "log.cleaner.threads": 1,
        "log.cleaner.dedupe.buffer.size": 4_194_304,
        "log.segment.bytes": 268_435_456,
        **_flushes(settings),
    }


def _linked(settings: Settings) -> dict[int, int]:
    """Return the ports of the listeners for relays, and what each advertises; none without a network lab."""
    links = network(settings)
    return links.brokers_listeners() if links else {}


def _flushes(settings: Settings) -> dict[str, str | int]:
    """Return after how many records Kafka has its log on disk; nothing where it leaves that to the system."""
    messages = settings.durability_here.servers[NAME][FLUSH_MESSAGES]
    return {FLUSH_MESSAGES: messages} if messages != "0" else {}
