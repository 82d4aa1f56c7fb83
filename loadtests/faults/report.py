"""What the faults did: as a table for the terminal, and as Markdown made of the JSON that a run writes.

`python -m loadtests.faults.report FILE` prints the table of docs/faults.md.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from loadtests.faults.run import Outcome

_HEADINGS: Final = ("fault", "times", "events", "mismatches", "lost", "longest recovery")
CAPTION: Final = "Mismatches: values of features in any bit / records. Lost: decisions / alerts / dead letters."


def as_json(outcomes: Sequence[Outcome], failures: Mapping[str, str], machine: Mapping[str, str]) -> dict[str, Any]:
    """`failures`: by name of the fault."""
    return {"machine": dict(machine), "outcomes": [asdict(each) for each in outcomes], "failures": dict(failures)}


def make_table(outcomes: Iterable[Outcome]) -> Table:
    table = Table(caption=CAPTION)
    table.add_column(_HEADINGS[0], min_width=24)
    for heading in _HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for outcome in outcomes:
        table.add_row(*_row(asdict(outcome)))
    return table


def render_markdown(found: Mapping[str, Any]) -> str:
    lines = [
        f"| {' | '.join(_HEADINGS)} |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {' | '.join(_row(outcome))} |" for outcome in found["outcomes"]),
        *(f"| {name} | | | {failure} | | |" for name, failure in found["failures"].items()),
    ]
    return "\n".join(lines) + "\n"


def _row(outcome: Mapping[str, Any]) -> tuple[str, ...]:
    verdict = outcome["verdict"]
    return (
        outcome["fault"],
        f"{outcome['times']:,}",
        f"{verdict['events']:,}",
        f"{verdict['mismatches']:,} / {verdict['records_missing'] + verdict['records_too_many']:,}",
        f"{verdict['lost_decisions']:,} / {verdict['lost_alerts']:,} / {verdict['lost_dead_letters']:,}",
        f"{outcome['longest_recovery_s']:.1f} s",
    )


if __name__ == "__main__":
    print(render_markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
