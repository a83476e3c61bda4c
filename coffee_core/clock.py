"""Times are integer microseconds since 1970-01-01T00:00:00Z, named ``…_us``."""

import re
import time
from datetime import UTC, datetime, timedelta

from coffee_core.errors import OrderError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
MAX_TIME_US = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the latest time an order can carry."""

# RFC 3339 with its offset required; datetime alone would also take week dates and bare dates.
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def now_us() -> int:
    """Microseconds since the epoch by this machine's clock."""
    return time.time_ns() // 1_000


def parse_timestamp_us(text: str) -> int:
    """Read an RFC 3339 timestamp with an offset, years 1970 to 9999, into microseconds since the epoch.

    Raises OrderError naming the field ``timestamp``.
    """
    if not _RFC3339.fullmatch(text):
        raise OrderError(
            "timestamp", "must be RFC 3339 with an offset and at most six decimals, e.g. 2025-01-15T10:00:00Z"
        )
    try:
        moment = datetime.fromisoformat(text.upper())
        microseconds = (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise OrderError("timestamp", f"is no date and time ({error})") from error
    if not 0 <= microseconds <= MAX_TIME_US:
        raise OrderError("timestamp", "must lie between the years 1970 and 9999")
    return microseconds


def to_datetime(time_us: int) -> datetime:
    """Return an aware UTC datetime for microseconds since the epoch."""
    return _EPOCH + timedelta(microseconds=time_us)


def from_datetime(moment: datetime) -> int:
    """Return microseconds since the epoch for an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND
