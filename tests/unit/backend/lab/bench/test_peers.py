"""The pipelines beside what engineers write instead: who stands beside whom, the ratios, the table, the errors."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli.main import coffee
from backend.lab.bench import peer_environment
from backend.lab.bench.figures import Better, Figures
from backend.lab.bench.peer_environment import peers_python
from backend.lab.bench.side_by_side import BARS, add_round, as_lines, stand_ins
from backend.lab.bench.steps_peers import Peer, peer_of
from coffee_core.errors import StackError
from coffee_core.pipelines import Pipeline
from coffee_core.pipelines.constants import V1, V2, V3, V4, V5


def named(pipeline: Pipeline) -> Peer:
    peer = peer_of(pipeline)
    assert peer is not None
    return peer


def test_a_peer_is_measured_once_as_the_first_that_has_its_log(toy: Pipeline) -> None:
    measured_as = {peer.name: pipeline for peer, pipeline in stand_ins((V4, V1, V2, V3, V5)).items()}
    assert measured_as == {"peer-topic": V4, "peer-insert": V1, "peer-stream": V2}
    assert named(toy).name == "peer-stream", "somebody else's pipeline with a stream, too"


def test_a_ratio_is_of_one_round_and_both_pipelines_of_a_log_have_the_same_other_side() -> None:
    figures = Figures()
    for ours_per_s, theirs_per_s in ((30_000, 20_000), (20_000, 20_000), (10_000, 5_000)):
        ours, theirs = Figures(), Figures()
        for pipeline in (V3, V4):
            ours.add(f"{pipeline}.drain.rate", ours_per_s, "/s", Better.HIGHER)
        ours.add("v3.kill.twice", 0, "orders")
        theirs.add("v3.drain.rate", theirs_per_s, "/s", Better.HIGHER)
        theirs.add("v3.kill.twice", 7, "orders")
        add_round(figures, ours, {named(V3): (V3, theirs)}, (V3, V4))
    assert as_lines(figures, (V3, V4))[-1].startswith("v3, v4: theirs is peer-topic, FastAPI and aiokafka")
    for pipeline in (V3, V4):
        ratio = figures.get(f"{pipeline}.ratio.drain.rate")
        assert ratio is not None
        assert (ratio.values, ratio.better) == ([1.5, 1.0, 2.0], Better.HIGHER)
    assert figures.middle("peer-topic.drain.rate") == 20_000
    assert figures.get("v3.ratio.kill.twice") is None, "none of nothing"


def test_what_one_side_lacks_in_a_round_has_no_ratio() -> None:
    figures, ours, theirs = Figures(), Figures(), Figures()
    ours.add("v2.drain.rate", 40_000, "/s")
    theirs.add("v2.alone.500.dashboard.p50", 5_000, "µs")
    add_round(figures, ours, {named(V2): (V2, theirs)}, (V2,))
    assert {name for name, _ in figures} == {"v2.drain.rate", "peer-stream.alone.500.dashboard.p50"}
    rows = [" ".join(line.split()) for line in as_lines(figures, (V2,))]
    assert rows[1:3] == [
        "v2 shown p50, 500/s – 5 ms – ≤ 0.80 × not measured",
        "v2 drain 40,000/s – –",
    ]


def test_the_table_has_both_sides_their_ratio_and_the_bar() -> None:
    figures = Figures()
    for factor in (1, 2, 3):
        ours, theirs = Figures(), Figures()
        ours.add("v3.alone.20.dashboard.p50", 5_000 * factor, "µs")
        theirs.add("v3.alone.20.dashboard.p50", 10_000, "µs")
        ours.add("v3.drain.rate", 10_000 * factor, "/s", Better.HIGHER)
        theirs.add("v3.drain.rate", 20_000, "/s", Better.HIGHER)
        ours.add("v3.kill.twice", 0, "orders")
        theirs.add("v3.kill.twice", 1_000 * factor, "orders")
        add_round(figures, ours, {named(V3): (V3, theirs)}, (V3,))
    rows = [" ".join(line.split()) for line in as_lines(figures, (V3,))]
    assert rows[1:4] == [
        "v3 shown p50, 20/s 10 ms ±50% 10 ms 1.00 × 0.50 to 1.50 × ≤ 1.00 × met",
        "v3 drain 20,000/s ±50% 20,000/s 1.00 × 0.50 to 1.50 × ≥ 1.20 × not met",
        "v3 killed: counted twice 0, 0, 0 1,000, 2,000, 3,000 –",
    ]


@pytest.mark.parametrize(("what", "bound"), [((V2, "alone.500.dashboard.p50"), 0.8), ((V3, "drain.rate"), 1.2)])
def test_a_bar_is_met_at_its_bound(what: tuple[Pipeline, str], bound: float) -> None:
    bar = BARS[what]
    worse = 0.01 if bar.better is Better.LOWER else -0.01
    assert bar.is_met(bound)
    assert not bar.is_met(bound + worse)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--peers", "--durability"), "either --durability or --peers"),
        (("--peers", "--html", "page.html"), "--peers has no page"),
        (("--peers", "--pipelines", "v5"), "none of these pipelines has a peer"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(coffee, ["bench", *words])
    assert (result.exit_code, said in result.output) == (2, True), result.output


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without anything."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "coffee-rt"


def test_without_uv_it_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(StackError, match="install uv"):
        peers_python(lambda _: None)


def test_without_a_network_it_says_so_in_a_line_and_tries_again_the_next_time(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (uv := shutil.which("uv")) is None:
        pytest.skip("no uv here")
    monkeypatch.setenv("UV", uv)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(cache.parent / "nothing"))
    told: list[str] = []
    for _ in range(2):
        with pytest.raises(StackError, match="the peers' packages cannot be had") as caught:
            peers_python(told.append)
        assert "\n" not in str(caught.value)
    assert len(told) == 2
    folders = list((cache / peer_environment.PEERS).glob("[0-9a-f]*"))
    assert [folder.stat().st_mode & 0o777 for folder in folders] == [0o700]
