"""Figures as tables for the terminal, and as Markdown made of the JSON that a run writes.

`python -m loadtests.bench_scorer.report FILE` prints the tables for the docs.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from loadtests.bench_scorer.measured import Measured
from loadtests.bench_scorer.overload import Level, goodput_kept

_LOADS: Final = ("load", "server", "p50 / p99 / p99.9 ms", "scores/s", "CPU µs a score", "cost of a million", "refused")
_LEVELS: Final = (
    "offered/s",
    "of saturation",
    "goodput/s",
    "of its peak",
    "refused",
    "with a hint",
    "too late",
    "refusal p50 / p99 ms",
    "answer p99 ms",
    "server p99.9 ms",
)
_LAGS: Final = " (the client lags)"


def as_json(
    measured: Sequence[Measured], levels: Sequence[Level], *, price_per_vcpu_hour: float, machine: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "machine": dict(machine),
        "price_per_vcpu_hour": price_per_vcpu_hour,
        "loads": [each.as_json(price_per_vcpu_hour=price_per_vcpu_hour) for each in measured],
        "overload": [
            {**level.as_json(), "goodput_of_peak": kept}
            for level, kept in zip(levels, goodput_kept(levels), strict=True)
        ],
    }


def print_tables(found: Mapping[str, Any], console: Console) -> None:
    for title, headings, rows in _tables(found):
        table = Table(title=title)
        for heading in headings:
            table.add_column(heading, justify="left" if heading in {"load", "server"} else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def render_markdown(found: Mapping[str, Any]) -> str:
    lines = []
    for title, headings, rows in _tables(found):
        lines += [title, "", f"| {' | '.join(headings)} |", f"| {' | '.join(['---'] * len(headings))} |"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines)


def _tables(found: Mapping[str, Any]) -> list[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    price = found["price_per_vcpu_hour"]
    cost = f"cost of a million scores = CPU µs a score / 3,600 * {price:g} a vCPU hour, processors used to the full"
    tables = [
        (f"Loads ({cost})", _LOADS, [_load_row(each) for each in found["loads"]]),
        ("Overload: calls with a deadline of 25 ms", _LEVELS, [_level_row(each) for each in found["overload"]]),
    ]
    return [table for table in tables if table[-1]]


def _load_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    cpu = ", ".join(f"{name} {us:.0f}" for name, us in found["cpu_us_per_score"].items())
    lags = _LAGS if (found["sent_late_p99_ms"] or 0) > 5 else ""
    return (
        found["load"],
        found["server"],
        f"{found['p50_ms']:.3g} / {found['p99_ms']:.3g} / {found['p999_ms']:.3g}{lags}",
        f"{found['scores_per_s']:,.0f}",
        cpu,
        f"{found['cost_per_million_scores']:.4f}",
        ", ".join(f"{count:,} {status}" for status, count in found["refusals"].items()) or "none",
    )


def _level_row(found: Mapping[str, Any]) -> tuple[str, ...]:
    refusals, answers, server = found["refusals"], found["answers"], found["server"]
    return (
        f"{found['offered_per_s']:,.0f}{_LAGS if found['client_lags'] else ''}",
        f"{found['of_saturation']:g} x",
        f"{found['goodput_per_s']:,.0f}",
        _percent(found["goodput_of_peak"]),
        _percent(found["refused_share"]),
        _percent(found["hinted_share"]) if refusals else "-",
        _percent(found["too_late_share"]),
        f"{refusals['p50_ms']:.3g} / {refusals['p99_ms']:.3g}" if refusals else "-",
        f"{answers['p99_ms']:.3g}" if answers else "-",
        f"{server['p999_ms']:.3g}" if server else "-",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


if __name__ == "__main__":
    print(render_markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
