"""What the two commands print never keeps them from their work, whatever it leads to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.cli.repair import _line
from backend.pipelines.dead_letters import Letter

COFFEE, TUI = (sys.executable, "-m", "backend.cli"), (sys.executable, "-m", "coffee_tui")


def shell(line: str, home: Path, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of bash in which $COFFEE and $TUI are the commands."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={
            **os.environ,
            "COFFEE": " ".join(COFFEE),
            "TUI": " ".join(TUI),
            "COFFEE_HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            **environ,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("line", ["$COFFEE chaos", "$COFFEE --help", "$COFFEE doctor || true", "$TUI --help"])
def test_a_character_that_the_encoding_lacks_is_replaced(line: str, encoding: str, tmp_path: Path) -> None:
    ended = shell(line, tmp_path, PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (0, b"")
    # click takes a terminal of ASCII for one that is set up wrongly, and writes UTF-8.
    assert ended.stdout.decode("utf-8" if encoding == "ascii" else encoding).strip()


def test_a_name_with_bytes_that_are_no_text_is_printed(tmp_path: Path) -> None:
    ended = shell("COFFEE_HOME=/nowhere/$'\\xff' $COFFEE status", tmp_path, PYTHONIOENCODING="utf-8")
    assert ended.returncode == 3
    assert ended.stderr.decode().startswith("coffee: no stack runs in /nowhere/?")


@pytest.mark.parametrize(
    "line", ["$COFFEE chaos | head -1", "$COFFEE --help | true", "$TUI --demo --json | head -1"]
)
def test_where_nobody_reads_any_more_the_exit_code_is_that_of_the_work(line: str, tmp_path: Path) -> None:
    ended = shell(line, tmp_path)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("line", ["$COFFEE chaos >&-", "$COFFEE chaos >&- 2>&- <&-", "$TUI --demo --json >&-"])
def test_closed_streams_lead_nowhere(line: str, tmp_path: Path) -> None:
    assert shell(line, tmp_path).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("line", ["$COFFEE chaos", "$COFFEE --help", "$TUI --help", "$TUI --demo --json"])
def test_what_cannot_be_written_is_one_line_and_a_failure(line: str, tmp_path: Path) -> None:
    ended = shell(f"{line} > /dev/full", tmp_path)
    assert ended.returncode == 1
    (said,) = ended.stderr.decode().splitlines()
    assert said.endswith("what it printed could not be written: No space left on device")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_json_is_json_in_every_encoding(encoding: str, tmp_path: Path) -> None:
    ended = shell("$TUI --demo --json | head -c 20000", tmp_path, PYTHONIOENCODING=encoding)
    line = ended.stdout.decode(encoding, errors="ignore").partition("\n")[0]
    assert json.loads(line)["pipelines"]


@pytest.mark.parametrize(
    "line", ["$TUI", "$TUI --demo", "$TUI --replay nothing", "TERM=dumb $TUI --demo", "TERM= $TUI"]
)
def test_without_a_terminal_the_dashboard_says_so_and_ends(line: str, tmp_path: Path) -> None:
    ended = shell(line, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.decode() == (
        "Error: no terminal to show the dashboard in: --json writes lines, --web serves browsers\n"
    )


@pytest.mark.parametrize("term", ["dumb", "", "xterm"])
def test_coffee_up_without_a_terminal_says_so_and_ends(term: str, tmp_path: Path) -> None:
    ended = shell("$COFFEE up", tmp_path, TERM=term)
    assert ended.returncode == 2
    assert b"no terminal to show the dashboard in: use `coffee up --headless`" in ended.stderr


@pytest.mark.parametrize(("term", "drawable"), [("xterm", True), ("dumb", False), ("unknown", False), ("", False)])
def test_a_terminal_is_one_by_all_three_streams_and_its_kind(term: str, drawable: bool) -> None:
    controller, terminal = os.openpty()
    program = "import sys; from coffee_core.output import has_terminal; sys.exit(not has_terminal())"
    try:
        for streams in (
            {},
            {"stdin": subprocess.DEVNULL},
            {"stdout": subprocess.PIPE},
            {"stderr": subprocess.PIPE},
        ):
            ended = subprocess.run(
                [sys.executable, "-c", program],
                **{"stdin": terminal, "stdout": terminal, "stderr": terminal, **streams},
                env={**os.environ, "TERM": term},
                check=False,
            )
            assert (ended.returncode == 0) is (drawable and not streams)
    finally:
        os.close(controller)
        os.close(terminal)


def test_what_somebody_else_has_written_moves_no_cursor_and_ends_no_line() -> None:
    letter = Letter("1-1", "0-1", "x\n", "\x1b[2J\x9b31m\udcff – ü", 2**80, {})
    line = _line(letter, "")
    assert line == '1-1  at no time  from 0-1  x\\n: \\x1b[2J\\x9b31m\\udcff – ü  ""'
