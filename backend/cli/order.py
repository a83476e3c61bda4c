"""``coffee order``."""

import json
import random
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime

import click

from coffee_core.errors import StackError
from coffee_core.menu import DRINKS, STORES
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

_WITHIN_S = 15
_CHEAPEST_CENTS, _DEAREST_CENTS = 250, 650


@click.command("order")
@click.argument("pipeline", type=click.Choice([*(each.value for each in Pipeline), "all"]))
@click.option("--drink", type=click.Choice(DRINKS), help="Default: any.")
@click.option("--store", type=click.Choice(STORES), help="Default: any.")
@click.option("--price", metavar="5.00", help="Default: any from 2.50 to 6.50.")
@click.option("--key", metavar="UUID", help="Idempotency-Key: a repeat under the same key is the same order.")
@click.pass_context
def command(
    ctx: click.Context, pipeline: str, drink: str | None, store: str | None, price: str | None, key: str | None
) -> None:
    """Send one order, random where nothing is given, and print the answer. Exit code 1 where it was not taken."""
    settings = Settings.attach()
    order = {
        "drink": drink or random.choice(DRINKS),
        "store": store or random.choice(STORES),
        "price": _price(price),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    wanted = settings.pipelines if pipeline == "all" else (Pipeline(pipeline),)
    headers = settings.authorization | ({"Idempotency-Key": key} if key else {})
    taken = [_send(f"{settings.api_url}/api/{each}/order", order, headers) for each in wanted]
    ctx.exit(0 if all(taken) else 1)


def _price(text: str | None) -> float | str:
    if text is None:
        return random.randint(_CHEAPEST_CENTS, _DEAREST_CENTS) / 100
    try:
        return float(text)
    except ValueError:
        return text  # the API says what is wrong with it


def _send(url: str, order: Mapping[str, object], headers: Mapping[str, str]) -> bool:
    """Post the order and print what came back; return whether it was taken."""
    body = json.dumps(order).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})  # noqa: S310 - Settings: http(s) only
    try:
        with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:  # noqa: S310
            click.echo(f"{answer.status} {answer.read().decode().strip()}")
            return True
    except urllib.error.HTTPError as refusal:
        click.echo(f"{refusal.code} {refusal.read().decode(errors='replace').strip()}", err=True)
        return False
    except (urllib.error.URLError, TimeoutError) as error:
        reason = getattr(error, "reason", error)
        raise StackError(f"no answer from {url} ({reason}): is the stack up? `coffee status` tells") from error
