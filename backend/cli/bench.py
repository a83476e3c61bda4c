"""``coffee bench``."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

from backend.cli.main import FAILED, Length, OutFile, announcer, read_pipelines, run_quickly
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.lab.bench.figures import Figures
    from backend.lab.bench.result import Result

_Measure: TypeAlias = (
    "Callable[[str, Path, tuple[Pipeline, ...], Callable[[str], None]], tuple[Figures, list[str], bool]]"
)
"""Measures one thing alone: with the name of a size, in this home, of these pipelines, telling how far it is."""


def _read_round_trips(_ctx: click.Context, _option: click.Parameter, text: str | None) -> tuple[float, ...]:
    """Read milliseconds, separated by commas; none where the option is not given."""
    try:
        found = tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        found = (0.0,)
    if not all(0.1 <= each <= 1_000 for each in found):
        raise click.BadParameter("must be milliseconds from 0.1 to 1000, separated by commas")
    return tuple(dict.fromkeys(found))


@click.command("bench")
@click.option("--quick", "size", flag_value="quick", default=True, help="About five minutes. The default.")
@click.option(
    "--full", "size", flag_value="full", help="About an hour: longer, oftener, half a million in the drain."
)
@click.option("--tiny", "size", flag_value="tiny", hidden=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("coffee-bench"), show_default=True,
    help="Folder of the report.",
)  # fmt: skip
@click.option("--pipelines", metavar="v1,v2,…", callback=read_pipelines, help="Default: those of the settings.")
@click.option("--durability", is_flag=True, help="Only what each notch of COFFEE_DURABILITY costs, in turn.")
@click.option(
    "--rtt", "round_trips_ms", metavar="1,5,20", callback=_read_round_trips,
    help="Only what a round trip of so many ms between every two parts costs.",
)  # fmt: skip
@click.option("--peers", is_flag=True, help="Only what engineers write instead, beside v1 to v4 in the same run.")
@click.option(
    "--soak", "soak_s", metavar="2h", type=Length(3, 7 * 24 * 3_600),
    help="Only how it stands after hours of the same load: what drifts, with the error of that.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of words: see docs/bench.md.")
@click.option("--html", type=OutFile(), metavar="FILE", help="Write the report as one HTML file, too.")
@click.option(
    "--from", "source", type=click.Path(exists=True, path_type=Path), metavar="REPORT",
    help="Measure nothing: make --html of a report.json, or of the folder it lies in.",
)  # fmt: skip
@click.option(
    "--compare", nargs=2, type=click.Path(exists=True, path_type=Path), metavar="A B",
    help="Measure nothing: tell what has changed from report A to report B beyond noise.",
)  # fmt: skip
@click.pass_context
def bench_command(
    ctx: click.Context,
    /,
    *,
    size: str,
    out: Path,
    pipelines: tuple[Pipeline, ...] | None,
    durability: bool,
    round_trips_ms: tuple[float, ...],
    peers: bool,
    soak_s: float | None,
    as_json: bool,
    html: Path | None,
    source: Path | None,
    compare: tuple[Path, Path] | None,
) -> None:
    """Measure the pipelines side by side: how late, how much, at what cost; claims beside measurements.

    Runs a stack of its own, in a fresh folder and on free ports, and deletes it afterwards: no data of yours is
    touched. End your own stack first, and leave the machine alone meanwhile. Ctrl-C keeps what is done.

    Exit code 1: something could not be measured, or the run was interrupted.
    """
    if compare is not None:
        _compare(*compare, as_json=as_json)
        return
    if source is not None:
        if html is None:
            raise click.UsageError("--from makes a page of a report: name its file by --html")
        from backend.lab.bench.result import Result

        _write_page(Result.read(source), html)
        return
    alone: dict[str, _Measure] = {
        name: measure
        for name, given, measure in (
            ("--durability", durability, _measure_durability),
            ("--rtt", bool(round_trips_ms), partial(_measure_rtt, round_trips_ms)),
            ("--peers", peers, _measure_peers),
            ("--soak", soak_s is not None, partial(_measure_soak, soak_s or 0.0)),
        )
        if given
    }
    _require_fitting(list(alone), html=html is not None)
    from backend.lab.bench.bench import bench
    from backend.lab.bench.plots import draw
    from backend.lab.bench.report import as_text, write
    from backend.lab.bench.size import SIZES
    from backend.stack import locks
    from backend.stack.supported_pipelines import supported_pipelines

    settings = Settings.from_env()
    announce = announcer()
    if locks.holders(settings.home):
        announce(f"a stack runs in {settings.home}: it takes its share of this machine from what is measured")
    wanted, missing = supported_pipelines(replace(settings, pipelines=pipelines or settings.pipelines))
    if missing:
        announce(missing)
    chosen = tuple(pipeline for pipeline in pipelines or wanted.pipelines if pipeline in wanted.pipelines)
    if not chosen:
        raise click.UsageError("none of these pipelines can run here")
    for measure in alone.values():
        figures, lines, complete = measure(size, settings.home, chosen, announce)
        click.echo(json.dumps(figures.as_json()) if as_json else "\n".join(lines))
        ctx.exit(0 if complete else FAILED)
    _require_writable(out)
    result = run_quickly(bench(SIZES[size], settings.home, chosen, announce))
    out.mkdir(parents=True, exist_ok=True)
    write(result, out, draw(result, out))
    click.echo(json.dumps(result.as_json()) if as_json else as_text(result))
    announce(f"the report is in {out}")
    if html is not None:
        _write_page(result, html)
        announce(f"its page is {html}")
    ctx.exit(0 if result.complete else FAILED)


def _require_fitting(alone: list[str], *, html: bool) -> None:
    """Raise UsageError where what was asked for does not go together: each of these is a run of its own."""
    if len(alone) > 1:
        raise click.UsageError(f"either {' or '.join(alone)}")
    if html and alone:
        raise click.UsageError(f"{alone[0]} has no page: leave out --html")


def _write_page(result: "Result", path: Path) -> None:
    from backend.lab.bench.html import bench_page
    from backend.lab.page.page import write

    write(bench_page(result), path)


def _measure_durability(
    size: str, home: Path, pipelines: tuple[Pipeline, ...], announce: Callable[[str], None]
) -> "tuple[Figures, list[str], bool]":
    from backend.lab.bench.durability import as_table, bench_durability
    from backend.lab.bench.size import SIZES

    figures = run_quickly(bench_durability(SIZES[size], home, pipelines, announce))
    return figures, as_table(figures, pipelines), True


def _measure_rtt(
    round_trips_ms: tuple[float, ...],
    size: str,
    home: Path,
    pipelines: tuple[Pipeline, ...],
    announce: Callable[[str], None],
) -> "tuple[Figures, list[str], bool]":
    from backend.lab.bench.network import as_lines, bench_rtt
    from backend.lab.bench.size import SIZES

    figures = run_quickly(bench_rtt(SIZES[size], home, pipelines, round_trips_ms, announce))
    return figures, as_lines(figures, pipelines, round_trips_ms), True


def _measure_peers(
    size: str, home: Path, pipelines: tuple[Pipeline, ...], announce: Callable[[str], None]
) -> "tuple[Figures, list[str], bool]":
    from backend.lab.bench.peer_environment import peers_python
    from backend.lab.bench.side_by_side import as_lines, bench_peers
    from backend.lab.bench.size import SIZES
    from backend.lab.bench.steps_peers import peer_of

    measured = tuple(filter(peer_of, pipelines))
    if alone := [pipeline for pipeline in pipelines if pipeline not in measured]:
        announce(f"{', '.join(alone)}: without a peer, left out")
    if not measured:
        raise click.UsageError("none of these pipelines has a peer: v1, v2, v3 and v4 do")
    figures, complete = run_quickly(bench_peers(SIZES[size], home, measured, peers_python(announce), announce))
    return figures, as_lines(figures, measured), complete


def _measure_soak(
    soak_s: float, size: str, home: Path, pipelines: tuple[Pipeline, ...], announce: Callable[[str], None]
) -> "tuple[Figures, list[str], bool]":
    from backend.lab.bench.size import SIZES
    from backend.lab.bench.soak import as_lines, soak

    figures = run_quickly(soak(SIZES[size], home, pipelines, soak_s, announce))
    return figures, as_lines(figures, soak_s), True


def _require_writable(out: Path) -> None:
    """Raise UsageError where a report could not be written: not only after minutes; makes no folder."""
    nearest = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise click.UsageError(f"no report can be written to {out}: {nearest} is no folder that we may write to")


def _compare(before: Path, after: Path, *, as_json: bool) -> None:
    from dataclasses import asdict

    from backend.lab.bench.changes import compare, unlike
    from backend.lab.bench.report import changes_as_text
    from backend.lab.bench.result import Result

    old, new = Result.read(before), Result.read(after)
    changes, differences = compare(old, new), unlike(old, new)
    if as_json:
        click.echo(
            json.dumps({"unlike": differences, "changes": [asdict(change) for change in changes]}, indent=2)
        )
    else:
        click.echo(changes_as_text(changes, differences))
