import pytest

from loadtests.figures import BenchError
from loadtests.process_watch import Sample
from loadtests.soak import judge

MIB = 1_048_576


def samples(mib_per_min: float, *, warm_up_mib: float = 0.0, files: int = 20) -> list[Sample]:
    """Of ten minutes; what warms up has done so after one."""
    return [
        Sample(
            time_s=float(second),
            rss_bytes=round(MIB * (200 + mib_per_min * second / 60 + warm_up_mib * min(1.0, second / 60))),
            open_files=files if second > 300 else 20,
        )
        for second in range(600)
    ]


def test_what_stays_as_it_is_keeps_all_promises() -> None:
    found = judge(samples(0.5, warm_up_mib=100.0), calls=300_000, refusals={})
    assert not found.broken
    assert found.mib_per_min == pytest.approx(0.5, rel=1e-3)
    assert found.rss_mib == pytest.approx(305, rel=1e-3)


def test_what_grows_is_found() -> None:
    assert judge(samples(1.1), calls=1, refusals={}).broken == ["memory grows by 1 MiB a minute at most"]
    assert judge(samples(0.0, files=25), calls=1, refusals={}).broken == ["open files stay as many"]


def test_a_refusal_breaks_a_promise() -> None:
    assert judge(samples(0.0), calls=1, refusals={"RESOURCE_EXHAUSTED": 1}).broken == ["no call is refused"]


def test_a_scorer_that_ended_is_not_judged() -> None:
    with pytest.raises(BenchError, match="long enough"):
        judge(samples(0.0)[:2], calls=1, refusals={})
