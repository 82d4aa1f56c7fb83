import gc
from collections.abc import Iterator

import pytest

from feature_service.garbage import spare_collections


@pytest.fixture
def collector() -> Iterator[None]:
    """As it was, afterwards."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_is_there_is_not_walked_through_again_and_batches_set_nothing_off() -> None:
    kept: list[object] = [[]]
    spare_collections()

    assert gc.get_freeze_count() > 0
    assert not any(each is kept for each in gc.get_objects())
    before = [each["collections"] for each in gc.get_stats()]
    batch = [[number] for number in range(20_000)]
    assert len(batch) == 20_000
    assert [each["collections"] for each in gc.get_stats()] == before
