"""Who may reach the dashboard, and the API without a token, from a browser."""

import pytest

from coffee_core.origin_check import refusal


@pytest.mark.parametrize("host", ["127.0.0.1:8006", "localhost:8006", "[::1]:8006", "127.0.0.1"])
def test_loopback_answers_to_its_own_names(host: str) -> None:
    assert refusal("127.0.0.1", host, None) == ""
    assert refusal("127.0.0.1", host, f"http://{host}") == ""


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8006", "10.0.0.7:8006", "127.0.0.1.evil.example", "", "["]
)
def test_loopback_answers_to_no_other_name(host: str) -> None:
    assert "its own machine" in refusal("127.0.0.1", host, None)


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9999", "http://127.0.0.1", "null"])
@pytest.mark.parametrize("bound_to", ["127.0.0.1", "0.0.0.0"])
def test_pages_of_another_site_are_refused(bound_to: str, origin: str) -> None:
    assert "another site" in refusal(bound_to, "127.0.0.1:8006", origin)


def test_where_all_are_let_in_any_name_will_do() -> None:
    assert refusal("0.0.0.0", "lab.example:8006", "http://lab.example:8006") == ""
