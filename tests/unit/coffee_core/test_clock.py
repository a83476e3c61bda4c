"""Timestamps are RFC 3339 with an offset, exact to the microsecond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coffee_core.clock import MAX_TIME_US, from_datetime, parse_timestamp_us, to_datetime
from coffee_core.errors import OrderError


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-01-15T10:00:00Z", 1_736_935_200_000_000),
        ("2025-01-15t10:00:00z", 1_736_935_200_000_000),
        ("2025-01-15T12:30:00+02:30", 1_736_935_200_000_000),
        ("2025-01-15T10:00:00.000001Z", 1_736_935_200_000_001),
        ("9999-12-31T23:59:59.999999Z", MAX_TIME_US),
    ],
)
def test_reads_rfc_3339(text: str, time_us: int) -> None:
    assert parse_timestamp_us(text) == time_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2025-01-15",
        "2025-01-15T10:00:00",
        "2025-13-15T10:00:00Z",
        "2025-02-30T10:00:00Z",
        "2025-W03-3T10:00:00Z",
        "2025-01-15T10:00:00.1234567Z",
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-00:01",
        "２０２５-01-15T10:00:00Z",
        "2025-01-15T10:00:00Z\n",
    ],
)
def test_anything_else_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(OrderError) as caught:
        parse_timestamp_us(text)
    assert caught.value.field == "timestamp"


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_every_moment_survives_the_round_trip(naive: datetime, offset_minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    time_us = parse_timestamp_us(moment.isoformat())
    assert to_datetime(time_us) == moment.astimezone(UTC)
    assert from_datetime(moment) == time_us
