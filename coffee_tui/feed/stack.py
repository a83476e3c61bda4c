"""How each part of the stack stands, from what the API, the run files and the dashboard's own links say."""

from collections.abc import Iterable, Mapping, Sequence

from coffee_core.pipelines import INFO, Pipeline
from coffee_core.runstate import PartState, State
from coffee_tui.feed.readings import LabReading
from coffee_tui.feed.snapshot import Health, Link, PartView, Stage

_HEALTH = {
    State.WAITING: Health.WAITING,
    State.STARTING: Health.STARTING,
    State.UP: Health.GOOD,
    State.EXTERNAL: Health.GOOD,
    State.BACKOFF: Health.BROKEN,
    State.STOPPING: Health.BROKEN,
    State.STOPPED: Health.BROKEN,
}
_WORST_FIRST = (Health.BROKEN, Health.STARTING, Health.WAITING, Health.UNKNOWN, Health.GOOD)

# Which parts, by the beginning of their process names, a stage of a chain stands on.
_PARTS_OF = {
    "POST": ("cafe-order-api", "api"),
    "PG": ("postgres",),
    "cron": ("cafe-order-aggregator", "aggregator"),
    "Redis": ("redis",),
    "stream": ("redis",),
    "worker": ("stream-worker",),
    "Kafka": ("kafka",),
    "Flink": ("flink",),
    "PG, Redis": ("postgres", "redis"),
}


def part_views(parts: Sequence[PartState], lab: LabReading | None) -> tuple[PartView, ...]:
    """Return every part by name: its wrapper's word, corrected by the API where that cannot reach it."""
    dependencies = lab.dependencies if lab else {}
    views = {part.name: _part_view(part) for part in parts}
    for name, dependency in dependencies.items():
        known = views.get(name)
        if known is None:
            health = Health.GOOD if dependency.up else Health.BROKEN
            views[name] = PartView(name, health, health.value, dependency.detail, dependency.since_us)
        elif known.health is Health.GOOD and not dependency.up:
            detail = dependency.detail or "the API cannot reach it"
            views[name] = PartView(name, Health.BROKEN, "no answer", detail, dependency.since_us)
    return tuple(views.values())


def _part_view(part: PartState) -> PartView:
    return PartView(part.name, _HEALTH[part.state], part.state.value, part.detail, part.since_us)


def _worst(healths: Iterable[Health]) -> Health:
    found = set(healths)
    return next((health for health in _WORST_FIRST if health in found), Health.UNKNOWN)


def part_of(label: str, parts: Iterable[PartView]) -> tuple[PartView, ...]:
    """Return the parts that a stage stands on."""
    names = _PARTS_OF[label]
    return tuple(part for part in parts if part.name.startswith(names))


def chain(
    pipeline: Pipeline, parts: Sequence[PartView], redis: Link, api: Link, ready: Mapping[str, bool]
) -> tuple[Stage, ...]:
    """Return the chain of a pipeline, each stage as healthy as the worst of what it stands on."""
    return tuple(Stage(label, _stage(label, pipeline, parts, redis, api, ready)) for label in INFO[pipeline].chain)


def _stage(
    label: str, pipeline: Pipeline, parts: Sequence[PartView], redis: Link, api: Link, ready: Mapping[str, bool]
) -> Health:
    healths = [part.health for part in part_of(label, parts)]
    if label == "POST":
        return _post([health for health in healths if health is not Health.GOOD], api, ready.get(pipeline))
    if label in ("Redis", "stream", "PG, Redis") and redis.up is not None:
        healths.append(Health.GOOD if redis.up else Health.BROKEN)
    return _worst(healths)


def _post(coming: Sequence[Health], api: Link, ready: bool | None) -> Health:
    if api.up:
        return {True: Health.GOOD, False: Health.WAITING, None: Health.UNKNOWN}[ready]
    return Health.BROKEN if api.up is False and not coming else _worst(coming)
