"""Draws the house into docs/architecture.md from the code's own imports: ``python docs/draw_architecture.py``.

A box is a package, an arrow "imports", with the number of importing modules. An arrow that follows from others
(A → C where A → B → C) is left out, so that what is drawn is the shortest way down. A test holds the page against
the code.
"""

import sys
from pathlib import Path

import grimp

from coffee_core.pipelines import PIPELINES

PAGE = Path(__file__).parent / "architecture.md"
BEGIN, END = "<!-- drawn by docs/draw_architecture.py -->", "<!-- end of the drawing -->"
ROOTS = ("backend", "coffee_core", "coffee_tui", "flink")
BOXES = {
    "coffee_tui.screens": "coffee_tui/screens<br>a page is a file",
    "coffee_tui.widgets": "coffee_tui/widgets<br>what a page is made of",
    "coffee_tui.data": "coffee_tui/data<br>snapshots; knows no Textual",
    "backend.cli": "backend/cli<br>the command coffee",
    "backend.lab.chaos": "backend/lab/chaos<br>faults and verdicts",
    "backend.lab.bench": "backend/lab/bench<br>measurements and reports",
    "backend.lab.power_cut": "backend/lab/power_cut<br>what outlives a power cut",
    "backend.lab.decide": "backend/lab/decide<br>which pipeline, why, until when",
    "backend.lab.storm": "backend/lab/storm<br>several faults at once",
    "backend.lab.recheck": "backend/lab/recheck<br>the second judge of a run",
    "backend.lab.page": "backend/lab/page<br>a report as one HTML file",
    "backend.stack": "backend/stack<br>processes and servers",
    "backend.api": "backend/api<br>HTTP",
    "backend.pipelines.v1_direct": "v1_direct",
    "backend.pipelines.v2_streams": "v2_streams",
    "backend.pipelines.v3_kafka": "v3_kafka",
    "backend.pipelines.v4_workers": "v4_workers",
    "backend.pipelines.topic": "topic<br>what v3 and v4 share",
    **{pipeline.info.package: pipeline.info.package.rpartition(".")[2] for pipeline in PIPELINES},
    "backend.pipelines": "backend/pipelines<br>what pipelines share",
    "backend.db": "backend/db<br>migrations",
    "backend.clients": "backend/clients<br>PostgreSQL, Redis, Kafka",
    "flink": "flink<br>v3's job and its submitter",
    "coffee_core.load": "coffee_core/load<br>the load generator",
    "coffee_core": "coffee_core<br>the shared language, the registry of pipelines",
}
"""Package → what its box says. A module belongs to the longest of these names that it begins with."""


def box_of(module: str) -> str | None:
    """Return the box of a module; None of one that is in none, such as the dashboard's start."""
    fitting = [box for box in BOXES if module == box or module.startswith(f"{box}.")]
    return max(fitting, key=len, default=None)


def arrows() -> dict[tuple[str, str], int]:
    """Return box and imported box → modules of the one that import the other."""
    graph = grimp.build_graph(*ROOTS, cache_dir=None)
    found: dict[tuple[str, str], set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            pair = box_of(module), box_of(imported)
            if None not in pair and pair[0] != pair[1]:
                found.setdefault(pair, set()).add(module)  # type: ignore[arg-type]
    return {pair: len(modules) for pair, modules in found.items()}


def shortest(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out what follows from others; raises ValueError where the arrows go round in a circle."""
    below: dict[str, set[str]] = {}

    def reach(box: str, above: tuple[str, ...] = ()) -> set[str]:
        if box in above:
            raise ValueError(f"a circle of imports: {' → '.join((*above, box))}")
        if box not in below:
            below[box] = set()
            for start, end in pairs:
                if start == box:
                    below[box] |= {end, *reach(end, (*above, box))}
        return below[box]

    for box in BOXES:
        reach(box)
    return {
        (start, end)
        for start, end in pairs
        if not any(end in below[other] for begin, other in pairs if begin == start and other != end)
    }


def drawing() -> str:
    """Return the drawing as Mermaid."""
    found = arrows()
    names = {box: box.replace(".", "_") for box in BOXES}
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {names[box]}["{text}"]' for box, text in BOXES.items()]
    for start, end in sorted(shortest(set(found))):
        lines.append(f"    {names[start]} -->|{found[start, end]}| {names[end]}")
    return "\n".join((*lines, "```"))


def page() -> str:
    """Return the page with the drawing of the code as it is."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{drawing()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"drawn into {PAGE}\n")
