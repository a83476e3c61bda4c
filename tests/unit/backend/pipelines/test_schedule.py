from backend.pipelines.schedule import Schedule
from coffee_core.clock import now_us


def test_due_times_are_fixed_however_long_a_run_takes() -> None:
    schedule = Schedule(10, start_s=100)
    assert schedule.next_s(100) == 110
    assert schedule.next_s(109.9) == 110
    assert schedule.next_s(110) == 120


def test_due_times_that_have_passed_are_left_out() -> None:
    assert Schedule(10, start_s=100).next_s(147) == 150


def test_the_next_run_by_the_wall_clock() -> None:
    before = now_us()
    assert before + 3_000_000 <= Schedule(10, 100).next_us(107) <= now_us() + 3_000_000
