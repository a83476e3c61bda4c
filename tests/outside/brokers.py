"""Kafka brokers of one's own: so many nodes on loopback, each a controller too, with TLS and SCRAM if asked.

Others reach the replication of the first node through a relay, so that it can be parted from its followers.
"""

import base64
import os
import ssl
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from backend.stack.jars import ensure_jars
from backend.stack.jvm import java, join
from backend.stack.probes import kafka_answers
from coffee_core.parent_death_signal import dies_with_parent
from tests.outside.certificates import Certificate
from tests.outside.parted import Relay
from tests.servers import free_port, run, tail
from tests.waiting import until

_TUNING = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_LOG = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)


@dataclass
class Brokers:
    """A cluster; use it as a context manager."""

    folder: Path
    count: int
    certificate: Certificate | None = None
    """Clients need TLS, and a certificate of their own where it is mutual."""
    user: str = ""
    """Clients are whoever SCRAM says, where there is a user."""
    password: str = ""
    client_ports: list[int] = field(default_factory=list)
    processes: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    to_first: Relay = field(init=False)
    """The way of the others to the first node: what it leads they fetch here."""

    @property
    def protocol(self) -> str:
        if not self.certificate:
            return "PLAINTEXT"
        return "SASL_SSL" if self.user else "SSL"

    @property
    def servers(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.client_ports)

    def __enter__(self) -> Self:
        self.client_ports = [free_port() for _ in range(self.count)]
        inner = [free_port() for _ in range(self.count)]
        controllers = [free_port() for _ in range(self.count)]
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(controllers, 1))
        self.to_first = Relay(inner[0])
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        for node, ports in enumerate(zip(self.client_ports, inner, controllers, strict=True), 1):
            home = self.folder / f"node-{node}"
            home.mkdir(parents=True)
            properties = home / "server.properties"
            given = self._properties(node, home / "data", ports, voters)
            properties.write_text("".join(f"{key}={value}\n" for key, value in given.items()))
            self._format(properties, cluster)
        try:
            self.to_first.__enter__()
            for node in range(1, self.count + 1):
                self.processes.append(self._start(node))
            run(lambda: until(self._all_answer, 90, "all brokers answer"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.to_first.__exit__()

    def kill(self, node: int) -> None:
        """End a node as a power cut does."""
        self.processes[node - 1].kill()
        self.processes[node - 1].wait()

    def restart(self, node: int) -> None:
        self.processes[node - 1] = self._start(node)

    async def _all_answer(self) -> bool:
        for node, process in enumerate(self.processes, 1):
            assert process.poll() is None, tail(self.folder / f"node-{node}" / "log")
        tls = self.certificate and _client_context(self.certificate)
        return all([await kafka_answers(f"127.0.0.1:{port}", tls or None) for port in self.client_ports])

    def _start(self, node: int) -> "subprocess.Popen[bytes]":
        home = self.folder / f"node-{node}"
        with (home / "log").open("ab") as log:
            return subprocess.Popen(
                [*_command("kafka.Kafka"), str(home / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=dies_with_parent(),
            )

    def _format(self, properties: Path, cluster: str) -> None:
        users: Sequence[str] = ()
        if self.user:
            users = ("--add-scram", f"SCRAM-SHA-512=[name={self.user},password={self.password}]")
        subprocess.run(
            [*_command("kafka.tools.StorageTool"), "format", "-t", cluster, "-c", str(properties), *users],
            check=True,
            capture_output=True,
            env=os.environ,
        )

    def _properties(self, node: int, data: Path, ports: tuple[int, ...], voters: str) -> dict[str, str | int]:
        names = ("CLIENT", "BROKER", "CONTROLLER")
        listeners = [f"{name}://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)]
        advertised = listeners[:2] if node > 1 else [listeners[0], f"BROKER://127.0.0.1:{self.to_first.port}"]
        replicas, least = min(3, self.count), min(2, self.count)
        return {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "listeners": ",".join(listeners),
            "advertised.listeners": ",".join(advertised),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "BROKER",
            "listener.security.protocol.map": f"CLIENT:{self.protocol},BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(data),
            "min.insync.replicas": least,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": least,
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": 0,
            # A follower that hears nothing of its leader is out of step after so long, not after 30 s.
            "replica.lag.time.max.ms": 3_000,
            "broker.session.timeout.ms": 2_000,
            "broker.heartbeat.interval.ms": 250,
            "log.cleaner.dedupe.buffer.size": 4_194_304,
            **(self._security() if self.certificate else {}),
        }

    def _security(self) -> dict[str, str]:
        assert self.certificate is not None
        sasl = {
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.client.sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.client.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        }
        trusted = {
            # By the listener's own name: beside SASL Kafka heeds no other.
            "listener.name.client.ssl.client.auth": "required",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificate.authority),
        }
        return {
            **(sasl if self.user else {}),
            **(trusted if self.certificate.mutual else {}),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificate.keystore),
        }


def _command(main: str) -> tuple[str, ...]:
    return (str(java()), *_TUNING, *_LOG, "-cp", join(ensure_jars().kafka), main)


def _client_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate.authority))
    context.load_cert_chain(certificate.client_keystore)
    return context
