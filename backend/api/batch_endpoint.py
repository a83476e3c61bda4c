"""POST /api/v…/orders: up to a thousand orders, all of them or none, one result each."""

from time import perf_counter_ns

from starlette.types import Receive, Scope, Send

from backend.api import problems
from backend.api.batch import read_batch
from backend.api.gate import BATCH_WEIGHT, Room
from backend.api.incoming import ClientGoneError
from backend.api.order_endpoint import JSON, answer, taken_template
from backend.api.problems import ProblemError
from backend.api.request_ids import request_id
from backend.api.taking import Taking
from backend.api.tallies import Answers
from coffee_core.pipelines import INFO, Pipeline


class BatchEndpoint:
    """Takes the batches of one pipeline."""

    def __init__(self, pipeline: Pipeline, taking: Taking, answers: Answers, room: Room) -> None:
        self._room = room
        self._taking = taking
        self._answers = answers
        self._status = INFO[pipeline].accepted_status
        self._body = taken_template(pipeline)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started_ns, count = perf_counter_ns(), 1
        try:
            batch = await read_batch(scope, receive)
            client = self._room.enter(scope, BATCH_WEIGHT)
            try:
                await self._taking.take_all(batch.distinct, batch.keyed)
            finally:
                self._room.leave(client, BATCH_WEIGHT)
        except ProblemError as problem:
            status, headers = problem.kind.status, problems.headers(problem.kind)
            if problem.message_ids is not None:
                problem.message_ids = [str(message_id) for message_id in batch.message_ids]
            body = problems.body(problem, request_id(scope))
        except ClientGoneError:
            return
        else:
            status, headers, count = self._status, [JSON], len(batch.distinct)
            results = ",".join(self._body % (each, each) for each in batch.message_ids)
            body = f'{{"orders":[{results}]}}'.encode()
        await answer(send, status, headers, body)
        self._answers.count(status, (perf_counter_ns() - started_ns) // 1_000, count)
