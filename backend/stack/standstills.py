"""What stands still, for the commands that tell how things are: as the running API finds it."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from coffee_core.standstill import Standstill

_WITHIN_S = 2.0
"""Seconds for an answer: whoever asks how things are does not wait for what is down."""


def standstills(settings: Settings) -> dict[Pipeline, Standstill]:
    """Return why accepted orders wait, of each pipeline that stands still.

    Where the API does not answer, what the processors themselves say in Redis; nothing where that is away, too.
    """
    answer = _readiness(f"{settings.api_url}/readyz")
    if answer is None:
        return _reported(settings)
    found = {}
    for pipeline in settings.pipelines:
        standstill = answer.get("pipelines", {}).get(pipeline, {}).get("standstill")
        if standstill is not None:
            found[pipeline] = Standstill(standstill["reason"], standstill["cure"])
    return found


def _readiness(url: str) -> Mapping[str, Any] | None:
    # Not by a proxy, whatever http_proxy says: it does not know this stack.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_WITHIN_S) as answer:
            body = answer.read()
    except urllib.error.HTTPError as not_ready:
        body = not_ready.read()
    except (OSError, HTTPException):  # a URLError and a TimeoutError are OSErrors
        return None
    try:
        read = json.loads(body)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _reported(settings: Settings) -> dict[Pipeline, Standstill]:
    from redis import Redis, RedisError

    from backend.pipelines.standstill import reported

    keys = [MetricKeys(pipeline) for pipeline in settings.pipelines]
    try:
        with Redis.from_url(
            settings.redis_url, socket_timeout=_WITHIN_S, socket_connect_timeout=_WITHIN_S
        ) as client:
            values: Any = client.mget([of.standstill for of in keys])
    except (RedisError, OSError):
        return {}
    read = {
        pipeline: reported(value, of) for pipeline, of, value in zip(settings.pipelines, keys, values, strict=True)
    }
    return {pipeline: standstill for pipeline, standstill in read.items() if standstill is not None}


def line(pipeline: Pipeline, standstill: Standstill) -> str:
    """Return the sentence for people."""
    return f"{pipeline} waits: {standstill}"
