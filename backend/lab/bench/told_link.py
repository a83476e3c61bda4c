"""A connection to Redis that is told when a key it has read changes: client-side caching, without the cache."""

from collections.abc import Callable
from functools import partial
from typing import Any

import hiredis

from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.redis_link import RedisLink, ReplyError
from backend.api.redis_link import connect as connect_plain


async def connect(url: str, on_change: Callable[[], None]) -> tuple[RedisLink, bool]:
    """Connect; return the connection, and whether ``on_change`` will be called.

    It is called once for each key that was read and has changed since. Raises UnavailableError.
    """
    link = await connect_plain(url, _forget, partial(_ToldLink, on_change))
    try:
        await link.send("HELLO", 3)
        await link.send("CLIENT", "SETNAME", "coffee-bench")
        await link.send("CLIENT", "TRACKING", "ON")
    except ReplyError:
        return link, False  # a server that was given may be older, a proxy, or not allow it
    except OutcomeUnknownError as error:
        raise UnavailableError(str(error)) from error
    return link, True


class _ToldLink(RedisLink):
    def __init__(self, on_change: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        super().__init__(on_lost)
        self._reader = _Reader(on_change)


class _Reader(hiredis.Reader):
    """Hands out replies alone: what the server tells unasked belongs to no request."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._on_change = on_change

    def gets(self, *args: Any) -> Any:
        """Return the next reply; False where there is none yet."""
        while isinstance(value := super().gets(*args), hiredis.PushNotification):
            self._on_change()
        return value


def _forget(_reason: str) -> None:
    """Do nothing: whoever asks next finds the connection closed."""
