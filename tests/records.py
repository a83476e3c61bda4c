"""Records that others may put on v3's topic, and whether each is an order: for our reader and for Flink's SQL."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from coffee_core.clock import MAX_TIME_US
from coffee_core.menu import DRINKS, MAX_PRICE_CENTS, STORES

TIME_US = 1_750_000_000_000_000


@dataclass(frozen=True, slots=True)
class Foreign:
    """A record and what it must become."""

    name: str
    value: bytes | None
    is_order: bool
    key: bytes | None = b"no id"
    timestamp_ms: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def _id(number: int) -> str:
    return str(UUID(int=0xF0E1_0000_0000_4000_8000_0000_0000_0000 + number))


class _Made:
    """The records so far."""

    def __init__(self) -> None:
        self.records: list[Foreign] = []

    def own_id(self) -> str:
        """Return the message id of the next record."""
        return _id(len(self.records))

    def fields(self, **changes: Any) -> dict[str, Any]:
        """Return the fields of the next record; one that is ``...`` is missing."""
        base = {
            "message_id": self.own_id(),
            "drink": DRINKS[0],
            "store": STORES[0],
            "price_cents": 450,
            "ordered_at_us": TIME_US + len(self.records),
            "accepted_at_us": TIME_US,
        }
        return {name: value for name, value in {**base, **changes}.items() if value is not ...}

    def text(self, **changes: Any) -> str:
        """Return these fields as the API writes them."""
        return json.dumps(self.fields(**changes), separators=(",", ":"))

    def add(self, name: str, value: bytes | str | None, *, order: bool = False, **more: Any) -> None:
        """Add a record."""
        encoded = value.encode() if isinstance(value, str) else value
        self.records.append(Foreign(name, encoded, order, **more))

    def order(self, name: str, value: str, **more: Any) -> None:
        """Add an order."""
        self.add(name, value, order=True, **more)


def foreign_records() -> list[Foreign]:
    """Return all of them, each valid one under a message id of its own."""
    made = _Made()
    for kind in (_orders, _no_objects, _no_orders, _no_ids, _no_numbers):
        kind(made)
    return made.records


def _orders(m: _Made) -> None:
    m.order("as the API writes it", m.text())
    m.order("with blanks", json.dumps(m.fields()))
    m.order("indented", json.dumps(m.fields(), indent=2))
    m.order("blanks around it", f" \n\t{m.text()}\r\n ")
    m.order("fields in another order", json.dumps(dict(reversed(m.fields().items()))))
    m.order("id in capitals", m.text(message_id=m.own_id().upper()))
    m.order("id in mixed case", m.text(message_id=m.own_id().replace("f", "F", 1)))
    m.order("no key", m.text(), key=None)
    m.order("key of another order", m.text(), key=_id(0).encode())
    m.order("headers", m.text(), headers=(("traceparent", b"00-\xff"), ("x", b"")))
    m.order("an unknown field", m.text(note="to go"))
    m.order("an unknown field of 900 kB", m.text(note="x" * 900_000))
    m.order("an unknown field with NUL", m.text(note="\0"))
    m.order("an unknown field with half a surrogate pair", m.text(note="\ud800"))
    m.add("an unknown field that is no UTF-8", m.text(note="@").encode().replace(b"@", b"\xff"), order=True)
    m.order("an unknown field that is nested", m.text(note={"a": [{"b": [1, None, True]}]}))
    m.order("nested 999 deep", m.text(note="@").replace('"@"', "[" * 998 + "]" * 998))
    m.order("many brackets, none deep", m.text(note=[[{"[[[": "{{{\\"}]] * 500))
    m.order("escaped letters", m.text().replace(DRINKS[0], "".join(f"\\u{ord(c):04x}" for c in DRINKS[0])))
    m.order("escaped field names", m.text().replace('"drink"', '"\\u0064rink"'))
    m.order("a field twice: the last one counts", m.text().replace("{", '{"drink":"tea",', 1))
    m.order("numbers as text", m.text(price_cents="450", ordered_at_us="5", accepted_at_us="6"))
    m.order("numbers as text with zeros in front", m.text(price_cents="000450"))
    m.order("lowest price", m.text(price_cents=1))
    m.order("highest price", m.text(price_cents=MAX_PRICE_CENTS))
    m.order("first microsecond", m.text(ordered_at_us=0, accepted_at_us=0))
    m.order("last microsecond", m.text(ordered_at_us=MAX_TIME_US, accepted_at_us=MAX_TIME_US))
    for digits in (16, 17, 18):
        m.order(
            f"a time of {digits} digits",
            m.text(ordered_at_us=10 ** (digits - 1), accepted_at_us=10 ** (digits - 1)),
        )
    m.order("minus zero", m.text().replace(f"{TIME_US}}}", "-0}"))
    m.order("written in 1970", m.text(), timestamp_ms=0)
    m.order("written before the one before it", m.text(), timestamp_ms=1)
    for name in (*DRINKS, *STORES):
        m.order(f"everything on the menu: {name}", m.text(**{"drink" if name in DRINKS else "store": name}))


def _no_objects(m: _Made) -> None:
    m.add("a tombstone", None)
    m.add("empty", b"")
    m.add("blanks", b" \n ")
    m.add("garbage", b"garbage")
    m.add("bytes", bytes(range(256)))
    m.add("NUL", b"\0")
    m.add("1 MB of nothing", b"\0" * 1_000_000)
    m.add("1 MB of garbage", b"\xff" * 1_000_000)
    m.add("900 kB of quotes", b'"' * 900_000)
    for value in ("null", "true", "1", '"text"', "[]", "{}", "[{}]", "NaN"):
        m.add(f"only {value}", value)
    m.add("a list of an order", f"[{m.text()}]")
    m.add("an order as text", json.dumps(m.text()))
    m.add("cut off", m.text()[:-1])
    m.add("a brace too many", m.text() + "}")
    m.add("a bracket too many", m.text() + "]")
    m.add("garbage behind it", m.text() + "x")
    m.add("garbage and a brace behind it", m.text() + "x}")
    m.add("two orders", m.text() + m.text())
    m.add("two orders with a comma", f"{m.text()},{m.text()}")
    m.add("two orders with brackets", f"{m.text()}],[{m.text()}")
    m.add("an order and a member", m.text() + ',"z":{}}')
    m.add("a comma too many", m.text()[:-1] + ",}")
    m.add("a comment", m.text()[:-1] + "/* */}")
    m.add("single quotes", m.text().replace('"', "'"))
    m.add("a newline in a text", m.text(note="@").replace("@", "\n"))
    m.add("a byte order mark", b"\xef\xbb\xbf" + m.text().encode())
    m.add("UTF-16", m.text().encode("utf-16"))
    m.add("UTF-32", m.text().encode("utf-32-le"))
    m.add("NaN in an unknown field", m.text(note="@").replace('"@"', "NaN"))
    m.add("infinity in an unknown field", m.text(note="@").replace('"@"', "-Infinity"))
    m.add("nested 1,000 deep", m.text(note="@").replace('"@"', "[" * 999 + "]" * 999))
    m.add("nested 3,000 deep", m.text(note="@").replace('"@"', "[" * 3_000 + "]" * 3_000))
    m.add("nested 100,000 deep", m.text(note="@").replace('"@"', "[" * 100_000 + "]" * 100_000))
    m.add("unclosed 100,000 deep", "[" * 100_000)


def _no_orders(m: _Made) -> None:
    for name in m.fields():
        m.add(f"without {name}", m.text(**{name: ...}))
        m.add(f"{name} is null", m.text(**{name: None}))
        m.add(f"{name} is a list", m.text(**{name: [m.fields()[name]]}))
        m.add(f"{name} is an object", m.text(**{name: {"a": 1}}))
        m.add(f"{name} is empty", m.text(**{name: ""}))
        m.add(f"{name} with a blank", m.text(**{name: f" {m.fields()[name]}"}))
        m.add(f"{name} with a newline", m.text(**{name: f"{m.fields()[name]}\n"}))
        m.add(f"{name} with NUL", m.text(**{name: f"{m.fields()[name]}\0"}))
        m.add(f"{name} in another case", m.text(**{name.upper(): m.fields()[name], name: ...}))
        m.add(f"{name} is true", m.text(**{name: True}))
    m.add("price_cents 0", m.text(price_cents=0))
    for name in ("drink", "store"):
        for word in ("tea", DRINKS[0].upper(), STORES[0].upper(), f"{DRINKS[0]}\u200b", "é" * 300):
            m.add(f"{name} {word[:20]}", m.text(**{name: word}))


def _no_ids(m: _Made) -> None:
    plain = _id(0)
    for value in (
        plain.replace("-", ""),
        f"{{{plain}}}",
        f"urn:uuid:{plain}",
        plain[:-1],
        plain + "0",
        plain.replace("e", "g"),
        plain[:-2] + "_0",
        "0x" + plain[2:],
        "+" + plain[1:],
        plain.replace("0", "٠"),
        plain.replace("-", "_"),
    ):
        m.add(f"message_id {value}", m.text(message_id=value))


def _no_numbers(m: _Made) -> None:
    for name, most in (
        ("price_cents", MAX_PRICE_CENTS),
        ("ordered_at_us", MAX_TIME_US),
        ("accepted_at_us", MAX_TIME_US),
    ):
        for number in (
            -1,
            most + 1,
            10**18,
            2**63,
            10**30,
            450.0,
            4.5,
            1e5,
            1e300,
            "4e2",
            "+450",
            "٤٥٠",
            "1_0",
            "0x1",
        ):
            m.add(f"{name} {number!r}", m.text(**{name: number}))
        m.add(f"{name} of 2,000 digits", m.text(**{name: "@"}).replace('"@"', "9" * 2_000))
        m.add(f"{name} NaN", m.text(**{name: float("nan")}))
