"""``coffee order`` and ``coffee load``: orders from the command line, one or many."""

import json
import math
import random
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backend.cli.main import NOT_RUNNING, Length, Number, WholeNumber, read_pipelines, run_quickly
from coffee_core.errors import StackError
from coffee_core.menu import DRINKS, STORES
from coffee_core.numbers import parse_number
from coffee_core.pipelines import PIPELINES, Pipeline, pipeline_named
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.lab.bench.conditions import Condition
    from backend.lab.bench.load_run import LoadResult
    from coffee_core.load.plan import Plan

CONDITION, INVALID = 4, 5
"""Exit codes: a condition of --fail-if or --require was not met; the generator could not keep its schedule."""
_ANSWER_WITHIN_S = 15
_OVERTIME_S = 30.0
"""Seconds after --for in which late orders are still sent: a load beyond what is taken would not end."""
_CHEAPEST_CENTS, _DEAREST_CENTS = 250, 650
_MOST_PER_S, _LONGEST_S, _MOST_WEIGHT = 1e6, 1e6, 1e9
_RATE, _SECONDS, _SHARE = Number(1e-6, _MOST_PER_S), Number(1e-6, _LONGEST_S), Number(0, 1)
_PATTERNS = ("steady", "constant", "ramp", "poisson", "burst")


@click.command("order")
@click.argument("pipeline", type=click.Choice([*PIPELINES, "all"]))
@click.option("--drink", type=click.Choice(DRINKS), help="Default: any.")
@click.option("--store", type=click.Choice(STORES), help="Default: any.")
@click.option("--price", metavar="5.00", help="Default: any from 2.50 to 6.50.")
@click.option("--key", metavar="UUID", help="Idempotency-Key: a repeat under the same key is the same order.")
@click.pass_context
def order_command(
    ctx: click.Context, pipeline: str, drink: str | None, store: str | None, price: str | None, key: str | None
) -> None:
    """Send one order, random where nothing is given, and print the answer. Exit code 1 where it was not taken."""
    if key is not None and not re.fullmatch(r"[!-~]+", key):
        raise click.BadParameter("must be a UUID", param_hint="--key")  # no header can hold it
    settings = Settings.attach()
    order = {
        "drink": drink or random.choice(DRINKS),
        "store": store or random.choice(STORES),
        "price": _price(price),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    wanted = settings.pipelines if pipeline == "all" else (pipeline_named(pipeline),)
    headers = settings.authorization | ({"Idempotency-Key": key} if key else {})
    accepted = [_send(f"{settings.api_url}/api/{pipeline}/order", order, headers) for pipeline in wanted]
    ctx.exit(0 if all(accepted) else 1)


def _price(text: str | None) -> float | str:
    if text is None:
        return random.randint(_CHEAPEST_CENTS, _DEAREST_CENTS) / 100
    try:
        return parse_number(text, -sys.float_info.max, sys.float_info.max)
    except ValueError:
        return text  # the API answers what is wrong with it


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for what it is: an answer that is no acceptance."""

    def redirect_request(self, *_: object) -> None:
        """Ask nobody else."""


def _send(url: str, order: Mapping[str, object], headers: Mapping[str, str]) -> bool:
    """Post the order and print the answer; return whether it was accepted.

    By urllib, not by ``coffee_core.load.sender``: its aiohttp takes longer to load than the rest of this command,
    0.37 s of processor time and 38 MB with it, 0.09 s and 24 MB without.
    """
    body = json.dumps(order).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})  # noqa: S310 - Settings: http(s) only
    # Not by a proxy, whatever http_proxy says, nor to where an answer points: they would be sent the API's token.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    try:
        with opener.open(request, timeout=_ANSWER_WITHIN_S) as answer:
            click.echo(f"{answer.status} {answer.read().decode().strip()}")
            return True
    except urllib.error.HTTPError as refusal:
        click.echo(f"{refusal.code} {refusal.read().decode(errors='replace').strip()}", err=True)
        return False
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise StackError(f"no answer from {url} ({reason}): is the stack up? `coffee status` tells") from error


def _weights(_ctx: click.Context, _option: click.Parameter, text: str | None) -> dict[str, float] | None:
    if text is None:
        return None
    try:
        pairs = (item.partition("=") for item in text.split(",") if item)
        return {name.strip(): parse_number(weight.strip(), 0, _MOST_WEIGHT) for name, _, weight in pairs}
    except ValueError as error:
        raise click.BadParameter(f"looks like latte=3,americano=1: a weight {error}") from error


def _conditions(_ctx: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> "list[Condition]":
    from backend.lab.bench.conditions import Condition

    try:
        return [Condition.parse(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("load")
@click.argument("pipelines", required=False, metavar="[v1,v2,…]", callback=read_pipelines)
@click.option("--rate", type=_RATE, default=20, show_default=True, help="Orders a second into each pipeline.")
@click.option(
    "--for", "for_s", type=Length(0.1, _LONGEST_S), default=10, show_default=True, help="Seconds, or as 10m or 2h."
)
@click.option("--shape", type=click.Choice(_PATTERNS), default="steady", show_default=True)
@click.option(
    "--from", "from_per_s", type=Number(0, _MOST_PER_S), default=0, help="Ramp: orders a second at its beginning."
)
@click.option(
    "--over", "over_s", type=_SECONDS, help="Ramp: seconds until --rate is reached. Default: all of --for."
)
@click.option(
    "--every", "every_s", type=_SECONDS, default=1, help="Burst: seconds between two; each has rate × every."
)
@click.option("--clients", type=WholeNumber(1, 64), default=1, show_default=True, help="Client processes.")
@click.option("--repeats", type=_SHARE, default=0, help="Share of orders sent again under their key, 0 to 1.")
@click.option("--malformed", type=_SHARE, default=0, help="Share of orders that must be refused, 0 to 1.")
@click.option(
    "--drinks", callback=_weights, metavar="latte=3,…", help="Weights of the drinks. Default: all alike."
)
@click.option(
    "--stores", callback=_weights, metavar="uptown=1,…", help="Weights of the stores. Default: all alike."
)
@click.option("--seed", type=WholeNumber(-(2**63), 2**63 - 1), help="Makes orders and Poisson times repeatable.")
@click.option(
    "--settle", "settle_s", type=Number(0, _LONGEST_S), default=30, show_default=True,
    help="Seconds to wait, at most, until all that was accepted is visible.",
)  # fmt: skip
@click.option(
    "--fail-if", "fail_if", multiple=True, callback=_conditions, metavar="COND",
    help="Exit code 4 where this holds, e.g. 'v2.dashboard.p99 > 50ms'. May be repeated.",
)  # fmt: skip
@click.option(
    "--require", "require", multiple=True, callback=_conditions, metavar="COND",
    help="Exit code 4 where this does not hold, e.g. 'v2.dashboard.p99 < 50ms'. May be repeated.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="{schema, valid, pipelines: {…}, …}: see docs/bench.md.")
@click.pass_context
def load_command(
    ctx: click.Context,
    /,
    *,
    pipelines: tuple[Pipeline, ...] | None,
    clients: int,
    settle_s: float,
    fail_if: "list[Condition]",
    require: "list[Condition]",
    as_json: bool,
    **options: Any,
) -> None:
    """Send orders on a schedule that no slow answer can change, and measure from when each was meant to be sent.

    Orders that are late are sent for up to 30 s more, then no longer.

    Exit code 0: done; 3: no API answers; 4: a condition was not met; 5: the generator could not keep its own
    schedule or not all was sent, so the numbers mean nothing (try more --clients, or a lower --rate).
    """
    import asyncio  # here and not above: `coffee order` starts without it

    from backend.lab.bench.load_run import as_json as report
    from backend.lab.bench.load_run import as_table, load

    settings = Settings.attach()
    plan = _plan(pipelines or settings.pipelines, options)
    if missing := asyncio.run(_not_ready(settings, plan)):
        click.echo(f"coffee: {missing}: `coffee status` tells what runs", err=True)
        ctx.exit(NOT_RUNNING)
    loaded = run_quickly(load(settings, plan, clients, settle_s, _progress(plan)))
    unmet = _unmet(loaded, fail_if, require)
    if as_json:
        click.echo(json.dumps(report(loaded, plan, clients, unmet), indent=2))
    else:
        click.echo("\n".join(as_table(loaded)))
    for condition in unmet:
        click.echo(f"coffee: {condition}", err=True)
    if loaded.invalid:
        click.echo(f"coffee: not valid: {loaded.invalid}", err=True)
    ctx.exit(INVALID if loaded.invalid else CONDITION if unmet else 0)


def _plan(pipelines: tuple[Pipeline, ...], options: Mapping[str, Any]) -> "Plan":
    from coffee_core.load.orders import OrderMix
    from coffee_core.load.plan import Plan
    from coffee_core.load.schedule import Pattern, Shape

    weights = {name: options[name] for name in ("drinks", "stores") if options[name] is not None}
    try:
        return Plan(
            pipelines,
            Shape(
                options["rate"],
                Pattern(options["shape"].replace("constant", "steady")),
                options["from_per_s"],
                options["for_s"] if options["over_s"] is None else options["over_s"],
                options["every_s"],
            ),
            options["for_s"],
            OrderMix(repeats=options["repeats"], malformed=options["malformed"], **weights),
            random.getrandbits(48) if options["seed"] is None else options["seed"],
            overtime_s=_OVERTIME_S,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


async def _not_ready(settings: Settings, plan: "Plan") -> str:
    """Return what is missing before anything is sent."""
    from backend.stack.probes import http_ok

    for pipeline in plan.pipelines:
        if not await http_ok(f"{settings.api_url}/readyz/{pipeline}", settings.authorization):
            return f"{settings.api_url} does not take orders of {pipeline}"
    return ""


def _unmet(loaded: "LoadResult", fail_if: "list[Condition]", require: "list[Condition]") -> list[str]:
    unmet = [
        f"--fail-if {condition.text}: {condition.found(loaded.measured)}"
        for condition in fail_if
        if condition.holds(loaded.measured) is not False
    ]
    return unmet + [
        f"--require {condition.text}: {condition.found(loaded.measured)}"
        for condition in require
        if not condition.holds(loaded.measured)
    ]


def _progress(plan: "Plan") -> Callable[[Mapping[Pipeline, Mapping[str, int]]], None]:
    """Return what prints where a running load stands: one line a second on standard error."""
    import time

    began, printed = time.monotonic(), -math.inf

    def print_counts(counts: Mapping[Pipeline, Mapping[str, int]]) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed < 1:
            return
        printed = now
        shares = (
            f"{pipeline} {count['acknowledged']:,} of {count['offered']:,}"
            + "".join(f", {count[name]:,} {name}" for name in ("refused", "unknown", "late") if count[name])
            for pipeline, count in counts.items()
        )
        since_s = now - began
        # While it is offered nobody knows yet what will be late.
        waiting = sum(count["offered"] - count["sent"] for count in counts.values()) if since_s > plan.for_s else 0
        ends = f"  {waiting:,} late ones wait, sent until {plan.for_s + _OVERTIME_S:g} s" if waiting else ""
        click.echo(f"{since_s:6.1f} of {plan.for_s:g} s  {' · '.join(shares)}{ends}", err=True)

    return print_counts
