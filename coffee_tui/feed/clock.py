"""The feed's two clocks in one value, so that a test can hold them still."""

import time
from dataclasses import dataclass, field

from coffee_core.clock import now_us


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks."""

    at_s: float = field(default_factory=time.monotonic)
    """Monotonic seconds: for windows and rates."""
    time_us: int = field(default_factory=now_us)
    """Microseconds since the epoch: for what is shown and compared with other processes."""
