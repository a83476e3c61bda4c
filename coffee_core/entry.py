"""The commands ``coffee`` and ``coffee-tui``: what their process is given by the user's shell, set right first.

A process has more from its parent than arguments: signals that are ignored or blocked, an import path, variables
for other programs. Whatever it is, our commands do the same.
"""

import os  # nothing else yet: the path is not ours
import sys

DROPPED: list[str] = []
"""Names of the variables that ``prepare`` has dropped."""


def coffee() -> None:
    """Run the command ``coffee``."""
    prepare()
    from importlib import import_module  # by name: the core imports no backend

    import_module("backend.cli.main").main()


def coffee_tui() -> None:
    """Run the command ``coffee-tui``."""
    prepare()
    from importlib import import_module

    import_module("coffee_tui.__main__").main()


def prepare() -> None:
    """Make this process what the rest of the program takes it for; before anything else is imported."""
    _put_installed_modules_first()
    _drop_variables()
    _reset_signals()


def _put_installed_modules_first() -> None:
    """Look into PYTHONPATH and the folder of the program last: what is there is not what we mean to import."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - as it stands in sys.path
    if library not in sys.path:
        return
    at = sys.path.index(library)
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    before = sys.path[:at]
    sys.path[:] = [
        *(entry for entry in before if entry == ours),
        *sys.path[at:],
        *(entry for entry in before if entry != ours),
    ]


def _drop_variables() -> None:
    """Drop what Python, or a driver of PostgreSQL, would heed in this process or in one that a library starts."""
    for name in list(os.environ):
        if name.startswith("PYTHON") or (name.startswith("PG") and not libpq_is_meant()):
            DROPPED.append(name)
            del os.environ[name]
    os.environ["PYTHONSAFEPATH"] = "1"


def libpq_is_meant() -> bool:
    """Tell whether libpq's variables are for us: they fill in what a URL of the user's own leaves open."""
    return bool(os.environ.get("DATABASE_URL"))


def _reset_signals() -> None:
    """Learn how children end, and of every signal: a parent may have left SIGCHLD ignored, or others blocked.

    Where SIGCHLD is ignored the kernel keeps no exit codes: a failed program looks like any other.
    """
    import signal

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
