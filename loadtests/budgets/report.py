"""Outcomes as a table for the terminal, and as Markdown made of the JSON that a run writes.

`python -m loadtests.budgets.report FILE` prints the table for the docs.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from loadtests.budgets.outcome import Outcome

_HEADINGS: Final = ("fault", "deadline", "answered", "tiers", "server", "client", "echo", "FULL again", "lost")
CAPTION: Final = (
    "Milliseconds at p50 / p99 / p99.9 / max: by the server's own clock, by the client's from when a call was due, and "
    "of a server that only echoes, called beside. Deadline: of the scorer's own budget, or * of the callers. Tiers: of "
    "answers while the fault lasted. Lost: answers that are not in `decisions` in the end."
)


def as_json(outcomes: Sequence[Outcome], failures: Mapping[str, str], machine: Mapping[str, str]) -> dict[str, Any]:
    """`failures`: by name of the fault."""
    return {
        "machine": dict(machine),
        "outcomes": [outcome.as_json() for outcome in outcomes],
        "failures": dict(failures),
    }


def make_table(outcomes: Iterable[Outcome]) -> Table:
    table = Table(caption=CAPTION)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in ("fault", "tiers") else "right")
    for outcome in outcomes:
        table.add_row(*_row(outcome.as_json()))
    return table


def render_markdown(found: Mapping[str, Any]) -> str:
    lines = [
        f"| {' | '.join(_HEADINGS)} |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
        *(f"| {' | '.join(_row(outcome))} |" for outcome in found["outcomes"]),
        *(f"| {name} | | | {failure} | | | | | |" for name, failure in found["failures"].items()),
    ]
    return "\n".join(lines) + "\n"


def _row(outcome: Mapping[str, Any]) -> tuple[str, ...]:
    refused = sum(outcome["refusals"].values())
    return (
        outcome["fault"],
        f"{outcome['deadline_ms']:g}{' *' if outcome['of_the_caller'] else ''}",
        f"{outcome['calls'] - refused:,} of {outcome['calls']:,}",
        _shares(outcome["tiers"]),
        _latencies(outcome["server"]),
        _latencies(outcome["client"]),
        _latencies(outcome["echo"]),
        f"{outcome['full_again_s']:.1f} s",
        f"{outcome['unpublished']:,}",
    )


def _latencies(found: Mapping[str, float]) -> str:
    return " / ".join(f"{found[name]:.3g}" for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms"))


def _shares(tiers: Mapping[str, int]) -> str:
    total = sum(tiers.values())
    return ", ".join(f"{tier} {100 * count / total:.4g} %" for tier, count in sorted(tiers.items()))


if __name__ == "__main__":
    print(render_markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
