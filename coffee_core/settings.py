"""Configuration: read once from the environment, checked loudly, one field a setting.

``docs/settings.md`` is the table of these fields; a test holds the two against each other.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from coffee_core.durability import (
    ACKS,
    APPENDFSYNC,
    DEFAULT,
    FLUSH_MESSAGES,
    NOTCHES,
    SYNCHRONOUS_COMMIT,
    Durability,
)
from coffee_core.errors import ConfigError
from coffee_core.numbers import parse_whole_number
from coffee_core.passwords import read_password
from coffee_core.pipelines import DEFAULT_PIPELINES, PACKAGES_SETTING, Pipeline, load_packages, parse_pipelines
from coffee_core.runstate import read_env
from coffee_core.server_urls import HttpUrl, PostgresUrl, RedisUrl, parse_endpoints


def _setting(
    env: str,
    default: str,
    parse: Callable[..., Any],
    doc: str,
    *,
    secret: bool = False,
    with_environ: bool = False,
) -> Any:
    """Return a dataclass field that is one setting; a secret is left out of the representation.

    ``parse`` takes the text and, ``with_environ``, all variables.
    """
    return field(
        default_factory=lambda: parse(default, {}) if with_environ else parse(default),
        repr=not secret,
        metadata={"env": env, "default": default, "parse": parse, "doc": doc, "with_environ": with_environ},
    )


def _value_of(setting: "Field[Any]", environ: Mapping[str, str]) -> Any:
    """Return the value of one setting. Raises ConfigError naming the variable."""
    name, text = setting.metadata["env"], environ.get(setting.metadata["env"], "").strip()
    text = text or setting.metadata["default"]
    try:
        return setting.metadata["parse"](text, *((environ,) if setting.metadata["with_environ"] else ()))
    except ValueError as error:
        # A URL may carry a password: it is not repeated.
        quoted = "" if name.endswith("_URL") else f"{text!r} "
        raise ConfigError(f"{name} {quoted}cannot be used: {error}") from error


# Readers of a setting's text: each raises ValueError with what the text must be.


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return the reader of a whole number within these bounds."""

    def parse(text: str) -> int:
        return parse_whole_number(text, low, high)

    return parse


_port = _whole_number(1, 65_535)
"""A TCP port."""


def _one_of(*choices: str) -> Callable[[str], str]:
    """Return the reader of one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return text

    return parse


def _by_notch(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """Return the reader of a text that another reader takes; it may be empty."""

    def read(text: str) -> str:
        return str(parse(text)) if text else ""

    return read


def _yes(text: str) -> bool:
    """Read ``yes`` or ``no``."""
    return _one_of("no", "yes")(text) == "yes"


def _hours(text: str) -> float:
    """Read hours, also a part of one."""
    # A pattern, because float() also takes nan, 1e3 and 1_0.
    if not (re.fullmatch(r"\d{1,3}(\.\d{1,6})?", text, re.ASCII) and 0.001 <= float(text) <= 720):
        raise ValueError("must be hours from 0.001 to 720")
    return float(text)


_NO_TLS = "?sslmode=disable"
"""What the URL of the embedded PostgreSQL says of it: of a silent URL clients ask PGSSLMODE, meant for others."""


def _database_url(text: str, environ: Mapping[str, str]) -> str:
    """Read the URL of a PostgreSQL, and what it is silent about from libpq's variables; it may be empty."""
    # The URL of `coffee env` had no parameters once: whoever appends his own to it means his.
    return str(PostgresUrl.parse(text.replace(f"{_NO_TLS}?", "?"), environ)) if text else ""


def _redis_url(text: str) -> str:
    """Read the URL of a Redis server; it may be empty."""
    return str(RedisUrl.parse(text)) if text else ""


def _http_url(text: str) -> str:
    """Read the base of a URL; it may be empty."""
    return str(HttpUrl.parse(text)) if text else ""


def _storage(text: str) -> str:
    """Read the URI of a folder that Flink can write; it may be empty."""
    if text and not re.match(r"[a-z][a-z0-9+.-]*://\S", text):
        raise ValueError("must be a URI such as s3://bucket/folder or file:///folder")
    return text.rstrip("/")


def _servers(text: str) -> str:
    """Read HOST:PORT, several separated by commas; it may be empty."""
    return ",".join(map(str, parse_endpoints(text)))


def _file(text: str) -> str:
    """Read the path of a file; it may be empty. The result is absolute: not every part has our working folder."""
    return text and str(_home(text))


_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not listened on
"""Addresses that stand for all of a machine's → where this machine itself is reached there."""


def _host(text: str) -> str:
    """Read an address, one of IPv6 also in brackets, or a host name."""
    if re.fullmatch(r"(?!-)[A-Za-z0-9._-]{1,253}", text):
        return text
    try:
        address = ipaddress.IPv6Address(text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text)
        # A zone (%eth0) is known to this machine alone: no URL has one.
        if address.scope_id is None:
            return str(address)
    except ValueError:
        pass
    raise ValueError("must be an address such as 127.0.0.1 or ::1, or a host name")


def _home(text: str) -> Path:
    """Read a folder; the result is absolute."""
    try:
        return Path(text).expanduser().absolute()
    except (RuntimeError, FileNotFoundError) as error:
        # An account without a home, or a shell in a folder that was deleted.
        raise ValueError(f"must be an absolute path here ({error})") from error


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of coffee-rt."""

    home: Path = _setting("COFFEE_HOME", ".coffee", _home, "folder of the embedded stack's data, logs and state")
    pipeline_packages: tuple[str, ...] = _setting(
        PACKAGES_SETTING,
        "",
        load_packages,
        "packages that declare pipelines of your own, separated by commas: see docs/architecture.md; empty: none",
    )
    pipelines: tuple[Pipeline, ...] = _setting(
        "COFFEE_PIPELINES",
        ",".join(DEFAULT_PIPELINES),
        parse_pipelines,
        "pipelines to run, with the servers that they need; all: every one; +v2: those of the default and v2",
    )
    given_database_url: str = _setting(
        "DATABASE_URL",
        "",
        _database_url,
        "your own PostgreSQL; empty: an embedded one",
        secret=True,
        with_environ=True,
    )
    given_redis_url: str = _setting(
        "REDIS_URL", "", _redis_url, "your own Redis or Valkey; empty: an embedded one", secret=True
    )
    given_kafka_servers: str = _setting(
        "KAFKA_BOOTSTRAP_SERVERS", "", _servers, "your own Kafka; empty: an embedded broker"
    )
    kafka_protocol: str = _setting(
        "KAFKA_SECURITY_PROTOCOL",
        "PLAINTEXT",
        _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "how your own Kafka is spoken to",
    )
    kafka_mechanism: str = _setting(
        "KAFKA_SASL_MECHANISM",
        "SCRAM-SHA-512",
        _one_of("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"),
        "how its user proves to be it, with SASL",
    )
    kafka_username: str = _setting("KAFKA_SASL_USERNAME", "", str, "its user, with SASL")
    kafka_password: str = _setting("KAFKA_SASL_PASSWORD", "", str, "the user's password", secret=True)
    kafka_ca: str = _setting(
        "KAFKA_SSL_CA", "", _file, "PEM file of the authority behind its certificate; empty: those of the system"
    )
    kafka_keystore: str = _setting(
        "KAFKA_SSL_KEYSTORE",
        "",
        _file,
        "PEM file of a private key (PKCS #8) and its certificate, for a Kafka that asks for one; empty: none",
    )
    given_flink_rest_url: str = _setting(
        "FLINK_REST_URL", "", _http_url, "your own Flink; empty: an embedded cluster", secret=True
    )
    given_api_url: str = _setting(
        "API_URL",
        "",
        _http_url,
        "where the dashboard and the load find the API; empty: the local one",
        secret=True,
    )
    host: str = _setting("COFFEE_HOST", "127.0.0.1", _host, "address the API listens on: 127.0.0.1, ::1, a name")
    api_port: int = _setting("COFFEE_API_PORT", "8005", _port, "port of the API")
    shared_port: bool = _setting(
        "COFFEE_API_PORT_SHARED",
        "no",
        _yes,
        "yes: several API processes may listen on the one port (SO_REUSEPORT)",
    )
    tls_certificate: str = _setting(
        "COFFEE_TLS_CERTIFICATE", "", _file, "PEM file of the API's certificate chain; empty: http"
    )
    tls_key: str = _setting("COFFEE_TLS_KEY", "", _file, "PEM file of its private key; empty: in the same file")
    api_token: str = _setting(
        "COFFEE_API_TOKEN", "", str, "bearer token that the API asks of its clients; empty: none", secret=True
    )
    """Never shown: not in the representation of the settings, not in an answer, not in the log."""
    postgres_port: int = _setting("COFFEE_POSTGRES_PORT", "5432", _port, "port of the embedded PostgreSQL")
    redis_port: int = _setting("COFFEE_REDIS_PORT", "6379", _port, "port of the embedded Redis server")
    kafka_port: int = _setting("COFFEE_KAFKA_PORT", "9092", _port, "port of the embedded Kafka broker")
    kafka_controller_port: int = _setting(
        "COFFEE_KAFKA_CONTROLLER_PORT", "9093", _port, "port of the embedded Kafka controller"
    )
    flink_rest_port: int = _setting(
        "COFFEE_FLINK_REST_PORT", "8081", _port, "port of the embedded JobManager's REST API and web page"
    )
    flink_rpc_port: int = _setting("COFFEE_FLINK_RPC_PORT", "6123", _port, "RPC port of the embedded JobManager")
    flink_blob_port: int = _setting(
        "COFFEE_FLINK_BLOB_PORT", "6124", _port, "blob port of the embedded JobManager"
    )
    network_lab: bool = _setting(
        "COFFEE_NETWORK_LAB",
        "no",
        _yes,
        "yes: a relay on every link between two parts, to break them (docs/network.md)",
    )
    network_lab_port: int = _setting(
        "COFFEE_NETWORK_LAB_PORT", "18100", _port, "first of some sixty ports in a row, for these relays"
    )
    aggregator_interval_s: int = _setting(
        "COFFEE_AGGREGATOR_INTERVAL_S",
        "10",
        _whole_number(1, 3_600),
        "seconds between two runs of v1's aggregator",
    )
    reconcile_interval_s: int = _setting(
        "COFFEE_RECONCILE_INTERVAL_S",
        "0",
        _whole_number(0, 86_400),
        "seconds between two reconciliations of all but v1 by the aggregator (v3 is compared); 0: none",
    )
    worker_batch_orders: int = _setting(
        "COFFEE_WORKER_BATCH_ORDERS",
        "1000",
        _whole_number(1, 10_000),
        "most entries that a stream worker takes at once; in a backlog it has up to three such batches in hand",
    )
    v5_totals: str = _setting(
        "COFFEE_V5_TOTALS",
        "grouped",
        _one_of("grouped", "hot"),
        "how v5 keeps its totals: orders that wait go together; hot: each alone, and all on the same rows",
    )
    worker_name: str = _setting(
        "COFFEE_WORKER_NAME",
        "",
        str,
        "name of a stream worker, kafka-worker or -aggregator in its group, for good; empty: host and number",
    )
    topic_partitions: int = _setting(
        "COFFEE_TOPIC_PARTITIONS", "4", _whole_number(1, 256), "partitions of the topic, when it is created"
    )
    flink_parallelism: int = _setting(
        "COFFEE_FLINK_PARALLELISM", "1", _whole_number(1, 64), "parallelism of the Flink job"
    )
    flink_slots: int = _setting(
        "COFFEE_FLINK_SLOTS",
        "0",
        _whole_number(0, 64),
        "slots of each of the two embedded TaskManagers; 0: all that the job needs, so that one is a spare",
    )
    given_flink_checkpoints: str = _setting(
        "COFFEE_FLINK_CHECKPOINTS",
        "",
        _storage,
        "URI that all of Flink can reach, for the job's checkpoints (s3://…); empty: a folder under COFFEE_HOME",
    )
    dedup_horizon_h: float = _setting(
        "COFFEE_DEDUP_HORIZON_H",
        "24",
        _hours,
        "hours for which v2's API, v3's job and v4's aggregators remember a message id; 0.5 is half an hour",
    )
    durability: str = _setting(
        "COFFEE_DURABILITY",
        DEFAULT,
        _one_of(*NOTCHES),
        "what the embedded servers have on disk before they acknowledge; the four below set one part of it alone",
    )
    postgres_synchronous_commit: str = _setting(
        "COFFEE_POSTGRES_SYNCHRONOUS_COMMIT",
        "",
        _by_notch(_one_of("on", "off")),
        "of the embedded PostgreSQL: on, off; empty: by COFFEE_DURABILITY",
    )
    redis_appendfsync: str = _setting(
        "COFFEE_REDIS_APPENDFSYNC",
        "",
        _by_notch(_one_of("always", "everysec", "no")),
        "of the embedded Redis server: always, everysec, no; empty: by COFFEE_DURABILITY",
    )
    kafka_flush_messages: str = _setting(
        "COFFEE_KAFKA_FLUSH_MESSAGES",
        "",
        _by_notch(_whole_number(0, 1_000_000)),
        "records after which the embedded broker syncs; 0: the system decides; empty: by COFFEE_DURABILITY",
    )
    kafka_acks: str = _setting(
        "COFFEE_KAFKA_ACKS",
        "",
        _by_notch(_one_of("all", "1")),
        "what the API waits for: all, 1; also of your own Kafka; empty: by COFFEE_DURABILITY, of your own all",
    )
    evidence_mb: int = _setting(
        "COFFEE_EVIDENCE_MB",
        "500",
        _whole_number(0, 1_000_000),
        "most MB of what `coffee chaos` keeps of its runs in COFFEE_HOME/evidence; the oldest goes first; 0: none",
    )
    log_format: str = _setting(
        "COFFEE_LOG_FORMAT", "text", _one_of("text", "json"), "log of the services: lines of text, or of json"
    )
    log_level: str = _setting(
        "COFFEE_LOG_LEVEL",
        "info",
        _one_of("debug", "info", "warning"),
        "least that the services log; debug: also a line for each request and each order of a trace",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment (``os.environ`` where none is given); an empty value is the default.

        Raises ConfigError naming the variable, its value and what it must be.
        """
        environ = os.environ if environ is None else environ
        settings = cls(**{setting.name: _value_of(setting, environ) for setting in fields(cls)})
        settings._require_kafka_login()
        if settings.api_token and HttpUrl.parse(settings.api_url_with_login).authorization:
            raise ConfigError(
                "API_URL has a user and COFFEE_API_TOKEN is set: a request can show only one of them"
            )
        return settings

    @classmethod
    def attach(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment and, below it, the addresses that a running stack has published in its home.

        For commands on a stack that already runs. Raises ConfigError as ``from_env`` does.
        """
        environ = os.environ if environ is None else environ
        home = cls.from_env({key: value for key, value in environ.items() if key == "COFFEE_HOME"}).home
        given = {key: value for key, value in environ.items() if value}
        return cls.from_env({**read_env(home), **given})

    def _require_kafka_login(self) -> None:
        if self.kafka_protocol != "PLAINTEXT" and not self.given_kafka_servers:
            raise ConfigError("KAFKA_SECURITY_PROTOCOL is for a Kafka of your own: set KAFKA_BOOTSTRAP_SERVERS")
        if self.kafka_protocol.startswith("SASL_") and not (self.kafka_username and self.kafka_password):
            raise ConfigError("KAFKA_SECURITY_PROTOCOL: SASL needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")

    @property
    def durability_here(self) -> Durability:
        """What the embedded servers of a stack with these settings acknowledge by."""
        given = {
            "postgres": self.given_database_url,
            "redis": self.given_redis_url,
            "kafka": self.given_kafka_servers,
        }
        alone = {
            "postgres": {SYNCHRONOUS_COMMIT: self.postgres_synchronous_commit},
            "redis": {APPENDFSYNC: self.redis_appendfsync},
            "kafka": {ACKS: self.kafka_acks, FLUSH_MESSAGES: self.kafka_flush_messages},
        }
        return Durability.of(self.durability, alone, tuple(name for name, address in given.items() if address))

    @property
    def database_url(self) -> str:
        """PostgreSQL, given or embedded, with its password. Raises ConfigError where that cannot be read."""
        if self.given_database_url:
            return self.given_database_url
        password = read_password(self.home, "postgres")
        user = f"coffee{password and f':{password}'}"
        return f"postgresql://{user}@127.0.0.1:{self.postgres_port}/coffee{_NO_TLS}"

    @property
    def redis_url(self) -> str:
        """Redis, given or embedded, with its password. Raises ConfigError where that cannot be read."""
        if self.given_redis_url:
            return self.given_redis_url
        password = read_password(self.home, "redis")
        return f"redis://{password and f'default:{password}@'}127.0.0.1:{self.redis_port}/0"

    @property
    def kafka_servers(self) -> str:
        """Kafka bootstrap servers, given or embedded."""
        return self.given_kafka_servers or f"127.0.0.1:{self.kafka_port}"

    @property
    def flink_rest_url(self) -> str:
        """Flink's REST API, given or embedded."""
        return self.given_flink_rest_url or f"http://127.0.0.1:{self.flink_rest_port}"

    @property
    def local_api_url(self) -> str:
        """The order API of this machine, by an address under which it answers here."""
        host = _ANY_ADDRESS.get(self.host, self.host)
        return f"{self.api_scheme}://{f'[{host}]' if ':' in host else host}:{self.api_port}"

    @property
    def api_url_with_login(self) -> str:
        """The order API, with the user and password that a proxy before it may ask for."""
        return self.given_api_url or self.local_api_url

    @property
    def api_url(self) -> str:
        """The order API, without a trailing slash and without a user: that is in ``authorization``."""
        return HttpUrl.parse(self.api_url_with_login).base

    @property
    def api_scheme(self) -> str:
        """What the API of this machine speaks: http or https."""
        return "https" if self.tls_certificate else "http"

    @property
    def dedup_horizon_ms(self) -> int:
        """How long a message id is remembered, in milliseconds."""
        return round(self.dedup_horizon_h * 3_600_000)

    @property
    def authorization(self) -> dict[str, str]:
        """The header that the API, or a proxy before it, asks of its clients, where one does."""
        if self.api_token:
            return {"Authorization": f"Bearer {self.api_token}"}
        return HttpUrl.parse(self.api_url_with_login).authorization

    @property
    def addresses(self) -> dict[str, str]:
        """The five addresses of the stack by the names of their variables, as ``coffee env`` prints them."""
        return {
            "API_URL": self.api_url_with_login,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_servers,
            "FLINK_REST_URL": self.flink_rest_url,
        }
