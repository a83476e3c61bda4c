"""A recording played to a script."""

import json
import subprocess
import sys
from pathlib import Path

from coffee_tui.data.recording import Recorder
from tests.unit.coffee_tui.scripted import ALL, snapshot


def test_json_lines_for_scripts(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", ALL)
    recorder.write(snapshot())
    recorder.close()
    command = [sys.executable, "-m", "coffee_tui", "--json", "--replay", str(tmp_path / "r")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.terminate()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert errors == ""
    assert first["pipelines"][0]["orders"] == 12_406
    assert first["pipelines"][0]["drinks"]["cappuccino"] == 5_210
    assert "rate_history" not in first["pipelines"][0]
