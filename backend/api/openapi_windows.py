"""The paths of the windows in the OpenAPI document."""

from typing import Any

from backend.api.windows import said
from coffee_core.menu import STORES
from coffee_core.pipelines import Pipeline
from coffee_core.windows import LATE_AFTER_S, MOST_MINUTES, SHOWN_MINUTES, WINDOW_S, StoreSums, Windows

_START_S = 1_736_935_200
_NONE = dict.fromkeys(STORES, 0)
_LATE = StoreSums({**_NONE, "central": 1}, {**_NONE, "central": 350})
_EXAMPLE = Windows(
    {
        _START_S: StoreSums({**_NONE, "uptown": 2}, {**_NONE, "uptown": 925}),
        _START_S + WINDOW_S: StoreSums({**_NONE, "uptown": 1}, {**_NONE, "uptown": 500}),
    },
    _LATE,
    (_START_S + WINDOW_S) * 1_000_000,
)


def path(pipeline: Pipeline, problems: dict[str, Any]) -> dict[str, Any]:
    """Return the path of one pipeline; ``problems`` are its responses beside the windows."""
    example = said(_EXAMPLE, (_START_S + WINDOW_S + LATE_AFTER_S) * 1_000_000)
    found = {
        "description": "the windows",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/LastWindows"}, "example": example}
        },
    }
    minutes = {"type": "integer", "minimum": 1, "maximum": MOST_MINUTES, "default": SHOWN_MINUTES}
    parameter = {"name": "minutes", "in": "query", "required": False, "schema": minutes, "example": SHOWN_MINUTES}
    keeps_none = pipeline is Pipeline.V2
    return {
        f"/api/{pipeline}/windows": {
            "get": {
                "operationId": f"{pipeline}_windows",
                "summary": "Why v2 has no windows" if keeps_none else "The last one-minute windows in event time",
                "tags": [str(pipeline)],
                **({} if keeps_none else {"parameters": [parameter]}),
                "responses": problems if keeps_none else {"200": found, **problems},
            }
        }
    }
