from flink.rest import TaskManager


def test_a_task_manager_is_busy_once_all_that_it_has_is_taken() -> None:
    assert TaskManager("one", "here", slots=2, free_slots=0).busy
    assert not TaskManager("one", "here", slots=2, free_slots=1).busy


def test_one_that_has_not_reported_its_slots_yet_does_no_work() -> None:
    assert not TaskManager("one", "here", slots=0, free_slots=0).busy
