import json
from dataclasses import replace

from rich.console import Console

from loadtests.bench_scorer.report import as_json, print_tables, render_markdown
from tests.unit.loadtests.bench_scorer.test_measured import MEASURED
from tests.unit.loadtests.bench_scorer.test_overload import LEVEL

LEVELS = [replace(LEVEL, of_saturation=1.0, goodput_per_s=20.0), LEVEL]
WRITTEN = json.loads(json.dumps(as_json([MEASURED], LEVELS, price_per_vcpu_hour=0.05, machine={"cores": "2"})))
LOAD = ("Score at 500/s", "tracing on", "2 / 3 / 3", "500", "scorer 500, redis 60, kafka 160", "0.0100", "none")


def test_markdown_is_made_of_what_was_written() -> None:
    lines = render_markdown(WRITTEN).splitlines()
    assert f"| {' | '.join(LOAD)} |" in lines
    [overload] = [line for line in lines if "1.5 x" in line]
    assert "| 40 % | 50 % | 40 % | 2 / 4 |" in overload
    assert any("/ 3,600 * 0.05 a vCPU hour" in line for line in lines)


def test_the_terminal_shows_the_same() -> None:
    console = Console(width=240, record=True)
    print_tables(WRITTEN, console)
    shown = console.export_text()
    assert all(cell in shown for cell in LOAD)


def test_a_client_that_lags_is_named_beside_its_figures() -> None:
    lagging = replace(MEASURED, sent_late_p99_ms=5.1)
    written = as_json([lagging], [replace(LEVEL, sent_late_p99_ms=6.0)], price_per_vcpu_hour=0.05, machine={})
    assert render_markdown(written).count("(the client lags)") == 2
