"""The chart as Helm renders it: its own SDK, no cluster."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).parents[3] / "helm" / "coffee-rt"
CONNECTIONS = {
    "databaseUrl": "postgresql://coffee:secret@db/coffee",
    "redisUrl": "redis://redis:6379/0",
    "kafkaBootstrapServers": "kafka:9092",
}


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``one`` with the leaves of ``other`` over it."""
    result = dict(one)
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def rendered(values: Mapping[str, Any] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return file → objects, under the release ``shop`` in the namespace ``coffee``. Raises HelmError."""
    whole = merged({"global": {"connections": CONNECTIONS}}, values or {})
    with helm_python.Chart.load(str(CHART)) as chart:
        chart.validate_schema(whole)
        files = chart.render(whole, name="shop", namespace="coffee")
    found = {
        name.removeprefix("coffee-rt/"): [each for each in yaml.safe_load_all(text) if each]
        for name, text in files.items()
        if name.endswith(".yaml")
    }
    return {name: objects for name, objects in found.items() if objects}


def objects(values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return every rendered object."""
    return [each for found in rendered(values).values() for each in found]


def named(kind: str, name: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return one object by its kind and name."""
    (found,) = [each for each in objects(values) if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pods(values: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """Return name → pod spec of everything that makes pods of ours."""
    specs = {}
    for each in objects(values):
        if each["kind"] in ("Deployment", "Job"):
            specs[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
        elif each["kind"] == "CronJob":
            specs[each["metadata"]["name"]] = each["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return specs


def variables(text: str) -> set[str]:
    """Return the names of settings that a text mentions."""
    return set(re.findall(r"\bCOFFEE_[A-Z_]+\b", text))
