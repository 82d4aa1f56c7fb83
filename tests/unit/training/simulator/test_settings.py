"""Settings out of range are refused by name; streams of random numbers do not touch each other."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from training.simulator.settings import SimulatorSettings, Stream


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", -1),
        ("days", -1),
        ("first_day", -1),
        ("customers", 0),
        ("terminals", 0),
        ("leaked_customers_per_10k", -0.1),
        ("late_share", 1.1),
        ("malformed_share", float("nan")),
        ("seasonality", -0.5),
        ("label_delay_median_days", 0),
        ("drift_per_year", -1),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        SimulatorSettings(**changed)


def test_days_begin_at_midnight_utc_of_the_start() -> None:
    settings = SimulatorSettings(start=date(2026, 2, 1), first_day=3, days=2)
    assert settings.day_start_ms(0) == 1_769_904_000_000
    assert settings.day_start_ms(3) - settings.day_start_ms(0) == 3 * 86_400_000
    assert list(settings.day_range) == [3, 4]


def test_each_mechanism_day_and_seed_draws_from_a_stream_of_its_own() -> None:
    settings = SimulatorSettings()
    first = {
        settings.random(Stream.PAYMENTS, 1).random(),
        settings.random(Stream.PAYMENTS, 2).random(),
        settings.random(Stream.LABELS, 1).random(),
        replace(settings, seed=1).random(Stream.PAYMENTS, 1).random(),
    }
    assert len(first) == 4
    assert settings.random(Stream.PAYMENTS, 1).random() in first
