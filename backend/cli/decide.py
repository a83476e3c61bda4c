"""``coffee decide``."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backend.cli.main import FAILED, Number, OutFile, WholeNumber, announcer, read_pipelines, run_quickly
from backend.lab.decide.question import SERVERS, Loss, Question
from coffee_core.errors import ConfigError
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings

if TYPE_CHECKING:
    from backend.lab.bench.result import Result
    from backend.lab.decide.decision import Decision

SCHEMA = "coffee-decide/1"
"""Name and version of the JSON: the number grows where a reader of the one before would be wrong."""
_BENCH_REPORT = Path("coffee-bench") / "report.json"
"""Where `coffee bench` leaves its report."""
_RATE = WholeNumber(1, 100_000)


class _Servers(click.ParamType[frozenset[str]]):
    """Names of servers, or ``none``."""

    name = "servers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[str]:
        """Read what was typed. Raises click.BadParameter."""
        names = frozenset(filter(None, (name.strip().lower() for name in str(value).split(",")))) - {"none"}
        if unknown := names - set(SERVERS):
            self.fail(f"{', '.join(sorted(unknown))}: choose from {', '.join(SERVERS)} or none", param, ctx)
        return names


_RUNS = _Servers()
_LOSS = click.Choice([each.value for each in Loss])


@click.command("decide")
@click.option("--now", "now_per_s", type=_RATE, metavar="N", help="Orders a second on an ordinary day.")
@click.option("--peak", "peak_per_s", type=_RATE, metavar="N", help="Orders a second at the peak.")
@click.option(
    "--late", "late_ms", type=Number(1, 3_600_000), metavar="MS", help="How late the dashboard may be, p99."
)
@click.option("--loss", type=_LOSS, help="What a power cut may take of what was acknowledged.")
@click.option("--round-trip", "round_trip_ms", type=Number(0, 1_000), metavar="MS", help="Between machines.")
@click.option("--runs", type=_RUNS, metavar="S,…", help=f"What the team runs: {', '.join(SERVERS)}, or none.")
@click.option("--vcpu-hour", type=Number(0, 1_000), metavar="PRICE", help="Of a vCPU for an hour.")
@click.option("--gb-hour", type=Number(0, 1_000), metavar="PRICE", help="Of a GB of memory for an hour.")
@click.option("--yes", is_flag=True, help="Ask nothing: what is not given is as proposed.")
@click.option("--pipelines", metavar="v1,v2,…", callback=read_pipelines, help="Default: all that run here.")
@click.option(
    "--html", type=OutFile(), default="coffee-decide.html", show_default=True, metavar="FILE", help="The page.",
)  # fmt: skip
@click.option(
    "--report", type=click.Path(exists=True, path_type=Path), metavar="REPORT",
    help="Measure nothing: decide by this report of coffee bench, wherever it was taken.",
)  # fmt: skip
@click.option("--again", is_flag=True, help="Measure, whatever reports there are.")
@click.option("--tiny", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the decision as JSON: see docs/decide.md.")
@click.pass_context
def decide_command(
    ctx: click.Context,
    /,
    *,
    yes: bool,
    pipelines: tuple[Pipeline, ...] | None,
    html: Path,
    report: Path | None,
    again: bool,
    tiny: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Ask what has to be taken, how late and at what price; measure that here; say which pipeline, and until when.

    Takes up to a quarter of an hour, on a stack of its own as `coffee bench`; Ctrl-C keeps what is done, and the
    same command goes on from there. A report of today on this machine that answers is used in place of that.

    Exit code 0: decided, also where it is too close to call; 1: not all could be measured.
    """
    from backend.lab.decide.decision import decide
    from backend.lab.decide.html import decide_page
    from backend.lab.page.page import write

    if report is not None and again:
        raise click.UsageError("--report measures nothing, --again does: choose one")
    question = _asked(given, ask=not yes)
    if report is not None:
        from backend.lab.bench.result import Result

        result = Result.read(report)
        if pipelines is not None:
            result.pipelines = tuple(each for each in result.pipelines if each in pipelines)
        source = f"By the report in {report}: its loads are those of a bench, not of this question."
    else:
        result, source = _measured(question, pipelines, again=again, tiny=tiny)
    if not result.pipelines:
        raise click.UsageError("nothing of these pipelines was measured")
    decision = decide(question, result)
    write(decide_page(decision, result, source), html)
    if as_json:
        told = {"schema": SCHEMA, "question": question.as_json(), **decision.as_json(), "report": _origin(result)}
        click.echo(json.dumps(told | {"page": str(html)}, indent=2))
    else:
        _print(decision, html)
    ctx.exit(0 if result.complete else FAILED)


def _asked(given: dict[str, Any], *, ask: bool) -> Question:
    """Return the question: what was given, what is asked, else what is proposed. Raises click.UsageError."""
    if given["now_per_s"] is None:
        given["now_per_s"] = (
            click.prompt("Orders a second, on an ordinary day", 50, type=_RATE, err=True) if ask else 50
        )
    proposed = Question(given["now_per_s"], given["peak_per_s"] or 5 * given["now_per_s"], late_ms=1_000)
    asked = (
        ("peak_per_s", "Orders a second, at the peak", _RATE),
        ("late_ms", "Milliseconds within which 99 of 100 must be on the dashboard", Number(1, 3_600_000)),
        ("loss", "What may a power cut take of what was acknowledged", _LOSS),
        ("round_trip_ms", "Milliseconds to another machine and back, 0: one machine", Number(0, 1_000)),
        ("runs", f"What the team runs already, of {', '.join(SERVERS)}, or none", _RUNS),
        ("vcpu_hour", "Price of a vCPU for an hour", Number(0, 1_000)),
        ("gb_hour", "Price of a GB of memory for an hour", Number(0, 1_000)),
    )
    for name, words, kind in asked:
        if given[name] is None:
            value = getattr(proposed, name)
            shown = ",".join(sorted(value)) if isinstance(value, frozenset) else getattr(value, "value", value)
            given[name] = click.prompt(words, shown, type=kind, err=True) if ask else value
    question = Question(**{**given, "loss": Loss(given["loss"])})
    if question.peak_per_s < question.now_per_s:
        raise click.UsageError(f"--peak {question.peak_per_s} is below --now {question.now_per_s}")
    return question


def _measured(
    question: Question, pipelines: tuple[Pipeline, ...] | None, *, again: bool, tiny: bool
) -> tuple["Result", str]:
    """Return a report that answers, and where it comes from: one that is there, else measured now."""
    from backend.lab.decide.measure import Measurement, measure
    from backend.stack import locks
    from backend.stack.supported_pipelines import supported_pipelines
    from coffee_core.pipelines import PIPELINES

    settings = Settings.from_env()
    announce = announcer()
    supported, missing = supported_pipelines(replace(settings, pipelines=pipelines or tuple(PIPELINES)))
    if missing:
        announce(missing)
    if not supported.pipelines:
        raise click.UsageError("none of these pipelines can run here")
    wanted = Measurement.of(question, supported.pipelines, tiny=tiny)
    file = settings.home / "decide" / wanted.name
    if again:
        file.unlink(missing_ok=True)
    elif found := _found(question, wanted, file):
        return found
    if locks.holders(settings.home):
        announce(f"a stack runs in {settings.home}: it takes its share of this machine from what is measured")
    file.parent.mkdir(parents=True, exist_ok=True)
    result = run_quickly(measure(wanted, settings.home, file, announce))
    return result, "Measured for this question."


def _found(question: Question, wanted: Any, file: Path) -> tuple["Result", str] | None:
    """Return a report of this machine that answers: of these rates, or a bench's that leaves nothing open."""
    from backend.lab.bench.result import Result
    from backend.lab.decide.decision import decide
    from backend.lab.decide.measure import read_kept

    kept = read_kept(wanted, file)
    if kept is not None and kept.complete:
        return kept, "Measured for these rates earlier today."
    try:
        bench = Result.read(_BENCH_REPORT)
    except ConfigError:
        return None
    if bench.complete and not wanted.unusable(bench) and decide(question, bench).settled:
        return bench, f"By {_BENCH_REPORT}, a report of today on this machine."
    return None


def _origin(result: "Result") -> dict[str, Any]:
    return {name: getattr(result, name) for name in ("at", "size", "complete", "seconds", "facts", "notes")}


def _print(decision: "Decision", page: Path) -> None:
    first, *others = decision.sentences
    click.secho(first.text, bold=True)
    for sentence in others:
        click.echo(sentence.text)
    click.echo(f"What it rests on: {page}")
