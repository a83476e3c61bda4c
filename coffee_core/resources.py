"""SQL and Lua, loaded from files that lie beside the code that runs them.

A package has one page of SQL, as a rule ``queries.sql``; ``-- name: NAME`` begins a statement, which reaches to
the next, and what is above the first is a comment on the page.
A Lua script is a file of its own; a line ``-- include: FILE`` stands for that file, by its path from the script.
"""

import re
from functools import lru_cache
from importlib.resources import files

_PAGE = "queries.sql"
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\S+)\n", re.MULTILINE)


def sql(package: str, name: str, page: str = _PAGE) -> str:
    """Return a statement of the package's page with its comments. Raises KeyError."""
    return _statements(package, page)[name]


def sql_names(package: str, page: str = _PAGE) -> tuple[str, ...]:
    """Return the names of the statements of a page, in its order."""
    return tuple(_statements(package, page))


def lua(package: str, name: str) -> str:
    """Return the script ``{name}.lua`` of the package, with what it includes. Raises FileNotFoundError."""
    return _with_includes(package, f"{name}.lua")


def _with_includes(package: str, name: str) -> str:
    return _INCLUDE.sub(lambda line: _with_includes(package, line[1]), _text(package, name))


@lru_cache
def _statements(package: str, page: str) -> dict[str, str]:
    _, *parts = _NAME.split(_text(package, page))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
