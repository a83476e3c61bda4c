"""The registry: what is declared is all there is, and a package of somebody else's is as good as a built-in."""

import copy
import json
import pickle
from dataclasses import replace

import pytest

from backend.pipelines.operations import PipelineOperations, operations_of
from coffee_core.errors import ConfigError
from coffee_core.pipelines import PIPELINES, Pipeline, Repair, is_part, parse_pipelines, pipeline_named
from coffee_core.settings import Settings
from tests.toy_pipeline.declaration import DECLARATION


def test_there_is_one_object_of_each_name() -> None:
    v2 = pipeline_named("v2")
    assert v2 is Pipeline("v2") is PIPELINES[1]
    assert copy.deepcopy(v2) is v2
    assert pickle.loads(pickle.dumps(v2)) is v2
    assert json.dumps({v2: v2}) == '{"v2": "v2"}'
    assert v2.info.title == "Streams"


@pytest.mark.parametrize("text", ["v0", "v1,v0", "toy", "+v0", "v1,+v2"])
def test_what_is_not_registered_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no pipeline; choose from v1, v2, v3"):
        parse_pipelines(text)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_has_a_backend_that_offers_what_is_declared(pipeline: Pipeline) -> None:
    backend = operations_of(pipeline)
    assert backend.pipeline is pipeline
    offered = {
        Repair.RECONCILE: "reconcile",
        Repair.REPLAY: "replay",
        Repair.NEW_BALANCE: "begin_new_balance",
        Repair.SAVEPOINT: "take_savepoint",
        Repair.DEAD_LETTERS: "settle_dead_letters",
    }
    for repair, method in offered.items():
        own = getattr(type(backend), method) is not getattr(PipelineOperations, method)
        assert own == (repair in pipeline.info.repairs), (repair, "declared and done are not the same")


def test_colours_and_services_are_of_one_pipeline_alone() -> None:
    declarations = [*(each.info for each in PIPELINES), DECLARATION]
    colours = [each.colour for each in declarations]
    services = [service.name for each in declarations for service in each.services]
    assert len(set(colours)) == len(colours)
    assert len(set(services)) == len(services)


def test_a_name_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.toy_pipeline.declaration.DECLARATION", replace(DECLARATION, name="v2"))
    with pytest.raises(ConfigError, match=r"'tests\.toy_pipeline' declares 'v2', which there is already"):
        Settings.from_env({"COFFEE_PIPELINE_PACKAGES": "tests.toy_pipeline"})


@pytest.mark.parametrize(
    ("process", "parts", "is_one"),
    [
        ("kafka", ("kafka",), True),
        ("kafka-worker", ("kafka",), False),
        ("kafka-worker", ("kafka-worker", "kafka-aggregator"), True),
        ("kafka-worker-2", ("kafka", "kafka-worker"), True),
        ("flink-taskmanager-1", ("kafka", "flink"), True),
        ("cafe-order-aggregator", ("aggregator",), False),
        ("kafka-worker", (), False),
    ],
)
def test_a_process_is_of_the_part_that_is_named_so(process: str, parts: tuple[str, ...], is_one: bool) -> None:
    assert is_part(process, parts) is is_one
