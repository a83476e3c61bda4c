"""Numbers as they are written on the screen: fixed widths, so that nothing jumps."""

UNKNOWN = "—"


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
    """Write cents as dollars, without the cents where they do not fit into ``width`` cells."""
    exact = f"$ {cents // 100:,}.{cents % 100:02d}"
    return exact if len(exact) <= width else f"$ {cents // 100:,}"


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
