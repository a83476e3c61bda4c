"""The links of a network lab: who finds whom where, by ports that every wrapper comes to by itself."""

import json
from pathlib import Path

import pytest

from backend.stack.flink import task_manager, write_configuration
from backend.stack.jvm import Archive
from backend.stack.kafka import _configure
from backend.stack.links import JOB_MANAGER, SUBMITTER, TASK_MANAGERS, network
from backend.stack.parts import stack
from coffee_core.errors import ConfigError
from coffee_core.server_urls import parse_endpoints
from coffee_core.settings import Settings


def settings_of(home: Path, pipelines: str = "all", **more: str) -> Settings:
    return Settings.from_env(
        {"COFFEE_HOME": str(home), "COFFEE_PIPELINES": pipelines, "COFFEE_NETWORK_LAB": "yes", **more}
    )


def test_without_a_network_lab_there_is_none(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, COFFEE_NETWORK_LAB="no")
    assert network(settings) is None
    parts = stack(settings).parts
    assert "network-lab" not in parts
    assert "DATABASE_URL" not in parts["stream-worker"].env


def test_every_part_finds_its_servers_by_links_of_its_own_and_waits_for_the_relay(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    links = network(settings)
    assert links is not None
    parts = stack(settings).parts
    places = [
        (name, variable, address)
        for name, part in parts.items()
        for variable, address in part.env.items()
        if variable in ("DATABASE_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS", "FLINK_REST_URL")
    ]
    addresses = [address for _, _, address in places]
    assert len(set(addresses)) == len(addresses), "no two parts share a link"
    assert not set(addresses) & set(settings.addresses.values())
    clients = {link.client for link in links.links} - set(TASK_MANAGERS)
    assert {name for name, _, _ in places} == clients
    services = {name for name, part in parts.items() if part.env.get("COFFEE_READY_FILE")}
    assert clients == {"cafe-order-api", SUBMITTER, *services}
    assert all("network-lab" in parts[name].needs for name in (*clients, *TASK_MANAGERS))
    assert [link.name for link in links.links if link.client == SUBMITTER] == [
        f"{SUBMITTER}:{server}" for server in ("postgres", "redis", "kafka", JOB_MANAGER)
    ]


def test_no_port_is_given_twice_and_all_are_checked(tmp_path: Path) -> None:
    parts = stack(settings_of(tmp_path)).parts
    ports = [port for part in parts.values() for port in part.ports]
    assert len(set(ports)) == len(ports)
    first = network(settings_of(tmp_path))
    assert first is not None
    assert set(first.ports) == set(parts["network-lab"].ports)
    assert set(first.brokers_listeners()) < set(parts["kafka"].ports)


def test_a_port_of_a_relay_that_another_part_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="COFFEE_REDIS_PORT and COFFEE_NETWORK_LAB_PORT are both 18102"):
        stack(settings_of(tmp_path, "v1", COFFEE_REDIS_PORT="18102"))


def test_the_broker_sends_each_client_back_through_its_own_link(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    links = network(settings)
    assert links is not None
    _configure(settings, Archive("kafka", (), ()))
    text = (tmp_path / "kafka" / "server.properties").read_text()
    chosen = {
        key: value.replace("\\", "") for key, _, value in (line.partition("=") for line in text.splitlines())
    }

    def by_port(key: str) -> dict[str, int]:
        places = (place.split("://") for place in chosen[key].split(","))
        return {name: parse_endpoints(place)[0].port for name, place in places}

    listeners, advertised = by_port("listeners"), by_port("advertised.listeners")
    told = {listeners[name]: port for name, port in advertised.items()}
    assert told == {settings.kafka_port: settings.kafka_port, **links.brokers_listeners()}
    assert {place.split(":")[0] for place in chosen["listener.security.protocol.map"].split(",")} == set(listeners)


def test_flink_listens_behind_the_relay_and_is_known_by_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    links = network(settings)
    assert links is not None
    lines = (write_configuration(settings) / "config.yaml").read_text().splitlines()
    chosen = {key: json.loads(value) for key, _, value in (line.partition(": ") for line in lines)}
    assert chosen["jobmanager.rpc.port"] == str(links.job_manager_port)
    assert chosen["jobmanager.rpc.bind-port"] == str(settings.flink_rpc_port)
    for number in (1, 2):
        part = task_manager(settings, number)
        link = links.link(part.name, JOB_MANAGER)
        assert link is not None
        assert link.backwards, "its JobManager comes to it there"


def test_a_server_of_ones_own_has_no_link(tmp_path: Path) -> None:
    links = network(settings_of(tmp_path, "v1,v2", REDIS_URL="redis://cache:6379/0"))
    assert links is not None
    assert {link.server for link in links.links} == {"postgres"}
