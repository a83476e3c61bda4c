"""What a controlling process and the load process say to each other: one JSON object a line.

Commands: ``{"do": "run", "rate_per_s": 20, "pipelines": ["v1"]}``, ``{"do": "stop"}``,
``{"do": "burst", "orders": 1000, "pipelines": ["v1"]}``. Reports: ``LoadReport``, several a second while
something changes, each with the last few answers. The end of standard input ends the process.
"""

import json

from coffee_core.errors import CoffeeError
from coffee_core.load.generator import Generator
from coffee_core.pipelines import Pipeline


class CommandError(CoffeeError):
    """A line on standard input is no command of the load process."""


def obey(generator: Generator, line: str) -> None:
    """Do what one line of JSON says. Raises CommandError naming what is wrong with it."""
    try:
        command = json.loads(line)
        action = command["do"]
        if action == "stop":
            generator.stop()
            return
        pipelines = [Pipeline(name) for name in command["pipelines"]]
        if action == "run":
            generator.run_at(float(command["rate_per_s"]), pipelines)
        elif action == "burst":
            generator.burst(int(command["orders"]), pipelines)
        else:
            raise CommandError(f"{action!r} is no command of the load process")
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"not a command: {line.strip()[:200]} ({error})") from error
