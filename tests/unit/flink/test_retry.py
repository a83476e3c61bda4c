import pytest

from flink.plans import SubmitError
from flink.submit import Retry


def test_a_reason_is_told_once_and_again_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    retry = Retry()
    for error in (OSError("no Redis"), OSError("no Redis"), ValueError("no slot"), OSError("no Redis")):
        retry.failed(error)
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == ["no Redis", "no slot", "no Redis"]
    retry.succeeded()
    retry.failed(OSError("no Redis"))
    assert len(caplog.records) == 4


def test_an_error_without_words_is_told_by_its_kind(caplog: pytest.LogCaptureFixture) -> None:
    Retry().failed(TimeoutError())
    assert caplog.records[0].message.endswith("TimeoutError")


def test_a_server_that_is_away_is_asked_again_soon_however_long_it_stays_away() -> None:
    retry = Retry()
    pauses = set()
    for _ in range(10):
        retry.failed(OSError("no Redis"))
        pauses.add(retry.pause_s)
    assert len(pauses) == 1
    assert pauses.pop() < 1


def test_the_pause_grows_up_to_a_bound_while_the_job_is_refused_and_a_success_ends_it() -> None:
    retry = Retry()
    first = retry.pause_s
    pauses = []
    for _ in range(10):
        retry.failed(SubmitError("no such function"))
        pauses.append(retry.pause_s)
    assert pauses[0] == 2 * first
    assert pauses[-1] == pauses[-2] == 15
    retry.succeeded()
    assert retry.pause_s == first
