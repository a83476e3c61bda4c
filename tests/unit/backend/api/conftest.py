"""The API without anything behind it: what it refuses it refuses before it asks anybody."""

from pathlib import Path

import pytest
from starlette.types import ASGIApp

from backend.api.app import create_app
from coffee_core.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"COFFEE_HOME": str(tmp_path)})


@pytest.fixture
def app(settings: Settings) -> ASGIApp:
    def crashed() -> None:
        raise AssertionError("the API gave up")

    return create_app(settings, crashed)
