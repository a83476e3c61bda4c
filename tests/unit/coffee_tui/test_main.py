"""What the dashboard's process does beside the app."""

import gc

from coffee_tui.__main__ import _keep_what_is_loaded


def test_what_is_loaded_is_no_work_for_the_garbage_collector() -> None:
    before = len(gc.get_objects())
    try:
        _keep_what_is_loaded()
        assert len(gc.get_objects()) < before / 10
        assert gc.get_freeze_count() > before / 2
    finally:
        gc.unfreeze()
