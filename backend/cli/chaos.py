"""``coffee chaos``."""

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING

import click

from backend.cli.main import FAILED, NOT_RUNNING, Number, read_pipelines
from coffee_core.pipelines import Pipeline

if TYPE_CHECKING:
    from backend.lab.chaos.experiment import RunResult

_RATE_PER_S = 300.0


@click.command("chaos")
@click.argument("name", required=False, metavar="[FAULT]")
@click.option("--all", "every", is_flag=True, help="Run every fault, one after the other.")
@click.option("--for", "lasts_s", type=Number(0.1, 600), metavar="S", help="Seconds of a fault that lasts.")
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
@click.option("--no-load", is_flag=True, help="The fault alone: others send the orders, the audit judges.")
@click.option("--json", "as_json", is_flag=True, help="{exact, complete, cells: […]}: see docs/chaos.md.")
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
    no_load: bool,
    as_json: bool,
    as_lines: bool,
) -> None:
    """Break a part of the running stack under load, and hold what is stored and shown against what was sent.

    Without a fault: list them. Exit code 0: not one order lost, duplicated or adrift; 1: some were, or the run was
    cut short; 3: no stack runs here that may be broken.
    """
    from backend.lab.chaos.experiment import Plan, run_all
    from backend.lab.chaos.faults import FAULTS, FROZEN_S
    from backend.lab.chaos.target import NotLocalError, TargetStack

    if name is None and not every:
        _list(as_json=as_json)
        return
    if name is not None and (every or name not in FAULTS):
        raise click.UsageError(
            "either a fault or --all" if every else f"no fault {name!r}: `coffee chaos` lists them"
        )
    if name is not None and lasts_s is not None and not FAULTS[name].lasts:
        raise click.UsageError(f"{name} is over at once: --for is for faults that last")
    try:
        target = TargetStack.attach()
    except NotLocalError as error:
        click.echo(f"coffee: {error}", err=True)
        ctx.exit(NOT_RUNNING)
    chosen = pipelines or target.pipelines
    if missing := [pipeline for pipeline in chosen if pipeline not in target.pipelines]:
        raise click.UsageError(f"{', '.join(missing)} does not run here")
    faults = [fault for fault in FAULTS.values() if target.offers(fault)]
    if name is not None:
        faults = [fault for fault in faults if fault.name == name]
    if not faults:
        if name == "kill-everything":
            raise click.UsageError(
                f"{name} is for a stack that `coffee up --headless` runs: it is started again so"
            )
        raise click.UsageError(f"{name} breaks what does not run here")
    plan = Plan(chosen, rate_per_s, lasts_s or FROZEN_S, no_load)
    announce = partial(_print_json_line if as_lines else _print_line, time.monotonic())
    result = asyncio.run(run_all(faults, target, plan, announce))
    _print_result(result, as_json=as_json, as_lines=as_lines)
    ctx.exit(0 if result.exact and result.complete else FAILED)


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


def _list(*, as_json: bool) -> None:
    from backend.lab.chaos.faults import FAULTS
    from backend.lab.chaos.target import NotLocalError, TargetStack

    if as_json:
        try:
            target = TargetStack.attach()
        except NotLocalError:
            target = None
        listed = [
            {
                "name": fault.name,
                "teaches": fault.teaches,
                "may_refuse": fault.may_refuse,
                "lasts": fault.lasts,
                "here": target is not None and target.offers(fault),
            }
            for fault in FAULTS.values()
        ]
        click.echo(json.dumps(listed, indent=2))
        return
    width = max(map(len, FAULTS))
    for fault in FAULTS.values():
        click.echo(f"{fault.name:<{width}}  {fault.teaches}")


def _print_line(started_s: float, text: str, /, **_facts: object) -> None:
    click.echo(f"{time.monotonic() - started_s:6.1f} s  {text}", err=True)


def _print_json_line(started_s: float, text: str, /, **facts: object) -> None:
    click.echo(json.dumps({"at_s": round(time.monotonic() - started_s, 3), "said": text, **facts}))
