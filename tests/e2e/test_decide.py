"""``coffee decide`` in its smallest size: interrupted, taken up again, and not taken twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_what_was_interrupted_is_taken_up_again_and_then_used(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("COFFEE_")}
    env |= {"COFFEE_HOME": str(tmp_path / "home")}
    words = (
        "--yes",
        "--round-trip",
        "2",
        "--tiny",
        "--json",
        "--now",
        "20",
        "--peak",
        "60",
        "--late",
        "30000",
        "--pipelines",
        "v2",
    )
    page = tmp_path / "page.html"
    command = [sys.executable, "-m", "backend.cli", "decide", *words, "--html", str(page)]
    pipe = subprocess.PIPE
    first = subprocess.Popen(command, env=env, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True)
    assert first.stderr is not None
    for line in first.stderr:
        if "round 2 of 2: v2 at" in line:
            break
    first.send_signal(signal.SIGINT)
    said, told = first.communicate(timeout=120)
    assert first.returncode == 1, told
    assert not json.loads(said)["report"]["complete"]

    again = subprocess.run(
        command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
    )
    assert again.returncode == 0, again.stderr
    assert "1 of 2 rounds were done before: taken up again" in again.stderr
    assert "round 1 of 2" not in again.stderr
    told_now = json.loads(again.stdout)
    assert told_now["report"]["complete"]
    assert [each["pipeline"] for each in told_now["candidates"]] == ["v2"]

    third = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert json.loads(third.stdout)["sentences"] == told_now["sentences"]
    assert told_now["report"]["facts"]["round_trip_ms"] == 2
    # Each order is stored and then counted: two round trips at the least.
    assert all(each["late_us"]["middle"] > 4_000 for each in told_now["candidates"])
    assert third.stderr == "", "nothing was measured"
    assert "Measured for these rates earlier today." in page.read_text(encoding="utf-8")
