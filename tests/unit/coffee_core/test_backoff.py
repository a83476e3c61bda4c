from coffee_core.backoff import Backoff


def test_pauses_double_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff = Backoff(0.5, 3)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next_s() == 0.5


def test_jitter_shortens_a_pause_by_no_more_than_its_share() -> None:
    backoff = Backoff(1, 1, jitter=0.5)
    pauses = [backoff.next_s() for _ in range(100)]
    assert all(0.5 <= pause <= 1 for pause in pauses)
    assert len(set(pauses)) > 1
