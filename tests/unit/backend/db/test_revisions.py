from typing import TYPE_CHECKING

import pytest

from backend.db.migrations import HEAD, PACKAGE

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory


@pytest.fixture
def revisions() -> "ScriptDirectory":
    """What Alembic finds."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(PACKAGE))
    return ScriptDirectory.from_config(config)


def test_the_head_by_file_name_is_alembics(revisions: "ScriptDirectory") -> None:
    assert revisions.get_current_head() == HEAD


def test_the_revisions_are_one_line_of_numbers(revisions: "ScriptDirectory") -> None:
    numbers = [script.revision for script in revisions.walk_revisions()]
    assert numbers == sorted(numbers, reverse=True)
    assert all(len(number) == 4 and number.isdecimal() for number in numbers)
