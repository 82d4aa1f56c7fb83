import pytest

from stream_processor.errors import LogGapError
from stream_processor.log_coverage import require_coverage
from stream_processor.log_reader import LogHead
from stream_processor.record_batch import TopicPartition

MINUTE_MS = 60_000
FILES_END_MS = 1_735_732_800_000  # 2025-01-01T12:00


def head(start: int, first_ms: int | None, *, topic: str = "transactions", partition: int = 0) -> LogHead:
    return LogHead(TopicPartition(topic, partition), start, first_ms)


def require(*heads: LogHead, files_until_ms: int | None = FILES_END_MS, others: tuple[LogHead, ...] = ()) -> None:
    require_coverage(heads, others, files_until_ms=files_until_ms, allowance_ms=MINUTE_MS)


def test_a_log_that_has_all_its_records_needs_no_file() -> None:
    require(head(0, FILES_END_MS), head(0, None, partition=1), files_until_ms=None)


def test_a_log_that_lost_its_start_needs_one() -> None:
    with pytest.raises(LogGapError, match="transactions:0 begins at offset 7 with 2025-01-01T12:00:00"):
        require(head(7, FILES_END_MS), files_until_ms=None)


def test_files_may_overlap_the_log_or_end_a_little_before() -> None:
    require(head(7, FILES_END_MS - 10 * MINUTE_MS), head(7, FILES_END_MS + MINUTE_MS, partition=1))


def test_each_partition_that_begins_after_the_files_end_is_named() -> None:
    with pytest.raises(LogGapError, match="the files end at 2025-01-01T12:00:00") as raised:
        require(head(7, FILES_END_MS + MINUTE_MS + 1), head(7, 0, partition=1), head(9, 2 * FILES_END_MS, partition=2))
    assert "transactions:0" in str(raised.value)
    assert "transactions:1" not in str(raised.value)
    assert "transactions:2" in str(raised.value)


def test_a_partition_that_lost_everything_says_nothing_about_what_is_missing() -> None:
    with pytest.raises(LogGapError, match="has lost all its 7 records"):
        require(head(7, None))


def test_a_topic_that_was_only_begun_after_the_files_end_leaves_a_gap() -> None:
    with pytest.raises(LogGapError, match="transactions begins with"):
        require(head(0, FILES_END_MS + 2 * MINUTE_MS), head(0, 2 * FILES_END_MS, partition=1))


def test_one_quiet_partition_of_a_whole_topic_is_none() -> None:
    require(head(0, FILES_END_MS), head(0, 2 * FILES_END_MS, partition=1))


@pytest.mark.parametrize("topic", ["labels", "decisions"])
def test_labels_and_decisions_may_come_late_but_none_may_be_lost(topic: str) -> None:
    late_ms = FILES_END_MS + 60 * MINUTE_MS
    require(head(0, FILES_END_MS), others=(head(0, late_ms, topic=topic),))
    with pytest.raises(LogGapError, match=f"{topic}:0"):
        require(head(0, FILES_END_MS), others=(head(3, late_ms, topic=topic),))
