from alembic.config import Config
from alembic.script import ScriptDirectory

from backend.db.migrations import HEAD, PACKAGE


def test_the_head_by_file_name_is_alembics() -> None:
    config = Config()
    config.set_main_option("script_location", str(PACKAGE))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_the_revisions_are_one_line_of_numbers() -> None:
    config = Config()
    config.set_main_option("script_location", str(PACKAGE))
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions == sorted(revisions, reverse=True)
    assert all(len(revision) == 4 and revision.isdecimal() for revision in revisions)
