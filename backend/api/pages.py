"""What the API says of itself: /openapi.json, /docs and a page of each kind of problem."""

from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from backend.api import docs_page, openapi
from backend.api.kinds import KINDS, NOT_FOUND, Kind
from backend.api.problems import ProblemError
from coffee_core.pipelines import Pipeline

_NOTHING_ELSE = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
_HTML = {"Content-Security-Policy": _NOTHING_ELSE, "X-Content-Type-Options": "nosniff"}


def routes(pipelines: tuple[Pipeline, ...]) -> list[Route]:
    """Return the routes."""
    kinds = {kind.name: kind for kind in KINDS}

    async def openapi_json(_: Request) -> Response:
        return Response(_raw(pipelines), media_type="application/json")

    async def docs_html(_: Request) -> Response:
        return HTMLResponse(_docs(pipelines), headers=_HTML)

    async def problems(request: Request) -> Response:
        if _wants_html(request):
            return HTMLResponse(docs_page.page("Problems", docs_page.problem_table()), headers=_HTML)
        return JSONResponse([_said(kind) for kind in KINDS])

    async def problem(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in kinds:
            raise ProblemError(NOT_FOUND, f"{name[:100]} is no kind of problem; /problems lists them")
        said = _said(kinds[name])
        if _wants_html(request):
            content = f"<p>Status {said['status']}, type <code>{said['type']}</code>.</p><p>{said['meaning']}</p>"
            return HTMLResponse(docs_page.page(str(said["title"]), content), headers=_HTML)
        return JSONResponse(said)

    return [
        Route("/openapi.json", openapi_json),
        Route("/docs", docs_html),
        Route("/problems", problems),
        Route("/problems/{name}", problem),
    ]


# Made once, and only when somebody asks: the start does not wait for them.
@cache
def _document(pipelines: tuple[Pipeline, ...]) -> dict[str, Any]:
    return openapi.document(pipelines)


@cache
def _raw(pipelines: tuple[Pipeline, ...]) -> bytes:
    return msgspec.json.encode(_document(pipelines))


@cache
def _docs(pipelines: tuple[Pipeline, ...]) -> str:
    return docs_page.render(_document(pipelines))


def _said(kind: Kind) -> dict[str, str | int]:
    return {"type": kind.type, "status": kind.status, "title": kind.title, "meaning": kind.meaning}


def _wants_html(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "")
