"""Every metric with its unit, meaning and labels. Names are typed: a misspelt one fails type checking.

Units are UCUM, as OpenTelemetry asks; durations are in seconds. Labels have few values by construction: an entity or
transaction id is never one.
"""

from dataclasses import dataclass
from typing import Final, Literal

Label = Literal[
    "action",  # APPROVE, CHALLENGE, REVIEW, DECLINE
    "caller",  # rpc, stream
    "caller_name",  # of the callers file; empty where nobody known called
    "cause",
    "method",  # /service/method
    "model_name",
    "model_version",
    "override",  # OBSERVE_ONLY, KILL_SWITCH, CONTROL_GROUP
    "partition",
    "policy_version",
    "reason",  # a Rejection's name
    "role",  # champion, canary, shadow
    "stage",
    "tier",  # FULL, DEGRADED_STALE, DEGRADED_NO_FEATURES, FALLBACK_RULES
    "topic",
]

CounterName = Literal[
    "fraud.alerts.published",
    "fraud.alerts.suppressed",
    "fraud.calls.admitted",
    "fraud.calls.refused",
    "fraud.compaction.failures",
    "fraud.deadlines.missed",
    "fraud.decisions.made",
    "fraud.decisions.overridden",
    "fraud.decisions.replayed",
    "fraud.fold.batches",
    "fraud.fold.mismatches",
    "fraud.fold.resyncs",
    "fraud.histories.compacted",
    "fraud.index.copies",
    "fraud.index.decisions",
    "fraud.index.deleted",
    "fraud.index.failures",
    "fraud.index.rejected",
    "fraud.labels.folded",
    "fraud.lineup.changes",
    "fraud.lineup.refusals",
    "fraud.policy.changes",
    "fraud.policy.refusals",
    "fraud.publish.failures",
    "fraud.requests.shed",
    "fraud.shadow.dropped",
    "fraud.shadow.scores",
    "fraud.spool.failures",
    "fraud.spool.recovered",
    "fraud.spool.segments_set_aside",
    "fraud.spool.written",
    "fraud.transactions.folded",
    "fraud.transactions.rejected",
]

HistogramName = Literal[
    "fraud.event.visibility",
    "fraud.features.freshness",
    "fraud.fold.batch_size",
    "fraud.fold.duration",
    "fraud.score.duration",
    "fraud.score.stage.duration",
]

GaugeName = Literal[
    "fraud.consumer.lag",
    "fraud.fence.age",
    "fraud.fence.position",
    "fraud.index.lag",
    "fraud.model.loaded",
    "fraud.policy.loaded",
    "fraud.spool.age",
    "fraud.spool.size",
    "fraud.watermark.age",
]


@dataclass(frozen=True, slots=True)
class Metric:
    unit: str
    description: str
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram: `buckets` are upper bounds in `unit`."""

    unit: str
    description: str
    buckets: tuple[float, ...]
    labels: tuple[Label, ...] = ()


# From a tenth of a millisecond, finest around the default latency budget of 25 ms, to a timeout's length.
_LATENCY_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0015, 0.0025, 0.004, 0.006, 0.008, 0.01,
    0.015, 0.02, 0.025, 0.035, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
# From a pipeline that keeps up to one that was down for a day.
_AGE_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3_600.0, 86_400.0)
_COUNT: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0)

COUNTERS: Final[dict[CounterName, Metric]] = {
    "fraud.alerts.published": Metric("{alert}", "Alerts that Kafka acknowledged.", ("action",)),
    "fraud.alerts.suppressed": Metric(
        "{alert}", "Decisions that raised no alert because there were enough: of the card, or of the day.", ("cause",)
    ),
    "fraud.calls.admitted": Metric("{call}", "Calls of known callers let in.", ("caller_name", "method")),
    "fraud.calls.refused": Metric(
        "{call}",
        "Calls refused for who made them: unknown, without permission, too many, too large.",
        ("caller_name", "method", "cause"),
    ),
    "fraud.compaction.failures": Metric(
        "{history}", "Histories left as they were: changed meanwhile, or not readable.", ("cause",)
    ),
    "fraud.deadlines.missed": Metric("{call}", "Answers sent after their caller's deadline.", ("tier",)),
    "fraud.decisions.made": Metric(
        "{decision}", "Transactions decided.", ("caller", "tier", "action", "model_name", "model_version")
    ),
    "fraud.decisions.overridden": Metric(
        "{decision}", "Transactions answered with another action than decided, or not decided.", ("override",)
    ),
    "fraud.decisions.replayed": Metric("{decision}", "Retries answered with the stored decision.", ("caller",)),
    "fraud.fold.batches": Metric("{batch}", "Micro-batches folded into entity histories.", ("topic",)),
    "fraud.fold.mismatches": Metric("{call}", "Shard writes refused by their fence.", ("cause",)),
    "fraud.fold.resyncs": Metric("{resync}", "Times a worker read the fences again and sought.", ("cause",)),
    "fraud.histories.compacted": Metric("{history}", "Long histories put into a shorter form."),
    "fraud.index.copies": Metric("{decision}", "Decisions that were in the index already: they changed nothing."),
    "fraud.index.decisions": Metric("{decision}", "Decisions added to the index."),
    "fraud.index.deleted": Metric("{decision}", "Decisions deleted from the index, or kept out of it.", ("cause",)),
    "fraud.index.failures": Metric(
        "{batch}", "Batches that were not indexed at once: they are read again.", ("cause",)
    ),
    "fraud.index.rejected": Metric("{record}", "Records of no use to the index, sent to dead letters.", ("topic",)),
    "fraud.labels.folded": Metric("{label}", "Labels folded into entity histories."),
    "fraud.lineup.changes": Metric("{change}", "Times that a changed line-up of models was taken."),
    "fraud.lineup.refusals": Metric(
        "{change}", "Times that a changed line-up was refused, and the old one kept.", ("cause",)
    ),
    "fraud.policy.changes": Metric("{change}", "Times that a changed policy file was taken."),
    "fraud.policy.refusals": Metric("{change}", "Times that a changed policy file was refused, and the old one kept."),
    "fraud.publish.failures": Metric("{record}", "Records that Kafka did not acknowledge.", ("topic", "cause")),
    "fraud.requests.shed": Metric("{call}", "Calls refused early because of overload."),
    "fraud.shadow.dropped": Metric("{decision}", "Decisions that a challenger did not score.", ("cause",)),
    "fraud.shadow.scores": Metric("{decision}", "Decisions that a challenger scored.", ("model_name", "model_version")),
    "fraud.spool.failures": Metric("{call}", "Calls of the spool that its disk refused.", ("cause",)),
    "fraud.spool.recovered": Metric("{record}", "Records of the spool that Kafka acknowledged."),
    "fraud.spool.segments_set_aside": Metric("{segment}", "Damaged files of the spool, kept for a person to look at."),
    "fraud.spool.written": Metric("{record}", "Records written to the spool while Kafka was away."),
    "fraud.transactions.folded": Metric("{transaction}", "Transactions folded into entity histories."),
    "fraud.transactions.rejected": Metric("{record}", "Records sent to dead letters.", ("topic", "reason")),
}

HISTOGRAMS: Final[dict[HistogramName, Distribution]] = {
    "fraud.event.visibility": Distribution("s", "From a record's timestamp to its being in the features.", _AGE_S),
    "fraud.features.freshness": Distribution("s", "Age at read of the least fresh history of a decision.", _AGE_S),
    "fraud.fold.batch_size": Distribution("{record}", "Records in a micro-batch.", _COUNT, ("topic",)),
    "fraud.fold.duration": Distribution("s", "Folding one micro-batch into Redis.", _LATENCY_S, ("topic",)),
    "fraud.score.duration": Distribution(
        "s", "One call, from its bytes to its answer.", _LATENCY_S, ("caller", "tier", "action")
    ),
    "fraud.score.stage.duration": Distribution("s", "One stage of a decision.", _LATENCY_S, ("stage",)),
}

GAUGES: Final[dict[GaugeName, Metric]] = {
    "fraud.consumer.lag": Metric("{record}", "Records of a partition not yet folded.", ("topic", "partition")),
    "fraud.fence.age": Metric(
        "s", "Since a partition's fences were last at the end of its log, or it was taken.", ("topic", "partition")
    ),
    "fraud.fence.position": Metric("{offset}", "Lowest fence of a partition, over all shards.", ("topic", "partition")),
    "fraud.index.lag": Metric("{record}", "Records of a partition not yet in the index.", ("topic", "partition")),
    "fraud.model.loaded": Metric(
        "1", "1 while this model is served in this role, 0 after.", ("role", "model_name", "model_version")
    ),
    "fraud.policy.loaded": Metric("1", "1 while this policy decides, 0 after.", ("policy_version",)),
    "fraud.spool.age": Metric("s", "Since the oldest file of the spool was begun; 0 while it is empty."),
    "fraud.spool.size": Metric("By", "Records in the spool that wait for Kafka."),
    "fraud.watermark.age": Metric(
        "s", "How far the newest event folded lies behind now: a payment's time, when a label was known.", ("topic",)
    ),
}
