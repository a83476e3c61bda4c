"""What is a traceparent, and what only looks like one."""

import pytest

from backend.clients.tracing import trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize("text", [GOOD, GOOD[:-2] + "00", "01" + GOOD[2:], "cc" + GOOD[2:] + "-what-comes-later"])
def test_the_trace_id_of_a_traceparent(text: str) -> None:
    assert trace_id(text) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        *("", "00", TRACE, GOOD[:-1], GOOD + "0", GOOD + "-00", GOOD.upper(), f" {GOOD}", f"{GOOD}\n"),
        *(
            "ff" + GOOD[2:],
            f"00-{'0' * 32}-00f067aa0ba902b7-01",
            f"00-{TRACE}-{'0' * 16}-01",
            GOOD.replace("-", "_"),
        ),
        *("cc" + GOOD[2:] + "x", "cc" + GOOD[2:] + "-" + "x" * 200, "cc" + GOOD[2:] + "-a\nb"),
    ],
)
def test_anything_else_has_none(text: str) -> None:
    assert trace_id(text) == ""
