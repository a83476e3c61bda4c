"""Why v3's job does not run, published for as long as it is so: under a key in Redis, and in the run file.

A start or a failover takes some seconds and is no outage. What is published is the reason that was found last.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V3
from coffee_core.runstate import NOT_RUNNING, tell_ready, write_remarks
from coffee_core.settings import Settings
from coffee_core.standstill import EXPIRY_MS, Standstill

AFTER_S = 5.0
"""Seconds without a running job after which it is an outage, and with one after which it is over."""
RELAPSE_S = 30.0
"""Seconds after a failure seemed to be over within which the next one goes on with it: PostgreSQL may refuse rows,
and each time it takes the sink ten seconds and more to give up."""
_PUBLISH_EVERY_S = 1.0
_KEY = MetricKeys(V3).standstill

log = logging.getLogger("flink.submit")


class Outage:
    """The state of the job as the submitter finds it, check by check."""

    def __init__(self, settings: Settings, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds."""
        self._settings = settings
        self._redis = redis
        self._clock = clock
        self._down_since_s: float | None = clock()
        self._up_since_s: float | None = None
        self._found: Standstill | None = None
        self._due_after_s = AFTER_S
        self._remarks: Mapping[str, str] = {}
        self._written: Mapping[str, str] | None = None
        self._in_redis = False
        self.is_out = False
        """Whether there is an outage, which is published."""
        self.relapsed = False
        """Whether the job failed again soon after that had seemed over: a checkpoint has to tell that it is."""
        self._over_since_s: float | None = None

    def found(self, reason: str, cure: str, after_s: float = AFTER_S) -> None:
        """Take note that the job does not run, of why, and of what helps, one sentence each.

        It is published once the job has not run for ``after_s`` seconds.
        """
        self.starts()
        self._found, self._due_after_s = Standstill(reason, cure), after_s
        self._note_outage()

    def starts(self) -> None:
        """Take note that the job does not run, for no new reason: it may be starting."""
        self._up_since_s = None
        if self._down_since_s is None:
            self._down_since_s = self._clock()
            over_s = self._over_since_s
            self.relapsed = over_s is not None and self._down_since_s - over_s < RELAPSE_S

    def runs(self, *, steady: bool = False, proven: bool = False) -> bool:
        """Take note that the job runs; return whether it has for a while, or is ``steady`` for another reason.

        One that fails every second is out; so is one that fails every quarter of a minute, until it is ``proven``:
        a checkpoint has completed, and with it both sinks have taken all.
        """
        now_s = self._clock()
        if self._up_since_s is None:
            self._up_since_s = now_s
        for_a_while = not self.relapsed and (steady or now_s - self._up_since_s >= AFTER_S)
        if self._down_since_s is not None and (proven or for_a_while):
            self._over_since_s = None if proven or self._found is None else now_s
            self._down_since_s = self._found = None
            self.is_out = self.relapsed = False
        return self._down_since_s is None

    def _note_outage(self) -> None:
        if (
            self._found is not None
            and self._down_since_s is not None
            and (self._up_since_s is None or self.relapsed)
        ):
            self.is_out = self.is_out or self._clock() - self._down_since_s >= self._due_after_s

    def remark(self, remarks: Mapping[str, str]) -> None:
        """Publish remarks on the parts, beside the outage."""
        self._remarks = remarks
        self._write()

    async def publish(self) -> None:
        """Publish it now, for ``EXPIRY_MS``; where it is over, withdraw it."""
        self._note_outage()
        self._write()
        tell_ready(ready=self._down_since_s is None)
        standstill = self._found if self.is_out else None
        try:
            if standstill is not None:
                await self._redis.set(_KEY, standstill.to_json(), px=EXPIRY_MS)
            elif self._in_redis:
                await self._redis.delete(_KEY)
            self._in_redis = standstill is not None
        except RedisError as error:
            # Who would read it there finds Redis away; the run file has the reason.
            log.debug("cannot publish in Redis: %s", error)

    async def keep_published(self) -> None:
        """Publish it again and again, until cancelled."""
        while True:
            await self.publish()
            await asyncio.sleep(_PUBLISH_EVERY_S)

    def _write(self) -> None:
        remarks = {**self._remarks}
        if self.is_out:
            remarks[NOT_RUNNING] = str(self._found)
        if remarks != self._written:
            write_remarks(self._settings.home, remarks)
            self._written = remarks
