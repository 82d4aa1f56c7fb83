"""What changed how payments are decided, as records of the audit topic."""

from collections.abc import Callable
from random import Random
from typing import Protocol

import structlog
from fraud.v1.audit_pb2 import Change, ChangeSubject

from scorer.publication import SCHEMA_VERSION, Record
from telemetry.kafka_headers import event_headers
from telemetry.trace_context import TraceContext

log = structlog.get_logger(__name__)


class RecordPublisher(Protocol):
    def offer_record(self, record: Record) -> bool:
        """Have it published soon; False where that will not be."""
        ...


class ChangeRecords:
    """Those of one scorer."""

    def __init__(
        self,
        publisher: RecordPublisher,
        random: Random,
        *,
        topic: str,
        instance: str,
        unix_ms: Callable[[], int],
    ) -> None:
        self._publisher = publisher
        self._random = random
        self._topic = topic
        self._instance = instance
        self._unix_ms = unix_ms

    def add(self, change: Change, subject: ChangeSubject.ValueType, *, detail: str) -> None:
        change.subject = subject
        change.changed_at_ms = self._unix_ms()
        change.scorer_instance = self._instance
        change.detail = detail
        headers = event_headers(
            message_type=Change.DESCRIPTOR.full_name,
            schema_version=SCHEMA_VERSION,
            context=TraceContext.new(self._random),
        )
        record = Record(self._topic, self._instance.encode(), change.SerializeToString(), headers)
        if not self._publisher.offer_record(record):
            log.error("a change is not on the audit topic", to_version=change.to_version, detail=detail)
