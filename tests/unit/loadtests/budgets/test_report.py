import json

from rich.console import Console

from loadtests.budgets.report import as_json, make_table, render_markdown
from tests.unit.loadtests.budgets.test_outcome import KEPT

CELLS = [
    "Redis slow by 20 ms",
    "25",
    "1,000 of 1,000",
    "DEGRADED_NO_FEATURES 99 %, FULL 1 %",
    "2 / 2 / 2 / 2",
    "2 / 2 / 2 / 2",
    "2 / 2 / 2 / 2",
    "0.1 s",
    "0",
]


def test_a_row_says_what_was_measured() -> None:
    console = Console(width=240, record=True)
    console.print(make_table([KEPT]))
    [row] = [line for line in console.export_text().splitlines() if "Redis slow" in line]
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == CELLS


def test_markdown_is_made_of_what_was_written() -> None:
    written = json.dumps(as_json([KEPT], {"Redis killed": "BenchError: never FULL again"}, {"cores": "2"}))
    lines = render_markdown(json.loads(written)).splitlines()
    assert lines[2] == f"| {' | '.join(CELLS)} |"
    assert lines[3] == "| Redis killed | | | BenchError: never FULL again | | | | | |"
