"""The audit line: what became of every order, in words, numbers and a glyph."""

from rich.text import Text

from coffee_core.account import Account
from coffee_tui.feed.snapshot import PipelineView
from coffee_tui.theme import DIM, GREY, RED, TEXT
from coffee_tui.widgets.block import Block, Shared
from coffee_tui.widgets.costs import said_cost
from coffee_tui.widgets.text import UNKNOWN, clip, count

_LONG = ("accepted", "stored", "shown", "in flight")
_SHORT = ("accepted", "stored", "shown", "open")
_ROOMY = 36


class Audit(Block):
    """Three rows: what is counted, the counts, and what is wrong with them."""

    NEEDS = frozenset({"redis", "api"})

    def drawn_from(self, view: PipelineView, shared: Shared) -> object:
        """Return what the rows are made of."""
        return view.account, view.cost if shared.alone else None

    def rows(self, view: PipelineView, width: int, shared: Shared) -> list[Text]:
        """Return the rows."""
        account = view.account
        labels = _LONG if width >= _ROOMY else _SHORT
        spare, more = divmod(width - len(" ".join(labels)), len(labels))
        widths = [len(label) + (at > 0) + spare + (at < more) for at, label in enumerate(labels)]
        head = Text("".join(label.rjust(cells) for label, cells in zip(labels, widths, strict=True)), DIM)
        counts = (None,) * 4 if account is None else _counts(account)
        numbers = Text("".join(count(one, cells) for one, cells in zip(counts, widths, strict=True)), TEXT)
        verdict = _verdict(account, " · " if width >= _ROOMY else " ")
        cost = said_cost(view.cost, named=False) if shared.alone else ""
        verdict.truncate(width)
        gap = width - verdict.cell_len - len(cost)
        return [head, numbers, verdict.append(" " * gap + cost, DIM) if cost and gap > 0 else verdict]


def _counts(account: Account) -> tuple[int | None, ...]:
    return account.accepted, account.stored, account.shown, account.in_flight


def _verdict(account: Account | None, between: str) -> Text:
    if account is None:
        return Text("· " + between.join(f"{word} {UNKNOWN}" for word in ("lost", "duplicated", "drift")), DIM)
    wrong = bool(account.lost or account.duplicated or account.drift)
    row = Text("× " if wrong else "✓ ", RED if wrong else GREY)
    findings = (("lost", account.lost, ""), ("duplicated", account.duplicated, ""), ("drift", account.drift, "+"))
    for index, (word, number, sign) in enumerate(findings):
        row.append(between if index else "", DIM)
        row.append(f"{word} {number:{sign if number else ''},}", f"bold {RED}" if number else GREY)
    return row


def dropped(account: Account | None, width: int) -> str:
    """Return what of the log became no row on purpose, where there is any."""
    if account is None:
        return ""
    found = ((account.duplicates, "repeat"), (account.dead, "dead letter"))
    said = " · ".join(f"{number:,} {word}{'s' * (number != 1)}" for number, word in found if number)
    return clip(said, width)
