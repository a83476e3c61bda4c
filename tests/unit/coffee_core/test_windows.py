"""Which window counts an order: a function of the order alone."""

import pytest

from coffee_core.windows import LATE_AFTER_S, WINDOW_S, starts, window_of

TEN = 1_736_935_200
"""2025-01-15T10:00:00Z, the founding note's orders."""
US = 1_000_000


@pytest.mark.parametrize(
    ("ordered_us", "accepted_us", "start_s"),
    [
        (TEN * US, TEN * US, TEN),
        (TEN * US - 1, TEN * US, TEN - WINDOW_S),
        (TEN * US + 59_999_999, TEN * US + 60_000_000, TEN),
        (TEN * US, (TEN + WINDOW_S + LATE_AFTER_S) * US - 1, TEN),
        (TEN * US, (TEN + WINDOW_S + LATE_AFTER_S) * US, None),
        (TEN * US + 59_999_999, (TEN + WINDOW_S + LATE_AFTER_S) * US, None),
        (TEN * US, (TEN + 31_536_000) * US, None),
    ],
)
def test_an_order_counts_until_its_window_is_closed(
    ordered_us: int, accepted_us: int, start_s: int | None
) -> None:
    assert window_of(ordered_us, accepted_us) == start_s


def test_an_order_from_the_future_counts_where_it_was_accepted() -> None:
    assert window_of((TEN + 31_536_000) * US, (TEN + 61) * US) == TEN + WINDOW_S


def test_the_last_windows_end_with_the_one_that_is_filling() -> None:
    assert starts((TEN + 59) * US, 3) == [TEN - 2 * WINDOW_S, TEN - WINDOW_S, TEN]
