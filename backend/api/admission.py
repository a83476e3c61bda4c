"""Before anything is done for a request: its token, and whether there is room for it."""

import asyncio
import hmac

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from backend.api import problems, responses
from backend.api.answer_counters import Answers, RequestCounts
from backend.api.problems import OVERLOADED, TOO_MANY, UNAUTHORIZED, ProblemError

MAX_IN_FLIGHT = 512
"""Most orders being made durable at once; a batch counts as BATCH_WEIGHT."""
BATCH_WEIGHT = 16
"""What a batch of up to a megabyte weighs against an order."""
_RESERVE = MAX_IN_FLIGHT // 8
"""What no single client may take, so that another one finds room."""
HOLD = "coffee.hold"
"""Key in the scope of what to call where the client is told to wait: it is then not read from meanwhile."""
_OPEN_PATHS = ("/livez", "/readyz", "/docs", "/openapi.json", "/problems")


class Room:
    """Counts what is in flight, by client: an address, whatever its port."""

    def __init__(self) -> None:
        self.in_flight = 0
        """Weight of what is in flight."""
        self._by_client: dict[str, int] = {}

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
        if self.in_flight + weight <= MAX_IN_FLIGHT // 2:
            return None
        if self.in_flight + weight > MAX_IN_FLIGHT:
            return ProblemError(OVERLOADED, f"{self.in_flight} orders are in flight")
        held = self._by_client.get(client, 0)
        clients = len(self._by_client) + (held == 0)
        share = min(MAX_IN_FLIGHT - _RESERVE, max(MAX_IN_FLIGHT // clients, BATCH_WEIGHT))
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


# At the door of a pipeline: where there is no room, that is said before anything is done for the request.
#
# Through the application a refusal costs nearly as much as an order: of three times the orders that there is time
# for, few would be taken.


DOORS = "coffee.doors"
"""Key in the state of the application of its doors, by path."""
Headers = list[tuple[bytes, bytes]]


class Door:
    """Refuses requests of one path."""

    def __init__(self, path: str, room: Room, weight: int, answers: Answers, counts: RequestCounts) -> None:
        self._path = path
        self._room = room
        self._weight = weight
        self._answers = answers
        self._counts = counts
        self._let_in = 0

    def refusal(self, client: str, headers: Headers, default_headers: Headers) -> bytes | None:
        """Return a whole answer, which is counted with this, or None where there is room.

        ``client`` is its address, ``headers`` are its request's, ``default_headers`` those of every answer.
        """
        problem = self._room.refusal(client, self._let_in + self._weight)
        if problem is None:
            if not self._let_in:
                asyncio.get_running_loop().call_soon(self._forget)
            self._let_in += self._weight
            return None
        status, name = problem.kind.status, responses.choose(headers)
        body = problems.body(problem, name.decode("ascii"))
        said = [
            *default_headers,
            *problems.headers(problem.kind),
            (b"content-length", b"%d" % len(body)),
            (responses.HEADER, name),
        ]
        self._answers.count(status, 0)
        self._counts.count(self._path, "POST", status, 0.0)
        return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % each for each in said) + b"\r\n" + body

    def _forget(self) -> None:
        # Those who came in the same turn of the event loop have entered the room by the next one.
        self._let_in = 0
