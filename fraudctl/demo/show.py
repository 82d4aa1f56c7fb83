"""What the demo shows a person: progress, the last alerts, a summary."""

from collections.abc import Sequence

from fraud.v1.decision_pb2 import Action, Alert
from rich.table import Table

from fraudctl.demo.source import Timeline
from fraudctl.demo.watch import Seen


def alert_table(alerts: Sequence[Alert]) -> Table:
    table = Table(title="Last alerts", expand=True)
    for name in ("payment", "prob.", "decision"):
        table.add_column(name, no_wrap=True)
    table.add_column("main reason", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("model", "trace"):
        table.add_column(name, no_wrap=True)
    for alert in alerts:
        decision = alert.decision
        table.add_row(
            decision.transaction_id,
            f"{decision.fraud_probability:.2f}",
            Action.Name(decision.action).removeprefix("ACTION_"),
            decision.reasons[0].words if decision.reasons else "",
            decision.model_version[:8],
            decision.trace_id[:8],
        )
    if alerts:
        table.caption = f"trace of the last one: {alerts[-1].decision.trace_id}"
    return table


def summary(timeline: Timeline, seen: Seen, live_seconds: float, score_us: Sequence[int]) -> Table:
    table = Table("", "", title="Summary of the live part", show_header=False, min_width=60)
    alerted = seen.alerts.keys() & timeline.live_payments
    caught = alerted & timeline.live_frauds
    table.add_row("events in", f"{len(timeline.live):,}")
    table.add_row("folded", f"{seen.folded:,}")
    decided = len(seen.decided)
    table.add_row("scored", f"{decided:,} ({', '.join(f'{count:,} {tier}' for tier, count in seen.tiers.items())})")
    table.add_row("alerts", f"{len(seen.alerts):,}")
    table.add_row("dead letters", ", ".join(f"{n:,} {reason}" for reason, n in seen.dead_letters.items()) or "0")
    table.add_row("end to end", f"{len(timeline.live) / live_seconds:,.0f} events/s over {live_seconds:.0f} s")
    table.add_row("Score, as its caller sees it", _percentiles(score_us, 1000, "ms"))
    table.add_row("ScoreBatch, call to decision", _percentiles(seen.score_us, 1000, "ms"))
    table.add_row("freshness of histories", _percentiles(seen.freshness_ms, 1, "ms"))
    if alerted:
        table.add_row("precision of the alerts", f"{len(caught) / len(alerted):.1%} ({len(caught)} of {len(alerted)})")
    if timeline.live_frauds:
        recall = len(caught) / len(timeline.live_frauds)
        table.add_row("recall of the frauds", f"{recall:.1%} ({len(caught)} of {len(timeline.live_frauds)})")
    return table


def _percentiles(values: Sequence[int], divisor: int, unit: str) -> str:
    if not values:
        return "not known"
    ordered = sorted(values)
    p50, p99 = (ordered[int(share * (len(ordered) - 1))] / divisor for share in (0.5, 0.99))
    return f"p50 {p50:,.1f} {unit}, p99 {p99:,.1f} {unit}"
