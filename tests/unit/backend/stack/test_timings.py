"""The phases of a start: what is timed, and how it is drawn."""

from backend.stack.timings import PartTimer, Phase, Span, as_json, chart


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def timed(*steps: tuple[float, Phase, str]) -> list[Span]:
    """Return the spans of a part that begins these phases at these seconds, and is up after ten."""
    clock = Clock()
    timer = PartTimer("kafka", clock)
    for at_s, phase, detail in steps:
        clock.now_s = at_s
        timer.begin(phase, detail)
    clock.now_s = 10.0
    timer.up()
    timer.begin(Phase.STARTS)  # it died and is started again
    timer.up()
    return timer.spans


def test_a_phase_lasts_until_the_next_one_and_the_last_until_the_part_is_up() -> None:
    waits = (Phase.WAITS, "for redis")
    assert timed((0, *waits), (1, *waits), (3, Phase.PREPARES, ""), (4, Phase.STARTS, "")) == [
        Span("kafka", Phase.WAITS, 0, 3, "for redis"),
        Span("kafka", Phase.PREPARES, 3, 4),
        Span("kafka", Phase.STARTS, 4, 10),
    ]


def test_who_is_waited_for_is_told_apart() -> None:
    spans = timed((0, Phase.WAITS, "for redis, postgres"), (2, Phase.WAITS, "for postgres"))
    assert [(span.detail, span.seconds) for span in spans] == [("for redis, postgres", 2), ("for postgres", 8)]


def test_the_chart_has_a_row_a_part_on_one_scale_with_its_longest_phase() -> None:
    spans = [
        Span("redis", Phase.STARTS, 100, 105),
        Span("kafka", Phase.WAITS, 100, 105, "for redis"),
        Span("kafka", Phase.STARTS, 105, 107),
        Span("kafka", Phase.SETTLES, 107, 110),
    ]
    head, redis, kafka, legend = chart(spans, 100)
    assert head.split() == ["0", "s", "10.0", "s", "up", "at", "the", "longest", "of", "it"]
    assert redis == f"{'redis':<22}{'▒' * 30}{'':30}    5.0 s  starts 5.0 s"
    assert kafka == f"{'kafka':<22}{'·' * 30}{'▒' * 12}{'█' * 18}   10.0 s  waits 5.0 s for redis"
    assert legend == "· waits  ░ prepares  ▒ starts  █ settles"


def test_what_took_no_time_at_the_end_is_drawn_all_the_same() -> None:
    spans = [Span("redis", Phase.STARTS, 100, 110), Span("redis", Phase.SETTLES, 110, 110)]
    assert chart(spans, 100)[1].split()[1] == "▒" * 59 + "█"


def test_as_json_times_count_from_the_start() -> None:
    assert as_json([Span("kafka", Phase.WAITS, 100.5, 102.25, "for redis")], 100) == [
        {"part": "kafka", "phase": "waits", "begin_s": 0.5, "end_s": 2.25, "detail": "for redis"}
    ]
