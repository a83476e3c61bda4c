"""GET /api/v…/windows: the last windows in event time, and what came too late for one."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backend.api.kinds import INVALID, NO_WINDOWS, UNAVAILABLE
from backend.api.outcome import OutcomeUnknownError, UnavailableError
from backend.api.problems import ProblemError
from backend.api.window_sources import WindowsSource
from coffee_core.clock import now_us
from coffee_core.pipelines import Pipeline
from coffee_core.windows import LATE_AFTER_S, MOST_MINUTES, SHOWN_MINUTES, WINDOW_S, StoreSums, Windows, starts


def route(pipeline: Pipeline, source: WindowsSource | None) -> Route:
    """Return the route of one pipeline; it raises ProblemError."""

    async def windows(request: Request) -> Response:
        if source is None:
            raise ProblemError(NO_WINDOWS, f"{pipeline} would need event time, state of its own and a watermark")
        time_us = now_us()
        known = starts(time_us, _minutes(request.query_params.get("minutes", str(SHOWN_MINUTES))))
        try:
            found = await source.read(known, time_us)
        except (UnavailableError, OutcomeUnknownError) as error:
            raise ProblemError(UNAVAILABLE, str(error)) from error
        return JSONResponse(said(found, time_us), headers={"Cache-Control": "no-store"})

    return Route(f"/api/{pipeline}/windows", windows, methods=["GET"])


def _minutes(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= MOST_MINUTES:
        return int(text)
    raise ProblemError(INVALID, f"minutes: must be a whole number from 1 to {MOST_MINUTES}", field="minutes")


def said(found: Windows, time_us: int) -> dict[str, Any]:
    """Return what ``schema.LastWindows`` says."""
    return {
        "time_us": time_us,
        "watermark_us": found.watermark_us,
        "window_s": WINDOW_S,
        "late_after_s": LATE_AFTER_S,
        "windows": [
            {"start_us": start_s * 1_000_000, "final": found.is_final(start_s), **_sums(sums)}
            for start_s, sums in found.windows.items()
        ],
        "late": _sums(found.late),
    }


def _sums(sums: StoreSums) -> dict[str, Any]:
    return {"orders": sums.orders, "revenue_cents": sums.revenue_cents, **asdict(sums)}
