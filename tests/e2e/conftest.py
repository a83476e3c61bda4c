"""One real stack for all end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab
from tests.waiting import until_sync


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """All three pipelines, up, in a folder with a space in its name; nothing is left of it afterwards."""
    lab = Lab(tmp_path_factory.mktemp("a lab") / "coffee home", "v1,v2,v3")
    try:
        lab.start()
        yield lab
        assert lab.stop() == 0, lab.report()
        until_sync(lambda: not lab.left())
    finally:
        lab.kill_if_running()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the ends of the stack's logs under a failed test."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and lab is not None:
        report.sections.append(("the lab's logs", lab.report()))
    return report
