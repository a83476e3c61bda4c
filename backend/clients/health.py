"""Whether a dependency is up: probed in the background, about once a second, forever."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from backend.clients.counters import NOW, Counters
from coffee_core.clock import now_us
from coffee_core.errors import UnavailableError

_log = logging.getLogger(__name__)

UP_INTERVAL_S = 1.0
"""Seconds between two probes of a dependency that is up."""
DOWN_INTERVAL_S = (0.1, 0.2, 0.4, 0.8)
"""Seconds to the next probe of one that is down, by the number of failures; the last one stays."""
PROBE_TIMEOUT_S = 2.0
"""Seconds without an answer after which a dependency counts as down."""
_DOWN_SINCE = "down since "


class Health:
    """The last known state of one dependency."""

    def __init__(self, name: str) -> None:
        self.name = name
        """postgres, redis or kafka."""
        self.up = False
        """Whether it answered the last probe."""
        self.detail = "not connected yet"
        """Why it is down; empty while it is up."""
        self.since_us = now_us()
        """When ``up`` last changed: microseconds since the epoch."""
        self.ever_up = False
        """Whether it has answered since this process began."""
        self._doubted = asyncio.Event()
        self._publish: Callable[[int], None] = lambda _: None

    def publish_to(self, counters: Counters) -> None:
        """Publish the state in the counters from now on, for the other processes behind the port."""
        place = counters.place(f"{NOW}{_DOWN_SINCE}{self.name}")

        def publish(down_since_us: int) -> None:
            counters.values[place] = down_since_us

        self._publish = publish
        publish(0 if self.up else self.since_us)

    def came_up(self) -> None:
        """Note that it answered a probe."""
        self.ever_up = True
        if not self.up:
            self.up, self.detail, self.since_us = True, "", now_us()
            self._publish(0)
            _log.info("%s is up", self.name)

    def went_down(self, detail: str) -> None:
        """Note that it failed a probe, and why."""
        if self.up or self.detail != detail:
            _log.warning("%s is down: %s", self.name, detail)
        if self.up:
            self.up, self.since_us = False, now_us()
            self._publish(self.since_us)
        self.detail = detail

    def doubt(self) -> None:
        """Probe again at once: something went wrong with it."""
        self._doubted.set()

    def require(self) -> None:
        """Raise UnavailableError where it was down when last probed."""
        if not self.up:
            raise UnavailableError(f"{self.name} is down: {self.detail}")

    async def keep_probing(self, probe: Callable[[], Awaitable[None]]) -> None:
        """Probe forever; ``probe`` returns where the dependency can do its work, else raises UnavailableError."""
        failures = 0
        while True:
            self._doubted.clear()
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await probe()
            except UnavailableError as error:
                self.went_down(str(error))
                failures += 1
            except TimeoutError:
                self.went_down("it does not answer")
                failures += 1
            else:
                self.came_up()
                failures = 0
            interval_s = DOWN_INTERVAL_S[min(failures, len(DOWN_INTERVAL_S)) - 1] if failures else UP_INTERVAL_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval_s):
                    await self._doubted.wait()

    def as_dict(self) -> dict[str, bool | str | int]:
        """Return its state as the JSON of /readyz."""
        return {"up": self.up, "detail": self.detail, "since_us": self.since_us}

    def for_all(self, living: Collection[Mapping[str, float]]) -> dict[str, bool | str | int]:
        """Return the same for all processes behind the port (``Counters.living``): up where it is up for each."""
        down = [since_us for numbers in living if (since_us := numbers.get(f"{_DOWN_SINCE}{self.name}"))]
        if not (self.up and down):
            return self.as_dict()
        detail = f"down for {len(down)} of {len(living)} API processes"
        return {"up": False, "detail": detail, "since_us": int(min(down))}
