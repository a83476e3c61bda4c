"""Wrong options are refused before any server is asked."""

import click
import pytest
from click.testing import CliRunner

from backend.cli.main import coffee


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("audit", "--pipelines", "v9"), "'v9' is no pipeline"),
        (("audit", "--settle", "-1"), "-1"),
        (("reconcile", "v4"), "v4"),
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
