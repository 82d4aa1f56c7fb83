import pytest

from decision_index.batch import Stored
from decision_index.starting import Start, find_start


@pytest.mark.parametrize(
    ("known", "start"),
    [
        (None, Start(10, None)),
        (Stored(15, "new"), Start(15, None)),
        (Stored(10, "new"), Start(10, None)),
        (Stored(20, "new"), Start(20, None)),
        (Stored(9, "new"), Start(10, "log")),
        (Stored(21, "new"), Start(10, "log")),
        (Stored(15, "old"), Start(10, "topic")),
        (Stored(99, "old"), Start(10, "topic")),
        (Stored(15, ""), Start(15, None)),
        (Stored(21, ""), Start(10, "log")),
    ],
)
def test_reading_starts_where_the_index_is_unless_the_log_is_another_one(known: Stored | None, start: Start) -> None:
    assert find_start(known, "new", log_start=10, log_end=20) == start
