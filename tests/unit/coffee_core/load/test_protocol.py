"""Commands of the load process: what they change, and the words for those that are none."""

import json

import pytest

from coffee_core.load.__main__ import CommandError, execute
from coffee_core.load.generator import Generator
from coffee_core.load.orders import OrderMix, RandomOrders
from coffee_core.load.sender import Sender
from coffee_core.pipelines.constants import V1, V2

NOWHERE = "http://127.0.0.1:9"


def tell(generator: Generator, **command: object) -> None:
    execute(generator, json.dumps(command))


def test_a_run_has_a_shape_and_a_stop_ends_it() -> None:
    generator = Generator(Sender(NOWHERE), RandomOrders())
    tell(generator, do="run", rate_per_s=1_000, pipelines=["v2"], pattern="burst", every_s=1)
    assert generator.running
    assert generator.counts()[V2].offered >= 1_000, "the whole burst is meant for now"
    tell(generator, do="stop")
    assert not generator.running


def test_the_mix_changes_and_keeps_what_is_not_named() -> None:
    generator = Generator(Sender(NOWHERE), RandomOrders(OrderMix(keyless=0.25)))
    tell(generator, do="mix", repeats=0.5, drinks={"latte": 1})
    assert (generator.orders.mix.repeats, generator.orders.mix.keyless) == (0.5, 0.25)
    assert generator.orders.next(V1).drink == "latte"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dance", "not a command"),
        ("[]", "not a command"),
        ('{"do": "dance"}', "'dance' is no command"),
        ('{"do": "run", "rate_per_s": 5}', "pipelines"),
        ('{"do": "run", "rate_per_s": 5, "pipelines": ["v9"]}', "v9"),
        ('{"do": "run", "rate_per_s": -5, "pipelines": ["v1"]}', "greater than 0"),
        ('{"do": "run", "rate_per_s": 5, "pipelines": ["v1"], "pattern": "sawtooth"}', "sawtooth"),
        ('{"do": "run", "rate_per_s": 5, "pipelines": ["v1"], "speed": 5}', "'speed' is unknown"),
        ('{"do": "mix", "repeats": 2}', "between 0 and 1"),
        ('{"do": "mix", "drinks": {"mocha": 1}}', "'mocha' is no drink"),
        ('{"do": "mix", "stores": {"uptown": 0}}', "at least one store"),
        ('{"do": "mix", "stores": 3}', "not a command"),
    ],
)
def test_what_is_no_command_is_refused_in_words(line: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        execute(Generator(Sender(NOWHERE), RandomOrders()), line)
