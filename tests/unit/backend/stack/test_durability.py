"""The durability dial: a notch, parts of it set alone, what it does not reach, and what is said of it."""

from pathlib import Path

import pytest

from backend.cli.audit import _promises_less
from backend.stack.parts import stack
from coffee_core.durability import Durability, read_durability, write_durability
from coffee_core.errors import ConfigError
from coffee_core.pipelines.constants import V1, V2
from coffee_core.settings import Settings

OWN = {
    "DATABASE_URL": "postgresql://me@db/x",
    "REDIS_URL": "redis://cache:6379/0",
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9092",
}


def durability(**chosen: str) -> Durability:
    return Settings.from_env({f"COFFEE_{name}": value for name, value in chosen.items()}).durability_here


def test_nothing_is_said_of_the_default() -> None:
    assert (durability().label, durability().line()) == ("", "")
    assert durability().servers["kafka"] == {"acks": "all", "log.flush.interval.messages": "0"}


def test_strict_adds_the_brokers_flush_and_takes_nothing_away() -> None:
    strict, default = durability(DURABILITY="strict"), durability()
    assert strict.servers["kafka"] == {"acks": "all", "log.flush.interval.messages": "1"}
    assert (strict.servers["postgres"], strict.servers["redis"]) == (
        default.servers["postgres"],
        default.servers["redis"],
    )
    assert strict.promise_less(("postgres", "redis", "kafka")) == ()


def test_relaxed_is_named_with_what_it_keeps_less() -> None:
    relaxed = durability(DURABILITY="relaxed")
    assert relaxed.label == "relaxed"
    assert relaxed.promise_less(("postgres", "redis", "kafka")) == (
        "synchronous_commit off",
        "appendfsync everysec",
        "acks 1",
    )


def test_a_part_set_alone_is_named_beside_the_notch() -> None:
    alone = durability(REDIS_APPENDFSYNC="everysec")
    assert alone.label == "default, appendfsync everysec"
    assert alone.promise_less(("postgres",)) == ()
    assert alone.promise_less(("postgres", "redis")) == ("appendfsync everysec",)
    assert durability(DURABILITY="relaxed", KAFKA_ACKS="all").label == "relaxed, acks all"


def test_the_audit_names_it_for_the_pipelines_that_it_concerns() -> None:
    alone = durability(REDIS_APPENDFSYNC="everysec", POSTGRES_SYNCHRONOUS_COMMIT="on")
    (note,) = _promises_less(alone, V2)
    assert note.startswith("appendfsync everysec: ")
    assert _promises_less(durability(), V1) == _promises_less(durability(DURABILITY="strict"), V2) == ()


def test_servers_of_ones_own_are_left_alone_and_that_is_said() -> None:
    mixed = Settings.from_env({"COFFEE_DURABILITY": "relaxed", "REDIS_URL": OWN["REDIS_URL"]}).durability_here
    assert "redis" not in mixed.servers
    assert "not of redis, given by a URL" in mixed.line()
    own = Settings.from_env({"COFFEE_DURABILITY": "relaxed", **OWN}).durability_here
    assert own.label == ""
    assert "not of postgres, redis, kafka, given by a URL" in own.line()
    assert own.promise_less(("postgres", "redis", "kafka")) == ()


@pytest.mark.parametrize(
    ("variable", "value", "address"),
    [
        ("COFFEE_POSTGRES_SYNCHRONOUS_COMMIT", "off", "DATABASE_URL"),
        ("COFFEE_REDIS_APPENDFSYNC", "no", "REDIS_URL"),
        ("COFFEE_KAFKA_FLUSH_MESSAGES", "1", "KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_a_part_set_alone_for_a_server_of_ones_own_is_refused(
    variable: str, value: str, address: str, tmp_path: Path
) -> None:
    given = {variable: value, address: OWN[address], "COFFEE_HOME": str(tmp_path)}
    with pytest.raises(ConfigError, match=f"{variable} is for the embedded .*{address}"):
        stack(Settings.from_env(given))


@pytest.mark.parametrize(
    ("notch", "own", "acks"), [("relaxed", False, "1"), ("default", False, "all"), ("relaxed", True, "")]
)
def test_the_api_is_told_what_to_wait_for(notch: str, own: bool, acks: str, tmp_path: Path) -> None:
    given = {"COFFEE_DURABILITY": notch, "COFFEE_HOME": str(tmp_path), "COFFEE_PIPELINES": "v1,v4"}
    if own:
        given["KAFKA_BOOTSTRAP_SERVERS"] = OWN["KAFKA_BOOTSTRAP_SERVERS"]
    api = stack(Settings.from_env(given)).parts["cafe-order-api"]
    assert api.env["COFFEE_KAFKA_ACKS"] == acks


def test_the_embedded_servers_are_started_with_it(tmp_path: Path) -> None:
    given = {"COFFEE_DURABILITY": "relaxed", "COFFEE_HOME": str(tmp_path), "COFFEE_PIPELINES": "v1,v2"}
    parts = stack(Settings.from_env(given)).parts
    assert "-csynchronous_commit=off" in parts["postgres"].argv
    redis = parts["redis"].argv
    assert redis[redis.index("--appendfsync") + 1] == "everysec"


def test_what_was_published_is_read_again(tmp_path: Path) -> None:
    assert read_durability(tmp_path) == Durability()
    published = durability(DURABILITY="relaxed", KAFKA_FLUSH_MESSAGES="10")
    write_durability(tmp_path, published)
    assert read_durability(tmp_path) == published
