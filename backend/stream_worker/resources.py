"""The SQL and Lua of the worker, from files of their own."""

from importlib.resources import files

_FOLDER = files("backend.stream_worker")


def sql(name: str) -> str:
    """Return the statement in ``sql/{name}.sql``."""
    return (_FOLDER / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def lua(name: str) -> str:
    """Return the script in ``lua/{name}.lua``, with what the scripts share before it.

    The shebang makes Redis refuse a script as a whole where memory or the disk is full: without it, the refusal
    comes at the first write that needs memory, and XACK before it has already happened.
    """
    shared = (_FOLDER / "lua" / "shared.lua").read_text(encoding="utf-8")
    return "#!lua\n" + shared + (_FOLDER / "lua" / f"{name}.lua").read_text(encoding="utf-8")
