"""What a controlling process and the load process say to each other: one JSON object a line.

Commands, with what may be left out in brackets:

- ``{"do": "run", "rate_per_s": 20, "pipelines": ["v1"], ["pattern": "steady" | "ramp" | "poisson" | "burst",
  "from_per_s": 0, "over_s": 30, "every_s": 1]}``: from now on, in this ``Shape``, into exactly these pipelines
- ``{"do": "stop"}``: nothing more
- ``{"do": "burst", "orders": 1000, "pipelines": ["v1"]}``: at once, beside what runs
- ``{"do": "mix", ["repeats": 0.05, "malformed": 0.01, "keyless": 0, "drinks": {"latte": 2, …}, "stores": {…}]}``:
  shares and weights of ``MixSettings`` from now on; what is left out stays as it is

Reports: ``LoadReport``, several a second while something changes, each with the last few answers. The end of
standard input ends the process; a line that is no command does so too, with one line on standard error.
"""

import json
from dataclasses import fields, replace
from typing import Any

from coffee_core.errors import CoffeeError
from coffee_core.load.generator import Generator
from coffee_core.load.mix import MixSettings
from coffee_core.load.shape import Shape
from coffee_core.pipelines import Pipeline


class CommandError(CoffeeError):
    """A line on standard input is no command of the load process."""


def obey(generator: Generator, line: str) -> None:
    """Do what one line of JSON says. Raises CommandError naming what is wrong with it."""
    try:
        command = json.loads(line)
        match command.pop("do"):
            case "run":
                pipelines = _pipelines(command)
                generator.run(Shape(**_numbers(command, Shape, "pattern")), pipelines)
            case "burst":
                generator.burst(int(command["orders"]), _pipelines(command))
            case "mix":
                generator.mix.settings = replace(
                    generator.mix.settings, **_numbers(command, MixSettings, "drinks", "stores")
                )
            case "stop":
                generator.stop()
            case other:
                raise CommandError(f"{other!r} is no command of the load process")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"not a command: {line.strip()[:200]} ({error})") from error


def _pipelines(command: dict[str, Any]) -> list[Pipeline]:
    return [Pipeline(name) for name in command.pop("pipelines")]


def _numbers(command: dict[str, Any], kind: type[Shape] | type[MixSettings], *as_they_are: str) -> dict[str, Any]:
    """Return what the command says of the fields of a dataclass. Raises ValueError of anything else in it."""
    if unknown := command.keys() - {each.name for each in fields(kind)}:
        raise ValueError(f"{min(unknown)!r} is unknown")
    return {name: value if name in as_they_are else float(value) for name, value in command.items()}
