"""``coffee chaos``."""

import asyncio
import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from backend.cli.main import FAILED, NOT_RUNNING, Length, Number, OutFile, read_pipelines
from coffee_core.durability import NOTCHES
from coffee_core.errors import CoffeeError
from coffee_core.numbers import parse_whole_number
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.lab.chaos.experiment import Announce, RunResult
    from backend.lab.chaos.target import TargetStack
    from backend.pipelines.faults import Fault

_RATE_PER_S = 300.0
_POWER_CUT = "power-cut"
_EACH = "each"
_STORM_S = 60.0


def _read_numbers(_ctx: click.Context, _option: click.Parameter, text: str | None) -> frozenset[int] | None:
    """Read whole numbers separated by commas, or ``none`` for no number."""
    if text in (None, "none"):
        return None if text is None else frozenset()
    try:
        return frozenset(parse_whole_number(part, 1, 10_000) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: each {error}") from error


@click.command("chaos")
@click.argument("name", required=False, metavar="[FAULT]")
@click.option("--all", "every", is_flag=True, help="Run every fault, one after the other.")
@click.option(
    "--for", "lasts_s", type=Length(0.1, 600), metavar="S",
    help="Seconds of a fault that lasts, or of a storm (60): 90, or 10m.",
)  # fmt: skip
@click.option(
    "--pipeline",
    "pipelines",
    metavar="v1,v2,…",
    callback=read_pipelines,
    help="Under load. Default: those that run.",
)
@click.option(
    "--rate", "rate_per_s", type=Number(1, 10_000), default=_RATE_PER_S, show_default=True,
    help="Orders a second offered to each pipeline.",
)  # fmt: skip
@click.option(
    "--durability",
    type=click.Choice(tuple(NOTCHES)),
    help="power-cut: notch of the dial. Default: COFFEE_DURABILITY.",
)
@click.option(
    "--torn", type=int, metavar="SEED", help="power-cut: unsynced sectors have reached the disk by chance."
)
@click.option(
    "--link", metavar="CLIENT:SERVER", help="network-…: on this link alone; each: on every one, in turn."
)
@click.option(
    "--check",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Judge a run that was kept again, from its history alone: see docs/evidence.md.",
)
@click.option(
    "--storm", "seed", type=int, metavar="SEED",
    help="Several faults at once, drawn from the seed, on a stack of its own.",
)  # fmt: skip
@click.option(
    "--only", metavar="N,N,…", callback=_read_numbers,
    help="--storm: these of its faults alone, by their numbers; none: not one.",
)  # fmt: skip
@click.option("--no-load", is_flag=True, help="The fault alone: others send the orders, the audit judges.")
@click.option("--json", "as_json", is_flag=True, help="{exact, complete, cells: […]}: see docs/chaos.md.")
@click.option("--html", type=OutFile(), metavar="FILE", help="Write the verdicts as one HTML file, too.")
@click.option("--lines", "as_lines", is_flag=True, help="Everything as it happens, one JSON object a line.")
@click.pass_context
def chaos_command(
    ctx: click.Context,
    *,
    name: str | None,
    every: bool,
    lasts_s: float | None,
    pipelines: tuple[Pipeline, ...] | None,
    rate_per_s: float,
    durability: str | None,
    torn: int | None,
    link: str | None,
    check: Path | None,
    seed: int | None,
    only: frozenset[int] | None,
    no_load: bool,
    as_json: bool,
    html: Path | None,
    as_lines: bool,
) -> None:
    """Break a part of the running stack under load, and hold what is stored and shown against what was sent.

    Without a fault: list them. power-cut has a stack of its own, in a fresh folder on a file system that forgets
    what was not synced. Exit code 0: not one order lost, duplicated or adrift; 1: some were, or the run was cut
    short; 3: no stack runs here that may be broken. What was seen is kept in COFFEE_HOME/evidence.
    """
    announce = partial(_print_json_line if as_lines else _print_line, time.monotonic())
    if check is not None:
        _require_alone(ctx, "--check judges what is there: with --json alone", "check", "as_json")
        ctx.exit(_recheck(check, as_json=as_json))
    if seed is not None:
        words = "--storm is a run of its own: with --for, --only, --pipeline, --rate, --json and --lines"
        _require_alone(ctx, words, "seed", "lasts_s", "only", "pipelines", "rate_per_s", "as_json", "as_lines")
        printed = {"as_json": as_json, "as_lines": as_lines}
        ctx.exit(_weather(seed, lasts_s or _STORM_S, only, pipelines, rate_per_s, announce, **printed))
    if name == _POWER_CUT:
        if every or no_load or link or only is not None or lasts_s is not None:
            raise click.UsageError(f"{_POWER_CUT} is a run of its own: without --all, --for, --link and --no-load")
        ctx.exit(_cut_power(pipelines, durability, rate_per_s, torn, announce, html, as_json=as_json))
    _require_fitting(name, every=every, lasts_s=lasts_s, link=link, only_power_cut=(durability, torn), only=only)
    if name is None and not every:
        _list(html, as_json=as_json)
        return
    from backend.lab.chaos.evidence import Shelf
    from backend.lab.chaos.experiment import Plan, run_all
    from backend.lab.chaos.faults import FROZEN_S
    from backend.lab.chaos.target import NotLocalError, TargetStack

    try:
        target = TargetStack.attach()
    except NotLocalError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    chosen = pipelines or target.pipelines
    if missing := [pipeline for pipeline in chosen if pipeline not in target.pipelines]:
        raise click.UsageError(f"{', '.join(missing)} does not run here")
    plan = Plan(chosen, rate_per_s, lasts_s or FROZEN_S, no_load, shelf=Shelf.of(Settings.from_env()))
    result = asyncio.run(run_all(_chosen(name, link, target, announce), target, plan, announce))
    if html is not None:
        words = f"{name or '--all'} --rate {rate_per_s:g}{' --no-load' * no_load}"
        failures = [*result.failures, *(["interrupted"] * result.interrupted)]
        _write_page(html, [each.as_json() for each in result.results], words, chosen, failures)
    _print_result(result, as_json=as_json, as_lines=as_lines)
    ctx.exit(0 if result.exact and result.complete else FAILED)


def _chosen(name: str | None, link: str | None, target: "TargetStack", announce: "Announce") -> "list[Fault]":
    """Return the fault of this name, or all; on links where one is named. Raises UsageError where none is here."""
    from backend.lab.chaos.faults import FAULTS

    faults = [fault for fault in FAULTS.values() if target.offers(fault) and name in (None, fault.name)]
    if not faults:
        raise click.UsageError(f"{name} {_why_not_here(FAULTS[name or ''])}")
    return faults if link is None else _on_links(faults, link, target, announce)


def _require_alone(ctx: click.Context, words: str, *together: str) -> None:
    """Raise UsageError with these words where anything but these parameters was given."""
    given = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if given - set(together):
        raise click.UsageError(words)


def _recheck(folder: Path, *, as_json: bool) -> int:
    """Judge the evidence in a folder; print what was found and return the exit code. Raises UsageError."""
    from backend.lab.recheck.recheck import NoEvidenceError, recheck

    try:
        judged = recheck(folder)
    except NoEvidenceError as error:
        raise click.UsageError(str(error)) from error
    exact = not any(each.findings for each in judged)
    if as_json:
        report = {"exact": exact, "pipelines": [asdict(each) for each in judged]}
        click.echo(json.dumps(report, indent=2))
        return 0 if exact else FAILED
    for each in judged:
        what = "NOT EXACT" if each.findings else "nothing is wrong"
        counts = f"{each.accepted:,} of {each.attempted:,} orders acknowledged, {each.stored:,} stored"
        click.echo(f"{each.pipeline}: {counts}, {each.observations:,} totals seen: {what}")
        for found in each.findings:
            click.echo(f"    {found}")
    return 0 if exact else FAILED


def _require_fitting(
    name: str | None,
    *,
    every: bool,
    lasts_s: float | None,
    link: str | None,
    only_power_cut: tuple[object, ...],
    only: frozenset[int] | None,
) -> None:
    """Raise UsageError where what was asked for does not go together."""
    from backend.lab.chaos.faults import FAULTS
    from backend.pipelines.faults import Action

    if any(option is not None for option in only_power_cut):
        raise click.UsageError(f"--durability and --torn are for {_POWER_CUT}")
    if only is not None:
        raise click.UsageError("--only is for --storm")
    if name is not None and (every or name not in FAULTS):
        raise click.UsageError(
            "either a fault or --all" if every else f"no fault {name!r}: `coffee chaos` lists them"
        )
    if link is not None and (name is None or FAULTS[name].action is not Action.NETWORK):
        raise click.UsageError("--link is for the faults of the network: `coffee chaos` lists them")
    if name is not None and lasts_s is not None and not FAULTS[name].lasts:
        raise click.UsageError(f"{name} is over at once: --for is for faults that last")


def _why_not_here(fault: "Fault") -> str:
    from backend.pipelines.faults import Action
    from backend.stack.network_lab import NAME as NETWORK_LAB

    if fault.action is Action.KILL_EVERYTHING:
        return "is for a stack that `coffee up --headless` runs: it is started again so"
    if fault.part == NETWORK_LAB:
        return "is for a stack that `coffee up --network-lab` runs"
    return "breaks what does not run here"


def _on_links(faults: "list[Fault]", link: str, target: "TargetStack", announce: "Announce") -> "list[Fault]":
    """Return these faults on a link, or on each over which something runs."""
    from backend.lab.chaos.network import on_link, overview

    connections = asyncio.run(overview(target.settings.home)).connections
    if link != _EACH and link not in connections:
        raise click.UsageError(f"no link {link!r}; choose from {', '.join(connections)}")
    for idle in (name for name, number in connections.items() if link == _EACH and not number):
        announce(f"nothing runs over {idle}: left out")
    chosen = [name for name, number in connections.items() if number] if link == _EACH else [link]
    return [on_link(fault, name) for fault in faults for name in chosen]


def _cut_power(
    pipelines: tuple[Pipeline, ...] | None,
    durability: str | None,
    rate_per_s: float,
    torn: int | None,
    announce: "Announce",
    html: Path | None,
    *,
    as_json: bool,
) -> int:
    """Cut the power of a stack of its own; print what came of it and return the exit code."""
    from backend.lab.chaos.evidence import Shelf
    from backend.lab.chaos.fault_result import as_table
    from backend.lab.power_cut.power_cut import power_cut
    from backend.stack.supported_pipelines import supported_pipelines

    settings = Settings.from_env()
    wanted, missing = supported_pipelines(replace(settings, pipelines=pipelines or settings.pipelines))
    if missing:
        announce(missing)
    notch = durability or settings.durability
    shelf = Shelf.of(settings)
    results = asyncio.run(power_cut(settings.home, wanted.pipelines, notch, rate_per_s, torn, shelf, announce))
    kept = all(each.kept for each in results)
    cells = [each.as_json() for each in results]
    if html is not None:
        options = "".join(
            f" --{option} {value}"
            for option, value in (("durability", notch), ("torn", torn))
            if value is not None
        )
        _write_page(html, cells, f"{_POWER_CUT}{options} --rate {rate_per_s:g}", wanted.pipelines)
    if as_json:
        click.echo(json.dumps({"kept": kept, "durability": notch, "torn": torn, "cells": cells}, indent=2))
    else:
        lines = [*as_table([each.result for each in results]), "", *(each.sentence() for each in results)]
        click.echo("\n".join(lines))
    return 0 if kept else FAILED


def _weather(
    seed: int,
    for_s: float,
    only: frozenset[int] | None,
    pipelines: tuple[Pipeline, ...] | None,
    rate_per_s: float,
    announce: "Announce",
    *,
    as_json: bool,
    as_lines: bool,
) -> int:
    """Run a storm, and make a failing one smaller; print what came of it and return the exit code."""
    from backend.lab.chaos.evidence import Shelf
    from backend.lab.chaos.fault_result import as_table
    from backend.lab.storm.storm import StormPlan, make_smaller, run_storm
    from backend.stack.stop_signal import run_unless_stopped
    from backend.stack.supported_pipelines import supported_pipelines

    settings = Settings.from_env()
    wanted, missing = supported_pipelines(replace(settings, pipelines=pipelines or settings.pipelines))
    if missing:
        announce(missing)
    shelf = Shelf.of(settings)
    run = partial(run_storm, settings.home, announce=announce)
    plan = StormPlan(seed, for_s, wanted.pipelines, rate_per_s, only)
    storm = asyncio.run(run_unless_stopped(run(plan, shelf=shelf)))
    if storm is None:
        raise CoffeeError("interrupted: nothing was compared")
    failing = [storm]
    if not storm.exact:
        announce(f"not exact: {'; '.join(storm.wrong())}")
        # Of a failure by chance the evidence of the first run is the only one.
        folders = frozenset(result.evidence for result in storm.results if result.evidence is not None)
        again = partial(run, shelf=shelf and replace(shelf, spared=folders))
        # Ended by a signal, it has still found what it has found.
        asyncio.run(run_unless_stopped(make_smaller(storm, again, failing.append, announce)))
    least = failing[-1]
    report = {
        "exact": storm.exact,
        "seed": seed,
        "faults": [gust.as_json() for gust in storm.gusts],
        "cells": [result.as_json() for result in storm.results],
        "command": plan.command,
        "smallest": None if storm.exact else {"command": least.plan.command, "wrong": least.wrong()},
    }
    if as_lines:
        click.echo(json.dumps({"ended": report}))
    elif as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        click.echo("\n".join(as_table(storm.results)))
        if not storm.exact:
            click.echo(f"\nthe smallest that was seen to fail, {len(least.gusts)} faults:")
            click.echo("\n".join([*map(str, least.gusts), *least.wrong(), least.plan.command]))
    return 0 if storm.exact else FAILED


def _write_page(
    path: Path,
    cells: list[dict[str, Any]],
    words: str,
    pipelines: tuple[Pipeline, ...],
    failures: Sequence[str] = (),
) -> None:
    from backend.lab.chaos.html import chaos_page
    from backend.lab.page.page import write

    at = datetime.now(UTC).isoformat(timespec="seconds")
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    command = f"coffee chaos {words} --pipeline {','.join(pipelines)}"
    write(
        chaos_page(cells, f"{at}; {machine}, which clients, servers and workers share.", command, failures), path
    )


def _print_result(result: "RunResult", *, as_json: bool, as_lines: bool) -> None:
    from backend.lab.chaos.fault_result import FaultResult, as_table

    if as_lines:
        ended = {
            "exact": result.exact,
            "complete": result.complete,
            "failures": result.failures,
            "interrupted": result.interrupted,
        }
        click.echo(json.dumps({"ended": ended}))
        return
    if as_json:
        results = [found.as_json() for found in result.results]
        click.echo(json.dumps({"exact": result.exact, "complete": result.complete, "cells": results}, indent=2))
    elif under_load := [found for found in result.results if isinstance(found, FaultResult)]:
        click.echo("\n".join(as_table(under_load)))
    else:
        for found in result.results:
            click.echo(found.summary_line())
    for failure in result.failures:
        click.echo(f"coffee: {failure}", err=True)
    if result.interrupted:
        click.echo("coffee: interrupted: the faults above are those that were run to their end", err=True)


def _list(html: Path | None, *, as_json: bool) -> None:
    if html is not None:
        raise click.UsageError("--html is for what was broken: name a fault, or --all")
    from backend.lab.chaos.faults import FAULTS
    from backend.lab.chaos.target import NotLocalError, TargetStack
    from backend.pipelines.faults import Action

    if as_json:
        try:
            target = TargetStack.attach()
        except NotLocalError:
            target = None
        links = _links(target) if target else []
        listed = [
            {
                "name": fault.name,
                "teaches": fault.teaches,
                "may_refuse": fault.may_refuse,
                "lasts": fault.lasts,
                "here": target is not None and target.offers(fault),
                "links": links if fault.action is Action.NETWORK else [],
            }
            for fault in FAULTS.values()
        ]
        click.echo(json.dumps(listed, indent=2))
        return
    width = max(map(len, FAULTS))
    for fault in FAULTS.values():
        click.echo(f"{fault.name:<{width}}  {fault.teaches}")


def _links(target: "TargetStack") -> list[str]:
    """Return the links of the network lab; none where none runs."""
    from backend.lab.chaos.network import overview
    from backend.pipelines.faults import NotReadyError
    from backend.stack.network_lab import NetworkLabError

    try:
        return list(asyncio.run(overview(target.settings.home)).connections)
    except (NotReadyError, NetworkLabError):
        return []


def _print_line(started_s: float, text: str, /, **_facts: object) -> None:
    click.echo(f"{time.monotonic() - started_s:6.1f} s  {text}", err=True)


def _print_json_line(started_s: float, text: str, /, **facts: object) -> None:
    click.echo(json.dumps({"at_s": round(time.monotonic() - started_s, 3), "said": text, **facts}))
