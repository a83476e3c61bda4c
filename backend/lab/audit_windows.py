"""The windows of v3 against its rows: which window counts an order is a function of the row alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from redis.asyncio import Redis

from backend.daemon import Database
from backend.db.windows import QUERY, arguments, of_rows
from coffee_core.clock import now_us, to_datetime
from coffee_core.errors import CoffeeError
from coffee_core.keys import MetricKeys
from coffee_core.menu import MAX_PRICE_CENTS
from coffee_core.money import from_cents
from coffee_core.pipelines import Pipeline
from coffee_core.windows import MOST_MINUTES, WINDOW_S, StoreSums, starts

KEYS = MetricKeys(Pipeline.V3)


@dataclass(frozen=True, slots=True)
class Sums:
    """Windows and late orders, of Redis or of the rows."""

    windows: Mapping[int, StoreSums]
    """First second of a window → its sums; all that have not expired, also those without an order."""
    late: StoreSums
    """What came after its window was closed, ever."""

    def cells(self) -> Iterator[tuple[str, int, int]]:
        """Return name, orders and cents of each store in each window, and of what it has got too late."""
        named = [(f"{_clock(start_s):%H:%M}", sums) for start_s, sums in self.windows.items()]
        for name, sums in (*named, ("late", self.late)):
            for store, orders in sums.store_counts.items():
                yield f"{name} {store}", orders, sums.store_revenue_cents[store]


def _clock(start_s: int) -> datetime:
    return to_datetime(start_s * 1_000_000)


def known_windows() -> list[int]:
    """Return the first seconds of all windows that Redis has, and of the one that may begin while it is read."""
    known = starts(now_us(), MOST_MINUTES)
    return [*known, known[-1] + WINDOW_S]


async def shown_sums(client: Redis, known: list[int]) -> Sums:
    """Read what Redis shows. Raises its errors, and CoffeeError where a field is no number."""
    async with client.pipeline(transaction=True) as read:
        for key in (*map(KEYS.window, known), KEYS.late):
            read.hgetall(key)
        found = await read.execute()
    try:
        *windows, late = map(StoreSums.of_fields, found)
    except ValueError as error:
        raise CoffeeError(f"a window of v3 holds no whole number ({error}): `coffee replay v3`") from error
    return Sums(dict(zip(known, windows, strict=True)), late)


async def stored_sums(connection: Database, known: list[int]) -> Sums:
    """Add up the rows. Raises asyncpg's errors."""
    return Sums(*of_rows(await connection.fetch(QUERY, *arguments(Pipeline.V3, known)), known))


def windows_off(shown: Sums, stored: Sums, in_flight: int, unflushed: int) -> tuple[str, ...]:
    """Name what differs, as ``10:00 uptown +1 (+4.50)``, shown minus stored; nothing where it is on its way.

    Rows may be ahead by the orders in flight, and behind by those that no checkpoint has flushed: whole orders.
    """
    ahead = behind = 0
    whole, named = True, []
    for (name, orders, cents), (_, rows, row_cents) in zip(shown.cells(), stored.cells(), strict=True):
        by, by_cents = orders - rows, cents - row_cents
        if by or by_cents:
            named.append(f"{name} {by:+,} ({'+' * (by_cents > 0)}{from_cents(by_cents)})")
        ahead, behind = ahead + max(0, by), behind + max(0, -by)
        whole = whole and by * by_cents >= 0 and abs(by) <= abs(by_cents) <= abs(by) * MAX_PRICE_CENTS
    return () if whole and ahead <= unflushed and behind <= in_flight else tuple(named)
