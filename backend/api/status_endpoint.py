"""GET /api/v…/order/{message_id}: accepted, stored, shown."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backend.api.kinds import INVALID, NOT_FOUND, UNAVAILABLE
from backend.api.lookups import Lookup
from backend.api.outcome import UnavailableError
from backend.api.problems import ProblemError
from coffee_core.errors import OrderError
from coffee_core.ids import parse_idempotency_key
from coffee_core.pipelines import Pipeline


def route(pipeline: Pipeline, lookup: Lookup) -> Route:
    """Return the route of one pipeline; it raises ProblemError."""

    async def status(request: Request) -> Response:
        try:
            message_id = parse_idempotency_key(request.path_params["message_id"])
        except OrderError as error:
            raise ProblemError(INVALID, f"message_id: {error.reason}", field="message_id") from error
        try:
            found = await lookup.find(message_id)
        except UnavailableError as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        if found is None:
            raise ProblemError(NOT_FOUND, f"Nothing is known of an order {message_id} of {pipeline}")
        said = {"message_id": str(message_id), "accepted": True, **found._asdict()}
        return JSONResponse(said, headers={"Cache-Control": "no-store"})

    return Route(f"/api/{pipeline}/order/{{message_id}}", status, methods=["GET"])
