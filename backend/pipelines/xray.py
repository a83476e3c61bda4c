"""X-ray: an order as what it really was, in lines that can be pasted into a shell, and work there.

They name the servers by ``$API_URL``, ``$DATABASE_URL`` and ``$REDIS_URL``, as `coffee env` gives them to a shell:
no password stands in them. Each may be run again: it adds nothing to what the order has done.
"""

import json
import re
import shlex
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from backend.clients.postgres import PostgresPool
from backend.clients.redis import RedisClient
from coffee_core.clock import from_datetime, to_datetime
from coffee_core.errors import UnavailableError
from coffee_core.keys import MetricKeys
from coffee_core.metrics import parse_totals
from coffee_core.order import Order
from coffee_core.pipelines import Pipeline
from coffee_core.resources import sql
from coffee_core.totals import Totals
from coffee_core.xray import Step

_SELECT = sql("backend.pipelines", "select_order")


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order, and its row's own columns."""

    order: Order
    source_id: str
    """Where on the log it was read; empty where the pipeline has none."""
    stored_us: int
    """When its row was inserted, by PostgreSQL's clock: microseconds since the epoch."""


class XRay(Protocol):
    """Where the API asks a pipeline for the way of an order."""

    async def steps(self, message_id: UUID) -> list[Step] | None:
        """Return the steps of an order, or None where it is no row yet. Raises UnavailableError."""


class RowXRay:
    """What every pipeline has: the request, the row, the six keys. Others add ``between``."""

    def __init__(
        self, postgres: PostgresPool, redis: RedisClient, pipeline: Pipeline, *, token: bool = False
    ) -> None:
        """With ``token`` the request carries the API's."""
        self._postgres = postgres
        self._redis = redis
        self._pipeline = pipeline
        self._keys = MetricKeys(pipeline)
        self._token = token

    async def steps(self, message_id: UUID) -> list[Step] | None:
        """Read the row and write down the rest."""
        row = await self._postgres.read(_SELECT, str(self._pipeline), message_id)
        if row is None:
            return None
        times = from_datetime(row["ordered_at"]), from_datetime(row["accepted_at"])
        order = Order(message_id, row["drink"], row["store"], row["price_cents"], *times)
        stored = StoredOrder(order, row["source_id"], from_datetime(row["stored_at"]))
        select = psql("row", _SELECT, str(self._pipeline), message_id)
        return [
            self._request(order),
            *await self.between(stored),
            replace(select, note="the order as it is stored"),
            *self._keys_read(),
        ]

    async def between(self, stored: StoredOrder) -> list[Step]:  # noqa: ARG002
        """Return the pipeline's own steps between the request and the row."""
        return []

    async def _shown(self, *more: tuple[str, ...]) -> tuple[str | None, Totals, list[Any]]:
        """Return the fence, the totals, and the replies of ``more`` at one moment. Raises UnavailableError."""
        orders, revenue, *replies = await self._redis.read_at_once(
            ("GET", self._keys.total_orders),
            ("GET", self._keys.total_revenue),
            *(("HGETALL", key) for key in self._keys.hashes),
            ("GET", self._keys.fence),
            *more,
        )
        hashes = [fields_of(reply) for reply in replies[:4]]
        try:
            totals = parse_totals(text_of(orders), text_of(revenue), hashes)
        except ValueError as error:
            raise UnavailableError(f"redis holds what is no total: {error}") from error
        return text_of(replies[4]), totals, replies[5:]

    def _keys_read(self) -> list[Step]:
        strings, note = (self._keys.total_orders, self._keys.total_revenue), "one of the six that are shown"
        return [
            *(redis_cli("key", "GET", key, note=note) for key in strings),
            *(redis_cli("key", "HGETALL", key, note=note) for key in self._keys.hashes),
        ]

    def _request(self, order: Order) -> Step:
        body = {
            "drink": order.drink,
            "store": order.store,
            "price": _PRICE,
            "timestamp": to_datetime(order.ordered_at_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        price = f"{order.price_cents // 100}.{order.price_cents % 100:02d}"
        text = json.dumps(body, separators=(",", ":")).replace(f'"{_PRICE}"', price)
        headers = ["Content-Type: application/json", f"Idempotency-Key: {order.message_id}"]
        given = "".join(f" -H {shlex.quote(header)}" for header in headers)
        token = ' -H "Authorization: Bearer $COFFEE_API_TOKEN"' * self._token
        line = f'curl -sS -X POST "$API_URL/api/{self._pipeline}/order"{given}{token} -d {shlex.quote(text)}'
        return Step("request", line, "curl", order.accepted_at_us, "a repeat under its key: counted once")


_PRICE = "<price>"
"""Stands for a number that JSON would write without its second decimal."""


def text_of(reply: bytes | None) -> str | None:
    """Return what a key or a field holds, as text; None where it is missing."""
    return None if reply is None else reply.decode(errors="replace")


def fields_of(reply: list[bytes]) -> dict[str, str]:
    """Return what HGETALL has found."""
    texts = [each.decode(errors="replace") for each in reply]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def redis_cli(what: str, *command: object, at_us: int | None = None, note: str = "") -> Step:
    """Return a command of Redis as a step; bytes that are no text in the form that --quoted-input reads."""
    quoted = any(isinstance(argument, bytes) for argument in command)
    options = " --quoted-input" * quoted
    arguments = " ".join(shlex.quote(_quoted(each) if quoted else str(each)) for each in command)
    return Step(what, f'redis-cli -u "$REDIS_URL"{options} {arguments}', "redis-cli", at_us, note)


def _quoted(argument: object) -> str:
    """Return an argument as redis-cli unquotes it: every byte by its number, of a text what it must."""
    if isinstance(argument, bytes):
        text = "".join(f"\\x{byte:02x}" for byte in argument)
    else:
        text = str(argument).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def psql(what: str, statement: str, *args: Any, at_us: int | None = None, note: str = "") -> Step:
    """Return a statement with its arguments as a step."""
    return transaction(what, (statement, *args), at_us=at_us, note=note)


def transaction(what: str, *statements: tuple[Any, ...], at_us: int | None = None, note: str = "") -> Step:
    """Return statements, each with its arguments, as one step: what psql gets at once is one transaction."""
    text = "; ".join(_filled_in(*each) for each in statements)
    return Step(what, f'psql "$DATABASE_URL" -c "{_in_double_quotes(text)}"', "psql", at_us, note)


def _filled_in(statement: str, *args: Any) -> str:
    """Return a statement with its arguments, on one line, without its comments."""
    lines = (line.split("--")[0].strip() for line in statement.splitlines())
    text = " ".join(filter(None, lines))
    for number, value in reversed(list(enumerate(args, 1))):
        text = text.replace(f"${number}", _literal(value))
    return text


def _in_double_quotes(text: str) -> str:
    """Return what a shell reads as this text between double quotes: SQL is full of single ones."""
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"array[{', '.join(map(_literal, value))}]"
    text = str(value).replace("'", "''")
    return f"'{text}'"
