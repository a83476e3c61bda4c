"""The job's SQL, filled in from the settings and the menu. Each statement is a file of ``flink/sql``."""

import re
from collections.abc import Mapping
from importlib.resources import files

from coffee_core.clock import MAX_TIME_US
from coffee_core.keys import DEAD_TOPIC, FLINK_GROUP, TOPIC
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from flink.jdbc import JdbcTarget

DEFINITIONS = (
    *("source", "fields", "judged", "valid", "seen", "first"),
    *("buried", "dead", "stored", "counted", "tally", "shown"),
)
"""Tables and views, in the order in which they build on one another."""
INSERTS = ("store", "bury", "show")
"""What the job does, as one statement set."""

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TIME = "0|[1-9][0-9]{0,16}"
"""Up to 17 digits (the year 5138); a later time is checked the slow way."""
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def tally_columns() -> dict[str, str]:
    """Return the columns of the tally, name → expression, in the order in which the Redis function takes them."""
    counts = {"orders": "COUNT(drink)", "revenue": "COALESCE(SUM(CAST(price_cents AS BIGINT)), 0)"}
    for field, names in (("drink", DRINKS), ("store", STORES)):
        for name in names:
            condition = f"FILTER (WHERE {field} = {_quoted(name)})"
            counts[f"{field}_{name}_orders"] = f"COUNT(*) {condition}"
            counts[f"{field}_{name}_cents"] = f"COALESCE(SUM(CAST(price_cents AS BIGINT)) {condition}, 0)"
    # DECIMAL: a BIGINT of microseconds would overflow, silently, after a few thousand orders.
    counts["accepted_us"] = "CAST(COALESCE(SUM(accepted_at_us), 0) AS STRING)"
    counts["valid_records"] = "COALESCE(SUM(CAST(valid AS BIGINT)), 0)"
    counts["dead_records"] = "COALESCE(SUM(CAST(dead AS BIGINT)), 0)"
    return counts


def canonical_pattern() -> str:
    """Return the regular expression of a record as the API writes it, a group for each field."""
    price = f"[1-9][0-9]{{0,{len(str(MAX_PRICE_CENTS)) - 2}}}|{MAX_PRICE_CENTS}"
    fields = {
        "message_id": f'"({_UUID})"',
        "drink": f'"({"|".join(map(re.escape, DRINKS))})"',
        "store": f'"({"|".join(map(re.escape, STORES))})"',
        "price_cents": f"({price})",
        "ordered_at_us": f"({_TIME})",
        "accepted_at_us": f"({_TIME})",
    }
    return r"\A\{" + ", ?".join(f'"{name}": ?{pattern}' for name, pattern in fields.items()) + r"\}\z"


def values(settings: Settings) -> dict[str, str]:
    """Return what the placeholders stand for; quotes are doubled where a value goes into a literal."""
    target = JdbcTarget.of_url(settings.database_url)
    columns = tally_columns()
    literals = {
        "topic": TOPIC,
        "dead_topic": DEAD_TOPIC,
        "group": FLINK_GROUP,
        "startup": "earliest-offset",
        "bounded": "unbounded",
        "kafka_servers": settings.kafka_servers,
        "jdbc_url": target.url,
        "jdbc_user": target.user,
        "jdbc_password": target.password,
        "pipeline": str(Pipeline.V3),
        "canonical": canonical_pattern(),
        "uuid": rf"\A{_UUID}\z",
        "digits": r"\A[0-9]{1,18}\z",
        "max_price_cents": str(MAX_PRICE_CENTS),
        "max_time_us": str(MAX_TIME_US),
    }
    return {name: value.replace("'", "''") for name, value in literals.items()} | {
        "drinks": ", ".join(map(_quoted, DRINKS)),
        "stores": ", ".join(map(_quoted, STORES)),
        "columns": ",\n".join(f"    {expression} AS `{name}`" for name, expression in columns.items()),
        "arguments": ", ".join(f"`{name}`" for name in columns),
    }


def values_without_orders(settings: Settings) -> dict[str, str]:
    """Return the same for a job that reads nothing and ends at once, in a consumer group of its own."""
    nothing = {"startup": "latest-offset", "bounded": "latest-offset", "group": f"{FLINK_GROUP}-warm-up"}
    return {**values(settings), **nothing}


def statement(name: str, values: Mapping[str, str]) -> str:
    """Return a statement with its placeholders filled in. Raises KeyError of one that has no value."""
    text = files("flink").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
