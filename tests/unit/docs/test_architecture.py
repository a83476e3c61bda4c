"""The pages for those who change coffee-rt name what exists, and the drawing is that of the code."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ("docs/architecture.md", "CONTRIBUTING.md", "README.md", "docs/windows.md", "docs/guarantees.md")
_FOLDERS = "backend|coffee_core|coffee_tui|flink|tests|docs|docker|helm|monitoring|v1_direct|v2_streams|v3_kafka"
_NAMED = re.compile(rf"`((?:{_FOLDERS})/[\w./*]*)`")


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for name in sorted(set(_NAMED.findall(text))):
        places = (ROOT, ROOT / "backend" / "pipelines")
        assert any((place / name).exists() for place in places), f"{page} names {name}"


def test_the_drawing_is_that_of_the_code() -> None:
    drawn = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert drawn["page"]() == page, "run: python docs/draw_architecture.py"


def test_a_circle_of_imports_is_no_drawing() -> None:
    shortest = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))["shortest"]
    down = {("backend.cli", "backend.api"), ("backend.api", "coffee_core"), ("backend.cli", "coffee_core")}
    assert shortest(down) == {("backend.cli", "backend.api"), ("backend.api", "coffee_core")}
    with pytest.raises(ValueError, match="a circle of imports"):
        shortest(down | {("coffee_core", "backend.cli")})
