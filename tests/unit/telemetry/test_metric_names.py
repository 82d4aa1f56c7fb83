import re
from typing import get_args

import pytest

from telemetry.metric_names import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    CounterName,
    Distribution,
    GaugeName,
    HistogramName,
    Label,
    Metric,
)

ALL: dict[str, Metric | Distribution] = {**COUNTERS, **HISTOGRAMS, **GAUGES}  # type: ignore[dict-item]  # keys are strings


def test_every_name_is_declared_once() -> None:
    assert set(COUNTERS) == set(get_args(CounterName))
    assert set(HISTOGRAMS) == set(get_args(HistogramName))
    assert set(GAUGES) == set(get_args(GaugeName))
    assert len(ALL) == len(COUNTERS) + len(HISTOGRAMS) + len(GAUGES)


@pytest.mark.parametrize("name", ALL)
def test_names_and_units_are_as_opentelemetry_asks(name: str) -> None:
    assert re.fullmatch(r"fraud(\.[a-z][a-z_]*)+", name)
    assert ALL[name].unit in {"1", "s", "By"} or re.fullmatch(r"\{[a-z]+\}", ALL[name].unit)
    assert ALL[name].description.endswith(".")


@pytest.mark.parametrize("distribution", HISTOGRAMS.values())
def test_buckets_rise(distribution: Distribution) -> None:
    assert sorted(set(distribution.buckets)) == list(distribution.buckets)


def test_every_label_is_used() -> None:
    assert {label for metric in ALL.values() for label in metric.labels} == set(get_args(Label))
