"""The configuration of the embedded Kafka and Flink, also where the home has a space in its name."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from backend.stack.flink import JOB_MANAGER_FLAGS, TASK_MANAGER_FLAGS, task_manager_flags, write_configuration
from backend.stack.jvm import Archive, java
from backend.stack.kafka import _configure
from coffee_core.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Settings.from_env({"COFFEE_HOME": str(tmp_path / "a home"), "COFFEE_FLINK_REST_PORT": "18081"})


def megabytes(text: str) -> int:
    assert text.endswith("m")
    return int(text[:-1])


def flink_options(settings: Settings) -> dict[str, str]:
    lines = (write_configuration(settings) / "config.yaml").read_text().splitlines()
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in lines)}


def flag(flags: tuple[str, ...], prefix: str) -> int:
    (found,) = [flag.removeprefix(prefix) for flag in flags if flag.startswith(prefix)]
    return megabytes(found)


@pytest.mark.parametrize("parallelism", [1, 16])
def test_flinks_memory_agrees_with_the_flags_of_its_jvms(settings: Settings, parallelism: int) -> None:
    settings = replace(settings, flink_parallelism=parallelism)
    chosen = {name: megabytes(value) for name, value in flink_options(settings).items() if value.endswith("m")}
    manager, task = "jobmanager.memory", "taskmanager.memory"
    assert flag(JOB_MANAGER_FLAGS, "-Xmx") == chosen[f"{manager}.heap.size"]
    assert flag(JOB_MANAGER_FLAGS, "-XX:MaxMetaspaceSize=") == chosen[f"{manager}.jvm-metaspace.size"]
    heap = chosen[f"{task}.framework.heap.size"] + chosen[f"{task}.task.heap.size"]
    assert flag(TASK_MANAGER_FLAGS, "-Xmx") == heap
    off_heap = ("framework.off-heap.size", "task.off-heap.size", "network.max")
    assert flag(task_manager_flags(settings), "-XX:MaxDirectMemorySize=") == sum(
        chosen[f"{task}.{name}"] for name in off_heap
    )


def test_a_taskmanager_begins_with_room_for_what_lives_long() -> None:
    room = flag(TASK_MANAGER_FLAGS, "-Xms") - flag(TASK_MANAGER_FLAGS, "-Xmn")
    assert room >= 128, "each step by which it grows is a full collection"


def test_flink_listens_on_loopback_alone(settings: Settings) -> None:
    chosen = flink_options(settings)
    addresses = [value for name, value in chosen.items() if name.endswith((".address", "bind-host", ".host"))]
    assert addresses
    assert set(addresses) == {"127.0.0.1"}
    assert chosen["rest.bind-address"] == "127.0.0.1"
    assert chosen["rest.port"] == "18081"


def test_kafka_keeps_its_identity_and_its_data_to_its_owner(settings: Settings) -> None:
    archive = Archive("kafka", (java(),))
    _configure(settings, archive)
    data = settings.home / "kafka" / "data"
    identity = (data / "meta.properties").read_text()
    _configure(settings, archive)
    assert (data / "meta.properties").read_text() == identity
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    properties = (settings.home / "kafka" / "server.properties").read_text().splitlines()
    assert f"log.dirs={data}" in properties
    assert "auto.create.topics.enable=false" in properties
    listeners = [line for line in properties if line.startswith(("listeners=", "advertised.listeners="))]
    assert all("127.0.0.1" in line for line in listeners)
