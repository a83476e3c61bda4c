"""The SQL and Lua of this package, from files of their own."""

from importlib.resources import files

_FOLDER = files("backend.lab")


def sql(name: str) -> str:
    """Return the statement in ``sql/{name}.sql``."""
    return (_FOLDER / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def lua(name: str) -> str:
    """Return the script in ``lua/{name}.lua``."""
    return (_FOLDER / "lua" / f"{name}.lua").read_text(encoding="utf-8")
