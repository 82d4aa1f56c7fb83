import math

from loadtests.progress import Progress


def test_the_rate_is_from_the_first_movement_to_the_end() -> None:
    progress = Progress(1_000)
    for time_s, done in ((0.0, 0), (5.0, 0), (6.0, 100), (7.0, 600), (8.0, 1_000), (9.0, 1_000)):
        progress.observe(time_s, done)
    assert progress.arrived
    assert (progress.counted, progress.seconds, progress.rate_per_s) == (900, 2.0, 450.0)


def test_nothing_is_said_of_what_has_not_moved_or_was_seen_once() -> None:
    progress = Progress(10)
    progress.observe(1.0, 0)
    assert not progress.moved
    progress.observe(2.0, 10)
    assert progress.moved
    assert progress.arrived
    assert progress.counted == 0
    assert math.isnan(progress.rate_per_s)


def test_time_that_passes_without_progress_at_the_end_does_not_count() -> None:
    progress = Progress(1_000)
    for time_s, done in ((0.0, 10), (1.0, 110), (2.0, 110), (60.0, 110)):
        progress.observe(time_s, done)
    assert not progress.arrived
    assert progress.rate_per_s == 100.0
