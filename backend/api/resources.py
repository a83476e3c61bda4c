"""SQL and Lua of the order API, from files of their own."""

from importlib.resources import files


def text(name: str) -> str:
    """Return one file of ``backend/api/sql``; raises FileNotFoundError where there is none of that name."""
    return files(__package__).joinpath("sql", name).read_text(encoding="utf-8")
