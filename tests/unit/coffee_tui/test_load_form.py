"""The load's settings: what is typed is what is meant, what makes no load is refused in words."""

from dataclasses import replace

import pytest

from coffee_core.load.__main__ import execute
from coffee_core.load.generator import Generator
from coffee_core.load.orders import RandomOrders
from coffee_core.load.schedule import Pattern
from coffee_core.load.sender import Sender
from coffee_core.pipelines.constants import V1, V2, V3
from coffee_tui.data.load_plan import LABELS, RATES, Command, LoadPlan, plan_of, texts_of
from coffee_tui.data.plain import from_plain, to_plain

PLAN = LoadPlan(
    (V1, V3),
    0.1,
    Pattern.RAMP,
    2_000,
    12.5,
    0.5,
    250,
    0.075,
    0.02,
    (("cappuccino", 3.0), ("americano", 0.0), ("latte", 1.5)),
    (("uptown", 1.0), ("downtown", 2.0), ("central", 0.0), ("southend", 0.25)),
)


def test_a_plan_is_its_texts_and_its_plain_form() -> None:
    assert plan_of(texts_of(PLAN), PLAN.pipelines, PLAN.pattern) == PLAN
    assert from_plain(LoadPlan, to_plain(PLAN)) == PLAN


def test_numbers_are_read_as_people_write_them() -> None:
    texts = {**texts_of(PLAN), "rate": "2,000", "repeats": "5 %"}
    read = plan_of(texts, PLAN.pipelines, PLAN.pattern)
    assert (read.rate_per_s, read.repeats) == (2_000, 0.05)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rate", "fast", "the rate must be a number, not 'fast'"),
        ("rate", "", "the rate must be a number"),
        ("rate", "0", "a rate must be greater than 0"),
        ("rate", "nan", "the rate must be a number"),
        ("rate", "50000", "a rate is at most 20,000 per second, not 50,000"),
        ("from", "-1", "a ramp begins at 0"),
        ("over", "0", "the time of a ramp must be greater than 0"),
        ("every", "inf", "the time between two bursts must be a number"),
        ("burst", "1.5", "the orders of one burst must be a whole number, not 1.5"),
        ("burst", "0", "a burst has 1 to 100,000 orders, not 0"),
        ("repeats", "101", "the share of repeats lies between 0 and 100 %"),
        ("malformed", "99", "add up to more than 1"),
        ("latte", "-1", "the weight of latte must be 0 or more"),
    ],
)
def test_what_makes_no_load_is_refused_in_words(name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_of({**texts_of(PLAN), name: text}, PLAN.pipelines, PLAN.pattern)


def test_a_load_goes_somewhere_and_orders_something() -> None:
    with pytest.raises(ValueError, match="choose at least one pipeline"):
        plan_of(texts_of(PLAN), (), PLAN.pattern)
    nothing = dict.fromkeys(("cappuccino", "americano", "latte"), "0")
    with pytest.raises(ValueError, match="at least one drink"):
        plan_of({**texts_of(PLAN), **nothing}, PLAN.pipelines, PLAN.pattern)


def test_every_field_has_a_name_and_a_text() -> None:
    assert set(texts_of(LoadPlan())) == set(LABELS)


@pytest.mark.parametrize(
    ("rate", "steps", "then"),
    [(10, 1, 20), (10, -1, 5), (15, 1, 20), (15, -1, 10), (0.1, -1, 0.1), (5_000, 1, 5_000), (9_000, -1, 5_000)],
)
def test_a_rate_goes_up_and_down_by_the_ladder(rate: float, steps: int, then: float) -> None:
    assert replace(PLAN, rate_per_s=rate).faster(steps).rate_per_s == then
    assert then in RATES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pattern": Pattern.STEADY, "rate_per_s": 0.5}, "steady 0.5/s each"),
        ({"pattern": Pattern.POISSON, "rate_per_s": 2_000}, "poisson 2,000/s each"),
        ({}, "ramp 2,000 to 0.1/s each in 12.5 s"),
        ({"pattern": Pattern.BURST, "rate_per_s": 200}, "bursts of 100 each every 0.5 s"),
    ],
)
def test_a_plan_is_put_in_words(changes: dict[str, object], message: str) -> None:
    assert replace(PLAN, **changes).in_words() == message


async def test_the_load_process_understands_every_command() -> None:
    import json

    def as_line(command: Command) -> str:
        return json.dumps(command)

    async with Sender("http://127.0.0.1:1") as sender:
        generator = Generator(sender, RandomOrders())  # not entered: it takes commands and sends nothing
        for pattern in Pattern:
            plan = replace(PLAN, pattern=pattern)
            execute(generator, as_line(plan.mix()))
            execute(generator, as_line(plan.run()))
        execute(generator, as_line(PLAN.burst()))
        assert generator.running
        counts = generator.counts()
        assert counts[V3].offered >= 250
        assert counts[V2].offered == 0
        settings = generator.orders.mix
        assert (settings.repeats, settings.malformed, settings.drinks["cappuccino"]) == (0.075, 0.02, 3.0)
        generator.stop()
