"""docker/compose.yaml: valid by the compose specification, whole, and in step with the settings."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from coffee_core.pipelines import PIPELINES
from coffee_core.runstate import READY_FILE
from coffee_core.server_urls import PostgresUrl
from coffee_core.settings import Settings
from tests.integration.deploy import compose

OURS = ("coffee-rt/app", "coffee-rt/flink")
"""Images that read the settings; the dashboard's reads a part of them."""
EMBEDDED_ONLY = {
    # In a container there is nothing for them to say: fixed by the images, or of servers that others run.
    "COFFEE_HOME",
    "COFFEE_HOST",
    "COFFEE_API_PORT",
    "API_URL",
    "COFFEE_WORKER_NAME",
    "COFFEE_FLINK_SLOTS",
    "COFFEE_DURABILITY",
    "COFFEE_POSTGRES_SYNCHRONOUS_COMMIT",
    "COFFEE_REDIS_APPENDFSYNC",
    "COFFEE_KAFKA_FLUSH_MESSAGES",
    # Between containers there is a network, to be broken by other means.
    "COFFEE_NETWORK_LAB",
    "COFFEE_NETWORK_LAB_PORT",
    # Faults under load are of the embedded stack, and so is what is kept of them.
    "COFFEE_EVIDENCE_MB",
    # Containers are multiplied, not the processes in one; what stands before them ends TLS.
    "COFFEE_API_PORT_SHARED",
    "COFFEE_TLS_CERTIFICATE",
    "COFFEE_TLS_KEY",
    *(
        each.metadata["env"]
        for each in fields(Settings)
        if "embedded" in each.metadata["doc"] and each.name.endswith("_port")
    ),
}


def by_profile(profile: str) -> set[str]:
    return {name for name, service in compose.services().items() if profile in service["profiles"]}


def test_it_is_valid_by_the_compose_specification() -> None:
    PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(compose.text()), sort_keys=False)).validate()


@pytest.mark.parametrize("broken", ["readonly: true", "restart: perhaps", "healthcheck: {interval: soon}"])
def test_the_check_can_fail(broken: str) -> None:
    text = yaml.safe_dump(yaml.safe_load(compose.text()), sort_keys=False)
    with pytest.raises(ValueError, match="redis"):
        PyCompose.from_yaml(text.replace("\n  redis:\n", f"\n  redis:\n    {broken}\n", 1)).validate()


def test_every_setting_is_there_and_nothing_that_is_none() -> None:
    known = {each.metadata["env"] for each in fields(Settings)}
    for name, service in compose.services().items():
        if service["image"].startswith(OURS):
            given = set(service["environment"]) - {READY_FILE, "PGPASSWORD"}
            assert given == known - EMBEDDED_ONLY, name
        elif service["image"].startswith("coffee-rt/"):
            assert set(service["environment"]) <= known, name


def test_what_it_gives_can_be_used() -> None:
    for service in compose.services().values():
        if service["image"].startswith("coffee-rt/"):
            Settings.from_env({name: str(value or "") for name, value in service["environment"].items()})


def test_servers_of_ones_own_take_the_place_of_its_own_and_their_certificates_are_mounted() -> None:
    given = {
        "COFFEE_DATABASE_URL": "postgresql://shop@db/shop?sslmode=verify-full",
        "COFFEE_REDIS_URL": "rediss://cache:6380/0",
        "COFFEE_KAFKA_BOOTSTRAP_SERVERS": "log:9093",
        "COFFEE_CERTIFICATES": "/etc/ours",
    }
    text = compose.text(given)
    for name, service in yaml.safe_load(text)["services"].items():
        if service["image"].startswith("coffee-rt/"):
            assert service["environment"]["REDIS_URL"] == given["COFFEE_REDIS_URL"], name
            assert "/etc/ours:/etc/coffee/certificates:ro" in service["volumes"], name
        if service["image"].startswith(OURS):
            assert service["environment"]["DATABASE_URL"] == given["COFFEE_DATABASE_URL"], name
            assert service["environment"]["KAFKA_BOOTSTRAP_SERVERS"] == "log:9093", name


@pytest.mark.parametrize("password", ["hush", "p@ss/w:or%d#?&=+ [ü]", "%40"])
def test_a_password_may_have_any_letters(password: str) -> None:
    for name, service in compose.services({"COFFEE_POSTGRES_PASSWORD": password}).items():
        if name == "postgres":
            assert service["environment"]["POSTGRES_PASSWORD"] == password
        elif service["image"].startswith(OURS):
            given = {key: str(value or "") for key, value in service["environment"].items()}
            assert PostgresUrl.parse(Settings.from_env(given).database_url).password == password, name


def test_the_file_at_the_root_is_this_one_with_the_same_profiles() -> None:
    root = yaml.safe_load((compose.ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert root == {"name": "coffee-rt", "include": [{"path": "docker/compose.yaml"}]}
    assert yaml.safe_load(compose.text())["name"] == root["name"]


def test_each_image_is_built_by_one_service_that_every_profile_of_it_has() -> None:
    by_image: dict[str, list[dict[str, Any]]] = {}
    for service in compose.services().values():
        by_image.setdefault(service["image"], []).append(service)
    for image, services in by_image.items():
        builders = [service for service in services if "build" in service]
        assert len(builders) == image.startswith("coffee-rt/"), image
        for builder in builders:
            assert set(builder["profiles"]) == {name for each in services for name in each["profiles"]}, image


def test_nothing_grows_without_bounds_and_nothing_is_left_behind() -> None:
    declared = {  # by the images
        "kafka": {"/etc/kafka/secrets", "/var/lib/kafka/data", "/mnt/shared/config"},
        "flink-job": {"/var/lib/coffee"},
        "stream-worker": {"/run/coffee"},
    }
    for name, service in compose.services().items():
        assert service["mem_limit"], name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        # A volume without a name outlives its container, and nobody finds it again.
        volumes = [volume.split(":") for volume in service.get("volumes", ())]
        assert all(len(volume) > 1 for volume in volumes), name
        mounted = {volume[1] for volume in volumes} | {each.split(":")[0] for each in service.get("tmpfs", ())}
        assert declared.get(name, set()) <= mounted, name


def test_whatever_goes_on_running_says_whether_it_is_well() -> None:
    ends = {"db-migrate", "create-topics"}
    official = {"prometheus", "grafana"}
    for name, service in compose.services().items():
        if name not in ends | official:
            assert "healthcheck" in service or has_healthcheck(service["image"]), name
    assert "kafka-" not in str(compose.services()["kafka"]["healthcheck"]), "a Java machine every five seconds"


def test_each_profile_has_what_it_needs() -> None:
    base = {"postgres", "redis", "db-migrate", "cafe-order-api", "coffee-tui"}
    flink = {"kafka", "create-topics", "flink-jobmanager", "flink-taskmanager", "flink-job"}
    assert by_profile("v1") == base | {"cafe-order-aggregator"}
    assert by_profile("v2") == base | {"stream-worker"}
    assert by_profile("v3") == base | flink
    assert by_profile("v4") == base | {"kafka", "create-topics", "kafka-worker", "kafka-aggregator"}
    assert by_profile("v5") == base | {"live-projector"}
    assert by_profile("all") == by_profile("v1") | by_profile("v2") | by_profile("v3")
    assert by_profile("observability") == {"prometheus", "grafana"}


def test_each_daemon_of_a_pipeline_is_a_service_of_its_profile() -> None:
    for pipeline in PIPELINES:
        for service in pipeline.info.services:
            found = compose.services()[service.name]
            assert found["command"] == ["python", "-m", service.module]
            assert pipeline in found["profiles"]


def test_what_a_service_waits_for_is_in_its_profiles() -> None:
    services = compose.services()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            missing = set(service["profiles"]) - set(services[other]["profiles"])
            assert not missing or how.get("required") is False, (name, other)
            if how["condition"] == "service_healthy":
                image = services[other]["image"]
                assert "healthcheck" in services[other] or has_healthcheck(image), (name, other)


def has_healthcheck(image: str) -> bool:
    folder = image.removeprefix("coffee-rt/").split(":")[0]
    return "HEALTHCHECK --" in (compose.ROOT / "docker" / folder / "Dockerfile").read_text(encoding="utf-8")


def test_everything_durable_has_a_volume_and_nothing_listens_beyond_loopback() -> None:
    services = compose.services()
    for name in ("postgres", "redis", "kafka", "flink-jobmanager", "flink-taskmanager", "flink-job"):
        assert any(
            volume.split(":")[0] in yaml.safe_load(compose.text())["volumes"]
            for volume in services[name]["volumes"]
        )
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["cap_drop"] == ["ALL"], name


def test_the_environment_beside_it_starts_all() -> None:
    for folder in ("docker", "."):
        assert (compose.ROOT / folder / ".env").read_text(encoding="utf-8") == "COMPOSE_PROFILES=all\n"


@pytest.mark.parametrize("image", ["app", "flink", "tui"])
def test_hadolint_has_nothing_to_say(image: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    file = compose.ROOT / "docker" / image / "Dockerfile"
    run = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_hadolint_would_say_something(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN cd /tmp\n")
    run = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), tmp_path / "Dockerfile"], capture_output=True, check=False
    )
    assert run.returncode == 1
