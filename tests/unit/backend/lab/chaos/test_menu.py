"""The menu: every part can be killed and frozen, the page tells of every fault, and strangers are left alone."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.cli.main import coffee
from backend.lab.chaos.faults import FAULTS
from backend.lab.chaos.network import on_link
from backend.lab.chaos.target import NotLocalError, TargetStack
from backend.pipelines.faults import Action, Fault
from backend.pipelines.v3_kafka.faults import TASK_MANAGER
from backend.stack.parts import NAMES
from coffee_core.pipelines import PIPELINES, LogKind
from coffee_core.runstate import PartState, State, write_env, write_state

PAGE = Path(__file__).parents[5] / "docs" / "chaos.md"


def call(*words: str) -> Result:
    return CliRunner().invoke(coffee, ["chaos", *words], standalone_mode=False)


@pytest.mark.parametrize("action", [Action.KILL, Action.FREEZE])
def test_every_part_can_be_killed_and_frozen(action: Action) -> None:
    parts = {TASK_MANAGER if name.startswith(TASK_MANAGER) else name for name in NAMES}
    assert {fault.part for fault in FAULTS.values() if fault.action is action} == parts


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_part_may_fail_the_requests_of_its_own_pipeline_alone(fault: Fault) -> None:
    logs = (("redis", LogKind.STREAM), ("kafka", LogKind.TOPIC))
    of_part = {
        "postgres": {each for each in PIPELINES if each.info.commits_in_request},
        **{
            kind: {each for each in PIPELINES if each.info.log and each.info.log.kind is log} for kind, log in logs
        },
        "cafe-order-api": set(PIPELINES),
        "network-lab": set(PIPELINES),
    }
    if fault.part:
        assert set(fault.may_refuse) <= of_part.get(fault.part, set())


def test_the_page_lists_the_menu_as_it_is() -> None:
    listed = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert listed == [
        f"| `{fault.name}` | {', '.join(fault.may_refuse) or '–'} | {fault.teaches} |" for fault in FAULTS.values()
    ]


def test_the_list_names_every_fault_and_what_it_teaches() -> None:
    lines = call().stdout.splitlines()
    assert [line.split(maxsplit=1) for line in lines] == [[each.name, each.teaches] for each in FAULTS.values()]


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COFFEE_HOME", str(tmp_path))
    result = call("kill-redis")
    assert result.return_value == 3
    assert "start it with `coffee up`" in result.stderr
    assert call("--all").return_value == 3


def test_servers_given_by_a_url_are_never_broken(tmp_path: Path) -> None:
    for name, state in (("redis", State.UP), ("postgres", State.EXTERNAL)):
        write_state(tmp_path, PartState(name, None, None, state, wrapper_pid=os.getpid()))
    with pytest.raises(NotLocalError, match="postgres was given by a URL"):
        TargetStack.attach({"COFFEE_HOME": str(tmp_path)})


def test_addresses_come_from_the_stack_and_not_from_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(tmp_path, PartState("redis", 7, 1, State.UP, wrapper_pid=os.getpid()))
    write_env(tmp_path, {"REDIS_URL": "redis://127.0.0.1:1/0", "COFFEE_PIPELINES": "v2"})
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6379/0")
    monkeypatch.setenv("COFFEE_HOME", str(tmp_path))
    monkeypatch.setenv("COFFEE_API_TOKEN", "secret")
    settings = TargetStack.attach().settings
    assert settings.redis_url == "redis://127.0.0.1:1/0"
    assert settings.authorization == {"Authorization": "Bearer secret"}, "a stack publishes no token"


@pytest.mark.parametrize(
    ("link", "may_refuse"),
    [
        ("cafe-order-api:redis", {"v2"}),
        ("cafe-order-api:postgres", {"v1", "v5"}),
        ("cafe-order-api:kafka", {"v3", "v4"}),
        ("stream-worker:redis", set[str]()),
        ("flink-taskmanager-1:flink-jobmanager", set[str]()),
    ],
)
def test_a_link_may_fail_the_requests_of_those_that_need_it_to_accept(link: str, may_refuse: set[str]) -> None:
    fault = on_link(FAULTS["network-black-hole"], link)
    assert {str(pipeline) for pipeline in fault.may_refuse} == may_refuse
    assert fault.name == f"network-black-hole {link}"


def test_faults_of_the_network_are_for_a_lab_that_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_state(tmp_path, PartState("redis", 7, 1, State.UP, wrapper_pid=os.getpid()))
    monkeypatch.setenv("COFFEE_HOME", str(tmp_path))
    for words in (("network-delay",), ("network-delay", "--link", "each")):
        refused = CliRunner().invoke(coffee, ["chaos", *words])
        assert (refused.exit_code, "`coffee up --network-lab`" in refused.output) == (2, True), refused.output
    for words in (("kill-redis", "--link", "each"), ("--all", "--link", "each")):
        refused = CliRunner().invoke(coffee, ["chaos", *words])
        assert (refused.exit_code, "for the faults of the network" in refused.output) == (2, True), refused.output
