import pytest

from coffee_core import pipelines
from coffee_core.pipelines import Pipeline
from tests.unit.backend.lab.toy.declaration import DECLARATION


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A pipeline that is registered for the length of the test."""
    monkeypatch.setitem(pipelines._declared, DECLARATION.name, DECLARATION)
    return Pipeline(DECLARATION.name)
