"""The job's SQL: the statements of ``job.sql``, filled in from the settings and the menu."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from coffee_core.clock import MAX_TIME_US
from coffee_core.errors import ConfigError
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.pipelines.constants import V3
from coffee_core.resources import sql, sql_names
from coffee_core.server_urls import PostgresUrl
from coffee_core.settings import Settings
from coffee_core.windows import LATE_AFTER_S, WINDOW_S

_PAGE = "job.sql"
_INSERT = re.compile(r"^INSERT INTO ", re.MULTILINE)
INSERTS = tuple(name for name in sql_names("flink", _PAGE) if _INSERT.search(sql("flink", name, _PAGE)))
"""The inserts of the job, run as one statement set. Each has its own table: two into one would be a task more."""
DEFINITIONS = tuple(name for name in sql_names("flink", _PAGE) if name not in INSERTS)
"""Tables and views, in the order in which they build on one another."""
TALLY_FUNCTION, WINDOW_FUNCTION = "show_in_redis", "show_window_in_redis"
"""Names of the functions that write to Redis."""

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
FIELD_PATTERN = r'": ?"?((?<=")[^"]*|[0-9]+)'
"""Finds the value of each field in a canonical record, one after the other."""
_TIME = "0|[1-9][0-9]{0,16}"
"""Up to 17 digits (the year 5138); a later time is checked the slow way."""
_MOST_LANES = 16
"""Lanes at most: with more partitions several share one column of the tally."""
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_BATCHED = {"reWriteBatchedInserts": "true", "stringtype": "unspecified"}
"""One INSERT for a batch of rows; text goes into uuid and timestamptz columns as PostgreSQL reads it."""
_JDBC_NAMES = {
    **{name: name for name in ("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert", "options")},
    "sslnegotiation": "sslNegotiation",
    "target_session_attrs": "targetServerType",
    "application_name": "ApplicationName",
    "krbsrvname": "kerberosServerName",
}
"""JDBC's names for libpq's parameters; ``gsslib`` has none and needs none."""
_NOT_IN_JDBC = ("sslcrl", "ssl_min_protocol_version", "ssl_max_protocol_version")
_JDBC_SERVER_TYPES = {
    "any": "any",
    "primary": "primary",
    "read-write": "primary",
    "standby": "secondary",
    "read-only": "secondary",
    "prefer-standby": "preferSecondary",
}
_LOGIN = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
"""Where the SQL connector keeps Kafka's own classes."""
_MODULES = {
    "PLAIN": f"{_LOGIN}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{_LOGIN}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{_LOGIN}.scram.ScramLoginModule",
}


def statement(name: str, values: Mapping[str, str]) -> str:
    """Return a statement with its placeholders filled in. Raises KeyError of one that has no value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], sql("flink", name, _PAGE))


def values(settings: Settings) -> dict[str, str]:
    """Return what the placeholders stand for; quotes are doubled where a value goes into a literal."""
    target = JdbcTarget.of_url(settings.database_url)
    lanes = min(settings.topic_partitions, _MOST_LANES)
    columns, cells = tally_columns(lanes), window_columns()
    literals = {
        "topic": TOPIC,
        "dead_topic": DEAD_TOPIC,
        "group": FLINK_GROUP,
        "startup": "earliest-offset",
        "bounded": "unbounded",
        "jdbc_url": target.url,
        "jdbc_user": target.user,
        "jdbc_password": target.password,
        "pipeline": str(V3),
        "canonical": canonical_pattern(),
        "field": FIELD_PATTERN,
        "uuid": rf"\A{_UUID}\z",
        "digits": r"\A[0-9]{1,18}\z",
        "max_price_cents": str(MAX_PRICE_CENTS),
        "max_time_us": str(MAX_TIME_US),
        "window_s": str(WINDOW_S),
        "closed_after_s": str(WINDOW_S + LATE_AFTER_S),
        "lanes": str(lanes),
    }
    return {name: value.replace("'", "''") for name, value in literals.items()} | {
        "kafka": ",\n    ".join(
            f"{_quoted(name)} = {_quoted(value)}" for name, value in kafka_properties(settings).items()
        ),
        "drinks": ", ".join(map(_quoted, DRINKS)),
        "stores": ", ".join(map(_quoted, STORES)),
        "columns": _listed(columns),
        "arguments": _named(columns),
        "window_columns": _listed(cells),
        "window_arguments": _named(["window_s", *cells]),
    }


def values_without_orders(settings: Settings) -> dict[str, str]:
    """Return the same for a job that reads nothing and ends at once, in a consumer group of its own."""
    nothing = {"startup": "latest-offset", "bounded": "latest-offset", "group": f"{FLINK_GROUP}-warm-up"}
    return {**values(settings), **nothing}


def _listed(columns: Mapping[str, str]) -> str:
    return ",\n".join(f"    {expression} AS `{name}`" for name, expression in columns.items())


def _named(columns: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)


def tally_columns(lanes: int) -> dict[str, str]:
    """Return the columns of the tally, name → expression, in the order in which the Redis function takes them.

    The last ones are the latest acceptance in each lane of partitions: how far the job has come there.
    """
    counts = {"orders": "COUNT(drink)", "revenue": "COALESCE(SUM(CAST(price_cents AS BIGINT)), 0)"}
    counts |= _cells("drink", "drink", DRINKS) | _cells("store", "store", STORES)
    # DECIMAL: a BIGINT of microseconds would overflow, silently, after a few thousand orders.
    counts["accepted_us"] = "CAST(COALESCE(SUM(accepted_at_us), 0) AS STRING)"
    counts["valid_records"] = "COALESCE(SUM(CAST(valid AS BIGINT)), 0)"
    counts["dead_records"] = "COALESCE(SUM(CAST(dead AS BIGINT)), 0)"
    counts |= _cells("late", "late_store", STORES)
    for lane in range(lanes):
        counts[f"reached_{lane}"] = f"COALESCE(MAX(reached_us) FILTER (WHERE lane = {lane}), 0)"
    return counts


def window_columns() -> dict[str, str]:
    """Return the columns of a window beside its first second, as ``tally_columns`` does."""
    return _cells("window", "store", STORES)


def _cells(prefix: str, column: str, names: Sequence[str]) -> dict[str, str]:
    """Return orders and cents of each of these names."""
    cells = {}
    for name in names:
        condition = f"FILTER (WHERE {column} = {_quoted(name)})"
        cells[f"{prefix}_{name}_orders"] = f"COUNT(*) {condition}"
        cells[f"{prefix}_{name}_cents"] = f"COALESCE(SUM(CAST(price_cents AS BIGINT)) {condition}, 0)"
    return cells


def canonical_pattern() -> str:
    """Return the regular expression of a record as the API writes it."""
    price = f"[1-9][0-9]{{0,{len(str(MAX_PRICE_CENTS)) - 2}}}|{MAX_PRICE_CENTS}"
    fields = {
        "message_id": f'"{_UUID}"',
        "drink": f'"(?:{"|".join(map(re.escape, DRINKS))})"',
        "store": f'"(?:{"|".join(map(re.escape, STORES))})"',
        "price_cents": f"(?:{price})",
        "ordered_at_us": f"(?:{_TIME})",
        "accepted_at_us": f"(?:{_TIME})",
    }
    return r"\A\{" + ", ?".join(f'"{name}": ?{pattern}' for name, pattern in fields.items()) + r"\}\z"


@dataclass(frozen=True, slots=True)
class JdbcTarget:
    """A database by JDBC."""

    url: str
    """``jdbc:postgresql://host:port/database?…``, without a password."""
    user: str
    """Role to connect as."""
    password: str
    """Its password; empty where none is needed."""

    @classmethod
    def of_url(cls, database_url: str) -> "JdbcTarget":
        """Translate a PostgreSQL URL and its parameters to the names that JDBC's driver has for them.

        Raises ConfigError where that driver cannot honour one.
        """
        url = PostgresUrl.parse(database_url)
        servers = [str(server) for server in url.endpoints if not server.socket_path]
        if not servers:
            raise ConfigError("DATABASE_URL: Flink's driver knows no Unix sockets: name a host, or leave out v3")
        if unknown := [name for name in _NOT_IN_JDBC if name in url.parameters]:
            raise ConfigError(f"DATABASE_URL: Flink's driver knows no {unknown[0]}: leave it out, or leave out v3")
        named = {_JDBC_NAMES[name]: value for name, value in url.parameters.items() if name in _JDBC_NAMES}
        if "targetServerType" in named:
            named["targetServerType"] = _JDBC_SERVER_TYPES[named["targetServerType"]]
        query = urlencode({**named, **_BATCHED}, quote_via=quote)
        target = f"jdbc:postgresql://{','.join(servers)}/{quote(url.database, safe='')}?{query}"
        return cls(target, url.user, url.password)


def kafka_properties(settings: Settings) -> dict[str, str]:
    """Return the options ``properties.…`` of a table on Kafka."""
    chosen = {"bootstrap.servers": settings.kafka_servers}
    if settings.kafka_protocol != "PLAINTEXT":
        chosen["security.protocol"] = settings.kafka_protocol
    if settings.kafka_protocol.startswith("SASL_"):
        chosen["sasl.mechanism"] = settings.kafka_mechanism
        user, password = _kafka_quoted(settings.kafka_username), _kafka_quoted(settings.kafka_password)
        login = f"{_MODULES[settings.kafka_mechanism]} required username={user} password={password};"
        chosen["sasl.jaas.config"] = login
    if settings.kafka_protocol.endswith("SSL") and settings.kafka_ca:
        chosen |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": settings.kafka_ca}
    if settings.kafka_protocol.endswith("SSL") and settings.kafka_keystore:
        chosen |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": settings.kafka_keystore}
    return {f"properties.{name}": value for name, value in chosen.items()}


def _kafka_quoted(text: str) -> str:
    """Return a value as JAAS reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
