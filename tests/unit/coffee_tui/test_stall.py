"""A stall is reported only where it is certain."""

from coffee_tui.data.history import Moment
from coffee_tui.data.readings import MetricsReading
from coffee_tui.data.state import Stall


def _at(second: float) -> Moment:
    return Moment(second, int(second * 1e6))


def test_orders_that_are_shown_before_the_api_is_asked_are_no_stall() -> None:
    stall = Stall()
    stall.note_accepted(_at(0), 10)
    stall.note_shown(_at(0), MetricsReading(orders=10))
    stall.note_shown(_at(0.5), MetricsReading(orders=11))
    stall.note_accepted(_at(1), 11)
    assert stall.seconds(_at(30)) is None


def test_accepted_orders_of_which_none_is_shown_are_a_stall() -> None:
    stall = Stall()
    stall.note_accepted(_at(0), 10)
    stall.note_shown(_at(0), MetricsReading(orders=10))
    stall.note_accepted(_at(1), 15)
    assert stall.seconds(_at(2)) is None, "a moment is not a stall"
    assert stall.seconds(_at(5)) == 4
    stall.note_shown(_at(6), MetricsReading(orders=15))
    assert stall.seconds(_at(6)) is None


def test_a_batch_of_repeats_alone_is_progress() -> None:
    stall = Stall()
    stall.note_shown(_at(0), MetricsReading(orders=10, counters={"last_update_us": 1}))
    stall.note_accepted(_at(0.1), 10)
    stall.note_accepted(_at(1), 12)
    stall.note_shown(_at(2), MetricsReading(orders=10, counters={"last_update_us": 2}))
    assert stall.seconds(_at(20)) is None


def test_an_api_that_started_anew_is_no_order() -> None:
    stall = Stall()
    stall.note_accepted(_at(0), 1_000)
    stall.note_shown(_at(0), MetricsReading(orders=1_000))
    stall.note_accepted(_at(5), 0)
    assert stall.seconds(_at(30)) is None
    assert stall.waiting == 0
