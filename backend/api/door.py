"""At the door of a pipeline: where there is no room, that is said before anything is done for the request.

Through the application a refusal costs nearly as much as an order: of three times the orders that there is time
for, few would be taken.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from backend.api import problems, request_ids
from backend.api.gate import Room
from backend.api.observe import RequestCounts
from backend.api.tallies import Answers

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
        status, name = problem.kind.status, request_ids.choose(headers)
        body = problems.body(problem, name.decode("ascii"))
        said = [
            *default_headers,
            *problems.headers(problem.kind),
            (b"content-length", b"%d" % len(body)),
            (request_ids.HEADER, name),
        ]
        self._answers.count(status, 0)
        self._counts.count(self._path, "POST", status, 0.0)
        return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % each for each in said) + b"\r\n" + body

    def _forget(self) -> None:
        # Those who came in the same turn of the event loop have entered the room by the next one.
        self._let_in = 0
