"""The page: whatever is text is escaped, every sentence has its figure, every figure its numbers."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.bench.figures import Figures
from backend.lab.bench.report import write as write_report
from backend.lab.bench.result import Result
from backend.lab.page.page import Chart, Page, Section, Sentence, Table, render
from tests.unit.backend.lab.bench.made import result
from tests.unit.backend.lab.page.made import CELLS, cell

_RECORDED = Path(__file__).parents[5] / "docs" / "bench"
_HOSTILE = "<script>alert('x')</script> & \"so\""


def _links(html: str) -> set[str]:
    return set(re.findall(r'href="#([^"]+)"', html))


def _ids(html: str) -> list[str]:
    return re.findall(r' id="([^"]+)"', html)


def test_what_is_text_is_escaped() -> None:
    table = Table(_HOSTILE, [["", _HOSTILE], [_HOSTILE, _HOSTILE]], is_raw=True)
    chart = Chart("chart", _HOSTILE, "<svg></svg>", table)
    section = Section("part", _HOSTILE, [Sentence(_HOSTILE, "chart")], [chart], [table], _HOSTILE)
    html = render(Page(_HOSTILE, _HOSTILE, [Sentence(_HOSTILE, "part")], [section]))
    assert "<script" not in html
    assert "<svg></svg>" in html, "our own pictures alone are put in as they are"


def test_a_recorded_report_becomes_one_small_page_that_fetches_nothing() -> None:
    from backend.lab.bench.html import bench_page

    html = render(bench_page(Result.read(_RECORDED)))
    assert len(html.encode()) < 2_000_000
    assert not re.findall(r"<(?:script|link(?! rel=\"icon\")|img|iframe|object)\b", html)
    fetched = re.sub(r'xmlns(?::xlink)?="[^"]*"', "", html)
    assert "://" not in fetched
    assert _links(html) - {"content"} <= set(_ids(html)), "every link has its end"
    assert len(_ids(html)) == len(set(_ids(html)))
    assert "9.02 ms by v2 (Streams)" in html
    assert "coffee bench --full --pipelines v1,v2,v3" in html


@pytest.fixture(scope="module")
def page_of_a_report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page that the command line makes of the made-up report."""
    folder = tmp_path_factory.mktemp("report")
    write_report(result(), folder, [])
    words = ["bench", "--from", str(folder), "--html", str(folder / "page.html")]
    done = CliRunner().invoke(coffee, words, standalone_mode=False)
    assert (done.exit_code, done.output) == (0, "")
    return (folder / "page.html").read_text(encoding="utf-8")


def test_a_page_is_made_of_a_report_on_the_command_line(page_of_a_report: str) -> None:
    assert "coffee bench --quick --pipelines v1,v2,v3" in page_of_a_report
    assert '<tr id="v3.cost.cpu">' in page_of_a_report


def test_every_figure_has_all_its_repetitions(page_of_a_report: str) -> None:
    row = re.search(r'<tr id="v2\.alone\.20\.dashboard\.p99">.*', page_of_a_report)
    assert row is not None
    assert "7600, 8400" in row[0]


def test_pictures_take_the_colours_of_the_theme_and_keep_their_text(page_of_a_report: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page_of_a_report, re.DOTALL)
    assert len(pictures) == 4
    for svg in pictures:
        ElementTree.fromstring(svg)
        assert not re.findall(r"#[0-9a-f]{6}", svg), "it has a colour of its own"
        assert "<text" in svg


def test_where_nothing_was_measured_there_is_a_page_all_the_same() -> None:
    from backend.lab.bench.html import bench_page

    html = render(
        bench_page(result(figures=Figures(), audit={}, flow={}, distributions={}, notes=["interrupted"]))
    )
    assert "<svg" not in html
    assert "interrupted" in html
    assert _links(html) - {"content"} <= set(_ids(html))


@pytest.mark.parametrize(
    ("cells", "first"),
    [
        (CELLS, "Of 3 faults and 2,670 acknowledged orders, not one order was lost, duplicated or adrift."),
        (
            [cell("kill-redis", "v2", exact=False, lost=["k"])],
            "Of 1 fault and 890 acknowledged orders, not everything was kept: kill-redis of v2.",
        ),
        (
            [cell("power-cut", "v3", exact=False, lost=["k"], may_lose=True, kept=True)],
            (
                "Of 1 fault and 890 acknowledged orders, not everything was kept: power-cut of v3,"
                " where no more was promised."
            ),
        ),
        ([], "Nothing was run to its end."),
    ],
)
def test_chaos_says_first_whether_all_was_exact(cells: list[dict[str, object]], first: str) -> None:
    from backend.lab.chaos.html import chaos_page

    page = chaos_page(cells, "", "coffee chaos --all")
    assert page.answer[0].text == first


def test_the_page_of_chaos_has_every_verdict_and_what_did_not_end() -> None:
    from backend.lab.chaos.html import chaos_page

    html = render(chaos_page(CELLS, "", "coffee chaos --all", ["freeze-kafka: no broker"]))
    assert "never" in html, "v3 was not visible again"
    assert "&lt;b&gt;1,204&lt;/b&gt; orders &amp; more" in html
    assert "freeze-kafka: no broker" in html
    assert _links(html) - {"content"} <= set(_ids(html))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["bench", "--html", "/nowhere/page.html"], "is there the folder /nowhere?"),
        (["bench", "--html", "/"], "is a folder"),
        (["bench", "--from", "."], "name its file by --html"),
        (["bench", "--durability", "--html", "page.html"], "--durability has no page"),
        (["chaos", "--html", "page.html"], "name a fault, or --all"),
    ],
)
def test_a_page_that_cannot_be_made_is_refused_at_once(
    words: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(coffee, words)
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []
