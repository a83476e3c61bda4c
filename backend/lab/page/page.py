"""A report as one HTML file: it opens from a disk without a network, and runs no script.

Whatever is text is escaped by the template; only pictures are put in as they are, and they are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Sentence:
    """Something that is claimed, and where its figure stands."""

    text: str
    about: str = ""
    """Id of a section, a chart or a row on the same page; empty where it rests on nothing there."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first is the head, the first cell of each is what the row is of.

    A sentence among the cells leads to what it is about.
    """

    caption: str
    rows: Sequence[Sequence[str | Sentence]]
    is_raw: bool = False
    """Its rows can be linked to by their first cell, and it is shown on demand."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture with what it shows in numbers, for those who do not see it."""

    name: str
    """Its id on the page."""
    title: str
    svg: str
    numbers: Table


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page."""

    name: str
    """Its id on the page."""
    title: str
    sentences: Sequence[Sentence] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    command: str = ""
    """What takes its figures again."""


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page."""

    title: str
    about: str
    """What it rests on: when, where, with what."""
    answer: Sequence[Sentence]
    """What somebody reads who has a minute; the first stands out."""
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Return a page as HTML."""
    return _template().render(page=page, svg=Markup)


def write(page: Page, path: Path) -> None:
    """Write a page to a file. Raises OSError."""
    path.write_text(render(page), encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("backend.lab.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
