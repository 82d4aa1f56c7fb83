"""The table of the faults, for people and for the docs."""

import json

from rich.console import Console

from loadtests.faults.report import as_json, make_table, render_markdown
from loadtests.faults.run import Outcome
from loadtests.faults.verdict import Verdict

OUTCOME = Outcome(
    fault="worker killed",
    times=20,
    verdict=Verdict(events=174_918, mismatches=1, records_missing=2, records_too_many=3, lost_alerts=4),
    longest_recovery_s=39.06,
    took_s=112.0,
)


def test_a_row_says_all_that_went_wrong() -> None:
    console = Console(width=160, record=True)
    console.print(make_table([OUTCOME]))
    [row] = [line for line in console.export_text().splitlines() if "worker killed" in line]
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        "worker killed", "20", "174,918", "1 / 5", "0 / 4 / 0", "39.1 s",
    ]  # fmt: skip


def test_markdown_is_made_of_what_was_written() -> None:
    written = json.dumps(as_json([OUTCOME], {"a fault": "TimeoutError: of a worker"}, {"cores": "2"}))
    lines = render_markdown(json.loads(written)).splitlines()
    assert lines[2] == "| worker killed | 20 | 174,918 | 1 / 5 | 0 / 4 / 0 | 39.1 s |"
    assert lines[3] == "| a fault | | | TimeoutError: of a worker | | |"
    assert not Verdict(events=1, records_missing=1).is_clean
