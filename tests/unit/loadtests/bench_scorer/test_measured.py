import numpy as np
import pytest

from loadtests.bench_scorer.measured import Measured, cost_per_million, mean_cpu
from loadtests.latency import Latencies

MEASURED = Measured(
    load="Score at 500/s",
    server="tracing on",
    latencies=Latencies.of(np.array([0.001, 0.002, 0.003])),
    scores_per_s=499.6,
    refusals={},
    cpu_us={"scorer": 500.0, "redis": 60.0, "kafka": 160.0},
    sent_late_p99_ms=0.2,
)


def test_a_million_scores_of_an_hour_of_processor_cost_its_price() -> None:
    assert cost_per_million({"scorer": 3_000.0, "redis": 600.0}, price_per_vcpu_hour=0.05) == pytest.approx(0.05)
    assert MEASURED.cost_per_million(price_per_vcpu_hour=0.05) == pytest.approx(0.01)


def test_figures_are_written_with_their_cost() -> None:
    written = MEASURED.as_json(price_per_vcpu_hour=0.1)
    assert written["cost_per_million_scores"] == pytest.approx(0.02)
    assert (written["p50_ms"], written["p999_ms"], written["calls"]) == (2.0, 3.0, 3)


def test_processor_time_is_the_mean_of_the_rounds_by_process() -> None:
    assert mean_cpu([{"scorer": 1.0, "redis": 5.0}, {"scorer": 3.0, "redis": 6.0}]) == {"scorer": 2.0, "redis": 5.5}
