"""Every name a span can carry, typed: a misspelt one fails type checking.

Names without the prefix `fraud.` are OpenTelemetry's semantic conventions, version 1.45 (messaging and RPC are still in
development there). There is no convention for scoring by a model: the `fraud.` names are ours. Entity ids never become
attributes; `fraud.transaction.id` is the token of one payment, which is what people search by.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"

SpanName = Literal[
    "score",  # one decision; carries the identity of the model
    "score features",  # stages of a decision, children of `score`
    "score model",
    "score explanation",
    "process transactions",  # one micro-batch: folded, scored, published
    "process labels",
    "process decisions",
    "fold",  # stages of a micro-batch
    "request scores",
    "send decisions",
    "send alerts",
    "send dead-letters",
    "get features",
    "load model",
]

AttributeName = Literal[
    "error.type",
    "kafka.offset",
    "messaging.batch.message_count",
    "messaging.client.id",
    "messaging.consumer.group.name",
    "messaging.destination.name",
    "messaging.destination.partition.id",
    "messaging.message.id",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.system.name",
    "rpc.method",
    "rpc.response.status_code",
    "rpc.system.name",
    "fraud.action",
    "fraud.alert",  # true where an alert was published
    "fraud.caller",  # name of whoever asked, as the callers file has it
    "fraud.deadline.missed",
    "fraud.feature_set.version",
    "fraud.features.freshness_ms",
    "fraud.first_offset",  # of a micro-batch, inclusive
    "fraud.kept_because",  # a telemetry.keep.KeepReason
    "fraud.last_offset",
    "fraud.links.omitted",  # links of the span beyond the cap
    "fraud.model.name",
    "fraud.model.version",
    "fraud.override",  # why the action is not the policy's
    "fraud.policy.action",  # which is this one
    "fraud.policy.version",
    "fraud.probability",
    "fraud.reason_codes",
    "fraud.replayed",  # the stored decision of an earlier call was returned
    "fraud.shards",  # virtual shards that a micro-batch touched
    "fraud.skipped_stages",
    "fraud.tier",
    "fraud.transaction.id",
    "fraud.transactions.rejected",
]

AttributeValue = str | int | float | bool | Sequence[str]
Attributes = Mapping[AttributeName, AttributeValue]
