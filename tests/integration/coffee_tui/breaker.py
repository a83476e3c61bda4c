"""A program that speaks as `coffee chaos` does and breaks nothing: it strikes, and waits to be told to end."""

import json
import signal
import sys
from pathlib import Path


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def end(*_: object) -> None:
    # First of all: whoever reads the lines may be gone.
    Path(sys.argv[1]).write_text("in order")
    say(ended={"exact": True, "complete": False, "failures": [], "interrupted": True})
    sys.exit(1)


def main() -> None:
    arguments = sys.argv[3:]
    if arguments == ["--json"]:
        fault = {"name": "kill-redis", "teaches": "it comes back", "lasts": False, "here": True, "links": []}
        of_network = {**fault, "name": "network-reset", "links": ["api:redis", "worker:redis"]}
        sys.stdout.write(json.dumps([fault, of_network, {**fault, "name": "kill-kafka", "here": False}]))
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if arguments[0] == "broken":
        sys.stderr.write("coffee: postgres is away\n")
        sys.exit(1)
    say(said=f"{arguments[0]}: now {' '.join(arguments[1:])}", moment="struck", lasts_s=None)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
