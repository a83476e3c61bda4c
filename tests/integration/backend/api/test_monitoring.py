"""The rules and the dashboard in monitoring/: each metric they use is in a real scrape, each rule is complete."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from coffee_core.keys import DEAD_STREAM, MetricKeys
from coffee_core.latency import bucket_of
from coffee_core.pipelines import PIPELINES
from tests.integration.backend.api.in_process import LocalApi
from tests.waiting import until

FOLDER = Path(__file__).parents[4] / "monitoring"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
PANELS = json.loads((FOLDER / "grafana/dashboards/coffee-rt.json").read_text())["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [each["expr"] for panel in PANELS for each in panel["targets"]]

_NOT_NAMES = {"by", "on", "and", "or", "unless", "without", "ignoring", "bool", "offset"}


def _selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of a PromQL expression with the labels that are asked of it."""
    bare = re.sub(r"\[[^]]*\]|\b(?:by|on|without|ignoring) *\([^)]*\)", " ", expression)
    for name, _, labels in re.findall(
        r"\b([a-z_:][a-z0-9_:]*)\b(?! *\()( *\{([^}]*)\})?", re.sub(r'"[^"]*"', '""', bare)
    ):
        if name not in _NOT_NAMES:
            yield name, set(re.findall(r"([a-z_]+) *[=!]", labels))


def test_the_parser_finds_names_and_labels() -> None:
    found = dict(
        _selectors('sum by (a, le) (rate(b_total{c=~"d|e", f="g"}[5m])) / on (h) max(i) > 0.5 and j != 1')
    )
    assert found == {"b_total": {"c", "f"}, "i": set(), "j": set()}


async def _scrape(api: LocalApi) -> dict[str, set[str]]:
    families = text_string_to_metric_families(await api.text("/metrics"))
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


async def test_every_metric_they_use_exists(api: LocalApi, redis: "Redis[str]") -> None:
    await api.order("v2")
    await redis.xadd(DEAD_STREAM, {"drink": "tea"})
    for keys in map(MetricKeys, PIPELINES):
        await redis.hset(keys.counters, mapping={"last_update_us": 1})
        await redis.hset(keys.latency, mapping={str(bucket_of(3_000)): "1"})
    await until(lambda: _has(api, "coffee_lost_orders"))
    there = {**await _scrape(api), "up": {"job", "instance"}}  # Prometheus' own
    used = [each for expression in EXPRESSIONS for each in _selectors(expression)]
    assert len({name for name, _ in used}) > 12
    for name, labels in used:
        assert name in there, name
        assert labels <= there[name], (name, labels)


async def _has(api: LocalApi, name: str) -> bool:
    return name in await _scrape(api)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_rule_says_how_grave_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"Coffee[A-Z][A-Za-z]+", rule["alert"])
    assert re.fullmatch(r"[0-9]+[sm]", rule["for"])
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"]
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_every_panel_has_its_place() -> None:
    places = [
        (x, y)
        for panel in PANELS
        for at in (panel["gridPos"],)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(places) == len(set(places)), "panels lie on one another"
    assert max(x for x, _ in places) < 24
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_prometheus_is_told_of_the_rules() -> None:
    told = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert told["rule_files"] == ["alerts.yml"]
    assert {each["job_name"] for each in told["scrape_configs"]} == {"coffee-api"}
