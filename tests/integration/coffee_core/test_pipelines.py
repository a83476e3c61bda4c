"""A process reads the packages of other pipelines as it starts."""

import subprocess
import sys

import pytest

TOY = {"COFFEE_PIPELINE_PACKAGES": "tests.toy_pipeline"}


def run(code: str, **environ: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    return done.stdout.strip()


def test_a_package_registers_its_pipeline() -> None:
    code = (
        "from coffee_core.settings import Settings; from coffee_core.pipelines import PIPELINES;"
        "print(Settings.from_env({'COFFEE_PIPELINES': 'v1,toy'}).pipelines, PIPELINES[-1].info.title)"
    )
    assert run(code, **TOY) == "('v1', 'toy') Toy"


@pytest.mark.parametrize(
    ("text", "named"),
    [("+toy", "v1 v2 v3 toy"), ("+toy,v2", "v1 v2 v3 toy"), ("", "v1 v2 v3"), ("toy,v2", "v2 toy")],
)
def test_a_plus_names_those_beside_the_default(text: str, named: str) -> None:
    code = "from coffee_core.settings import Settings; print(*Settings.from_env().pipelines)"
    assert run(code, **TOY, COFFEE_PIPELINES=text) == named


@pytest.mark.parametrize("text", ["no.such.package", "coffee_core.money", "tests.toy_pipeline,nope"])
def test_a_package_that_declares_none_is_an_error_of_the_setting(text: str) -> None:
    code = (
        "from coffee_core.errors import ConfigError; from coffee_core.settings import Settings\n"
        "try: Settings.from_env()\nexcept ConfigError as error: print(error)"
    )
    said = run(code, COFFEE_PIPELINE_PACKAGES=text)
    assert said.startswith("COFFEE_PIPELINE_PACKAGES ")
    assert "declares no pipeline" in said
    assert "\n" not in said
