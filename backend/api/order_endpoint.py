"""POST /api/v…/order: one ASGI application for each pipeline, without request and response objects."""

from time import perf_counter_ns

from starlette.types import Receive, Scope, Send

from backend.api import problems
from backend.api.gate import Room
from backend.api.incoming import ClientGoneError, read_order
from backend.api.problems import ProblemError
from backend.api.request_ids import request_id
from backend.api.taking import Taking
from backend.api.tallies import Answers
from coffee_core.pipelines import INFO, Pipeline

JSON = (b"content-type", b"application/json")


class OrderEndpoint:
    """Takes the orders of one pipeline."""

    def __init__(self, pipeline: Pipeline, taking: Taking, answers: Answers, room: Room) -> None:
        self._take = taking.take
        self._room = room
        self._answers = answers
        self._status = INFO[pipeline].accepted_status
        self._location = location(pipeline)
        self._body = taken_template(pipeline)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_ns = perf_counter_ns()
        try:
            order, keyed = await read_order(scope, receive)
            # Only now: who is slow to send a body takes no room from those who are not.
            client = self._room.enter(scope, 1)
            try:
                await self._take(order, keyed)
            finally:
                self._room.leave(client, 1)
        except ProblemError as problem:
            status, headers = problem.kind.status, problems.headers(problem.kind)
            body = problems.body(problem, request_id(scope))
        except ClientGoneError:
            return
        else:
            message_id = str(order.message_id)
            status, headers = self._status, [JSON, (b"location", (self._location + message_id).encode())]
            body = (self._body % (message_id, message_id)).encode()
        await answer(send, status, headers, body)
        self._answers.count(status, (perf_counter_ns() - started_ns) // 1_000)


def location(pipeline: Pipeline) -> str:
    """Return the beginning of the path of an order's status."""
    return f"/api/{pipeline}/order/"


def taken_template(pipeline: Pipeline) -> str:
    """Return the JSON of an order that was taken, with two places for its message id."""
    word = "stored" if INFO[pipeline].accepted_status == 201 else "accepted"
    return f'{{"message_id":"%s","status":"{word}","links":{{"status":"{location(pipeline)}%s"}}}}'


async def answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer; ``headers`` without its length."""
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
