"""libpq itself, out of the wheel of PostgreSQL: how it reads a URL, and which parameters it has."""

import ctypes
from collections.abc import Iterator

from backend.stack.postgres import server_binary


class _Option(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("keyword", "environ", "compiled", "value", "label", "shown_as")),
        ("size", ctypes.c_int),
    )


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(server_binary().parents[1] / "lib" / "libpq.so.5"))
    for name in ("PQconninfoParse", "PQconndefaults"):
        getattr(library, name).restype = ctypes.POINTER(_Option)
    library.PQconninfoFree.argtypes = [ctypes.POINTER(_Option)]
    return library


_LIBRARY = _library()


def parameters() -> dict[str, str]:
    """Return the names of all parameters that libpq has, each with its variable of the environment or nothing."""
    options = _LIBRARY.PQconndefaults()
    return {keyword: variable for keyword, variable, _ in _options(options)}


def parse(url: str) -> dict[str, str] | None:
    """Return what a URL says, None where libpq refuses it."""
    error = ctypes.c_char_p()
    options = _LIBRARY.PQconninfoParse(url.encode(), ctypes.byref(error))
    return {keyword: value for keyword, _, value in _options(options) if value} if options else None


def _options(options: "ctypes._Pointer[_Option]") -> Iterator[tuple[str, str, str]]:
    found = []
    for option in options:
        if option.keyword is None:
            break
        found.append(tuple((text or b"").decode() for text in (option.keyword, option.environ, option.value)))
    _LIBRARY.PQconninfoFree(options)
    yield from found  # type: ignore[misc]  # three of each
