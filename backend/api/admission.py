"""Admission of orders: how many may be in flight, and the refusal of the rest before any work is done for them."""

import asyncio

from starlette.types import Scope

from backend.api.answer_counters import AnswerCounts, RequestCounts
from backend.api.problems import OVERLOADED, TOO_MANY, ProblemError

MAX_IN_FLIGHT = 512
"""Most orders being made durable at once; a batch counts as BATCH_WEIGHT."""
BATCH_WEIGHT = 16
"""Weight of a batch of up to a megabyte; an order weighs 1."""
_RESERVE = MAX_IN_FLIGHT // 8
"""Weight that no single client may take, so that another one is admitted."""
HOLD = "coffee.hold"
"""Key in the scope of a function to call where the client is asked to wait: stops reading from it meanwhile."""
ADMISSIONS = "coffee.admissions"
"""Key in the state of the application of its ``Admission`` by path."""


class InFlight:
    """Weight of what is in flight for one pipeline, by client: an address, whatever its port."""

    def __init__(self) -> None:
        self.weight = 0
        """Weight of all clients together."""
        self._by_client: dict[str, int] = {}

    def enter(self, scope: Scope, weight: int) -> str:
        """Count a request and return its client, for ``leave``; raises ProblemError where it is not admitted.

        Then nothing is read from its connection for as long as the client is asked to wait.
        """
        client: str = scope["client"][0] if scope["client"] else ""
        # No shares while half of MAX_IN_FLIGHT is free.
        if self.weight + weight > MAX_IN_FLIGHT // 2 and (problem := self.refusal(client, weight)):
            if hold := scope.get(HOLD):
                hold()
            raise problem
        self.weight += weight
        self._by_client[client] = self._by_client.get(client, 0) + weight
        return client

    def refusal(self, client: str, weight: int) -> ProblemError | None:
        """Return why this client is not admitted, or None where it is."""
        if self.weight + weight <= MAX_IN_FLIGHT // 2:
            return None
        if self.weight + weight > MAX_IN_FLIGHT:
            return ProblemError(OVERLOADED, f"{self.weight} orders are in flight")
        held = self._by_client.get(client, 0)
        clients = len(self._by_client) + (held == 0)
        share = min(MAX_IN_FLIGHT - _RESERVE, max(MAX_IN_FLIGHT // clients, BATCH_WEIGHT))
        if held + weight > share:
            return ProblemError(TOO_MANY, f"{share} is the share of each of {clients} clients")
        return None

    def leave(self, client: str, weight: int) -> None:
        """Subtract the weight that ``enter`` added."""
        self.weight -= weight
        left = self._by_client[client] - weight
        if left:
            self._by_client[client] = left
        else:
            del self._by_client[client]


class Admission:
    """Refuses requests of one path as soon as their headers are there.

    Through the application a refusal costs nearly as much as an order: of three times the orders that there is
    time for, few would be taken.
    """

    def __init__(
        self, path: str, in_flight: InFlight, weight: int, answers: AnswerCounts, counts: RequestCounts
    ) -> None:
        self._path = path
        self._in_flight = in_flight
        self._weight = weight
        self._answers = answers
        self._counts = counts
        self._admitted = 0

    def refusal(self, client: str) -> ProblemError | None:
        """Return the problem to answer at once, and count its answer; None where the request is admitted.

        ``client`` is its address.
        """
        weight = self._admitted + self._weight
        if self._in_flight.weight + weight <= MAX_IN_FLIGHT // 2 or not (
            problem := self._in_flight.refusal(client, weight)
        ):
            if not self._admitted:
                asyncio.get_running_loop().call_soon(self._forget)
            self._admitted = weight
            return None
        self._answers.count(problem.type.status, 0)
        self._counts.count(self._path, "POST", problem.type.status, 0.0)
        return problem

    def _forget(self) -> None:
        # By the next turn of the event loop, the requests admitted in this one have entered ``InFlight``.
        self._admitted = 0
