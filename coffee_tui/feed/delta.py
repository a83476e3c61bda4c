"""What changed between two plain values, small enough to write ten times a second.

A changed scalar is itself; of an object the changed fields; ``{"#": {index: change}}`` of an array whose objects
changed; ``{"+": tail, "n": length}`` of a sliding window; ``{"=": array}`` of any other array.
"""

from typing import Any

_LONGEST_TAIL = 5


def delta(before: Any, now: Any) -> Any:
    """Return the change that leads from one plain value to another of the same kind."""
    if isinstance(before, dict) and isinstance(now, dict):
        return {name: delta(before.get(name), each) for name, each in now.items() if before.get(name) != each}
    if isinstance(now, list):
        return _array(before if isinstance(before, list) else [], now)
    return {"=": now} if isinstance(now, dict) else now


def _array(before: list[Any], now: list[Any]) -> dict[str, Any]:
    if len(before) == len(now) and all(isinstance(each, dict) for each in (*before, *now)):
        pairs = enumerate(zip(before, now, strict=True))
        return {"#": {str(index): delta(old, new) for index, (old, new) in pairs if old != new}}
    for length in range(1, min(_LONGEST_TAIL, len(now)) + 1):
        if len(now) > length and (before + now[-length:])[-len(now) :] == now:
            return {"+": now[-length:], "n": len(now)}
    return {"=": now}


def patch(before: Any, change: Any) -> Any:
    """Return what a change makes of a value; ``before`` stays as it is."""
    if not isinstance(change, dict):
        return change
    if "=" in change:
        return change["="]
    if "+" in change:
        return (before + change["+"])[-change["n"] :]
    if "#" in change:
        return [patch(each, change["#"].get(str(index), {})) for index, each in enumerate(before)]
    return {**before, **{name: patch(before.get(name), each) for name, each in change.items()}}
