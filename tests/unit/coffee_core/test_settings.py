"""Settings are read once, loudly, and every one of them stands in the table of the docs."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from coffee_core.errors import ConfigError
from coffee_core.pipelines import PIPELINES
from coffee_core.pipelines.constants import V1, V3
from coffee_core.runstate import write_env
from coffee_core.settings import Settings

ROOT = Path(__file__).parents[3]


def test_the_defaults_are_usable_and_local(tmp_path: Path) -> None:
    settings = Settings.from_env({"COFFEE_HOME": str(tmp_path)})
    assert settings.addresses == {
        "API_URL": "http://127.0.0.1:8005",
        "DATABASE_URL": "postgresql://coffee@127.0.0.1:5432/coffee?sslmode=disable",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "FLINK_REST_URL": "http://127.0.0.1:8081",
    }
    assert settings.host == "127.0.0.1"


def test_an_empty_value_is_the_default() -> None:
    assert Settings.from_env({"COFFEE_API_PORT": " "}).api_port == 8005


def test_pipelines_fold_and_sort() -> None:
    assert Settings.from_env({"COFFEE_PIPELINES": "v3, v1,v3"}).pipelines == (V1, V3)


def test_all_pipelines_are_those_of_the_registry() -> None:
    assert Settings.from_env({"COFFEE_PIPELINES": "all"}).pipelines == PIPELINES


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COFFEE_API_PORT", "0"),
        ("COFFEE_API_PORT", "http"),
        ("COFFEE_API_PORT", "65536"),
        ("COFFEE_PIPELINES", "v9"),
        ("COFFEE_PIPELINES", ","),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("REDIS_URL", "localhost:6379"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost"),
        ("COFFEE_AGGREGATOR_INTERVAL_S", "-1"),
        ("COFFEE_DURABILITY", "safe"),
        ("COFFEE_POSTGRES_SYNCHRONOUS_COMMIT", "local"),
        ("COFFEE_REDIS_APPENDFSYNC", "never"),
        ("COFFEE_KAFKA_FLUSH_MESSAGES", "-1"),
        ("COFFEE_KAFKA_ACKS", "0"),
        ("COFFEE_DEDUP_HORIZON_H", "0"),
        ("COFFEE_DEDUP_HORIZON_H", "nan"),
        ("COFFEE_DEDUP_HORIZON_H", "1e2"),
        ("COFFEE_DEDUP_HORIZON_H", "721"),
    ],
)
def test_a_bad_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Settings.from_env({name: value})


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({"DATABASE_URL": "mysql://me:hush@localhost/x"})
    assert "hush" not in str(caught.value)


def test_kafka_with_sasl_wants_a_user_and_repeats_no_password() -> None:
    given = {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9093", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}
    with pytest.raises(ConfigError, match="KAFKA_SASL_USERNAME"):
        Settings.from_env(given)
    settings = Settings.from_env({**given, "KAFKA_SASL_USERNAME": "coffee", "KAFKA_SASL_PASSWORD": "hush"})
    assert "hush" not in repr(settings)


def test_the_embedded_broker_is_spoken_to_in_plain_text() -> None:
    with pytest.raises(ConfigError, match="KAFKA_BOOTSTRAP_SERVERS"):
        Settings.from_env({"KAFKA_SECURITY_PROTOCOL": "SSL"})


def test_parameters_may_be_appended_to_the_url_of_the_embedded_server() -> None:
    url = f"{Settings().database_url}?sslmode=require&connect_timeout=5"
    given = Settings.from_env({"DATABASE_URL": url}).database_url
    assert given == "postgresql://coffee@127.0.0.1:5432/coffee?sslmode=require"


def test_attaching_finds_what_a_running_stack_published_and_the_environment_wins(tmp_path: Path) -> None:
    write_env(tmp_path, {"API_URL": "http://127.0.0.1:18005", "REDIS_URL": "redis://127.0.0.1:16379/0"})
    settings = Settings.attach({"COFFEE_HOME": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:7000/0"})
    assert settings.api_url == "http://127.0.0.1:18005"
    assert settings.redis_url == "redis://127.0.0.1:7000/0"


def test_the_table_in_the_docs_has_every_setting_with_its_default() -> None:
    table = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (?:`([^`]*)`)? ?\| (.+) \|$", table, flags=re.MULTILINE)
    expected = [
        (each.metadata["env"], each.metadata["default"], each.metadata["doc"]) for each in fields(Settings)
    ]
    assert rows == expected
