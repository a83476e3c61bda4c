"""What a setting is, and how its text is read: a reader raises ValueError with what the text must be."""

import re
from collections.abc import Callable, Mapping
from dataclasses import Field, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coffee_core.errors import ConfigError


def setting(env: str, default: str, parse: Callable[[str], Any], doc: str, *, secret: bool = False) -> Any:
    """Return a dataclass field that is one setting; a secret is left out of the representation."""
    return field(
        default_factory=lambda: parse(default),
        repr=not secret,
        metadata={"env": env, "default": default, "parse": parse, "doc": doc},
    )


def value_of(each: "Field[Any]", environ: Mapping[str, str]) -> Any:
    """Return the value of one setting. Raises ConfigError naming the variable."""
    name, text = each.metadata["env"], environ.get(each.metadata["env"], "").strip()
    text = text or each.metadata["default"]
    try:
        return each.metadata["parse"](text)
    except ValueError as error:
        # A URL may carry a password: it is not repeated.
        shown = "" if name.endswith("_URL") else f"{text!r} "
        raise ConfigError(f"{name} {shown}cannot be used: {error}") from error


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return the reader of a whole number within these bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


port = whole(1, 65_535)
"""A TCP port."""


def one_of(*choices: str) -> Callable[[str], str]:
    """Return the reader of one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return text

    return parse


def yes(text: str) -> bool:
    """Read ``yes`` or ``no``."""
    return one_of("no", "yes")(text) == "yes"


def hours(text: str) -> float:
    """Read hours, also a part of one."""
    # A pattern, because float() also takes nan, 1e3 and 1_0.
    if not (re.fullmatch(r"\d{1,3}(\.\d{1,6})?", text, re.ASCII) and 0.001 <= float(text) <= 720):
        raise ValueError("must be hours from 0.001 to 720")
    return float(text)


def url(*schemes: str) -> Callable[[str], str]:
    """Return the reader of a URL with one of these schemes; it may be empty."""

    def parse(text: str) -> str:
        if not text:
            return ""
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"must be a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return text.rstrip("/")

    return parse


def redis_url(text: str) -> str:
    """Read the URL of a Redis server; with TLS its name is checked, which the driver leaves out unless told."""
    read = url("redis", "rediss")(text)
    told = any(word in read for word in ("ssl_check_hostname=", "ssl_cert_reqs=none"))
    if told or not read.startswith("rediss:"):
        return read
    return f"{read}{'&' if urlsplit(read).query else '?'}ssl_check_hostname=true"


def storage(text: str) -> str:
    """Read the URI of a folder that Flink can write; it may be empty."""
    if text and not re.match(r"[a-z][a-z0-9+.-]*://\S", text):
        raise ValueError("must be a URI such as s3://bucket/folder or file:///folder")
    return text.rstrip("/")


def servers(text: str) -> str:
    """Read HOST:PORT, several separated by commas; it may be empty."""
    for server in filter(None, text.split(",")):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError("must be HOST:PORT, several separated by commas")
    return text


def home(text: str) -> Path:
    """Read a folder; the result is absolute."""
    return Path(text).expanduser().absolute()
