import pytest

from stream_processor.errors import StuckPartitionError
from stream_processor.progress import Look, ProgressWatch
from stream_processor.record_batch import TopicPartition

PAYMENTS, LABELS = TopicPartition("transactions", 3), TopicPartition("labels", 0)
AT_THE_END = Look(fence=9, position=10, acknowledged=10, end_offset=10)
BEHIND = Look(fence=4, position=7, acknowledged=5, end_offset=10)


@pytest.fixture
def watch() -> ProgressWatch:
    """Two partitions, taken at 0."""
    watch = ProgressWatch(stuck_after_ms=100)
    watch.take([PAYMENTS, LABELS], now_ms=0)
    return watch


def is_stuck(watch: ProgressWatch, now_ms: int) -> bool:
    try:
        watch.check(now_ms=now_ms)
    except StuckPartitionError:
        return True
    return False


def test_a_partition_that_was_just_taken_is_given_its_time(watch: ProgressWatch) -> None:
    assert not is_stuck(watch, 100)
    assert is_stuck(watch, 101)


def test_one_that_has_nothing_to_do_is_not_stuck(watch: ProgressWatch) -> None:
    for tp in (PAYMENTS, LABELS):
        watch.looked(tp, AT_THE_END, now_ms=1_000)
    assert not is_stuck(watch, 1_100)


def test_one_that_nobody_looks_at_any_more_is(watch: ProgressWatch) -> None:
    for tp in (PAYMENTS, LABELS):
        watch.looked(tp, AT_THE_END, now_ms=1_000)
    watch.looked(PAYMENTS, AT_THE_END, now_ms=1_100)
    assert is_stuck(watch, 1_101)


@pytest.mark.parametrize(
    "look",
    [
        Look(fence=9, position=10, acknowledged=5, end_offset=10),  # folded, not published
        Look(fence=4, position=5, acknowledged=10, end_offset=10),  # published once, and being read again
    ],
)
def test_one_that_is_looked_at_and_has_work_left_is_stuck_unless_batches_are_published(
    watch: ProgressWatch, look: Look
) -> None:
    watch.excuse([LABELS], now_ms=150)
    watch.published(PAYMENTS, now_ms=50)
    watch.looked(PAYMENTS, look, now_ms=150)
    assert not is_stuck(watch, 150)
    assert is_stuck(watch, 151)


def test_what_is_stuck_is_named_with_where_it_stands(watch: ProgressWatch) -> None:
    watch.looked(PAYMENTS, BEHIND, now_ms=0)
    watch.looked(LABELS, AT_THE_END, now_ms=2_000)
    with pytest.raises(StuckPartitionError) as stuck:
        watch.check(now_ms=2_000)
    assert str(stuck.value) == (
        "nothing was folded and published of transactions 3 for 2 s "
        "(lowest fence 4, next to fold 7, next to publish 5, end of the log 10)"
    )


def test_an_outage_that_is_named_excuses_whom_it_concerns(watch: ProgressWatch) -> None:
    watch.excuse(now_ms=100)
    assert not is_stuck(watch, 200)
    watch.excuse([PAYMENTS], now_ms=200)
    with pytest.raises(StuckPartitionError, match=r"of labels 0 for 0 s \("):
        watch.check(now_ms=201)


def test_starting_anew_is_not_getting_on(watch: ProgressWatch) -> None:
    watch.take([PAYMENTS], now_ms=100)
    assert is_stuck(watch, 101)


def test_a_partition_that_was_given_up_is_nobodys_business(watch: ProgressWatch) -> None:
    watch.give_up([PAYMENTS, LABELS])
    watch.published(PAYMENTS, now_ms=5)
    watch.looked(PAYMENTS, BEHIND, now_ms=5)
    assert not is_stuck(watch, 1_000)
    watch.take([PAYMENTS], now_ms=1_000)
    assert not is_stuck(watch, 1_100)


def test_a_fences_age_counts_from_where_it_was_last_at_the_end(watch: ProgressWatch) -> None:
    watch.looked(PAYMENTS, AT_THE_END, now_ms=1_000)
    watch.looked(PAYMENTS, BEHIND, now_ms=3_000)
    assert dict(watch.fence_ages_s(now_ms=3_500)) == {PAYMENTS: 2.5, LABELS: 3.5}


def test_fences_that_pass_where_a_busy_log_ended_a_look_ago_have_the_age_of_that_look(watch: ProgressWatch) -> None:
    def look(fence: int, end_offset: int) -> Look:
        return Look(fence, position=fence + 1, acknowledged=fence + 1, end_offset=end_offset)

    for now_ms, fence, end_offset, age_s in (
        (1_000, 7, 10, 1.0),  # taken at 0: its log held nothing yet, as far as was seen
        (2_000, 9, 30, 1.0),
        (3_000, 28, 40, 2.0),  # one short of the 30
        (4_000, 45, 50, 1.0),
        (5_000, 49, 50, 0.0),
    ):
        watch.looked(PAYMENTS, look(fence, end_offset), now_ms=now_ms)
        assert dict(watch.fence_ages_s(now_ms=now_ms))[PAYMENTS] == age_s
