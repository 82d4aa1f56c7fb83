import io
import json
import math

import pytest
from rich.console import Console

from loadtests.figures import Result, Target
from loadtests.report import Report, print_report, render_markdown

REPORT = Report(
    machine={"processor": "some", "load_before": "0.01 0.02 0.03"},
    started_at="2026-11-21T12:00:00+00:00",
    quick=False,
    results=[
        Result("fold", "events/s", 51_234.5, Target("25,000 (sketch)", 50_000, "more"), {"runs": "1", "cpu_us": 9.74}),
        Result("wait, p99", "ms", 9.87654, Target("", 8, "less")),
        Result("against another", "x", 21.3),
    ],
)


def test_a_report_survives_json() -> None:
    assert Report.from_json(json.loads(json.dumps(REPORT.as_json()))) == REPORT


def test_the_markdown_table_shows_target_and_figure_and_what_was_missed() -> None:
    lines = render_markdown(REPORT.as_json()).splitlines()
    assert "| fold | 25,000 (sketch) | ≥ 50,000 | 51,234 events/s |" in lines
    assert "| wait, p99 | - | ≤ 8 | 9.88 ms (missed) |" in lines
    assert "| against another |  |  | 21.3 x |" in lines
    assert "- fold: runs: 1; cpu us: 9.74" in lines
    assert "- load before: 0.01 0.02 0.03" in lines
    assert not any("smoke" in line for line in lines)


def test_short_runs_are_called_smoke() -> None:
    assert "smoke, not figures" in render_markdown({**REPORT.as_json(), "quick": True})


def test_the_terminal_shows_every_figure() -> None:
    out = io.StringIO()
    print_report(REPORT, Console(file=out, width=120))
    for words in ("51,234 events/s", "9.88 ms (missed)", "21.3 x", "processor: some", "cpu us: 9.74"):
        assert words in out.getvalue()


def test_a_target_is_met_from_its_own_side() -> None:
    assert Target("", 10, "more").met_by(10)
    assert not Target("", 10, "more").met_by(9.99)
    assert Target("", 10, "less").met_by(10)
    assert not Target("", 10, "less").met_by(10.01)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_was_not_measured_is_no_result(value: float) -> None:
    with pytest.raises(ValueError, match="was not measured"):
        Result("fold", "events/s", value)
