"""Message ids: a client's Idempotency-Key, or a UUIDv7 made by the API."""

import io
import os
import time
from uuid import UUID

from coffee_core.errors import OrderError

_UUID_TEXT_LENGTH = 36
_RANDOM_BYTES = 10
_STOCK_IDS = 256
"""Ids whose random bits are fetched at once: a call of the system for each took a twentieth of an order's time."""
_stock = io.BytesIO()


def new_message_id() -> UUID:
    """Make a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, then version, variant and 74 random bits.

    Ids of one process sort by time to the millisecond, which keeps the index of the table dense.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | _random_bits()
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def _random_bits() -> int:
    global _stock
    bits = _stock.read(_RANDOM_BYTES)
    if not bits:
        # A new stock, not the old one filled again: another thread may be reading that.
        _stock = stock = io.BytesIO(os.urandom(_RANDOM_BYTES * _STOCK_IDS))
        bits = stock.read(_RANDOM_BYTES)
    return int.from_bytes(bits, "big")


def _forget() -> None:
    global _stock
    _stock = io.BytesIO()


# A forked process would make the ids of its parent.
os.register_at_fork(after_in_child=_forget)


def parse_idempotency_key(header: str) -> UUID:
    """Read an ``Idempotency-Key`` header: a UUID, bare or as the IETF draft's quoted string.

    Raises OrderError naming the field ``Idempotency-Key``.
    """
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(text) == _UUID_TEXT_LENGTH:
        try:
            return UUID(text)
        except ValueError:
            pass
    raise OrderError("Idempotency-Key", "must be a UUID, e.g. 0190f5fe-7c1e-7abc-8def-0123456789ab")
