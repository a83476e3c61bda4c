"""Before anything is done for a request: its token, and whether there is room for it."""

import hmac
import math
import time
from collections.abc import Callable

from starlette.types import Scope

from backend.api.kinds import OVERLOADED, TOO_MANY, UNAUTHORIZED
from backend.api.problems import ProblemError

MAX_IN_FLIGHT = 512
"""Most orders being made durable at once; a batch counts as BATCH_WEIGHT."""
BATCH_WEIGHT = 16
"""What a batch of up to a megabyte weighs against an order."""
CROWDED = 128
"""The same while a crowd stays. A burst finds room; but the more is in flight, the more of it falls out of the
processor's caches, and the longer each order takes."""
PATIENCE_S = 0.5
"""Seconds of refusals after which it is a crowd that stays."""
CALM_S = 2.0
"""Seconds without a refusal after which there is all the room again; whoever is held comes sooner."""
HOLD = "coffee.hold"
"""Key in the scope of what to call where the client is told to wait: it is then not read from meanwhile."""
_OPEN_PATHS = ("/livez", "/readyz", "/docs", "/openapi.json", "/problems")


class Room:
    """Counts what is in flight, by client: an address, whatever its port."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.in_flight = 0
        """Weight of what is in flight."""
        self._by_client: dict[str, int] = {}
        self._now_s = now_s
        self._crowd_since_s = self._refused_s = -math.inf

    def enter(self, scope: Scope, weight: int) -> str:
        """Return the client, which must ``leave``; raises ProblemError at once where there is no room for it.

        Its connection is then held for as long as the client is told to wait.
        """
        client: str = scope["client"][0] if scope["client"] else ""
        if problem := self.refusal(client, weight):
            if hold := scope.get(HOLD):
                hold()
            raise problem
        self.in_flight += weight
        self._by_client[client] = self._by_client.get(client, 0) + weight
        return client

    def refusal(self, client: str, weight: int) -> ProblemError | None:
        """Return why there is no room for this client, or None where there is."""
        # While half of the room is free nobody need be fair.
        if self.in_flight + weight <= CROWDED // 2:
            return None
        now_s = self._now_s()
        problem = self._check(client, weight, self._limit(now_s))
        if problem is not None:
            if now_s - self._refused_s > CALM_S:
                self._crowd_since_s = now_s
            self._refused_s = now_s
        return problem

    def _limit(self, now_s: float) -> int:
        stays = self._refused_s - self._crowd_since_s > PATIENCE_S and now_s - self._refused_s <= CALM_S
        return CROWDED if stays else MAX_IN_FLIGHT

    def _check(self, client: str, weight: int, limit: int) -> ProblemError | None:
        if self.in_flight + weight <= limit // 2:
            return None
        if self.in_flight + weight > limit:
            return ProblemError(OVERLOADED, f"{self.in_flight} orders are in flight")
        held = self._by_client.get(client, 0)
        clients = len(self._by_client) + (held == 0)
        # An eighth is for another client than those that are there.
        share = min(limit - limit // 8, max(limit // clients, BATCH_WEIGHT))
        if held + weight > share:
            return ProblemError(TOO_MANY, f"{share} is the share of each of {clients} clients")
        return None

    def leave(self, client: str, weight: int) -> None:
        """Give back what ``enter`` took."""
        self.in_flight -= weight
        left = self._by_client[client] - weight
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]


class Token:
    """The bearer token of the settings, where there is one."""

    def __init__(self, token: str) -> None:
        self._wanted = token.encode()

    def check(self, scope: Scope) -> None:
        """Raise ProblemError where the request needs the token and does not have it."""
        path = scope["path"]
        if not self._wanted or path in _OPEN_PATHS or path.startswith(("/readyz/", "/problems/")):
            return
        for name, value in scope["headers"]:
            if name == b"authorization":
                scheme, _, given = value.partition(b" ")
                # Constant time: how long the answer takes tells nothing of the token.
                if scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._wanted):
                    return
        raise ProblemError(UNAUTHORIZED, "COFFEE_API_TOKEN is set: send 'Authorization: Bearer …'")
