"""What is sent to Kafka together, and for whom."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scorer.publication import Publication, Record, SentAlert, Topics, alert_in, alert_of, records_of
from scorer.spool import Taken

Offered = Publication | Record
WaitedFor = tuple[Sequence[Publication], asyncio.Future[None]]  # done once they are acknowledged


@dataclass(slots=True)
class Round:
    taken: Taken | None  # of the spool, sent first
    offered: list[Offered]
    waited_for: list[WaitedFor]
    copied: int = 0  # of what was offered, the first so many are on disk too
    copies: list[Path] = field(default_factory=list)

    def records(self, topics: Topics) -> tuple[list[Record], dict[int, SentAlert]]:
        """In the order to send them in; and what is told of those that are alerts, by their places."""
        records: list[Record] = []
        alerts: dict[int, SentAlert] = {}
        for record in () if self.taken is None else self.taken.records:
            if record.topic == topics.alerts and (alert := alert_in(record)) is not None:
                alerts[len(records)] = alert
            records.append(record)
        groups: list[Sequence[Offered]] = [self.offered, *(publications for publications, _ in self.waited_for)]
        for group in groups:
            for each in group:
                if isinstance(each, Record):
                    records.append(each)
                    continue
                records += records_of(each, topics)
                if each.alert is not None and (alert := alert_of(each)) is not None:
                    alerts[len(records) - 1] = alert  # it is behind its decision
        return records, alerts

    def records_on_disk(self, topics: Topics) -> int:
        copied = sum(len(expand(each, topics)) for each in self.offered[: self.copied])
        return copied + (0 if self.taken is None else len(self.taken.records))


def expand(offered: Offered, topics: Topics) -> Sequence[Record]:
    return (offered,) if isinstance(offered, Record) else records_of(offered, topics)
