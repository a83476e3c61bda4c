"""Numbers as they are written on the screen: fixed widths, so that nothing jumps."""

from collections.abc import Sequence

UNKNOWN = "—"
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def in_words(number: int) -> str:
    """Write a small number in words: ``three``."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def listed(names: Sequence[str]) -> str:
    """Write names as a sentence does: ``v1, v2 and v3``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def latency(span_us: float | None) -> str:
    """Write a latency with three digits at most: ``0.42 ms``, ``3.1 ms``, ``5.1 s``; ``—`` where unknown."""
    if span_us is None:
        return UNKNOWN
    milliseconds = span_us / 1_000
    for limit, text in ((0.9995, "{:.2f} ms"), (99.95, "{:.1f} ms"), (999.5, "{:.0f} ms")):
        if milliseconds < limit:
            return text.format(milliseconds)
    seconds = milliseconds / 1_000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_970 else f"{seconds / 3_600:.0f} h"


def rate(per_s: float | None) -> str:
    """Write a rate: ``0.3/s``, ``204/s``; ``—`` where unknown."""
    if per_s is None:
        return UNKNOWN
    return f"{per_s:.1f}/s" if 0 < per_s < 9.95 else f"{per_s:,.0f}/s"


def step(per_s: float) -> str:
    """Write a rate that was chosen, without decimals it does not have: ``0.5``, ``1,000``."""
    return f"{per_s:,.0f}" if per_s >= 1 else f"{per_s:g}"


def money(cents: int, width: int) -> str:
    """Write cents as dollars, without the cents, then in short, where they do not fit into ``width`` cells."""
    exact = f"$ {cents // 100:,}.{cents % 100:02d}"
    whole = f"$ {cents // 100:,}"
    return next((text for text in (exact, whole) if len(text) <= width), f"$ {compact(cents // 100)}")


def uptime(seconds: int | None) -> str:
    """Write an uptime: ``12:41``, ``3:12:41``; ``—`` where unknown."""
    if seconds is None:
        return UNKNOWN
    hours, rest = divmod(seconds, 3_600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"


def clip(text: str, width: int) -> str:
    """Cut a text to ``width`` cells, with an ellipsis where something is missing."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def compact(number: int) -> str:
    """Write a count in five cells at most: ``1,369``, ``12.3k``, ``4.1M``."""
    for limit, unit, by in ((99_999, "", 1), (999_500, "k", 1_000), (999_500_000, "M", 1_000_000)):
        if number < limit:
            if not unit:
                return f"{number:,}" if number < 10_000 else f"{number / 1_000:.1f}k"
            return f"{number / by:.0f}{unit}" if number >= 99.95 * by else f"{number / by:.1f}{unit}"
    return f"{number / 1e9:.1f}G"


def count(number: int | None, cells: int) -> str:
    """Write a count right-aligned in so many cells, shorter where it does not fit beside the one before it."""
    if number is None:
        return UNKNOWN.rjust(cells)
    exact = f"{number:,}"
    return (exact if len(exact) < cells else compact(number)).rjust(cells)


def memory(megabytes: int) -> str:
    """Write a size: ``61 MB``, ``1.1 GB``."""
    return f"{megabytes} MB" if megabytes < 1_000 else f"{megabytes / 1_000:.1f} GB"
