"""What a machine lacks for a pipeline leaves that one out, with the reason, and the doctor says it too."""

from pathlib import Path

import find_libpython
import pytest

from backend.stack.doctor import checkup
from backend.stack.supported_pipelines import supported_pipelines
from coffee_core.pipelines.constants import V1, V2
from coffee_core.settings import Settings


def test_a_python_without_its_library_runs_no_flink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    settings = Settings(home=tmp_path)
    supported, reason = supported_pipelines(settings)
    assert supported.pipelines == (V1, V2)
    assert "v3 is left out: Flink needs Python's shared library, libpython3" in reason
    assert [check.ok for check in checkup(settings) if check.name == "libpython"] == [False]
    given = Settings(home=tmp_path, given_flink_rest_url="http://127.0.0.1:1")
    assert supported_pipelines(given) == (given, ""), "a Flink of one's own has a Python of its own"
