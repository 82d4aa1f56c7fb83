import pytest

from feature_service.refusal import CallRefusedError
from feature_service.rest.handling import deadline_ms


@pytest.mark.parametrize(("header", "expected"), [(None, None), ("1", 1), ("0025", 25), ("600000", 600_000)])
def test_a_deadline_is_in_whole_milliseconds(header: str | None, expected: int | None) -> None:
    assert deadline_ms(header) == expected


@pytest.mark.parametrize("header", ["", "0", "-5", "2.5", "25ms", "1e3", "600001", "٢٥", "9" * 5_000])
def test_another_deadline_is_refused(header: str) -> None:
    with pytest.raises(CallRefusedError, match="X-Deadline-Ms"):
        deadline_ms(header)
