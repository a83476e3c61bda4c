"""Writing to Redis as the job does it: what passes is waited out, what stays is told to Flink."""

import logging
import time
from collections.abc import Callable

from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from coffee_core.errors import CoffeeError

_PASSING = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)
"""What a Redis server that restarts, fails over or has no memory left answers."""
GIVE_UP_AFTER_S = 30.0
"""Seconds after which Flink is to restart the job."""
TIMEOUT_S = 5.0
"""Seconds for a connection, or for an answer."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
SHOWN, OLDER, OTHER_EPOCH, NO_EPOCH = 1, 0, -1, -2
"""What the scripts answer."""

log = logging.getLogger(__name__)


class NotShownError(CoffeeError):
    """Redis could not be written for too long; Flink restarts the job from its checkpoint, so nothing is lost."""


def shown_at_last(attempt: Callable[[], int], what: str, give_up_after_s: float) -> int:
    """Attempt until a script answers, and return its answer.

    Waits out a server that is away and an epoch that a flush has erased; raises NotShownError after
    ``give_up_after_s`` seconds of it.
    """
    give_up_at = time.monotonic() + give_up_after_s
    pause = _FIRST_PAUSE_S
    while True:
        problem: Exception | str = "the epoch is missing"
        try:
            answer = attempt()
        except _PASSING as error:
            problem = error
        else:
            if answer != NO_EPOCH:
                return answer
        if time.monotonic() > give_up_at:
            raise NotShownError(f"{what} could not be shown in Redis: {problem}")
        if pause == _FIRST_PAUSE_S:
            log.warning("Redis cannot be written, trying again: %s", problem)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
