"""SQL and Lua, loaded from files that lie beside the code that runs them.

A package has one page of SQL, ``queries.sql``; ``-- name: NAME`` begins a statement, which reaches to the next.
A Lua script is a file of its own; a line ``-- include: FILE`` in it stands for that file of the same folder.
"""

import re
from functools import lru_cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\S+)\n", re.MULTILINE)


def sql(package: str, name: str) -> str:
    """Return a statement of the package's ``queries.sql`` with its comments. Raises KeyError."""
    return _queries(package)[name]


def lua(package: str, name: str) -> str:
    """Return the script ``{name}.lua`` of the package, with what it includes. Raises FileNotFoundError."""
    return _INCLUDE.sub(lambda line: _text(package, line[1]), _text(package, f"{name}.lua"))


@lru_cache
def _queries(package: str) -> dict[str, str]:
    _, *parts = _NAME.split(_text(package, "queries.sql"))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
