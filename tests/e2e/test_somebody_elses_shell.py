"""`coffee` in a shell with variables for other programs, in a folder with files of another project."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Lab
from tests.e2e.terminal import Terminal
from tests.hostile import HOSTILE, fill_with_others_files
from tests.waiting import until

pytestmark = pytest.mark.slow
COFFEE = str(Path(sys.executable).parent / "coffee")
TUI = str(Path(sys.executable).parent / "coffee-tui")
COMMANDS = (
    ("order", "all"),
    ("load", "v2", "--rate", "20", "--for", "1"),
    ("reconcile", "v1"),
    ("reconcile", "v2"),
    ("dead-letters", "v2"),
    ("status",),
    ("doctor",),
    ("audit", "--settle", "30"),
)


class StrangeLab(Lab):
    """v1 and v2, started by the command that is installed, in somebody else's folder."""

    program = (COFFEE,)


@pytest.fixture
def proxy() -> Iterator[socket.socket]:
    """What listens where the shell names a proxy; nobody may ask it for anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
def strange_lab(tmp_path: Path, proxy: socket.socket) -> Iterator[Lab]:
    """Not started; whatever is started is gone afterwards."""
    folder = tmp_path / "their project"
    fill_with_others_files(folder)
    url = f"http://127.0.0.1:{proxy.getsockname()[1]}"
    hostile = {name: url if name.lower().endswith("_proxy") else value for name, value in HOSTILE.items()}
    # Python itself imports what is there, before any program: a folder without it, that the shell forgot to name.
    (folder / "sitecustomize.py").unlink()
    hostile |= {"PYTHONPATH": f"{folder}:", "COFFEE_API_TOKEN": "s3cret"}
    lab = StrangeLab(tmp_path / "coffee home", "v1,v2", **hostile)
    for name in ("no_proxy", "NO_PROXY"):
        lab.env.pop(name, None)
    lab.folder = folder
    yield lab
    lab.kill_if_running()


async def test_the_lab_does_its_work_and_asks_no_proxy(strange_lab: Lab, proxy: socket.socket) -> None:
    strange_lab.start((COFFEE, "up", "--headless"))
    for words in COMMANDS:
        done = strange_lab.coffee(*words)
        # 5: a busy machine began its requests late, which is no matter of the shell.
        assert done.returncode in ((0, 5) if words[0] == "load" else (0,)), (words, done.stdout, done.stderr)
    balances = json.loads(strange_lab.coffee("audit", "--json").stdout)
    assert balances, "it is an audit of something"
    with pytest.raises(BlockingIOError):
        proxy.accept()
    for process in strange_lab.processes():
        if COFFEE not in process.cmdline():
            inherited = process.environ().keys() & (HOSTILE.keys() - {"LC_ALL"})
            assert not inherited, (process.cmdline(), inherited)
    assert strange_lab.stop() == 0, strange_lab.report()
    await until(lambda: not strange_lab.left())


async def test_the_dashboard_has_the_size_of_its_terminal(strange_lab: Lab) -> None:
    terminal = Terminal([TUI, "--demo"], strange_lab.env, columns=150, lines=40)
    try:
        # COLUMNS says 20, LINES says 5.
        await until(
            lambda: any(len(line.rstrip()) > 100 for line in terminal.text.splitlines()[10:]), within_s=120
        )
        terminal.type("q")
        await until(lambda: terminal.process.poll() is not None, within_s=120)
    finally:
        terminal.close()
