"""Numbers as people type them, read by one rule: float() and int() also take nan, 1_0, blanks and other digits."""

import re

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")


def parse_number(text: str, low: float, high: float) -> float:
    """Read a decimal number within these bounds, also with an exponent. Raises ValueError."""
    if not (_NUMBER.fullmatch(text) and low <= float(text) <= high):
        raise ValueError(f"must be a number from {low:,g} to {high:,g}")
    return float(text)


def parse_whole_number(text: str, low: int, high: int) -> int:
    """Read a whole number within these bounds. Raises ValueError."""
    if not (_WHOLE_NUMBER.fullmatch(text) and low <= int(text) <= high):
        raise ValueError(f"must be a whole number from {low} to {high}")
    return int(text)
