"""Timestamps are RFC 3339 with an offset, exact to the microsecond."""

from calendar import timegm
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coffee_core.clock import MAX_TIME_US, from_datetime, to_datetime
from coffee_core.errors import OrderError
from coffee_core.order import parse_timestamp_us


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
        "2025-01-15T10:00:00+05:60",
        "2025-01-15T10:00:00+00:99",
        "2025-01-15T10:00:00-23:75",
        "2025-01-15T10:00:00+24:00",
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


_texts = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
    st.sampled_from([1, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from("Tt _"),
    st.integers(0, 25),
    st.integers(0, 61),
    st.integers(0, 61),
    st.sampled_from(["", ".", ".5", ".123456", ".1234567"]),
    st.one_of(
        st.sampled_from(["", "Z", "z"]),
        st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 25), st.integers(0, 99)),
    ),
)


def _by_hand(text: str) -> int | None:
    """Read a timestamp by the grammar of RFC 3339 §5.6, without ``re`` and ``datetime``; None where it is none."""
    try:
        year, month, day = (int(part) for part in text[:10].split("-"))
        hour, minute, second = (int(part) for part in text[11:19].split(":"))
    except ValueError:
        return None
    rest = text[19:]
    fraction = ""
    if rest.startswith("."):
        fraction = rest[1:].rstrip("Zz").partition("+")[0].partition("-")[0]
        if not 1 <= len(fraction) <= 6:
            return None
        rest = rest[1 + len(fraction) :]
    offset_s = 0
    if rest not in ("Z", "z"):
        if rest[:1] not in ("+", "-") or len(rest) != 6:
            return None
        hours, minutes = int(rest[1:3]), int(rest[4:])
        if hours > 23 or minutes > 59:
            return None
        offset_s = (hours * 3_600 + minutes * 60) * (-1 if rest[0] == "-" else 1)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if not (1 <= month <= 12 and 1 <= day <= days[month - 1] and text[10] in "Tt "):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    seconds = timegm((year, month, day, hour, minute, second)) - offset_s
    microseconds = seconds * 1_000_000 + int(fraction.ljust(6, "0"))
    return microseconds if 0 <= microseconds <= MAX_TIME_US else None


@example("1969-12-31T23:59:00-00:01")
@example("1970-01-01T00:00:00+00:01")
@example("9999-12-31T23:59:59.999999-00:01")
@given(_texts)
def test_every_text_is_read_as_by_hand(text: str) -> None:
    try:
        found: int | None = parse_timestamp_us(text)
    except OrderError:
        found = None
    assert found == _by_hand(text)
