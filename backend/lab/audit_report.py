"""An audit in words and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from backend.lab.audit_balance import Balance
from backend.lab.audit_tally import is_zero
from coffee_core.money import from_cents
from coffee_core.pipelines import INFO
from coffee_core.tally import Tally

_COLUMNS = ("", "accepted", "stored", "shown", "repeats", "dead", "in flight", "lost", "duplicated", "drift")
_NAMED = 10


def as_table(balances: Sequence[Balance]) -> list[str]:
    """Return the lines of the table and, after it, what is to be said of each pipeline."""
    rows = [_COLUMNS, *(_row(balance) for balance in balances)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    for balance in balances:
        lines += ["", sentence(balance), *(f"    {line}" for line in details(balance))]
    return lines


def _row(balance: Balance) -> tuple[str, ...]:
    dropped, dead = balance.duplicates_dropped, balance.dead_letters
    return (
        f"{balance.pipeline} {INFO[balance.pipeline].title}",
        f"{balance.accepted:,}",
        f"{balance.stored.orders:,}",
        f"{balance.shown.orders:,}",
        "–" if dropped is None else f"{dropped:,}",
        "–" if dead is None else f"{dead:,}",
        f"{balance.in_flight:,}",
        f"{balance.lost_orders:,}",
        f"{balance.duplicated.orders:,}",
        _signed(balance.drift.orders),
    )


def sentence(balance: Balance) -> str:
    """Return the one line that a person would say, e.g. ``v2: lost 0 · duplicated 0 · drift 0``."""
    parts = [
        f"lost {balance.lost_orders:,}" + (_money(balance.lost) if balance.lost_orders else ""),
        f"duplicated {balance.duplicated.orders:,}" + (_money(balance.duplicated)),
        f"drift {_signed(balance.drift.orders)}" + (_money(balance.drift)),
    ]
    if balance.log_short:
        parts.append(f"log lost: {balance.log_short:,} stored orders are not accounted for by it")
    if balance.windows_off:
        parts.append(f"windows off: {len(balance.windows_off)}")
    if balance.in_flight:
        parts.append(f"{balance.in_flight:,} in flight")
    return f"{balance.pipeline}: " + " · ".join(parts)


def details(balance: Balance) -> list[str]:
    """Return what stands below the sentence: fields that differ, notes, what was compared."""
    lines = []
    for name, tally in (("duplicated", balance.duplicated), ("drift", balance.drift)):
        if not is_zero(tally):
            lines.append(f"{name}: " + ", ".join(_fields(tally)))
    if balance.windows_off:
        more = " …" * (len(balance.windows_off) > _NAMED)
        lines.append("windows: " + ", ".join(balance.windows_off[:_NAMED]) + more)
        lines.append("Flink's state is their truth: `coffee replay v3` counts the whole topic anew")
    lines += balance.notes
    if (deep := balance.deep) is not None:
        lines.append(f"compared {deep.compared:,} one by one: {deep.scope}")
        for count, ids, what in (
            (deep.lost, deep.lost_ids, "nowhere"),
            (deep.altered, deep.altered_ids, "stored otherwise than the log has it"),
            (deep.unlogged, [], "rows without an entry of their own"),
        ):
            if count:
                named = f" ({', '.join(ids)}{' …' * (count > len(ids))})" if ids else ""
                lines.append(f"{what}: {count:,}{named}")
    return lines


def _fields(tally: Tally) -> list[str]:
    fields = []
    totals = (tally.orders, tally.revenue_cents)
    if any(totals) and totals != (sum(tally.drink_counts.values()), sum(tally.drink_revenue_cents.values())):
        # A total that its drinks do not make up: somebody has touched it alone.
        fields.append(f"total {_signed(tally.orders)} ({_signed_money(tally.revenue_cents)})")
    for counts, cents in (
        (tally.drink_counts, tally.drink_revenue_cents),
        (tally.store_counts, tally.store_revenue_cents),
    ):
        for name in dict.fromkeys((*counts, *cents)):
            orders, money = counts.get(name, 0), cents.get(name, 0)
            if orders or money:
                fields.append(f"{name} {_signed(orders)} ({_signed_money(money)})")
    return fields


def _money(tally: Tally | None) -> str:
    if tally is None:
        return " (revenue unknown)"
    return f" ({_signed_money(tally.revenue_cents)})" if not is_zero(tally) else ""


def _signed(number: int) -> str:
    return f"{number:+,}" if number else "0"


def _signed_money(cents: int) -> str:
    return ("+" if cents > 0 else "") + from_cents(cents)


def as_json(balances: Sequence[Balance]) -> dict[str, Any]:
    """Return the whole audit; ``docs/audit.md`` describes it. Money is in cents."""
    return {"balanced": all(balance.balanced for balance in balances), "pipelines": [_one(b) for b in balances]}


def _one(balance: Balance) -> dict[str, Any]:
    lost = balance.lost
    return {
        "pipeline": str(balance.pipeline),
        "balanced": balance.balanced,
        "accepted": balance.accepted,
        "stored": asdict(balance.stored),
        "shown": asdict(balance.shown),
        "duplicates_dropped": balance.duplicates_dropped,
        "dead_letters": balance.dead_letters,
        "in_flight": balance.in_flight,
        "lost": {"orders": balance.lost_orders} if lost is None else asdict(lost),
        "duplicated": asdict(balance.duplicated),
        "drift": asdict(balance.drift),
        "log_short": balance.log_short,
        "windows_off": list(balance.windows_off),
        "notes": list(balance.notes),
        "deep": None if balance.deep is None else asdict(balance.deep),
        "sentence": sentence(balance),
    }
