"""Histories of a stream: what is put on it, which worker makes its next calls, who dies, what is flushed."""

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from tests.integration.backend.pipelines.v2_streams.bench import order

POISON_CENTS = 13
"""A price that the table of these tests refuses."""
WORKERS = 3
_CALLS_OF_A_BATCH = 8
Fields: TypeAlias = dict[str, str]
"""Names and values of an entry."""


@dataclass(frozen=True)
class Post:
    """Entries: the fields of each, and what it is: ``order``, ``refused`` or ``malformed``."""

    entries: tuple[tuple[str, Fields], ...]


@dataclass(frozen=True)
class Go:
    """A worker makes this many calls to its servers; a fresh one where it is dead."""

    worker: int
    calls: int


@dataclass(frozen=True)
class Kill:
    """A worker dies between two calls."""

    worker: int


@dataclass(frozen=True)
class Disturb:
    """``forget``: the scripts go; ``flush``: the metrics go; ``part``: two of them; ``restart``: a SIGKILL."""

    how: str


Event: TypeAlias = Post | Go | Kill | Disturb


def _fields(key: int, cents: int) -> Fields:
    placed = order(UUID(int=key), price_cents=cents, accepted_at_us=1_750_000_000_000_000)
    return {name: str(value) for name, value in placed.to_fields().items()}


# Few keys, so that many entries are repeats; of five with one key one has another content.
_keys = st.integers(1, 9)
_orders = st.builds(lambda key, cents: ("order", _fields(key, cents)), _keys, st.sampled_from((500,) * 4 + (700,)))
_refused = st.builds(lambda key: ("refused", _fields(key, POISON_CENTS)), _keys)
_malformed = st.builds(
    lambda key, spoilt: ("malformed", _fields(key, 500) | spoilt),
    _keys,
    st.sampled_from(({"drink": "tea"}, {"price_cents": "5.00"}, {"message_id": "7"}, {"store": "caf\udce9"})),
)
_entries = st.sampled_from((_orders,) * 6 + (_refused, _malformed)).flatmap(lambda kind: kind)
_posts = st.lists(_entries, min_size=1, max_size=6).map(lambda entries: Post(tuple(entries)))
_goes = st.builds(Go, st.integers(0, WORKERS - 1), st.integers(1, _CALLS_OF_A_BATCH))
_kills = st.builds(Kill, st.integers(0, WORKERS - 1))
_disturbances = st.sampled_from(("forget", "flush", "part", "restart")).map(Disturb)
_events = st.sampled_from((_goes,) * 6 + (_posts,) * 3 + (_kills,) * 2 + (_disturbances,)).flatmap(
    lambda kind: kind
)
histories: st.SearchStrategy[list[Event]] = st.builds(
    lambda first, rest: [first, *rest], _posts, st.lists(_events, min_size=5, max_size=30)
)
"""Beginning with orders; every event may come at every point."""
