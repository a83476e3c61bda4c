"""Times are integer microseconds since 1970-01-01T00:00:00Z, named ``…_us``."""

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_TIME_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the latest time an order can carry.

As a datetime it is ``datetime.max``, which asyncpg writes as PostgreSQL's ``infinity``: hand the time of an order
to a statement as microseconds."""


def now_us() -> int:
    """Microseconds since the epoch by this machine's clock."""
    return time.time_ns() // 1_000


def to_datetime(time_us: int) -> datetime:
    """Return an aware UTC datetime for microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=time_us)


def from_datetime(moment: datetime) -> int:
    """Return microseconds since the epoch for an aware datetime."""
    return (moment - EPOCH) // MICROSECOND
