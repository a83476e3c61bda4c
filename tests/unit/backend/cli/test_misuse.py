"""Wrong options are refused before any server is asked."""

import math

import click
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from backend.cli.main import Length, coffee
from coffee_core.numbers import parse_number, parse_whole_number


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("audit", "--pipelines", "v9"), "'v9' is no pipeline"),
        (("audit", "--settle", "-1"), "-1"),
        (("reconcile", "v9"), "v9"),
        (("dead-letters", "v1"), "v1"),
        (("dead-letters", "v2", "--set", "price_cents=1"), "--set goes with --requeue"),
        (("dead-letters", "v2", "--requeue", "--set", "price_cents"), "must be NAME=VALUE"),
        (("dead-letters", "v2", "--requeue", "--drop"), "either --requeue or --drop"),
        (("reconcile", "v2", "--compare"), "--compare is for v3"),
    ],
)
def test_a_wrong_option_is_exit_code_2_and_says_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    result = CliRunner().invoke(coffee, words, standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    assert result.exception.exit_code == 2
    assert message in result.exception.format_message()


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1", "1_0", "٣", "", "1e400", "0x5", "5 s", "1,5"])
@pytest.mark.parametrize(
    "words",
    [
        ("load", "--rate"),
        ("load", "--for"),
        ("load", "--shape", "ramp", "--from"),
        ("load", "--shape", "ramp", "--over"),
        ("load", "--shape", "burst", "--every"),
        ("load", "--clients"),
        ("load", "--repeats"),
        ("load", "--malformed"),
        ("load", "--settle"),
        ("audit", "--settle"),
        ("chaos", "--rate"),
        ("chaos", "--for"),
    ],
)
def test_what_is_no_number_within_the_bounds_is_refused(words: tuple[str, ...], number: str) -> None:
    result = CliRunner().invoke(coffee, (*words, number), standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    message = result.exception.format_message()
    assert words[-1] in message
    assert "number from" in message


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7_200), ("0.1s", 0.1), ("168h", 604_800)]
)
def test_a_length_is_seconds_or_has_its_unit(text: str, seconds: float) -> None:
    assert Length(0.1, 7 * 24 * 3_600).convert(text, None, None) == seconds


@pytest.mark.parametrize("weights", ["latte=nan", "latte=٣", "latte=-1", "latte=inf", "latte", "latte=1_0"])
def test_what_is_no_weight_is_refused(weights: str) -> None:
    result = CliRunner().invoke(coffee, ("load", "--drinks", weights), standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)


@pytest.mark.parametrize("key", ["ключ", "a\nb", "a b", ""])
def test_a_key_that_no_header_can_hold_is_refused(key: str) -> None:
    result = CliRunner().invoke(coffee, ("order", "v1", "--key", key), standalone_mode=False)
    assert isinstance(result.exception, click.BadParameter)


@given(st.text(st.sampled_from("0123456789+-.eE_ ٣nif"), max_size=8))
@example("0E0000")
def test_a_number_is_what_json_and_float_both_take_for_one(text: str) -> None:
    """A second implementation: of what float() reads, what is ASCII, finite and without its own liberties."""
    try:
        theirs = float(text)
    except ValueError:
        theirs = math.nan
    liberal = not text.isascii() or "_" in text or text != text.strip()
    try:
        assert parse_number(text, -1e300, 1e300) == theirs
    except ValueError:
        assert liberal or not -1e300 <= theirs <= 1e300
    else:
        assert not liberal


@given(st.integers(), st.integers(-100, 100), st.integers(-100, 100))
def test_a_whole_number_is_read_within_its_bounds(number: int, one: int, other: int) -> None:
    low, high = sorted((one, other))
    if low <= number <= high:
        assert parse_whole_number(str(number), low, high) == number
    else:
        with pytest.raises(ValueError, match=f"from {low} to {high}"):
            parse_whole_number(str(number), low, high)
