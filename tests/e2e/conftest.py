"""One real stack for all end-to-end tests; it ends with the last of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Lab
from tests.hostile import HOSTILE
from tests.waiting import until_sync


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """All three pipelines, up, in a folder with an odd name; nothing is left of it afterwards."""
    # The shell has variables for other programs: none reaches Kafka, Flink or the client that plans the job.
    hostile = {name: value for name, value in HOSTILE.items() if name not in ("PYTHONPATH", "LC_ALL")}
    lab = Lab(tmp_path_factory.mktemp("a lab") / "coffee hömé 100% #[1]", "v1,v2,v3", **hostile)
    with lab.running():
        yield lab
    until_sync(lambda: not lab.left())


@pytest.fixture
def small_lab(tmp_path: Path) -> Iterator[Lab]:
    """v1 and v2, not started; whatever is started is gone afterwards."""
    lab = Lab(tmp_path / "coffee home", "v1,v2")
    yield lab
    lab.kill_if_running()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the ends of the stack's logs under a failed test."""
    report = yield
    given = getattr(item, "funcargs", {})
    lab = given.get("lab") or given.get("small_lab")
    if report.when == "call" and report.failed and lab is not None:
        report.sections.append(("the lab's logs", lab.report()))
    return report
