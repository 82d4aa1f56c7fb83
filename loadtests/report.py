"""Results as a table for the terminal, as JSON, and as Markdown made of that JSON.

`python -m loadtests.report FILE` prints what `bench` wrote as the tables of docs/benchmarks.md.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from rich.console import Console
from rich.table import Table

from loadtests.figures import Result, Target

_HEADINGS: Final = ("what", "first sketch or peer", "reach", "measured")


@dataclass(frozen=True, slots=True)
class Report:
    machine: Mapping[str, str]
    started_at: str  # UTC, ISO 8601
    quick: bool
    results: Sequence[Result]

    def as_json(self) -> dict[str, Any]:
        return {
            "started_at": self.started_at,
            "quick": self.quick,
            "machine": dict(self.machine),
            "results": [result.as_json() for result in self.results],
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        results = [Result.from_json(each) for each in found["results"]]
        return cls(found["machine"], found["started_at"], found["quick"], results)


def print_report(report: Report, console: Console) -> None:
    table = Table(title="measured" if not report.quick else "measured in short runs: smoke, not figures")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in ("reach", "measured") else "left")
    for result in report.results:
        table.add_row(*_row(result))
    console.print(table)
    for result in report.results:
        if result.details:
            console.print(f"[bold]{result.name}[/]: {_details(result)}", highlight=False)
    console.print()
    for name, words in report.machine.items():
        console.print(f"{name.replace('_', ' ')}: {words}", highlight=False)


def render_markdown(found: Mapping[str, Any]) -> str:
    """From what `bench` wrote as JSON: the table, what was seen beside each figure, and the machine."""
    report = Report.from_json(found)
    lines = [
        f"Measured {report.started_at}" + (", in short runs: smoke, not figures." if report.quick else "."),
        "",
        f"| {' | '.join(_HEADINGS)} |",
        "| --- | --- | ---: | ---: |",
        *(f"| {' | '.join(_row(result))} |" for result in report.results),
        "",
        *(f"- {result.name}: {_details(result)}" for result in report.results if result.details),
        "",
        *(f"- {name.replace('_', ' ')}: {words}" for name, words in report.machine.items()),
    ]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> tuple[str, str, str, str]:
    target = result.target
    if target is None:
        return result.name, "", "", f"{_number(result.value)} {result.unit}"
    return result.name, target.first or "-", _reach(target), f"{_number(result.value)} {result.unit}{_mark(result)}"


def _reach(target: Target) -> str:
    return f"{'≥' if target.better == 'more' else '≤'} {_number(target.reach)}"


def _mark(result: Result) -> str:
    return "" if result.target is None or result.target.met_by(result.value) else " (missed)"


def _details(result: Result) -> str:
    return "; ".join(
        f"{name.replace('_', ' ')}: {_number(value) if isinstance(value, float | int) else value}"
        for name, value in result.details.items()
    )


def _number(value: float) -> str:
    """Three digits that count; whole numbers as they are."""
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    print(render_markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
