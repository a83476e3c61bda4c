"""A pipeline that is not built in is broken like the others: by its own faults, and by those of its services."""

from dataclasses import replace

import pytest

from backend.lab.chaos.faults import FAULTS, faults_of, menu
from backend.pipelines import faults
from backend.pipelines.faults import refused_without, unstorable_orders
from coffee_core import pipelines
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.pipelines import PIPELINES, Declaration, Pipeline
from coffee_core.pipelines.constants import V2
from tests.unit.backend.lab.toy.declaration import DECLARATION


def test_its_services_are_killed_and_frozen_by_what_it_says_or_a_general_text(toy: Pipeline) -> None:
    found = {fault.name: fault for fault in faults_of(toy)}
    assert list(found) == [
        *("kill-toy-worker", "freeze-toy-worker", "poison-toy"),
        *("kill-toy-cleaner", "freeze-toy-cleaner"),
    ]
    assert found["kill-toy-worker"].teaches == "the toy's worker comes back"
    assert "toy" in found["kill-toy-cleaner"].teaches
    assert not any(fault.may_refuse for fault in found.values())


def test_the_menu_has_them_in_its_order_and_all_others_as_they_were(toy: Pipeline) -> None:
    names = list(menu((*PIPELINES, toy)))
    assert [name for name in names if "toy" not in name] == list(FAULTS)
    assert names.index("kill-stream-worker") < names.index("kill-toy-worker") < names.index("freeze-postgres")
    assert names.index("poison-topic") < names.index("poison-toy") < names.index("retry-storm")


def test_one_without_faults_of_its_own_has_those_of_its_services(
    toy: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = replace(DECLARATION, package="tests.unit.backend.lab.chaos")
    monkeypatch.setitem(pipelines._declared, toy, bare)
    assert [fault.name for fault in faults_of(toy)] == [
        *("kill-toy-worker", "freeze-toy-worker"),
        *("kill-toy-cleaner", "freeze-toy-cleaner"),
    ]


def test_an_error_inside_of_its_faults_is_not_hidden(toy: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pipelines._declared, toy, replace(DECLARATION, package="tests.unit.backend.nowhere"))
    with pytest.raises(ModuleNotFoundError):
        faults_of(toy)


@pytest.mark.parametrize(
    ("declared", "server"),
    [
        (DECLARATION, "redis"),
        (replace(DECLARATION, accepted_status=201), "postgres"),
        (replace(DECLARATION, log=None, servers=("kafka",)), "kafka"),
    ],
    ids=["a stream", "committed in the request", "no log"],
)
def test_who_may_refuse_follows_from_what_is_declared(
    toy: Pipeline, monkeypatch: pytest.MonkeyPatch, declared: Declaration, server: str
) -> None:
    monkeypatch.setitem(pipelines._declared, toy, declared)
    monkeypatch.setattr(faults, "PIPELINES", (toy,))
    assert [each for each in ("postgres", "redis", "kafka") if refused_without(each)] == [server]


def test_poison_has_another_order_under_a_known_id() -> None:
    known = RandomOrders(OrderMix(malformed=0, keyless=0), seed=1).next(V2)
    assert len(unstorable_orders(known)) == len(unstorable_orders(None)) + 1
    conflict = unstorable_orders(known)[-1]
    assert conflict["message_id"] == str(known.key)
    assert conflict["price_cents"] != known.price_cents
