"""Message ids: a client's Idempotency-Key, or a UUIDv7 made by the API."""

import secrets
import time
from uuid import UUID

from coffee_core.errors import OrderError

_UUID_TEXT_LENGTH = 36


def new_message_id() -> UUID:
    """Make a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, then version, variant and 74 random bits.

    Ids of one process sort by time to the millisecond, which keeps the index of the table dense.
    """
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


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
